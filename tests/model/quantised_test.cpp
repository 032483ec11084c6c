#include "model/quantised.h"

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <set>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/io/checkpoint.h"
#include "hone/io/quantised_weights.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/pruned/export.h"
#include "hone/model/pruned/pruning.h"
#include "hone/model/resize_vocabulary.h"
#include "model/support.h"
#include "support/allocations.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::kBlocks;
using test::quantised_config;
using test::quantised_tensors;
using test::small_config;
using test::small_decoder;

/// A folder with a small quantised model.
struct QuantisedFolder : TemporaryFolder {
  explicit QuantisedFolder(const Json& config = small_config(), NamedTensors tensors = {})
      : checkpoint([&] {
          if (tensors.empty()) tensors = quantised_tensors(small_decoder(config)->hf_tensors());
          io::save_checkpoint(path + "/base", quantised_config(config), tensors);
          return io::Checkpoint::open(path + "/base");
        }()) {}

  Decoder load(at::ScalarType dtype = at::kFloat) const {
    return load_decoder(checkpoint, at::kCPU, dtype);
  }
  /// The folder of the decoder, written as the base is.
  io::Checkpoint save(const Decoder& decoder) const {
    save_decoder(path + "/out", decoder, checkpoint.config(),
                 {.types = tensor_types(checkpoint), .quantised_as = &checkpoint});
    return io::Checkpoint::open(path + "/out");
  }
  /// The tensors that differ from the base's.
  std::set<std::string> changed(const io::Checkpoint& out) const {
    std::set<std::string> names;
    for (const std::string& name : checkpoint.names()) {
      const at::Tensor then = checkpoint.load(name), now = out.load(name);
      const bool same = then.scalar_type() == now.scalar_type() &&
                        at::equal(then.contiguous().view(at::kByte), now.view(at::kByte));
      if (!same) names.insert(name);
    }
    return names;
  }

  io::Checkpoint checkpoint;
};

at::Tensor numbers(const io::Checkpoint& checkpoint, const std::string& name) {
  const at::Tensor stored = checkpoint.load(name);
  if (!checkpoint.has(name + "_scale_inv")) return stored.to(at::kFloat);
  return io::dequantise(stored, checkpoint.load(name + "_scale_inv"), kBlocks, at::kFloat);
}

TEST_CASE("load_decoder: quantised weights are read as the numbers they are") {
  const QuantisedFolder folder;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto& [name, tensor] : folder.load(dtype)->hf_tensors()) {
      INFO(name);
      CHECK(at::equal(tensor, numbers(folder.checkpoint, name).to(dtype)));
    }
  }
}

TEST_CASE("load_decoder: scales that are missing or do not fit are named at once") {
  NamedTensors tensors = quantised_tensors(small_decoder()->hf_tensors());
  std::erase_if(tensors, [](const auto& named) {
    return named.first == "model.layers.0.mlp.up_proj.weight_scale_inv";
  });
  for (auto& [name, tensor] : tensors) {
    if (name == "model.layers.1.self_attn.q_proj.weight_scale_inv") tensor = at::ones({2, 2});
    if (name == "model.layers.2.self_attn.k_proj.weight_scale_inv") tensor = tensor.to(at::kInt);
  }
  tensors.emplace_back("model.norm.weight_scale_inv", at::ones({1}));
  const QuantisedFolder folder(small_config(), tensors);
  CHECK_THROWS_WITH(
      folder.load(),
      Contains("model.layers.0.mlp.up_proj.weight is F8_E4M3, but its scales, ") &&
          Contains("q_proj.weight_scale_inv must be [3, 2] for") &&
          Contains("k_proj.weight_scale_inv is I32, but scales must be F32, BF16 or F8_E8M0") &&
          Contains("tensor model.norm.weight_scale_inv is not part of a llama model"));
}

TEST_CASE("Quantised experts: read one by one; of those trained the codes change alone") {
  Json config = test::v3_config();
  config["num_nextn_predict_layers"] = 1;
  NamedTensors plain = small_decoder(config)->hf_tensors();
  plain.emplace_back("model.layers.3.eh_proj.weight", at::randn({32, 64}));
  const QuantisedFolder folder(config, quantised_tensors(plain));
  const std::string expert = "model.layers.2.mlp.experts.4.";
  Decoder decoder = folder.load();
  for (const auto& [name, tensor] : decoder->hf_tensors()) {
    if (name.starts_with(expert)) CHECK(at::equal(tensor, numbers(folder.checkpoint, name)));
  }
  CHECK(folder.changed(folder.save(decoder)).empty());
  {
    const torch::NoGradGuard no_grad;
    for (const CheckpointTensor& tensor : decoder->checkpoint_tensors()) {
      if (tensor.name == expert + "up_proj.weight") tensor.parts[0].mul_(-1);
    }
  }
  CHECK(folder.changed(folder.save(decoder)) == std::set<std::string>{expert + "up_proj.weight"});
}

