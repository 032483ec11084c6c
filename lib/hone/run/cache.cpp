#include "hone/run/cache.h"

#include <algorithm>
#include <filesystem>

#include "hone/config/writer.h"
#include "hone/run/hub_cache.h"

namespace hone::run {
namespace {

constexpr size_t kDatasets = 16;  // kept; batches shorter than the documents make new ones

/// Files are named, not read: a process takes them as it first found them.
std::string tokenizer_key(const Config& config) {
  if (config.model) return *config.model;
  const TokenizerOptions options = config.tokenizer.value_or(TokenizerOptions{});
  Json key = config::to_json(options);
  if (!options.folder) {
    const Json data = config::to_json(config.data);
    key["train"] = {data.at("train"), data.at("validation")};
  }
  return key.dump();
}

/// Whether a run leaves its base's weights as they were.
bool freezes_base(const Config& config) {
  return config.model && config.tuning == Tuning::kLora && !config.vocabulary.grows() &&
         !config.lora.from && config.lora.modules_to_save.empty();
}

}  // namespace

RunTokenizer Cache::tokenizer(const Config& config) {
  const std::string key = tokenizer_key(config);
  auto found = tokenizers_.find(key);
  if (found == tokenizers_.end()) {
    found = tokenizers_.emplace(key, make_tokenizer(config)).first;
    found->second.key = key;
  }
  return found->second;
}

Base Cache::base(const Config& config, const text::TokenizerFolder& text,
                 const machine::DevicePlan& device) {
  if (!freezes_base(config)) return load_base(config, text, device);
  const std::string folder = std::filesystem::canonical(model_folder(*config.model)).string();
  if (free_base_ && free_base_->name == folder) {
    return *std::exchange(free_base_, std::nullopt);
  }
  Base base = load_base(config, text, device);
  base.shared = true;
  return base;
}

void Cache::release(Base base) {
  if (base.shared) free_base_ = std::move(base);
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
  for (const Entry& entry : datasets_) {
    const bool whole = entry.longest < entry.max_length && entry.longest <= context.max_length;
    if (entry.key == key && (whole || entry.max_length == context.max_length)) return entry.set;
  }
  Entry entry{key, context.max_length, 0, load()};
  for (const data::Example& example : entry.set->examples) {
    entry.longest = std::max(entry.longest, example.length());
  }
  const data::DatasetCounts& counts = entry.set->counts;
  if (counts.dropped + counts.truncated + counts.split > 0) entry.longest = context.max_length;
  datasets_.push_back(std::move(entry));
  if (datasets_.size() > kDatasets) datasets_.pop_front();
  return datasets_.back().set;
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
  const auto [entry, missing] = scores_.try_emplace(key.dump());
  if (missing) {
    try {
      entry->second = score();
    } catch (...) {
      scores_.erase(entry);
      throw;
    }
  }
  return entry->second;
}

}  // namespace hone::run
