/// The recipe of domain adaptation, as hone-domain reads it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/data/augmentation.h"
#include "hone/data/options.h"
#include "hone/machine/device.h"
#include "hone/run/architecture.h"
#include "hone/run/distillation_options.h"
#include "hone/run/expert_options.h"
#include "hone/run/index_options.h"
#include "hone/run/lora_recipe.h"
#include "hone/run/multi_token_options.h"
#include "hone/run/quantisation_options.h"
#include "hone/run/save_options.h"
#include "hone/run/sharing_options.h"
#include "hone/run/student_options.h"
#include "hone/text/bpe_trainer.h"
#include "hone/text/growth.h"
#include "hone/train/options.h"

namespace hone::run {

enum class Tuning { kFull, kLora };
enum class GuardAction { kStop, kRebalance };
/// What the matrix products of a run on the CPU are computed in (kernels::ProductType).
enum class Compute { kAuto, kFloat32, kBfloat16Products };

/// Where the tokenizer of a model without weights comes from: an existing one or a new one.
struct TokenizerOptions {
  std::optional<std::string> folder;
  int64_t vocab_size = 4096;
  text::TokenizerFamily family = text::TokenizerFamily::kDeepSeekV3;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("folder", self.folder, "Folder of an existing tokenizer; absent trains one on the data.");
    v("vocab_size", self.vocab_size, "Entries of the trained vocabulary.", Range{300, 1000000});
    v("family", self.family, "Whose pre-tokenizer the trained one has.");
  }
  void validate(Validation& v) const;
};

/// Vocabulary growth: terms of the domains that fragment badly become tokens.
struct VocabularyOptions {
  int64_t new_tokens = 0;
  int64_t new_terms = 0;
  text::GrowthMode mode = text::GrowthMode::kAuto;
  std::vector<std::string> domains;
  std::optional<std::string> terms_file;
  std::optional<int64_t> min_pieces;
  int64_t min_count = 5;
  int64_t embedding_steps = 0;
  double embedding_lr = 1e-3;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("new_tokens", self.new_tokens,
      "Most new ids, and so rows of the embedding, those of intermediate merges included; 0: no "
      "limit beside new_terms. Without either the vocabulary stays as it is.",
      Range{0, 1000000});
    v("new_terms", self.new_terms,
      "Most terms that become tokens, however many ids they need; 0: no limit beside new_tokens.",
      Range{0, 1000000});
    v("mode", self.mode,
      "How terms enter: as merges, whose intermediate tokens need ids too; as added_tokens, of one "
      "id each, found anywhere; auto: merges where they can be.");
    v("domains", self.domains,
      "Domains whose training text is mined for terms; empty: those with a weight above 0.");
    v("terms_file", self.terms_file, "File of terms, one a line, taken instead of mining.");
    v("min_pieces", self.min_pieces,
      "Fewest tokens that a mined term now takes; null: 3, and 2 inside text without spaces.",
      Range{2, 64});
    v("min_count", self.min_count, "Fewest times that a mined term occurs.", Range{1, 1e9});
    v("embedding_steps", self.embedding_steps,
      "Steps that train only the embeddings first, with the body frozen.", Range{0, 1e9});
    v("embedding_lr", self.embedding_lr, "Peak learning rate of those steps.", Range{0, 10});
  }
  void validate(Validation& v) const;

  /// Whether the vocabulary is to grow.
  bool grows() const { return new_tokens > 0 || new_terms > 0; }
};

/// Weights of the loss.
struct WeightOptions {
  std::map<std::string, double> domains;
  double default_weight = 1.0;
  double entity_multiplier = 1.0;
  std::vector<std::string> entity_terms;
  std::optional<std::string> entity_file;
  bool entity_ignore_case = true;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("domains", self.domains,
      "Loss weight of each domain by name, e.g. {\"medical\": 2.0}; of a domain of weight 0 no "
      "text is drawn.");
    v("default_weight", self.default_weight, "Weight of domains not named.", Range{0, 1e6});
    v("entity_multiplier", self.entity_multiplier, "Factor on tokens of key entities.",
      Range{0, 1e6});
    v("entity_terms", self.entity_terms, "Key entities.");
    v("entity_file", self.entity_file, "File of key entities, one a line.");
    v("entity_ignore_case", self.entity_ignore_case, "Match entities in any case.");
  }
  void validate(Validation& v) const;

  /// The weight of a domain.
  double weight_of(const std::string& domain) const {
    const auto given = domains.find(domain);
    return given == domains.end() ? default_weight : given->second;
  }
};

