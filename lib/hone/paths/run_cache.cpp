#include "hone/paths/run_cache.h"

#include <algorithm>
#include <filesystem>

#include "hone/config/writer.h"

namespace hone::paths {
namespace {

constexpr size_t kDatasets = 16;  ///< kept; a search over batch sizes makes new ones

/// Files are named, not read: a process takes them as it first found them.
std::string tokenizer_key(const DomainConfig& config) {
  if (config.model) return *config.model;
  const TokenizerOptions options = config.tokenizer.value_or(TokenizerOptions{});
  Json key = config::to_json(options);
  if (!options.folder) key["train"] = config::to_json(config.data).at("train");
  return key.dump();
}

/// Whether a run leaves its base's weights as they were.
bool freezes_base(const DomainConfig& config) {
  return config.model && config.tuning == Tuning::kLora && config.vocabulary.new_tokens == 0 &&
         config.lora.modules_to_save.empty();
}

}  // namespace

RunTokenizer RunCache::tokenizer(const DomainConfig& config) {
  const std::string key = tokenizer_key(config);
  auto found = tokenizers_.find(key);
  if (found == tokenizers_.end()) {
    found = tokenizers_.emplace(key, make_tokenizer(config)).first;
    found->second.key = key;
  }
  return found->second;
}

Base RunCache::base(const DomainConfig& config, const text::TokenizerFolder& text,
                    const DevicePlan& device) {
  if (!freezes_base(config)) return load_base(config, text, device);
  if (free_base_ && free_base_->name == std::filesystem::canonical(*config.model).string()) {
    return *std::exchange(free_base_, std::nullopt);
  }
  Base base = load_base(config, text, device);
  base.shared = true;
  return base;
}

void RunCache::release(Base base) {
  if (base.shared) free_base_ = std::move(base);
}

data::DatasetPtr RunCache::dataset(const data::DatasetOptions& set, const RunTokenizer& tokenizer,
                                   const data::LoadContext& context, const Json& entities) {
  const std::string key = Json{config::to_json(set),   tokenizer.key, context.domain,
                               context.max_length,     entities}
                              .dump();
  if (!tokenizer.grown) {
    const auto found = std::find_if(datasets_.begin(), datasets_.end(),
                                    [&](const auto& entry) { return entry.first == key; });
    if (found != datasets_.end()) return found->second;
  }
  auto loaded = std::make_shared<const data::Dataset>(
      data::load_dataset(set, tokenizer.text, context));
  if (tokenizer.grown) return loaded;
  datasets_.emplace_back(key, loaded);
  if (datasets_.size() > kDatasets) datasets_.pop_front();
  return loaded;
}

train::Evaluation RunCache::base_scores(const DomainConfig& config,
                                        const std::function<train::Evaluation()>& score) {
  const Json whole = config::to_json(config);
  Json key = {whole.at("model"), whole.at("architecture"), tokenizer_key(config),
              whole.at("data").at("held_out"), config.data.tokens_per_batch,
              whole.at("device")};
  if (config.architecture) key.push_back(config.seed);
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

}  // namespace hone::paths