TEST_CASE("load_decoder: a quantised model is read within 1.15 of its bytes") {
  Json config = small_config();
  config["hidden_size"] = 512;
  config["intermediate_size"] = 2048;
  config["vocab_size"] = 9000;
  const QuantisedFolder folder(config);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto counter = std::make_shared<hone::test::AllocationCounter>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, counter);
    const Decoder decoder = folder.load(dtype);
    int64_t bytes = 0;
    for (const auto& [name, tensor] : decoder->hf_tensors()) {
      bytes += static_cast<int64_t>(tensor.nbytes());
    }
    INFO("peak " << counter->peak() << " of " << bytes);
    CHECK(static_cast<double>(counter->peak()) <= 1.15 * static_cast<double>(bytes));
  }
}

TEST_CASE("save_decoder: a model that was not changed is written to the bit as it came") {
  const QuantisedFolder folder;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const io::Checkpoint out = folder.save(folder.load(dtype));
    CHECK(out.names() == folder.checkpoint.names());
    CHECK(folder.changed(out).empty());
    CHECK(out.config() == folder.checkpoint.config());
    CHECK(read_file(folder.path + "/out/model.safetensors") ==
          read_file(folder.path + "/base/model.safetensors"));
  }
}

TEST_CASE("save_decoder: as numbers, without any trace of codes") {
  const QuantisedFolder folder;
  const Decoder decoder = folder.load(at::kBFloat16);
  save_decoder(folder.path + "/out", decoder, folder.checkpoint.config());
  const io::Checkpoint out = io::Checkpoint::open(folder.path + "/out");
  CHECK_FALSE(out.config().contains("quantization_config"));
  CHECK(out.config()["torch_dtype"] == "bfloat16");
  CHECK(out.names().size() == decoder->hf_tensors().size());
  for (const auto& [name, tensor] : decoder->hf_tensors()) {
    CHECK(at::equal(out.load(name), tensor));
  }
}

TEST_CASE("load_decoder, save_decoder: FP4 with V4's names of scales, beside FP8") {
  constexpr io::BlockFormat kFp4{.fp4 = true, .rows = 1, .columns = 32, .powers_of_two = true};
  Json config = small_config();
  config["hidden_size"] = 64;
  config["intermediate_size"] = 96;
  NamedTensors tensors;
  for (const auto& [name, tensor] : small_decoder(config)->hf_tensors()) {
    if (!name.ends_with("mlp.up_proj.weight")) {
      for (const auto& each : quantised_tensors({{name, tensor}})) tensors.push_back(each);
      continue;
    }
    const at::Tensor scales = io::block_scales(tensor, kFp4, at::kFloat8_e8m0fnu);
    tensors.emplace_back(name, io::encoded(tensor, scales, kFp4, 0, at::kChar));
    tensors.emplace_back(name.substr(0, name.size() - 6) + "scale", scales);
  }
  config["expert_dtype"] = "fp4";
  const QuantisedFolder folder(config, tensors);
  Decoder decoder = folder.load();
  const std::string name = "model.layers.1.mlp.up_proj";
  at::Tensor up;
  for (const auto& [each, tensor] : decoder->hf_tensors()) {
    if (each == name + ".weight") up = tensor.detach();
  }
  const auto stored = [&](const io::Checkpoint& from) {
    return io::dequantise(from.load(name + ".weight"), from.load(name + ".scale"), kFp4,
                          at::kFloat);
  };
  CHECK(at::equal(up, stored(folder.checkpoint)));
  const io::Checkpoint same = folder.save(decoder);
  CHECK(same.names() == folder.checkpoint.names());
  CHECK(folder.changed(same).empty());
  up.mul_(4);  // exact: in the scales, where a block's largest code is not 3
  const io::Checkpoint out = folder.save(decoder);
  CHECK(folder.changed(out) == std::set<std::string>{name + ".scale", name + ".weight"});
  CHECK(at::equal(stored(out), up));
}

