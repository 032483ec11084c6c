// The family deepseek_v4 (model/families/deepseek_v4.cpp); its results: tests/parity.
#include <torch/types.h>

#include <set>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/io/quantised_tensors.h"
#include "hone/model/adapter.h"
#include "hone/model/families/sparse.h"
#include "hone/model/pruned/export.h"
#include "hone/model/pruned/pruning.h"
#include "hone/model/resize_vocabulary.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/moe.h"
#include "hone/optim/adamw.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/gradcheck.h"
#include "support/temporary_folder.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::random_input;
using test::small_decoder;
using test::v4_config;

Json changed(Json config, const Json& changes) {
  config.update(changes);
  return config;
}

DecoderConfig read(const Json& config) { return DecoderConfig::from_json(config, "config.json"); }

at::Tensor logits(Decoder decoder) {
  const torch::NoGradGuard no_grad;
  decoder->eval();
  return decoder->logits(decoder->hidden(random_input({19, 4}, 40)));
}

Decoder load(const std::string& folder) {
  return load_decoder(io::Checkpoint::open(folder), at::kCPU, at::kFloat);
}

/// Of a layer.
nn::RouterImpl& router_of(const Decoder& decoder, size_t layer) {
  return *dynamic_cast<nn::MoeImpl*>(decoder->layers.at(layer)->mlp.ptr().get())->router;
}

/// As transformers saves it: below "model.", with another name for one norm.
std::string saved_name(std::string name) {
  const auto replace = [&](const std::string& from, const std::string& to) {
    if (const size_t at = name.find(from); at != std::string::npos) {
      name.replace(at, from.size(), to);
    }
  };
  replace("attn.kv_norm", "attn.norm");
  replace("embed.", "embed_tokens.");
  replace("hc_head_", "hc_head.hc_");
  return name == "head.weight" ? name : "model." + name;
}

TEST_CASE("DeepSeek-V4: three spellings of names are read, and each is written as it was read") {
  const TemporaryFolder root;
  const Json config = v4_config();
  Decoder decoder = small_decoder(config);
  NamedTensors saved;
  for (const auto& [name, tensor] : decoder->hf_tensors()) {
    saved.emplace_back(saved_name(name), tensor);
  }
  io::save_checkpoint(root.path + "/released", config, decoder->hf_tensors());
  io::save_checkpoint(root.path + "/saved", config, saved);
  io::save_checkpoint(root.path + "/own", config, decoder->base_tensors());
  const io::Checkpoint released = io::Checkpoint::open(root.path + "/released");
  for (const char* name : {"embed.weight",
                           "head.weight",
                           "norm.weight",
                           "hc_head_fn",
                           "hc_head_base",
                           "hc_head_scale",
                           "layers.0.attn_norm.weight",
                           "layers.0.ffn_norm.weight",
                           "layers.5.hc_attn_fn",
                           "layers.5.hc_ffn_base",
                           "layers.1.attn.wq_a.weight",
                           "layers.1.attn.wq_b.weight",
                           "layers.1.attn.wkv.weight",
                           "layers.1.attn.wo_a.weight",
                           "layers.1.attn.wo_b.weight",
                           "layers.1.attn.q_norm.weight",
                           "layers.1.attn.kv_norm.weight",
                           "layers.1.attn.attn_sink",
                           "layers.2.attn.compressor.ape",
                           "layers.2.attn.compressor.wkv.weight",
                           "layers.2.attn.compressor.wgate.weight",
                           "layers.2.attn.compressor.norm.weight",
                           "layers.3.attn.indexer.wq_b.weight",
                           "layers.3.attn.indexer.weights_proj.weight",
                           "layers.3.attn.indexer.compressor.ape",
                           "layers.3.attn.indexer.compressor.norm.weight",
                           "layers.0.ffn.gate.tid2eid",
                           "layers.2.ffn.gate.bias",
                           "layers.2.ffn.gate.weight",
                           "layers.4.ffn.experts.5.w1.weight",
                           "layers.4.ffn.experts.5.w2.weight",
                           "layers.4.ffn.experts.5.w3.weight",
                           "layers.4.ffn.shared_experts.w2.weight"}) {
    INFO(name);
    CHECK(released.has(name));
  }
  for (const char* form : {"/released", "/saved", "/own"}) {
    INFO(form);
    Decoder loaded = load(root.path + form);
    CHECK(at::equal(logits(loaded), logits(decoder)));
    save_decoder(root.path + "/again", loaded, config);
    CHECK(io::Checkpoint::open(root.path + "/again").names() ==
          io::Checkpoint::open(root.path + form).names());
  }
}

