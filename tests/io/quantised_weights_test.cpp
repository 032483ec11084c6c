#include "hone/io/quantised_weights.h"

#include <torch/types.h>

#include <cstring>
#include <utility>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/io/quantised_tensors.h"
#include "io/support.h"
#include "support/catch.h"

namespace hone::io {
namespace {

using Catch::Contains;
using test::TemporaryFolder;

const Json kConfig = {
    {"expert_dtype", "fp4"},
    {"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {4, 8}}}}};
constexpr BlockFormat kFp8{.rows = 4, .columns = 8};
constexpr BlockFormat kFp4{.fp4 = true, .rows = 1, .columns = 32, .powers_of_two = true};

at::Tensor codes(int64_t rows, int64_t columns, at::ScalarType type) {
  return at::arange(rows * columns).remainder(127).to(at::kByte).view({rows, columns}).view(type);
}

/// One weight of each kind.
NamedTensors stored() {
  return {{"a.weight", codes(10, 19, at::kFloat8_e4m3fn)},
          {"a.weight_scale_inv", at::rand({3, 3}) + 0.5},
          {"b.weight", codes(4, 8, at::kFloat8_e4m3fn)},
          {"b.scale", torch::tensor({{126}}, at::kByte).view(at::kFloat8_e8m0fnu)},
          {"e.weight", codes(3, 32, at::kChar)},
          {"e.scale", codes(3, 2, at::kByte).add(125).view(at::kFloat8_e8m0fnu)},
          {"n.weight", at::rand({5}).to(at::kBFloat16)}};
}

/// A folder with these tensors, open.
struct Opened {
  explicit Opened(const NamedTensors& tensors = stored(), const Json& config = kConfig)
      : checkpoint([&] {
          save_checkpoint(folder.file("c"), config, tensors);
          return Checkpoint::open(folder.file("c"));
        }()),
        weights(checkpoint) {}

  at::Tensor read(const std::string& name, at::ScalarType type = at::kFloat) const {
    at::Tensor out = at::empty(weights.shape(name), type);
    weights.read(name, 0, out);
    return out;
  }

  TemporaryFolder folder;
  Checkpoint checkpoint;
  QuantisedWeights weights;
};

/// The tensors of a file that is written like `from`.
std::map<std::string, at::Tensor> written_like(const Opened& from, const NamedTensors& tensors,
                                               std::map<std::string, std::string> names = {}) {
  save_checkpoint(from.folder.file("out"), kConfig, tensors,
                  {.quantised_as = &from.checkpoint, .stored_names = std::move(names)});
  const Checkpoint out = Checkpoint::open(from.folder.file("out"));
  std::map<std::string, at::Tensor> result;
  for (const std::string& name : out.names()) result[name] = out.load(name);
  return result;
}

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

TEST_CASE("QuantisedWeights: names without scales, shapes of the numbers") {
  const Opened opened;
  CHECK(opened.weights.names() ==
        std::vector<std::string>{"a.weight", "b.weight", "e.weight", "n.weight"});
  CHECK(opened.weights.shape("e.weight") == std::vector<int64_t>{3, 64});
  CHECK(opened.weights.shape("n.weight") == std::vector<int64_t>{5});
  CHECK(opened.weights.format("b.weight")->rows == 4);
  CHECK(opened.weights.format("n.weight") == nullptr);
  CHECK(opened.weights.scales("b.weight") == "b.scale");
  CHECK(opened.weights.scales("n.weight").empty());
  for (const std::string& name : opened.weights.names()) CHECK_FALSE(opened.weights.problem(name));
}

TEST_CASE("QuantisedWeights: reads what the tensors are, whole and by rows") {
  const Opened opened;
  const auto load = [&](const std::string& name) { return opened.checkpoint.load(name); };
  const at::Tensor a = dequantise(load("a.weight"), load("a.weight_scale_inv"), kFp8, at::kFloat);
  CHECK(at::equal(opened.read("a.weight"), a));
  CHECK(at::equal(opened.read("a.weight", at::kHalf), a.to(at::kHalf)));
  CHECK(at::equal(opened.read("e.weight"),
                  dequantise(load("e.weight"), load("e.scale"), kFp4, at::kFloat)));
  CHECK(at::equal(opened.read("n.weight"), load("n.weight").to(at::kFloat)));
  at::Tensor rows = at::empty({5, 19});  // from the middle of a block on
  opened.weights.read("a.weight", 3, rows);
  CHECK(at::equal(rows, a.slice(0, 3, 8)));
}

TEST_CASE("QuantisedWeights: what was not changed keeps its bytes") {
  const Opened opened;
  NamedTensors tensors;
  for (const std::string& name : opened.weights.names()) {
    tensors.emplace_back(name, opened.read(name, at::kBFloat16));
  }
  const auto out = written_like(opened, tensors);
  REQUIRE(out.size() == stored().size());
  for (const auto& [name, tensor] : out) CHECK(same_bytes(tensor, opened.checkpoint.load(name)));
}

TEST_CASE("QuantisedWeights: what was changed gets scales of its own, in the types that came") {
  const Opened opened;
  NamedTensors tensors;
  for (const std::string& name : opened.weights.names()) {
    tensors.emplace_back(name, opened.read(name));
    if (name != "b.weight") tensors.back().second.mul_(1.25);
  }
  const auto out = written_like(opened, tensors);
  for (const auto& [name, tensor] : stored()) {
    if (name == "n.weight") continue;  // float32 here: `types` is empty
    CHECK(out.at(name).scalar_type() == tensor.scalar_type());
    CHECK(same_bytes(out.at(name), opened.checkpoint.load(name)) == name.starts_with("b."));
  }
  const at::Tensor scales = out.at("a.weight_scale_inv"), a = tensors[0].second;
  CHECK(at::equal(scales, block_scales(a, kFp8, at::kFloat)));
  CHECK(same_bytes(out.at("a.weight"), encoded(a, scales, kFp8, 0, at::kFloat8_e4m3fn)));
}

TEST_CASE("QuantisedWeights: weights of more than one slice") {
  Json config = kConfig;
  config["quantization_config"].erase("weight_block_size");
  const NamedTensors large = {{"l.weight", codes(700, 2000, at::kFloat8_e4m3fn)},
                              {"l.weight_scale_inv", at::rand({6, 16}) + 0.5}};
  const Opened opened(large, config);
  const at::Tensor weight = opened.read("l.weight");
  CHECK(at::equal(weight, dequantise(large[0].second, large[1].second, {}, at::kFloat)));
  CHECK(same_bytes(written_like(opened, {{"l.weight", weight}}).at("l.weight"), large[0].second));
  weight[699].mul_(3);  // in the last slice
  const auto out = written_like(opened, {{"l.weight", weight}});
  CHECK(same_bytes(out.at("l.weight"),
                   encoded(weight, out.at("l.weight_scale_inv"), {}, 0, at::kFloat8_e4m3fn)));
}

TEST_CASE("QuantisedWeights: by other names and in other shapes") {
  const Opened opened;
  const at::Tensor a = opened.read("a.weight");
  const auto out =
      written_like(opened, {{"x.weight", a}, {"b.weight", a}}, {{"x.weight", "a.weight"}});
  CHECK(same_bytes(out.at("x.weight"), opened.checkpoint.load("a.weight")));
  CHECK(out.contains("x.weight_scale_inv"));
  CHECK(out.at("b.scale").sizes() == at::IntArrayRef({3, 3}));
  CHECK_THROWS_WITH(written_like(opened, {{"e.weight", at::ones({3, 48})}}),
                    Contains("e.weight has 48 columns, which groups of 32 do not divide"));
}

TEST_CASE("QuantisedWeights: codes that are written as they are") {
  const Opened opened;
  const auto out = written_like(opened, {{"a.weight", opened.checkpoint.load("a.weight")}});
  CHECK(out.size() == 1);
  CHECK(same_bytes(out.at("a.weight"), opened.checkpoint.load("a.weight")));
}

TEST_CASE("QuantisedWeights: bad files are told by tensor, bad configs whole") {
  NamedTensors tensors = stored();
  tensors[1].second = at::ones({2, 3});
  tensors.erase(tensors.begin() + 3);  // b.scale
  const Opened opened(tensors);
  CHECK_THAT(*opened.weights.problem("a.weight"),
             Contains("a.weight_scale_inv must be [3, 3] for a.weight of [10, 19]"));
  CHECK_THAT(*opened.weights.problem("b.weight"), Contains("are missing"));
  const Opened plain(stored(), Json::object());
  CHECK_THAT(*plain.weights.problem("a.weight"),
             Contains("tensor a.weight is F8_E4M3, but weights must be F64, F32, F16 or BF16"));
  CHECK(plain.weights.names().size() == 7);
  CHECK_THROWS_WITH(
      Opened(stored(), {{"quantization_config", {{"quant_method", "awq"}, {"bits", 4}}}}),
      Contains("config.json") && Contains("\"awq\" is not supported") &&
          Contains("/quantization_config/bits: is not supported"));
}

}  // namespace
}  // namespace hone::io
