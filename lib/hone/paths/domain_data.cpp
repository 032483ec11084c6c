#include "hone/paths/domain_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>

#include "hone/config/writer.h"
#include "hone/core/hardware.h"
#include "hone/data/entities.h"
#include "hone/data/packing.h"

namespace hone::paths {
namespace {

std::vector<std::string> all_domains(const DataOptions& options) {
  std::vector<data::DatasetOptions> sets = options.train;
  sets.insert(sets.end(), options.held_out.begin(), options.held_out.end());
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

std::vector<data::DatasetPtr> load_sets(const DomainConfig& config,
                                        const std::vector<data::DatasetOptions>& sets,
                                        const RunTokenizer& tokenizer, RunCache& cache,
                                        const data::EntityMatcher* entities, bool keep_text) {
  const std::vector<std::string> domains = all_domains(config.data);
  const Json entity_key = entities ? config::to_json(config.weights) : Json(nullptr);
  std::vector<data::DatasetPtr> loaded;
  for (const data::DatasetOptions& set : sets) {
    data::LoadContext context;
    context.domain = static_cast<int32_t>(std::find(domains.begin(), domains.end(), set.domain) -
                                          domains.begin());
    context.max_length = config.data.tokens_per_batch;
    context.entities = entities;
    context.entity_multiplier = static_cast<float>(config.weights.entity_multiplier);
    context.keep_text = keep_text;
    context.threads =
        static_cast<int>(config.threads > 0 ? config.threads : detect_hardware().cores);
    loaded.push_back(cache.dataset(set, tokenizer, context, entity_key));
  }
  return loaded;
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

void check_files(const DomainConfig& config) {
  std::vector<Problem> problems;
  const auto check = [&](const std::string& path, const std::string& file) {
    if (!std::filesystem::exists(file)) problems.push_back({path, "there is no file " + file});
  };
  const auto check_sets = [&](const char* key, const std::vector<data::DatasetOptions>& sets) {
    for (size_t i = 0; i < sets.size(); ++i) {
      for (size_t j = 0; j < sets[i].files.size(); ++j) {
        check(fmt::format("/data/{}/{}/files/{}", key, i, j), sets[i].files[j]);
      }
    }
  };
  if (config.model) check("/model", *config.model + "/config.json");
  check_sets("train", config.data.train);
  check_sets("held_out", config.data.held_out);
  if (config.weights.entity_file) check("/weights/entity_file", *config.weights.entity_file);
  if (config.vocabulary.terms_file) check("/vocabulary/terms_file", *config.vocabulary.terms_file);
  if (!problems.empty()) throw ConfigError(std::move(problems));
}

Json DomainData::json() const {
  return {{"train", sets_json(train)}, {"held_out", sets_json(held_out)}};
}

std::vector<std::string> read_texts(const std::vector<data::DatasetOptions>& sets) {
  std::vector<std::string> texts;
  for (const data::DatasetOptions& set : sets) {
    std::vector<std::string> more = data::read_texts(set);
    texts.insert(texts.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
  }
  return texts;
}

DomainData load_domain_data(const DomainConfig& config, const RunTokenizer& tokenizer,
                            RunCache& cache) {
  const auto matcher = make_matcher(config.weights);
  return {all_domains(config.data),
          load_sets(config, config.data.train, tokenizer, cache, matcher ? &*matcher : nullptr,
                    config.data.augmentation.any()),
          load_held_out(config, tokenizer, cache)};
}

std::vector<data::DatasetPtr> load_held_out(const DomainConfig& config,
                                            const RunTokenizer& tokenizer, RunCache& cache) {
  return load_sets(config, config.data.held_out, tokenizer, cache, nullptr, /*keep_text=*/false);
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
  for (const std::string& domain : domains) {
    const auto given = options.domains.find(domain);
    weights.push_back(given == options.domains.end() ? options.default_weight : given->second);
  }
  return weights;
}

}  // namespace hone::paths