TEST_CASE("DeepSeek-V4: FP8 and FP4 as released, a table in the type it came, layers that travel") {
  constexpr io::BlockFormat kFp8{.rows = 8, .columns = 8, .powers_of_two = true};
  constexpr io::BlockFormat kFp4{.fp4 = true, .rows = 1, .columns = 32, .powers_of_two = true};
  const TemporaryFolder root;
  const Json config = changed(v4_config(), {{"moe_intermediate_size", 32},
                                            {"expert_dtype", "fp4"},
                                            {"quantization_config",
                                             {{"quant_method", "fp8"},
                                              {"fmt", "e4m3"},
                                              {"scale_fmt", "ue8m0"},
                                              {"weight_block_size", {8, 8}},
                                              {"activation_scheme", "dynamic"}}}});
  NamedTensors tensors;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    const bool expert = name.find(".experts.") != std::string::npos;
    const bool codes = expert || name.ends_with("wq_b.weight") || name.ends_with("wo_a.weight");
    if (!codes) {
      const bool table = name.ends_with("tid2eid"), wide = name.find("hc_") != std::string::npos;
      return tensors.emplace_back(name, tensor.to(table  ? at::kInt
                                                  : wide ? at::kFloat
                                                         : at::kBFloat16));
    }
    const io::BlockFormat& format = expert ? kFp4 : kFp8;
    const at::Tensor scales = io::block_scales(tensor, format, at::kFloat8_e8m0fnu);
    tensors.emplace_back(name.substr(0, name.size() - 6) + "scale", scales);
    return tensors.emplace_back(
        name, io::encoded(tensor, scales, format, 0, expert ? at::kChar : at::kFloat8_e4m3fn));
  };
  for (const auto& [name, tensor] : small_decoder(config)->hf_tensors()) add(name, tensor);
  add("mtp.0.e_proj.weight", at::randn({32, 32}));
  add("mtp.0.ffn.experts.0.w1.weight", at::randn({32, 32}));
  io::save_checkpoint(root.path + "/base", config, tensors);
  const io::Checkpoint base = io::Checkpoint::open(root.path + "/base");
  Decoder decoder = load(root.path + "/base");
  const auto write = [&] {
    save_decoder(root.path + "/out", decoder, config,
                 {.types = tensor_types(base), .quantised_as = &base});
    const io::Checkpoint out = io::Checkpoint::open(root.path + "/out");
    CHECK(out.names() == base.names());
    std::set<std::string> differ;
    for (const std::string& name : base.names()) {
      const at::Tensor then = base.load(name), now = out.load(name);
      const bool same =
          then.scalar_type() == now.scalar_type() &&
          at::equal(then.contiguous().view(at::kByte), now.contiguous().view(at::kByte));
      if (!same) differ.insert(name);
    }
    return differ;
  };
  CHECK(write().empty());
  for (const auto& [name, tensor] : decoder->hf_tensors()) {
    if (name == "layers.3.ffn.experts.2.w3.weight") tensor.detach().neg_();
  }
  CHECK(write() == std::set<std::string>{"layers.3.ffn.experts.2.w3.scale",
                                         "layers.3.ffn.experts.2.w3.weight"});
  io::save_checkpoint(root.path + "/none", changed(config, {{"num_nextn_predict_layers", 0}}),
                      tensors);
  CHECK_THROWS_WITH(load(root.path + "/none"),
                    Contains("tensor mtp.0.e_proj.weight is not part of a deepseek_v4 model"));
}

