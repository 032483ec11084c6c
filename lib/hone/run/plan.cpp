// What --plan and --dump-data show: the run up to where training would begin.
#include "hone/run/plan.h"

#include <fmt/format.h>

#include <fstream>

#include "hone/core/file.h"
#include "hone/core/random.h"
#include "hone/data/dump.h"
#include "hone/kernels/sequences.h"
#include "hone/machine/hardware.h"
#include "hone/model/checkpoint.h"
#include "hone/model/cost.h"
#include "hone/run/base.h"
#include "hone/run/compute.h"
#include "hone/run/data.h"
#include "hone/run/disk.h"
#include "hone/run/distillation.h"
#include "hone/run/epochs.h"
#include "hone/run/prompt_answers.h"
#include "hone/run/quantisation.h"
#include "hone/run/saving.h"
#include "hone/run/sharing.h"
#include "hone/run/student.h"
#include "hone/run/tokenizer.h"
#include "hone/run/vocabulary.h"

namespace hone::run {
namespace {

/// What a process needs beside tensors, tokenizer and data: LibTorch's own tables, buffers of
/// matrix libraries, small objects. 15 to 85 MiB where docs/memory-plan.md was measured, about 100
/// on another CPU. Pages of files that are only read (the program, a base while it is loaded: about
/// 85 MiB) are not in it: the kernel drops them when memory is short.
constexpr int64_t kProcessBytes = int64_t{104} << 20;
constexpr int64_t kVocabularyEntryBytes = 256;  ///< a token of the tokenizer with its merge

/// Memory of a GPU that CUDA's context and the libraries' kernels take.
constexpr int64_t kContextBytes = int64_t{500} << 20;

struct Prepared {
  RunTokenizer tokenizer;
  Json base_config;
  int64_t new_tokens = 0;
  Data data;
};

Prepared prepare(const Config& config, Cache& cache) {
  check_files(config);
  Prepared prepared{cache.tokenizer(config)};
  prepared.base_config = base_config(config, prepared.tokenizer.text);
  if (config.vocabulary.grows() && !config.train.only_evaluates()) {
    const auto growth = grow_vocabulary(config, prepared.tokenizer.text.tokenizer, {});
    prepared.new_tokens = static_cast<int64_t>(growth.added.size());
    prepared.tokenizer.text.tokenizer = growth.tokenizer;
    prepared.tokenizer.grown = true;
  }
  prepared.data = load_data(config, prepared.tokenizer, cache);
  return prepared;
}

std::string describe_data(const Config& config, const Data& data) {
  std::string text = fmt::format("{:<24}{:<14}{:>12}{:>12}{:>12}\n", "data set", "domain",
                                 "documents", "tokens", "trained");
  int64_t tokens = 0;
  const auto add = [&](const data::Dataset& set, const char* suffix) {
    text += fmt::format("{:<24}{:<14}{:>12}{:>12}{:>12}{}\n", set.name, set.domain,
                        set.counts.documents, set.counts.tokens, set.counts.trained, suffix);
  };
  for (const data::DatasetPtr& set : data.train) {
    const bool drawn = set->weight > 0;
    add(*set, drawn ? "" : "  weight 0: not drawn");
    if (drawn) tokens += set->counts.tokens;
  }
  for (const data::DatasetPtr& set : data.held_out) add(*set, "  held out");
  if (config.train.epochs) return text + describe_epochs(config) + "\n";
  const double total = static_cast<double>(config.train.steps * config.train.accumulation *
                                           config.data.tokens_per_batch);
  if (tokens > 0 && total > 0) {
    text +=
        fmt::format("{} steps of up to {} tokens: {:.2f} passes over the training text\n",
                    config.train.steps, config.train.accumulation * config.data.tokens_per_batch,
                    total / static_cast<double>(tokens));
  }
  return text;
}

struct BatchShape {
  int64_t documents = 1, longest = 0, positions = 0;  ///< positions: that attention holds
};

/// Of batches laid of documents in a fixed random order, the one that attention pads most.
BatchShape widest_batch(const Config& config, const Data& data) {
  constexpr int kBatches = 64;
  constexpr size_t kDocuments = 1 << 20;  // of batches too large to be filled often
  std::vector<int64_t> lengths;
  for (const data::DatasetPtr& set : data.train) {
    if (set->weight == 0) continue;
    for (const data::Example& example : set->examples) lengths.push_back(example.length());
  }
  if (lengths.empty()) return {};
  Random(0).shuffle(lengths);
  BatchShape widest, batch{.documents = 0};
  int64_t tokens = 0;
  int batches = 0;
  for (size_t i = 0; i < kDocuments && batches < kBatches; ++i) {
    const int64_t length = lengths[i % lengths.size()];
    if (tokens + length <= config.data.tokens_per_batch) {
      tokens += length;
      ++batch.documents;
      batch.longest = std::max(batch.longest, length);
      continue;
    }
    batch.positions = kernels::padded_to_grid(batch.documents, batch.longest, tokens)
                          ? batch.documents * batch.longest
                          : tokens;
    if (batch.positions > widest.positions) widest = batch;
    batch = {.documents = 1, .longest = length};
    tokens = length;
    ++batches;
  }
  return batches > 0 ? widest : batch;
}

/// Tokens of the largest batch that is scored: a document may be longer than a batch.
int64_t scored_at_once(const Config& config, const Data& data) {
  int64_t most = config.data.tokens_per_batch;
  for (const data::DatasetPtr& set : data.held_out) {
    for (const data::Example& example : set->examples) most = std::max(most, example.length());
  }
  return most;
}

/// Of the documents in memory, whose ids, targets and weights are three vectors.
int64_t data_bytes(const Data& data) {
  constexpr int64_t kToken = 2 * sizeof(int64_t) + sizeof(float);
  constexpr int64_t kDocument = sizeof(data::Example) + 3 * 16;  // and the heap's own bytes
  int64_t bytes = 0;
  for (const auto* sets : {&data.train, &data.held_out}) {
    for (const data::DatasetPtr& set : *sets) {
      bytes += kToken * set->counts.tokens + kDocument * std::ssize(set->examples);
    }
  }
  return bytes;
}

/// What the model is, and what either way to tune it would take at least: weights, gradients and
/// the optimiser's state.
std::string describe_model(const model::DecoderConfig& config, const machine::DevicePlan& device) {
  const model::Cost cost(config);
  const auto bytes = static_cast<int64_t>(c10::elementSize(device.weights));
  const auto millions = [](int64_t n) {
    return fmt::format("{:.1f} million", static_cast<double>(n) / 1e6);
  };
  std::string text = fmt::format("{:<16}{:>20}", "parameters", millions(cost.parameters()));
  if (cost.active_parameters() < cost.parameters()) {
    text += fmt::format("  {} of them for a token", millions(cost.active_parameters()));
  }
  const auto cached = static_cast<double>(cost.cache_bytes(device.weights, 1, 1));
  text += fmt::format("\n{:<24}{:>8.1f} KiB\n", "cache of a position", cached / 1024);
  const int64_t there = machine::device_memory_bytes(device.device);
  const nn::LoraOptions lora;
  for (const bool full : {true, false}) {
    if (!full && !config.sharing.empty()) continue;  // no adapter of all layers can be on those
    model::MemoryRequest request{.tokens_per_batch = 1, .bytes_per_element = bytes};
    if (!full) request.lora = lora;
    const model::MemoryPlan least = model::predict_memory(config, request);
    const int64_t standing = least.weights + least.gradients + least.optimizer_states;
    text += fmt::format("{:<24}{:>12}  {} before activations\n",
                        full ? "tuning full" : fmt::format("tuning lora, rank {}", lora.rank),
                        format_bytes(standing), standing <= there ? "fits" : "does not fit");
  }
  return text;
}

void add_disk(const Config& config, const DiskSizes& sizes, const std::string& folder, Plan& plan) {
  const DiskNeed need = disk_need(config, sizes);
  if (need.bytes == 0) return;
  const int64_t free = free_disk_bytes(folder);
  plan.disk_bytes = need.bytes;
  const bool fits = need.bytes <= free;
  plan.fits = plan.fits && fits;
  plan.text += fmt::format("{:<24}{:>12}  {}\n", "disk", format_bytes(need.bytes), need.text);
  plan.text += fmt::format("the disk of {} has {} free: the run {}\n", folder, format_bytes(free),
                           fits ? "fits" : "does not fit");
}

}  // namespace

Plan make_plan(const Config& recipe, Cache* shared, const std::string& out,
               const PlanChanges& changes) {
  Cache own;
  const Prepared prepared = prepare(recipe, shared ? *shared : own);
  Config config = recipe;
  if (config.train.epochs) {
    config.train.steps =
        planned_steps(config, *make_loader(config, prepared.tokenizer, prepared.data.train));
  }
  const machine::DevicePlan device =
      machine::prepare_device(config.device, config.threads, config.seed);
  Plan plan = predict_run({config, prepared.base_config, prepared.tokenizer.text,
                           prepared.new_tokens, prepared.data, device,
                           choose_compute(config, prepared.base_config, device), changes});
  if (!shared) plan.text = describe_model(plan.decoder, device) + plan.text;  // for people
  add_disk(config, disk_sizes(config, plan.memory, device.weights, changes.snapshots),
           out.empty() ? "." : out, plan);
  return plan;
}

Plan predict_run(const ReadRun& run) {
  const Config& config = run.config;
  const machine::DevicePlan& device = run.device;
  const Json base =
      config.student ? student_config(*config.student, run.base_config) : run.base_config;
  model::DecoderConfig decoder = decoder_config(config, base, "config.json");
  const int64_t vocabulary = run.text.tokenizer.vocab_size();
  decoder.vocab_size = std::max(decoder.vocab_size, vocabulary);
  if (config.sharing) decoder.sharing = sharing_groups(*config.sharing, decoder);
  std::optional<model::QuantisedLayers> rounded;
  if (config.quantisation) {
    const model::Decoder whole = model::make_decoder(decoder, at::kMeta, at::kFloat);
    rounded = quantised_layers(*config.quantisation, *whole, at::kFloat);
  }
  const bool lora = config.tuning == Tuning::kLora;
  const model::AdapterShape adapter = lora ? adapter_of(config) : model::AdapterShape{};
  const BatchShape batch = widest_batch(config, run.data);
  Plan plan{.decoder = decoder, .data = run.data, .steps = config.train.steps};
  model::MemoryRequest request{
      .tokens_per_batch = config.data.tokens_per_batch,
      .documents = batch.documents,
      .longest = batch.longest,
      .bytes_per_element = static_cast<int64_t>(c10::elementSize(device.weights)),
      .accumulation = config.train.accumulation + (run.changes.accumulates ? 1 : 0),
      .checkpoint_every = run.changes.keeps_all ? 0 : config.memory.checkpoint_every,
      .index = config.indexer.train,
      .branch_dropout = run.changes.branch_dropout,
      .lora = lora ? std::optional(adapter.options) : std::nullopt,
      .lora_dropout = run.changes.lora_dropout,
      .rounded = rounded,
      .token_rows = lora ? adapter.token_rows + run.new_tokens : 0,
      .device = device.device};
  plan.memory = model::predict_memory(decoder, request);
  if (config.train.only_evaluates()) {  // scoring keeps nothing for a backward pass
    const model::MemoryPlan& training = plan.memory;
    plan.memory = {.weights = training.weights,
                   .loss = training.loss,
                   .forward = training.forward,
                   .peak = training.weights + training.loss + training.forward};
  }
  const int64_t teacher =
      config.distillation ? teacher_bytes(config, run.text, decoder, request) : 0;
  request.tokens_per_batch = scored_at_once(config, run.data);
  if (request.tokens_per_batch > config.data.tokens_per_batch) {
    // Scoring holds less at once than a step that keeps no more than one block's activations.
    request.documents = request.checkpoint_every = 1;
    request.longest = request.tokens_per_batch;
    request.index = nn::IndexLearning::kOff;
    const model::MemoryPlan scoring = model::predict_memory(decoder, request);
    plan.memory.peak =
        std::max(plan.memory.peak, scoring.weights + plan.memory.optimizer_states +
                                       scoring.activations + scoring.loss + scoring.forward);
  }
  plan.text = describe_data(config, run.data);
  if (config.makes_model()) {
    plan.text += fmt::format(
        "{:<24}{}\n", "the model is saved as",
        decoder.quantised ? "an adapter alone, over its integers" : describe_save(config));
  }
  const auto add_row = [&plan](const std::string& name, int64_t bytes) {
    plan.text += fmt::format("{:<24}{:>12}\n", name, format_bytes(bytes));
  };
  for (const auto& [name, bytes] : plan.memory.items()) add_row(name, bytes);
  // A snapshot is the trained parameters and the optimiser's state of them.
  const int64_t snapshots =
      run.changes.snapshots * (plan.memory.gradients + plan.memory.optimizer_states);
  if (snapshots > 0) add_row(fmt::format("{} snapshots", run.changes.snapshots), snapshots);
  const int64_t operands = run.compute.operand_bytes(decoder, config.data.tokens_per_batch);
  if (operands > 0) add_row("bfloat16 operands", operands);
  if (teacher > 0) add_row("teacher", teacher);
  plan.memory.peak += snapshots + operands + teacher;
  int64_t answering = prompt_bytes(config.prompts, decoder, run.text, device.weights);
  if (answering > 0) {
    add_row("prompts", answering);
    answering +=
        teacher + plan.memory.weights + plan.memory.gradients + plan.memory.optimizer_states;
  }
  plan.on_gpu = device.device.is_cuda();
  plan.process_bytes =
      std::max(plan.memory.peak, answering + snapshots) +
      (plan.on_gpu ? kContextBytes
                   : kProcessBytes + data_bytes(run.data) + kVocabularyEntryBytes * vocabulary);
  plan.device_bytes = machine::device_memory_bytes(device.device);
  plan.fits = plan.process_bytes <= plan.device_bytes;
  add_row("process", plan.process_bytes);
  plan.text += fmt::format("this {} has {}: the run {}\n", plan.on_gpu ? "GPU" : "machine",
                           format_bytes(plan.device_bytes), plan.fits ? "fits" : "does not fit");
  plan.text += machine::thread_count(config.threads).text() + "\n" + run.compute.text() + "\n";
  return plan;
}

void require_fit(const Plan& plan) {
  if (plan.fits) return;
  throw Error(
      "the run needs more memory than there is:\n" + plan.text +
      "smaller batches (data.tokens_per_batch, with train.accumulation for as many tokens a step), "
      "recomputed blocks (memory.checkpoint_every) and tuning lora need less; --force starts it as "
      "it is");
}

void dump_data(const Config& config, const std::string& path, std::ostream& out) {
  Cache cache;
  const Prepared prepared = prepare(config, cache);
  std::ofstream file(path);
  if (!file) throw IoError(path, "cannot be written");
  const text::Tokenizer& tokenizer = prepared.tokenizer.text.tokenizer;
  for (const data::DatasetPtr& set : prepared.data.train) {
    data::dump_jsonl(file, set->examples, tokenizer);
    out << "data set " << set->name << " (domain " << set->domain << ")\n";
    data::dump_text(out, set->examples, tokenizer, {.documents = 2});
  }
  if (!file.flush()) throw IoError(path, "could not be written whole");
}

}  // namespace hone::run
