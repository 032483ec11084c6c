#include "hone/model/checkpoint.h"

#include <torch/types.h>

#include <fstream>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/model/resize_vocabulary.h"
#include "model/support.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace hone::model {
namespace {

using Catch::Contains;
using test::small_config;
using test::small_decoder;

void check_same(const Decoder& a, const Decoder& b) {
  const NamedTensors x = a->hf_tensors(), y = b->hf_tensors();
  REQUIRE(x.size() == y.size());
  for (size_t i = 0; i < x.size(); ++i) {
    CHECK(x[i].first == y[i].first);
    CHECK(at::equal(x[i].second, y[i].second));
  }
}

Decoder load(const std::string& folder, at::ScalarType dtype = at::kFloat) {
  return load_decoder(io::Checkpoint::open(folder), at::kCPU, dtype);
}

TEST_CASE("save_decoder and load_decoder: the same tensors, in every dtype") {
  const TemporaryFolder root;
  Json config = small_config("qwen2");
  config["dtype"] = "bfloat16";
  Decoder decoder = small_decoder(config);
  save_decoder(root.path + "/a", decoder, config);
  check_same(load(root.path + "/a"), decoder);
  CHECK(io::Checkpoint::open(root.path + "/a").config()["dtype"] == "float32");

  Decoder half = load(root.path + "/a", at::kBFloat16);
  CHECK(half->dtype() == at::kBFloat16);
  save_decoder(root.path + "/b", half, small_config("qwen2"));
  CHECK(io::Checkpoint::open(root.path + "/b").config()["torch_dtype"] == "bfloat16");
  check_same(load(root.path + "/b", at::kBFloat16), half);
}

TEST_CASE("load_decoder: missing, unexpected and misshapen tensors are named at once") {
  const TemporaryFolder root;
  NamedTensors tensors = small_decoder()->hf_tensors();
  tensors[0].second = at::zeros({41, 32});
  tensors[1].first = "model.layers.0.self_attn.q_proj.bias";
  io::save_checkpoint(root.path + "/bad", small_config(), tensors);
  CHECK_THROWS_WITH(
      load(root.path + "/bad"),
      Contains("model.embed_tokens.weight must be [40, 32], got [41, 32]") &&
          Contains("is missing") &&
          Contains("tensor model.layers.0.self_attn.q_proj.bias is not part of a llama"));
}

TEST_CASE("load_decoder: sizes that the files do not have are never allocated") {
  const TemporaryFolder root;
  Json config = small_config();
  io::save_checkpoint(root.path + "/a", config, small_decoder()->hf_tensors());
  config["intermediate_size"] = 1 << 20;
  config["hidden_size"] = 1 << 20;
  config["num_hidden_layers"] = 2000;
  std::ofstream(root.path + "/a/config.json") << config;
  CHECK_THROWS_WITH(load(root.path + "/a"), Contains("must be [40, 1048576], got [40, 32]") &&
                                                Contains("and ") && Contains(" more"));
}

TEST_CASE("load_decoder: rotary buffers and a tied head's copy are ignored") {
  const TemporaryFolder root;
  Json config = small_config();
  config["tie_word_embeddings"] = true;
  Decoder decoder = small_decoder(config);
  NamedTensors tensors = decoder->hf_tensors();
  tensors.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", at::ones({4}));
  tensors.emplace_back("lm_head.weight", at::ones({40, 32}));
  io::save_checkpoint(root.path + "/old", config, tensors);
  check_same(load(root.path + "/old"), decoder);
}

TEST_CASE("save_decoder refuses a decoder with an adapter") {
  const TemporaryFolder root;
  Decoder decoder = small_decoder();
  add_lora(decoder, {}, 1);
  CHECK_THROWS_WITH(save_decoder(root.path + "/a", decoder, small_config()),
                    Contains("carries an adapter"));
}

TEST_CASE("resize_vocabulary: saved with its new size; bad rows are named") {
  const TemporaryFolder root;
  Decoder decoder = small_decoder();
  const at::Tensor old = decoder->lm_weight().detach().clone();
  resize_vocabulary(decoder, 44, {{41, {2, 3}}});
  CHECK(decoder->config().vocab_size == 44);
  CHECK(at::allclose(decoder->lm_weight()[41], (old[2] + old[3]) / 2));
  save_decoder(root.path + "/grown", decoder, small_config());
  check_same(load(root.path + "/grown"), decoder);

  const auto resize = [](int64_t rows, const NewRows& new_rows) {
    Decoder fresh = small_decoder();
    resize_vocabulary(fresh, rows, new_rows);
  };
  CHECK_THROWS_WITH(resize(39, {}), Contains("40 rows cannot shrink to 39"));
  CHECK_THROWS_WITH(resize(41, {{41, {1}}}), Contains("new row 41 is outside"));
  CHECK_THROWS_WITH(resize(41, {{40, {}}}), Contains("row 40 has no pieces"));
  CHECK_THROWS_WITH(resize(41, {{40, {40}}}), Contains("piece 40 of row 40"));
  Decoder adapted = small_decoder();
  add_lora(adapted, {}, 1);
  CHECK_THROWS_WITH(resize_vocabulary(adapted, 41, {}), Contains("carries an adapter"));
}

TEST_CASE("resize_vocabulary: rows that are not named begin as the mean of the old") {
  Json config = small_config();
  for (const int64_t vocabulary : {20, 40}) {  // fewer than a row is wide, and more
    config["vocab_size"] = vocabulary;
    Decoder decoder = small_decoder(config);
    const at::Tensor old = decoder->lm_weight().detach().clone();
    resize_vocabulary(decoder, vocabulary + 2, {});
    CHECK(at::equal(decoder->lm_weight().slice(0, 0, vocabulary), old));
    CHECK(at::allclose(decoder->lm_weight()[vocabulary + 1], old.mean(0)));
  }
}

TEST_CASE("load_decoder: weights that are integers or F8 are refused by name") {
  const TemporaryFolder root;
  const NamedTensors tensors = small_decoder()->hf_tensors();
  const auto with = [&](at::ScalarType type) {
    NamedTensors changed = tensors;
    changed[1].second = changed[1].second.to(type);
    io::save_checkpoint(root.path + "/x", small_config(), changed);
    return root.path + "/x";
  };
  for (const at::ScalarType type :
       {at::kChar, at::kByte, at::kBool, at::kShort, at::kInt, at::kLong, at::kFloat8_e4m3fn}) {
    const std::string folder = with(type);
    CHECK_THROWS_WITH(load(folder),
                      Contains("tensor " + tensors[1].first + " is ") &&
                          Contains("weights must be F64, F32, F16 or BF16; dequantise"));
  }
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    const std::string folder = with(type);
    CHECK_NOTHROW(load(folder));
    CHECK(tensor_types(io::Checkpoint::open(folder)).at(tensors[1].first) == type);
  }
}

