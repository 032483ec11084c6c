#include "hone/run/data.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>

#include "hone/config/writer.h"
#include "hone/core/log.h"
#include "hone/data/entities.h"
#include "hone/data/files.h"
#include "hone/data/packing.h"
#include "hone/infer/generate.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/machine/hardware.h"
#include "hone/model/config.h"
#include "hone/run/held_out.h"
#include "hone/run/hub_cache.h"

namespace hone::run {
namespace {

/// Tokens of a held-out document that are scored, where the recipe does not say: most texts whole.
constexpr int64_t kEvalLength = 2048;

std::vector<std::string> all_domains(const DataOptions& options) {
  std::vector<data::DatasetOptions> sets = options.train_sets();
  const std::vector<data::DatasetOptions> scored = options.held_out_sets();
  sets.insert(sets.end(), scored.begin(), scored.end());
  return data::domain_names(sets);
}

/// The matcher of the run's key entities, if it has any.
std::optional<data::EntityMatcher> make_matcher(const WeightOptions& options) {
  std::vector<std::string> terms = options.entity_terms;
  if (options.entity_file) {
    const std::vector<std::string> more = data::read_terms(*options.entity_file);
    terms.insert(terms.end(), more.begin(), more.end());
  }
  if (terms.empty()) return std::nullopt;
  return data::EntityMatcher(terms, options.entity_ignore_case);
}

/// What loading a set of the run takes beside its own options.
data::LoadContext context_of(const Config& config, const data::DatasetOptions& set,
                             const std::vector<std::string>& domains) {
  data::LoadContext context;
  context.domain =
      static_cast<int32_t>(std::find(domains.begin(), domains.end(), set.domain) - domains.begin());
  context.threads = static_cast<int>(machine::thread_count(config.threads).count);
  return context;
}

void warn_beyond_positions(const data::Dataset& set, int64_t positions) {
  int64_t longest = 0;
  for (const data::Example& example : set.examples) longest = std::max(longest, example.length());
  if (longest <= positions) return;
  log_warning(fmt::format(
      "data set \"{}\": its longest document has {} tokens, over the model's {} positions: it "
      "answers well there only with a rope_scaling in its config.json",
      set.name, longest, positions));
}

std::vector<data::DatasetPtr> load_train(const Config& config, const RunTokenizer& tokenizer,
                                         Cache& cache) {
  const auto matcher = make_matcher(config.weights);
  const Json entity_key = matcher ? config::to_json(config.weights) : Json(nullptr);
  const std::vector<std::string> domains = all_domains(config.data);
  const int64_t positions = position_limit(config), batch = config.data.tokens_per_batch;
  std::vector<data::DatasetPtr> loaded;
  for (data::DatasetOptions set : config.data.train_sets()) {
    data::LoadContext context = context_of(config, set, domains);
    context.max_length = config.data.beyond_positions ? batch : std::min(batch, positions);
    context.entities = matcher ? &*matcher : nullptr;
    context.entity_multiplier = static_cast<float>(config.weights.entity_multiplier);
    context.keep_text = config.data.augmentation.any();
    if (config.weights.weight_of(set.domain) == 0 && set.weight > 0) {
      log_info(fmt::format("data set \"{}\" is left out: its domain {} has weight 0", set.label(),
                           set.domain));
      set.weight = 0;
    }
    loaded.push_back(cache.dataset(set, tokenizer, context, entity_key));
    warn_beyond_positions(*loaded.back(), positions);
  }
  return loaded;
}

/// Problems of documents that would be longer than the model has positions.
void check_lengths(const Config& config, std::vector<Problem>& problems) {
  if (config.data.beyond_positions) return;
  const int64_t positions = position_limit(config);
  const auto check = [&](const std::string& path, std::optional<int64_t> length) {
    if (!length || *length <= positions) return;
    problems.push_back(
        {path, fmt::format("{} is over the model's {} positions; lower it, or set "
                           "data.beyond_positions for a model that was made for more",
                           *length, positions)});
  };
  const auto check_sets = [&](const char* key, const std::vector<data::DatasetOptions>& sets) {
    for (size_t i = 0; i < sets.size(); ++i) {
      check(fmt::format("/data/{}/{}/max_length", key, i), sets[i].max_length);
    }
  };
  check_sets("train", config.data.train);
  check_sets("held_out", config.data.held_out);
  check("/data/eval_length", config.data.eval_length);
}

Json sets_json(const std::vector<data::DatasetPtr>& sets) {
  Json list = Json::array();
  for (const data::DatasetPtr& set : sets) {
    list.push_back({{"name", set->name},
                    {"domain", set->domain},
                    {"hash", set->hash},
                    {"counts", set->counts.json()}});
  }
  return list;
}

}  // namespace

void check_set_files(const std::string& path, const std::vector<data::DatasetOptions>& sets,
                     std::vector<Problem>& problems) {
  for (size_t i = 0; i < sets.size(); ++i) {
    for (size_t j = 0; j < sets[i].files.size(); ++j) {
      const std::string where = fmt::format("{}/{}/files/{}", path, i, j);
      try {
        for (const std::string& file : data::list_files({sets[i].files[j]})) {
          if (!std::filesystem::exists(file)) {
            problems.push_back({where, "there is no file " + file});
          }
        }
      } catch (const IoError& error) {
        problems.push_back({where, error.what()});
      }
    }
  }
}

void check_files(const Config& config) {
  std::vector<Problem> problems;
  const auto check = [&](const std::string& path, const std::string& file) {
    if (!std::filesystem::exists(file)) problems.push_back({path, "there is no file " + file});
  };
  const auto check_model = [&](const std::string& path, const std::string& model) {
    try {
      const std::string folder = model_folder(model);
      if (!io::has_weights(folder) &&
          std::filesystem::exists(folder + "/adapter/" + io::kAdapterConfig)) {
        problems.push_back({path, fmt::format("{} holds an adapter alone: give its base here, and "
                                              "{}/adapter as lora.from",
                                              folder, folder)});
        return;
      }
      check(path, folder + "/config.json");
    } catch (const IoError& error) {
      problems.push_back({path, error.what()});
    }
  };
  if (config.model) check_model("/model", *config.model);
  if (config.lora.from) check("/lora/from", *config.lora.from + "/adapter_config.json");
  if (config.tokenizer && config.tokenizer->folder) {
    try {
      model_folder(*config.tokenizer->folder);
    } catch (const IoError& error) {
      problems.push_back({"/tokenizer/folder", error.what()});
    }
  }
  check_set_files("/data/train", config.data.train, problems);
  check_set_files("/data/held_out", config.data.held_out, problems);
  if (config.weights.entity_file) check("/weights/entity_file", *config.weights.entity_file);
  if (config.vocabulary.terms_file) check("/vocabulary/terms_file", *config.vocabulary.terms_file);
  if (problems.empty()) check_lengths(config, problems);
  if (problems.empty()) check_held_out(config.data.train, config.data.held_out, "data", problems);
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

int64_t position_limit(const Config& config) {
  if (!config.model) return config.architecture->max_position_embeddings;
  const std::string path = model_folder(*config.model) + "/config.json";
  return infer::position_limit(model::DecoderConfig::from_json(read_json_file(path), path));
}

Json Data::json() const { return {{"train", sets_json(train)}, {"held_out", sets_json(held_out)}}; }

std::vector<std::string> read_texts(const std::vector<data::DatasetOptions>& sets) {
  std::vector<std::string> texts;
  for (const data::DatasetOptions& set : sets) {
    std::vector<std::string> more = data::read_texts(set);
    texts.insert(texts.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
  }
  return texts;
}

Data load_data(const Config& config, const RunTokenizer& tokenizer, Cache& cache) {
  return {all_domains(config.data), load_train(config, tokenizer, cache),
          load_held_out(config, tokenizer, cache)};
}

std::vector<data::DatasetPtr> load_held_out(const Config& config, const RunTokenizer& tokenizer,
                                            Cache& cache) {
  const RunTokenizer base = cache.tokenizer(config);
  const std::vector<std::string> domains = all_domains(config.data);
  const int64_t positions = position_limit(config);
  std::vector<data::DatasetPtr> loaded;
  for (const data::DatasetOptions& set : config.data.held_out_sets()) {
    data::LoadContext context = context_of(config, set, domains);
    context.max_length = config.data.eval_length.value_or(std::min(kEvalLength, positions));
    context.own_length = context.whole_characters = true;
    context.keep_cuts = config.vocabulary.grows() && !config.train.only_evaluates();
    const data::DatasetPtr whole = cache.dataset(set, base, context, Json(nullptr));
    loaded.push_back(tokenizer.grown ? std::make_shared<const data::Dataset>(
                                           data::retokenise(*whole, base.text, tokenizer.text))
                                     : whole);
  }
  return loaded;
}

std::vector<train::EvaluationSet> evaluation_sets(const std::vector<data::DatasetPtr>& held_out,
                                                  const std::vector<data::DatasetPtr>& base,
                                                  int64_t tokens_per_batch) {
  std::vector<train::EvaluationSet> sets;
  for (size_t i = 0; i < held_out.size(); ++i) {
    const data::Dataset& set = *held_out[i];
    sets.push_back({set.name, set.domain, data::eval_batches(set.examples, tokens_per_batch),
                    base[i]->counts.trained});
  }
  return sets;
}

std::vector<double> domain_weights(const WeightOptions& options,
                                   const std::vector<std::string>& domains) {
  std::vector<double> weights;
  for (const std::string& domain : domains) weights.push_back(options.weight_of(domain));
  return weights;
}

}  // namespace hone::run