TEST_CASE("DeepSeek-V4: a table begins with different experts, and must hold what there are") {
  const TemporaryFolder root;
  const Decoder decoder = small_decoder(v4_config());
  const at::Tensor table = router_of(decoder, 1).tid2eid;
  CHECK(table.sizes() == at::IntArrayRef{40, 2});
  CHECK(table.select(1, 0).ne(table.select(1, 1)).all().item<bool>());
  CHECK(table.min().item<int64_t>() == 0);
  CHECK(table.max().item<int64_t>() == 5);
  CHECK(router_of(decoder, 2).options.hashed == 0);
  NamedTensors tensors = decoder->hf_tensors();
  for (auto& [name, tensor] : tensors) {
    if (name == "layers.1.ffn.gate.tid2eid") tensor = at::full({40, 2}, 6, at::kLong);
  }
  io::save_checkpoint(root.path + "/range", v4_config(), tensors);
  CHECK_THROWS_WITH(load(root.path + "/range"),
                    Contains("tensor layers.1.ffn.gate.tid2eid must hold integers in [0, 6), "
                             "got 6 to 6"));
  for (auto& [name, tensor] : tensors) {
    if (name == "layers.1.ffn.gate.tid2eid") tensor = at::ones({40, 2});
  }
  io::save_checkpoint(root.path + "/type", v4_config(), tensors);
  CHECK_THROWS_WITH(load(root.path + "/type"),
                    Contains("tensor layers.1.ffn.gate.tid2eid is F32, but must hold integers"));
}

TEST_CASE("DeepSeek-V4: new tokens take the experts of their first piece") {
  const TemporaryFolder root;
  Decoder decoder = small_decoder(v4_config());
  const at::Tensor before = router_of(decoder, 0).tid2eid.clone();
  resize_vocabulary(decoder, 43, {{41, {7, 3}}, {39, {1}}});
  const at::Tensor after = router_of(decoder, 0).tid2eid;
  CHECK(after.size(0) == 43);
  CHECK(after.slice(0, 0, 40).equal(before));
  CHECK(after[41].equal(before[7]));
  save_decoder(root.path + "/grown", decoder, v4_config());
  CHECK(at::equal(logits(load(root.path + "/grown")), logits(decoder)));
}

TEST_CASE("DeepSeek-V4: layers are pruned and exported, heads and channels are not") {
  const TemporaryFolder root;
  for (const bool renamed : {false, true}) {
    Json config = changed(v4_config(), {{"num_hash_layers", 3}});
    if (renamed) {
      config.erase("compress_ratios");
      config.erase("num_hash_layers");
      const char *window = "sliding_attention", *some = "compressed_sparse_attention",
                 *all = "heavily_compressed_attention";
      config["layer_types"] = {window, some, all, some, window, all};
      config["mlp_layer_types"] = {"hash_moe", "hash_moe", "hash_moe", "moe", "moe", "moe"};
    }
    Decoder decoder = small_decoder(config);
    add_gates(decoder, {UnitKind::kLayers});
    set_masks(decoder, UnitKind::kLayers, {{0, {false}}, {3, {false}}});
    const at::Tensor masked = logits(decoder);
    cut(decoder, UnitKind::kLayers);
    CHECK(at::equal(logits(decoder), masked));
    CHECK(export_pruned(root.path + "/plain", root.path + "/compact", decoder, config) ==
          ExportForm::kDirect);
    CHECK(at::equal(logits(load(root.path + "/plain")), masked));
    const Json plain = io::Checkpoint::open(root.path + "/plain").config();
    CHECK(plain.at("num_hidden_layers") == 4);
    CHECK(plain.at("num_nextn_predict_layers") == 0);
    CHECK(plain.at("num_key_value_heads") == 1);
    CHECK(plain.at("head_dim") == 12);
    CHECK_FALSE(plain.contains("intermediate_size"));
    if (renamed) {
      CHECK(plain.at("mlp_layer_types") == Json{"hash_moe", "hash_moe", "moe", "moe"});
    } else {
      CHECK(plain.at("num_hash_layers") == 2);
      CHECK(plain.at("compress_ratios") == Json{4, 128, 0, 128});
    }
  }
  Decoder decoder = small_decoder(v4_config());
  CHECK_THROWS_WITH(add_gates(decoder, {UnitKind::kHeads}), Contains("no heads to prune"));
  CHECK_THROWS_WITH(add_gates(decoder, {UnitKind::kChannels}), Contains("no channels to prune"));
  const Json cut = {{"layers", {{{"index", 0}, {"heads", {0, 1}}}}}};
  CHECK_THROWS_WITH(small_decoder(changed(v4_config(), {{"hone_pruned", cut}})),
                    Contains("deepseek_v4: heads cannot be cut"));
}