TEST_CASE("storable_types: what float16 cannot hold stays float32") {
  const NamedTensors tensors = {{"a", at::full({2}, 65504.0)}, {"b", at::full({2}, 65536.0)}};
  const io::TensorTypes types = storable_types(tensors, {{"a", at::kHalf}, {"b", at::kHalf}});
  CHECK(types == io::TensorTypes{{"a", at::kHalf}, {"b", at::kFloat}});
  CHECK(storable_types(tensors, {{"b", at::kBFloat16}}).at("b") == at::kBFloat16);
}

TEST_CASE("decoder_config_json: names the type of most numbers as they are written") {
  const Decoder decoder = small_decoder();
  io::TensorTypes types;
  for (const auto& [name, tensor] : decoder->hf_tensors()) {
    types[name] = name.ends_with("norm.weight") ? at::kFloat : at::kBFloat16;
  }
  CHECK(decoder_config_json(decoder, {{"dtype", "float16"}}, {.types = types})["dtype"] ==
        "bfloat16");
  CHECK(decoder_config_json(decoder, Json::object(), {.types = types})["torch_dtype"] ==
        "bfloat16");
  CHECK(decoder_config_json(decoder, Json::object())["torch_dtype"] == "float32");
}

}  // namespace
}  // namespace hone::model
