#include "hone/run/cache_teacher.h"

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <filesystem>
#include <unordered_set>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/core/log.h"
#include "hone/core/random.h"
#include "hone/data/packing.h"
#include "hone/io/adapter.h"
#include "hone/io/atomic.h"
#include "hone/io/checkpoint.h"
#include "hone/io/files.h"
#include "hone/io/tensors.h"
#include "hone/kernels/top_tokens.h"
#include "hone/machine/stop_signal.h"
#include "hone/model/checkpoint.h"
#include "hone/run/cache.h"
#include "hone/run/compute.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/run/distillation.h"
#include "hone/run/model_folder.h"
#include "hone/run/teacher_cache.h"

namespace hone::run {
namespace {

/// Sums over the targets, and how many these are.
struct Sums {
  double tail = 0, entropy = 0, agreed = 0;
  int64_t targets = 0, documents = 0;

  Json json() const {
    return {{"tail", tail},
            {"entropy", entropy},
            {"agreed", agreed},
            {"targets", targets},
            {"documents", documents}};
  }
  void add(const Json& more) {
    tail += more.at("tail").get<double>();
    entropy += more.at("entropy").get<double>();
    agreed += more.at("agreed").get<double>();
    targets += more.at("targets").get<int64_t>();
    documents += more.at("documents").get<int64_t>();
  }
};

/// Documents of a shard.
struct Shard {
  std::vector<data::Example> documents;
  std::vector<std::string> keys;
  int64_t targets = 0;
};

/// The different documents that a run may draw, in shards of about `rows` targets.
std::vector<Shard> shards_of(const Data& data, int64_t rows) {
  std::vector<Shard> shards;
  std::unordered_set<std::string> known;
  for (const data::DatasetPtr& set : data.train) {
    if (set->weight == 0) continue;
    for (const data::Example& example : set->examples) {
      std::string key = document_key(example.ids.data(), example.targets.data(), example.length());
      if (!known.insert(key).second) continue;
      if (shards.empty() || shards.back().targets >= rows) shards.emplace_back();
      shards.back().documents.push_back(example);
      shards.back().keys.push_back(std::move(key));
      shards.back().targets += example.trained();
    }
  }
  return shards;
}

at::Tensor keys_tensor(const std::vector<std::string>& keys) {
  at::Tensor tensor = at::empty({std::ssize(keys), std::ssize(keys.front())}, at::kByte);
  auto* bytes = static_cast<char*>(tensor.mutable_data_ptr());
  for (const std::string& key : keys) bytes = std::copy(key.begin(), key.end(), bytes);
  return tensor;
}

at::Tensor offsets_tensor(const Shard& shard) {
  std::vector<int64_t> offsets = {0};
  for (const data::Example& document : shard.documents) {
    offsets.push_back(offsets.back() + document.trained());
  }
  return torch::tensor(offsets, at::kLong);
}

class Writer {
 public:
  Writer(const Config& config, std::string folder) : config_(config), folder_(std::move(folder)) {}

  Report write(int64_t shard_bytes);

 private:
  void open_teacher(const text::TokenizerFolder& text);
  /// Whether the file is the finished shard; it counts then.
  bool finished(const std::string& path, const Shard& shard);
  void write_shard(const std::string& path, const Shard& shard);
  Json statistics() const;