TEST_CASE("DeepSeek-V4: adapters are of attention unless they are told otherwise") {
  Decoder decoder = small_decoder(v4_config());
  add_lora(decoder, {.rank = 2}, 1);
  std::set<std::string> layers;
  for (const nn::ModuleTensor& tensor : decoder->tensors()) {
    if (tensor.role == nn::Role::kAdapter && tensor.name.find("layers.3.") != std::string::npos) {
      const std::string name = tensor.name.substr(std::string("model.layers.3.").size());
      layers.insert(name.substr(0, name.find(".lora")));
    }
  }
  CHECK(layers == std::set<std::string>{"self_attn.compressor.gate_proj",
                                        "self_attn.compressor.kv_proj", "self_attn.kv_proj",
                                        "self_attn.o_b_proj", "self_attn.q_a_proj",
                                        "self_attn.q_b_proj"});
  // Its indexers have layers of the same names, which nothing trains.
  Decoder other = small_decoder(v4_config());
  add_lora(other, {.rank = 2, .targets = {"q_b_proj"}}, 1);
  CHECK(nn::numel(*other, nn::Role::kAdapter) == 6 * 2 * (16 + 4 * 12));
  Decoder third = small_decoder(v4_config());
  CHECK_THROWS_WITH(add_lora(third, {.targets = {"indexer.q_b_proj"}}, 1),
                    Contains("target indexer.q_b_proj matches no linear layer"));
  const at::Tensor loss = test::loss_of(decoder, random_input({19, 4}, 40));
  loss.backward();
  CHECK(loss.isfinite().item<bool>());
}

TEST_CASE("DeepSeek-V4: recomputed blocks give the same gradients to the bit") {
  Decoder decoder = small_decoder(v4_config());
  decoder->set_dropout(0.2);
  const auto gradients = [&](int64_t every) {
    decoder->set_checkpointing(every);
    decoder->zero_grad();
    torch::manual_seed(3);
    test::loss_of(decoder, random_input({19, 4}, 40)).backward();
    std::vector<at::Tensor> all;
    for (const at::Tensor& parameter : decoder->parameters()) {
      all.push_back(parameter.grad().clone());
    }
    return all;
  };
  const auto kept = gradients(0), again = gradients(2);
  for (size_t i = 0; i < kept.size(); ++i) CHECK(kept[i].equal(again[i]));
}

TEST_CASE("DeepSeek-V4: in bfloat16 too, what weighs streams in float32") {
  Decoder decoder = make_decoder(read(v4_config()), at::kCPU, at::kBFloat16);
  decoder->initialise(1);
  Decoder exact = small_decoder(v4_config());
  CHECK(decoder->hc_head->hc_fn.scalar_type() == at::kFloat);
  const at::Tensor got = logits(decoder), wanted = logits(exact);
  CHECK(got.scalar_type() == at::kBFloat16);
  CHECK((got - wanted).abs().mean().item<double>() < 0.1 * wanted.abs().mean().item<double>());
  decoder->train();
  optim::FusedAdamW optimizer(trainable_parameters(decoder), {.lr = 1e-2});
  std::vector<double> losses;
  for (int step = 0; step < 5; ++step) {
    optimizer.zero_grad();
    const at::Tensor loss = test::loss_of(decoder, random_input({19, 4}, 40));
    losses.push_back(loss.item<double>());
    loss.backward();
    optimizer.scale_and_clip(1, 1);
    optimizer.step();
  }
  CHECK(losses.back() < losses.front() - 0.1);
}