/// The guard on general ability.
struct GuardOptions {
  std::optional<std::string> domain;
  double max_ratio = 1.1;
  GuardAction action = GuardAction::kStop;
  double rebalance_factor = 2.0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("domain", self.domain, "Held-out domain that must not suffer; absent: no guard.");
    v("max_ratio", self.max_ratio, "Highest perplexity allowed, as a ratio to before.",
      Range{1, 1e6});
    v("action", self.action,
      "What happens past it: stop the run, or rebalance the mix towards the guarded domain.");
    v("rebalance_factor", self.rebalance_factor,
      "Factor on the guarded domain's share of the mix at each rebalancing, more of it past the "
      "limit.",
      Range{1, 1000});
  }
  void validate(Validation& v) const;
};

/// The data of a run and how it is laid into batches.
struct DataOptions {
  std::vector<data::DatasetOptions> train;
  std::vector<data::DatasetOptions> held_out;
  std::optional<data::SplitOptions> validation;
  int64_t tokens_per_batch = 1024;
  std::optional<int64_t> eval_length;
  bool beyond_positions = false;
  double temperature = 1.0;
  std::map<std::string, Json> chat_template_kwargs;
  data::AugmentationOptions augmentation;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("train", self.train, "Data sets trained on.");
    v("held_out", self.held_out, "Data sets scored before, during and after.");
    v("validation", self.validation,
      "Rows of each training set that are not trained on but scored, beside those of held_out.");
    v("tokens_per_batch", self.tokens_per_batch, "Positions a batch holds at most.", Range{2, 1e9});
    v("eval_length", self.eval_length,
      "Most tokens of a held-out document that are scored, counted by the base's tokenizer; 2048, "
      "or as many as the model has positions where those are fewer, when absent.",
      Range{2, 16777216});
    v("beyond_positions", self.beyond_positions,
      "Lets documents be longer than the model has positions (max_position_embeddings, stretched "
      "by its rope_scaling).");
    v("temperature", self.temperature,
      "Mixes data sets by tokens^(1/T): 1 in proportion, larger more evenly.", Range{0.01, 1e6});
    v("chat_template_kwargs", self.chat_template_kwargs,
      "Variables of the chat template, e.g. {\"thinking\": true}, in training, scoring and "
      "prompts.");
    v("augmentation", self.augmentation, "Other versions of the training text, drawn anew.");
  }
  void validate(Validation& v) const;

  /// The training sets, less what validation holds out of them.
  std::vector<data::DatasetOptions> train_sets() const;
  /// The sets that are scored: held_out, then what validation holds out of each training set.
  std::vector<data::DatasetOptions> held_out_sets() const;
};

/// Memory against time.
struct MemoryOptions {
  int64_t checkpoint_every = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("checkpoint_every", self.checkpoint_every,
      "Recompute every k-th block in the backward pass instead of keeping its activations; "
      "0 keeps all.",
      Range{0, 1000});
  }
};

/// Prompts that show what the model says while it trains: answered, each time alike, by the
/// likeliest tokens.
struct PromptOptions {
  std::vector<std::string> texts;
  std::optional<std::string> system;
  int64_t max_new_tokens = 64;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("texts", self.texts,
      "Prompts answered at each evaluation: a user's turn where the tokenizer has a chat template, "
      "else a text to go on with.");
    v("system", self.system, "System turn before each; needs a chat template.");
    v("max_new_tokens", self.max_new_tokens, "Tokens of an answer at most.", Range{1, 100000});
  }
  void validate(Validation& v) const;
};