  const Config& config_;
  const std::string folder_;
  model::Decoder teacher_{nullptr};
  CacheInfo info_;
  Sums sums_;
};

void Writer::open_teacher(const text::TokenizerFolder& text) {
  const std::string& name = *config_.distillation->teacher;
  const model::DecoderConfig sizes = check_teacher(name, text);
  const int64_t vocabulary = text.tokenizer.vocab_size(), top_k = config_.distillation->top_k;
  if (top_k > vocabulary) {
    throw Error(fmt::format("distillation.top_k: must be at most the vocabulary's {}, got {}",
                            vocabulary, top_k));
  }
  const ModelFolders folders = ModelFolders::find(name);
  std::string weights = io::Checkpoint::open(folders.model).hash();
  if (folders.adapter) {
    weights = hash_bytes(weights + hash_file(*folders.adapter + "/" + io::kAdapterWeights));
  }
  const machine::DevicePlan device =
      machine::prepare_device(config_.device, config_.threads, derive_seed(config_.seed, "torch"));
  const ComputeChoice compute =
      choose_compute(config_, read_json_file(folders.model + "/" + io::kConfigFile), device);
  compute.apply();
  log_info(compute.text());
  info_ = {name,
           weights,
           tokens_hash(text.tokenizer),
           vocabulary,
           top_k,
           fmt::format("{}, {}, {}", device.device.str(), model::type_name(device.weights),
                       enum_name(compute.compute))};
  teacher_ = open_model(folders, device.device, device.weights).decoder;
  teacher_->eval();
}

bool Writer::finished(const std::string& path, const Shard& shard) {
  if (!io::path_exists(path)) return false;
  const io::Safetensors file(path);
  const auto info = file.metadata().find(kCacheInfoKey), sums = file.metadata().find(kCacheSumsKey);
  if (info == file.metadata().end() || sums == file.metadata().end() ||
      info->second != info_.json().dump() ||
      !at::equal(io::read_tensor(file, "keys"), keys_tensor(shard.keys))) {
    throw Error(
        fmt::format("{} is of another teacher, tokenizer, top_k, compute or text than the "
                    "recipe's: remove {}, or give "
                    "another folder",
                    path, folder_));
  }
  sums_.add(Json::parse(sums->second));
  return true;
}

void Writer::write_shard(const std::string& path, const Shard& shard) {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> ids, log_probs, log_tail, labels;
  Sums sums{.targets = shard.targets, .documents = std::ssize(shard.documents)};
  const at::Tensor weight = teacher_->lm_weight().slice(0, 0, info_.vocabulary);
  for (const data::Batch& batch :
       data::eval_batches(shard.documents, config_.data.tokens_per_batch)) {
    machine::StopSignal::check();
    const at::Tensor targets = torch::tensor(batch.targets, at::kLong);
    const at::Tensor kept = targets.ne(data::kIgnoreIndex).nonzero().flatten();
    const at::Tensor hidden = teacher_->hidden(decoder_input(batch, teacher_->device()))
                                  .index_select(0, kept.to(teacher_->device()));
    const kernels::TopRows rows = kernels::top_tokens(hidden, weight, info_.top_k);
    ids.push_back(rows.top.ids.to(at::kCPU, at::kInt));
    log_probs.push_back(rows.top.log_probs.cpu());
    log_tail.push_back(rows.top.log_tail.cpu());
    labels.push_back(targets.index_select(0, kept).to(at::kInt));
    sums.tail += log_tail.back().exp().sum(at::kDouble).item<double>();
    sums.entropy += rows.entropy.sum(at::kDouble).item<double>();
    sums.agreed += ids.back().select(1, 0).eq(labels.back()).sum().item<double>();
  }
  const std::string temporary = io::temporary_name(path);
  io::write_safetensors(temporary,
                        {{"ids", at::cat(ids)},
                         {"log_probs", at::cat(log_probs)},
                         {"log_tail", at::cat(log_tail)},
                         {"labels", at::cat(labels)},
                         {"keys", keys_tensor(shard.keys)},
                         {"offsets", offsets_tensor(shard)}},
                        {{"format", "pt"},
                         {kCacheInfoKey, info_.json().dump()},
                         {kCacheSumsKey, sums.json().dump()}});
  io::sync_path(temporary);
  std::filesystem::rename(temporary, path);
  sums_.add(sums.json());
}

Json Writer::statistics() const {
  const auto n = static_cast<double>(sums_.targets);
  return {{"targets", sums_.targets},
          {"documents", sums_.documents},
          {"kept_mass", 1 - sums_.tail / n},
          {"entropy", sums_.entropy / n},
          {"agreement", sums_.agreed / n}};
}

Report Writer::write(int64_t shard_bytes) {
  check_files(config_);
  Cache cache;
  const RunTokenizer tokenizer = cache.tokenizer(config_);
  const Data data = load_data(config_, tokenizer, cache);
  open_teacher(tokenizer.text);
  std::filesystem::create_directories(folder_);
  const int64_t row = 2 * 4 * (info_.top_k + 1);
  const std::vector<Shard> shards = shards_of(data, std::max<int64_t>(1, shard_bytes / row));
  Json json = info_.json();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("rows-{:05}.safetensors", i), path = folder_ + "/" + name;
    if (!finished(path, shards[i])) write_shard(path, shards[i]);
    log_info(
        fmt::format("{} of {} files of rows, {} targets", i + 1, shards.size(), sums_.targets));
    json["shards"].push_back({{"file", name}, {"hash", hash_file(path)}});
  }
  json["statistics"] = statistics();
  io::replace_file_atomically(folder_ + "/" + kTeacherCacheFile, json.dump(2) + "\n");
  const Json& found = json["statistics"];
  return {.summary = fmt::format(
              "{}: {} targets of {} documents; top-{} keeps {:.2f} % of the mass; entropy {:.3f} "
              "nats; agrees with {:.1f} % of the text\ntrain with: distillation.cache {}",
              info_.teacher, sums_.targets, sums_.documents, info_.top_k,
              100 * found["kept_mass"].get<double>(), found["entropy"].get<double>(),
              100 * found["agreement"].get<double>(), folder_),
          .json = json};
}

}  // namespace

Report cache_teacher(const Config& config, const std::string& folder, int64_t shard_bytes) {
  if (!config.distillation || !config.distillation->teacher || config.distillation->own_base()) {
    throw ConfigError(
        {{"/distillation/teacher", "must be the folder of the teacher that is to be cached"}});
  }
  if (config.vocabulary.grows()) {
    throw ConfigError(
        {{"/vocabulary", "a teacher knows no new tokens: a cache is of one tokenizer"}});
  }
  const machine::StopSignal stop;
  try {
    return Writer(config, folder).write(shard_bytes);
  } catch (const machine::Interrupted& interrupted) {
    return {.exit_code = machine::signal_exit_code(machine::StopSignal::received()),
            .summary = std::string(interrupted.what()) +
                       "; the same command goes on with the files that are finished",
            .ending = train::Ending::kSignal};
  }
}

}  // namespace hone::run