TEST_CASE("DeepSeek-V4: config keys as DeepSeek and as transformers have them say the same") {
  const Json yarn = {{"rope_type", "yarn"},
                     {"factor", 4},
                     {"original_max_position_embeddings", 16},
                     {"beta_fast", 32}};
  const Json released = changed(v4_config(), {{"rope_scaling", yarn}, {"rope_theta", 5000}});
  Json other = v4_config();
  for (const char* key : {"compress_ratios", "num_hash_layers", "compress_rope_theta",
                          "qk_rope_head_dim", "compress_rates"}) {
    other.erase(key);
  }
  const char *window = "sliding_attention", *some = "compressed_sparse_attention",
             *all = "heavily_compressed_attention";
  other.update({{"layer_types", {window, some, all, some, window, all}},
                {"mlp_layer_types", {"hash_moe", "hash_moe", "moe", "moe", "moe", "moe"}},
                {"compress_rate_hca", 5},
                {"partial_rotary_factor", 4.0 / 12}});
  const Json main = {
      {"rope_type", "default"}, {"rope_theta", 5000}, {"partial_rotary_factor", 4.0 / 12}};
  const Json compress = changed(
      yarn,
      {{"rope_theta", 160000}, {"attention_factor", 1.0}, {"partial_rotary_factor", 4.0 / 12}});
  other["rope_parameters"] = {{"main", main}, {"compress", compress}};
  CHECK(at::equal(logits(small_decoder(other)), logits(small_decoder(released))));
  CHECK_FALSE(at::equal(logits(small_decoder(v4_config())), logits(small_decoder(released))));
  CHECK(read(released).rope.theta == 5000);
}

TEST_CASE("DeepSeek-V4: every key that is wrong is named at once") {
  CHECK_THROWS_WITH(
      read(changed(v4_config(), {{"head_dim", nullptr},
                                 {"num_key_value_heads", 2},
                                 {"o_groups", 3},
                                 {"index_topk", 0},
                                 {"compress_ratios", {0, 4, 7, 4, 0, 128}},
                                 {"mlp_layer_types", {"moe"}},
                                 {"n_shared_experts", 2},
                                 {"scoring_func", "softmax"},
                                 {"norm_topk_prob", false},
                                 {"swiglu_limit", nullptr},
                                 {"hc_mult", 0}})),
      Contains("head_dim: is missing") && Contains("num_key_value_heads: must be 1") &&
          Contains("o_groups: must divide num_attention_heads 4, got 3") &&
          Contains("index_topk") && Contains("compress_ratios/2: is not supported, got 7") &&
          Contains("mlp_layer_types: expected a list of an entry for each of the 6 layers") &&
          Contains("n_shared_experts: must be 1") &&
          Contains("scoring_func: only sqrtsoftplus is supported, got \"softmax\"") &&
          Contains("norm_topk_prob: false is not supported") &&
          Contains("swiglu_limit: is missing") && Contains("hc_mult"));
  const auto refused = [&](const Json& changes, const char* message) {
    INFO(changes);
    CHECK_THROWS_WITH(read(changed(v4_config(), changes)), Contains(message));
  };
  refused({{"compress_ratios", nullptr}}, "compress_ratios: is missing, and layer_types too");
  refused({{"compress_ratios", {0, 4}}}, "compress_ratios: expected a list of an entry for each");
  refused({{"qk_rope_head_dim", nullptr}}, "qk_rope_head_dim: is missing");
  refused({{"qk_rope_head_dim", 5}}, "qk_rope_head_dim: must be even and above 0, got 5");
  refused({{"partial_rotary_factor", 0.5}},
          "partial_rotary_factor: must be qk_rope_head_dim 4 / head_dim 12");
  refused({{"index_head_dim", 3}}, "index_head_dim: must be at least the 4 numbers");
  refused({{"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2}}}},
          "dynamic is not supported");
  refused({{"rope_parameters", {{"main", {{"rope_type", "default"}}}, {"compress", 1}}}},
          "/rope_parameters/compress: expected an object");
  refused({{"num_hash_layers", nullptr}}, "num_hash_layers: is missing");
  CHECK(std::string(read(v4_config()).model_type->needs_weights()).find("indexers") !=
        std::string::npos);
}

}  // namespace
}  // namespace hone::model