struct Config {
  std::string about;
  std::optional<std::string> model;
  std::optional<ArchitectureOptions> architecture;
  std::optional<TokenizerOptions> tokenizer;
  machine::DeviceChoice device = machine::DeviceChoice::kAuto;
  Compute compute = Compute::kAuto;
  int64_t seed = 0;
  int64_t threads = 0;
  Tuning tuning = Tuning::kFull;
  LoraRecipe lora;
  DataOptions data;
  VocabularyOptions vocabulary;
  WeightOptions weights;
  ExpertOptions experts;
  std::optional<StudentOptions> student;
  std::optional<DistillationOptions> distillation;
  std::optional<SharingOptions> sharing;
  std::optional<QuantisationOptions> quantisation;
  MultiTokenOptions multi_token;
  IndexOptions indexer;
  GuardOptions guard;
  MemoryOptions memory;
  PromptOptions prompts;
  SaveOptions save;
  train::TrainOptions train;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("about", self.about, "What the recipe shows and the command that runs it.");
    v("model", self.model, "Checkpoint folder, or run of hone, to start from.");
    v("architecture", self.architecture, "Sizes of a model to start without weights.");
    v("tokenizer", self.tokenizer, "Tokenizer of a model without weights.");
    v("device", self.device, "Where to run; auto takes a CUDA device if there is one.");
    v("compute", self.compute,
      "On the CPU: float32, or bfloat16_products, which rounds the operands of matrix products, "
      "and "
      "nothing else, to bfloat16; auto times both at the start and takes bfloat16 where that is at "
      "least a quarter faster. A GPU computes in its weights' type.");
    v("seed", self.seed, "Seed of weights, dropout and data order.", Range{0, 9e15});
    v("threads", self.threads,
      "CPU threads; 0 takes OMP_NUM_THREADS where it is set, else every core.", Range{0, 4096});
    v("tuning", self.tuning, "full trains all weights, lora an adapter on a frozen base.");
    v("lora", self.lora, "The adapter; only with tuning lora.");
    v("data", self.data, "Text.");
    v("vocabulary", self.vocabulary, "Growth of the vocabulary.");
    v("weights", self.weights, "Weights of domains and entities in the loss.");
    v("experts", self.experts, "Balance of a model's experts.");
    v("student", self.student, "A smaller model, cut out of the base before it trains.");
    v("distillation", self.distillation, "A teacher to learn from beside the text.");
    v("sharing", self.sharing, "Layers that share their query and key projections.");
    v("quantisation", self.quantisation, "Integers in place of the numbers of linear layers.");
    v("multi_token", self.multi_token, "Training of layers for multi-token prediction.");
    v("indexer", self.indexer, "Training of the indexers of sparse attention.");
    v("guard", self.guard, "Guard on general ability.");
    v("memory", self.memory, "Memory against time.");
    v("prompts", self.prompts, "Prompts answered at each evaluation.");
    v("save", self.save, "How the model is saved.");
    v("train", self.train, "Optimiser and schedule.");
  }
  void validate(Validation& v) const;

  /// Whether the run makes a model: it trains one, or makes integers of one.
  bool makes_model() const { return !train.only_evaluates() || quantisation; }
};

}  // namespace hone::run

template <>
struct hone::EnumNames<hone::run::Tuning> {
  static constexpr std::pair<run::Tuning, const char*> values[] = {{run::Tuning::kFull, "full"},
                                                                   {run::Tuning::kLora, "lora"}};
};
template <>
struct hone::EnumNames<hone::run::Compute> {
  static constexpr std::pair<run::Compute, const char*> values[] = {
      {run::Compute::kAuto, "auto"},
      {run::Compute::kFloat32, "float32"},
      {run::Compute::kBfloat16Products, "bfloat16_products"}};
};
template <>
struct hone::EnumNames<hone::run::GuardAction> {
  static constexpr std::pair<run::GuardAction, const char*> values[] = {
      {run::GuardAction::kStop, "stop"}, {run::GuardAction::kRebalance, "rebalance"}};
};
