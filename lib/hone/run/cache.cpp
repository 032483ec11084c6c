#include "hone/run/cache.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "hone/config/writer.h"
#include "hone/run/base.h"
#include "hone/run/hub_cache.h"

namespace hone::run {
namespace {

constexpr size_t kDatasets = 16;  // kept; batches shorter than the documents make new ones

/// Files are named, not read: a process takes them as it first found them.
std::string tokenizer_key(const Config& config) {
  Json key = {{"chat_template_kwargs", config.data.chat_template_kwargs}};
  if (config.model) {
    key["model"] = *config.model;
  } else {
    const TokenizerOptions options = config.tokenizer.value_or(TokenizerOptions{});
    key["tokenizer"] = config::to_json(options);
    if (!options.folder) {
      const Json data = config::to_json(config.data);
      key["train"] = {data.at("train"), data.at("validation")};
    }
  }
  return key.dump();
}

/// Whether a run leaves its base's weights as they were.
bool freezes_base(const Config& config) {
  return config.model && config.tuning == Tuning::kLora && !config.vocabulary.grows() &&
         !config.lora.from && config.lora.modules_to_save.empty();
}

}  // namespace

struct Cache::Kept {
  /// A data set, and the bound on its documents under which it was loaded.
  struct Set {
    std::string key;
    int64_t max_length = 0;
    int64_t longest = 0;
    data::DatasetPtr set;
  };

  std::map<std::string, RunTokenizer> tokenizers;
  std::deque<Set> datasets;
  std::map<std::string, train::Evaluation> scores;
  std::optional<Base> free_base;
};

Cache::Cache() : kept_(std::make_unique<Kept>()) {}
Cache::~Cache() = default;

RunTokenizer Cache::tokenizer(const Config& config) {
  const std::string key = tokenizer_key(config);
  auto found = kept_->tokenizers.find(key);
  if (found == kept_->tokenizers.end()) {
    found = kept_->tokenizers.emplace(key, make_tokenizer(config)).first;
    found->second.key = key;
  }
  return found->second;
}

Base Cache::base(const Config& config, const text::TokenizerFolder& text,
                 const machine::DevicePlan& device) {
  if (!freezes_base(config)) return load_base(config, text, device);
  const std::string folder = std::filesystem::canonical(model_folder(*config.model)).string();
  if (kept_->free_base && kept_->free_base->name == folder) {
    return *std::exchange(kept_->free_base, std::nullopt);
  }
  Base base = load_base(config, text, device);
  base.shared = true;
  return base;
}

void Cache::release(Base base) {
  if (base.shared) kept_->free_base = std::move(base);
}

data::DatasetPtr Cache::dataset(const data::DatasetOptions& set, const RunTokenizer& tokenizer,
                                const data::LoadContext& context, const Json& entities) {
  const auto load = [&] {
    return std::make_shared<const data::Dataset>(data::load_dataset(set, tokenizer.text, context));
  };
  if (tokenizer.grown) return load();
  const Json portion = set.portion
                           ? Json{config::to_json(set.portion->split), set.portion->held_out}
                           : Json(nullptr);
  const std::string key =
      Json{config::to_json(set), portion,           tokenizer.key,      context.domain,
           context.keep_text,    context.keep_cuts, context.own_length, entities}
          .dump();
  for (const Kept::Set& entry : kept_->datasets) {
    const bool whole = entry.longest < entry.max_length && entry.longest <= context.max_length;
    if (entry.key == key && (whole || entry.max_length == context.max_length)) return entry.set;
  }
  Kept::Set entry{key, context.max_length, 0, load()};
  for (const data::Example& example : entry.set->examples) {
    entry.longest = std::max(entry.longest, example.length());
  }
  const data::DatasetCounts& counts = entry.set->counts;
  if (counts.dropped + counts.truncated + counts.split > 0) entry.longest = context.max_length;
  kept_->datasets.push_back(std::move(entry));
  if (kept_->datasets.size() > kDatasets) kept_->datasets.pop_front();
  return kept_->datasets.back().set;
}

train::Evaluation Cache::base_scores(const Config& config,
                                     const std::function<train::Evaluation()>& score) {
  const Json whole = config::to_json(config);
  Json key = {whole.at("model"),
              whole.at("architecture"),
              tokenizer_key(config),
              whole.at("data").at("held_out"),
              config.data.tokens_per_batch,
              whole.at("data").value("eval_length", Json()),
              whole.at("device")};
  if (config.architecture) key.push_back(config.seed);
  if (config.lora.from) key.push_back({*config.lora.from, config.lora.merge_first});
  if (config.data.validation) {
    key.push_back({whole.at("data").at("validation"), whole.at("data").at("train")});
  }
  const auto [entry, missing] = kept_->scores.try_emplace(key.dump());
  if (missing) {
    try {
      entry->second = score();
    } catch (...) {
      kept_->scores.erase(entry);
      throw;
    }
  }
  return entry->second;
}

}  // namespace hone::run