TEST_CASE("merge_lora: only what the adapter is on is quantised anew") {
  const QuantisedFolder folder;
  Decoder decoder = folder.load();
  add_lora(decoder, {.rank = 2, .targets = {"q_proj"}}, 1);
  {
    const torch::NoGradGuard no_grad;
    for (const at::Tensor& parameter : decoder->parameters()) {
      if (parameter.requires_grad()) parameter.add_(0.1);
    }
  }
  merge_lora(decoder);
  const io::Checkpoint out = folder.save(decoder);
  std::set<std::string> wanted;
  for (const char* layer : {"0", "1", "2"}) {
    for (const char* end : {"", "_scale_inv"}) {
      wanted.insert(std::string("model.layers.") + layer + ".self_attn.q_proj.weight" + end);
    }
  }
  CHECK(folder.changed(out) == wanted);
  for (const auto& [name, tensor] : decoder->hf_tensors()) {
    // Half a step of e4m3's three bits, of what is largest.
    const double allowed = wanted.contains(name) ? tensor.abs().max().item<double>() / 16 : 0;
    const at::Tensor own = wanted.contains(name) || name.ends_with("_proj.weight")
                               ? tensor
                               : tensor.to(at::kBFloat16).to(at::kFloat);
    CHECK((numbers(out, name) - own).abs().max().item<double>() <= allowed);
  }
}

TEST_CASE("resize_vocabulary and a quantised head: the new shape has scales of its own") {
  NamedTensors tensors = quantised_tensors(small_decoder()->hf_tensors());
  for (auto& [name, tensor] : tensors) {
    if (name != "lm_head.weight") continue;
    const at::Tensor head = tensor, scales = io::block_scales(head, kBlocks, at::kFloat);
    tensor = io::encoded(head, scales, kBlocks, 0, at::kFloat8_e4m3fn);
    tensors.emplace_back("lm_head.weight_scale_inv", scales);
    break;
  }
  const QuantisedFolder folder(small_config(), tensors);
  Decoder decoder = folder.load();
  resize_vocabulary(decoder, 50, {{49, {1, 2}}});
  const io::Checkpoint out = folder.save(decoder);
  CHECK(out.shape("lm_head.weight_scale_inv") == std::vector<int64_t>{5, 2});
  CHECK(folder.changed(out) == std::set<std::string>{"lm_head.weight", "lm_head.weight_scale_inv",
                                                     "model.embed_tokens.weight"});
  CHECK(load_decoder(out, at::kCPU, at::kFloat)->config().vocab_size == 50);
}

TEST_CASE(
    "export_pruned: layers that only moved keep their bytes, what was cut is quantised anew") {
  const QuantisedFolder folder;
  Decoder decoder = folder.load();
  cut_to(decoder, {{1, {}, {}}, {2, {0, 1}, {}}});
  const std::string plain = folder.path + "/plain", compact = folder.path + "/compact";
  const auto form =
      export_pruned(plain, compact, decoder, folder.checkpoint.config(),
                    {.types = tensor_types(folder.checkpoint), .quantised_as = &folder.checkpoint});
  CHECK(form == ExportForm::kZeroFilled);
  const io::Checkpoint out = io::Checkpoint::open(plain), own = io::Checkpoint::open(compact);
  const auto layer = [](int number, const std::string& rest) {
    return "model.layers." + std::to_string(number) + "." + rest;
  };
  for (const std::string name :
       {"mlp.up_proj.weight", "self_attn.q_proj.weight", "self_attn.q_proj.weight_scale_inv"}) {
    CHECK(at::equal(out.load(layer(0, name)).view(at::kByte),
                    folder.checkpoint.load(layer(1, name)).view(at::kByte)));
    CHECK(own.dtype(layer(2, name)) == folder.checkpoint.dtype(layer(2, name)));
  }
  CHECK(out.shape(layer(1, "self_attn.q_proj.weight")) == std::vector<int64_t>{32, 32});
  CHECK(own.shape(layer(2, "self_attn.q_proj.weight_scale_inv")) == std::vector<int64_t>{2, 2});
  CHECK_NOTHROW(load_decoder(out, at::kCPU, at::kFloat));
  CHECK(load_decoder(own, at::kCPU, at::kFloat)->layers.size() == 2);
}

}  // namespace
}  // namespace hone::model
