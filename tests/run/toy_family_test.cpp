// The measure of the seams: a family that the library has never seen, whole in this one file. Its
// checkpoints fuse the query, key and value projections, its MLP has two matrices and GELU, its
// norms are LayerNorm without bias, and a tensor of its folders is no part of its computation.
#include <torch/types.h>
#include <torch/utils.h>

#include <any>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hone/config/reader.h"
#include "hone/core/file.h"
#include "hone/infer/generate.h"
#include "hone/io/adapter.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/model/cost.h"
#include "hone/model/family.h"
#include "hone/model/pruned/export.h"
#include "hone/model/pruned/pruning.h"
#include "hone/nn/anatomy.h"
#include "hone/nn/attention.h"
#include "hone/nn/branch.h"
#include "hone/run/config.h"
#include "hone/run/run.h"
#include "hone/text/bpe_trainer.h"
#include "model/measured_peak.h"
#include "model/quantised.h"
#include "support/catch.h"
#include "support/gradcheck.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

// --- the family ---

/// weight * (x - mean) / sqrt(variance + eps).
class ScaleNormImpl : public nn::NormImpl, public nn::TellsTensors {
 public:
  ScaleNormImpl(int64_t dim, double eps, const at::TensorOptions& options)
      : weight_(register_parameter("weight", at::empty({dim}, options))), eps_(eps) {}

  at::Tensor forward(const at::Tensor& x) override {
    return at::layer_norm(x, {x.size(-1)}, weight_, {}, eps_);
  }
  int64_t saved(int64_t width, const nn::StepShape&) const override { return width + 2; }
  std::vector<nn::ModuleTensor> own_tensors() const override {
    return {{.name = "weight", .tensor = weight_, .start = 1}};
  }

 private:
  at::Tensor weight_;
  double eps_;
};
TORCH_MODULE(ScaleNorm);

/// fc_out(gelu(fc_in(x))).
class GeluMlpImpl : public nn::FeedForwardImpl {
 public:
  GeluMlpImpl(int64_t dim, int64_t hidden, const std::string& approximate,
              const at::TensorOptions& options)
      : approximate_(approximate) {
    fc_in_ = register_module("fc_in", nn::Linear(nn::LinearOptions{dim, hidden, true}, options));
    fc_out_ = register_module("fc_out", nn::Linear(nn::LinearOptions{hidden, dim, true}, options));
  }

  at::Tensor forward(const at::Tensor& x, const at::Tensor&) override {
    const at::Tensor channels = at::gelu(fc_in_(x), approximate_);
    return fc_out_(gate ? gate(channels) : channels);
  }
  int64_t units() const override { return fc_in_->options.out; }
  std::vector<nn::UnitAxis> axes() const override {
    return {{.name = "fc_in", .layer = fc_in_},
            {.name = "fc_out", .layer = fc_out_, .outputs = false}};
  }
  nn::Footprint footprint(const nn::StepShape&) const override {
    const int64_t hidden = units(), product = fc_out_->keeps_input() ? hidden : 0;
    return {.saved = nn::saved_together({fc_in_}) + fc_out_->saved() + hidden + product,
            .backward = fc_in_->options.in + 2 * hidden - product,
            .gradients = nn::trained_numel(*this)};
  }

 private:
  void units_cut(const std::vector<int64_t>&) override {}

  std::string approximate_;
  nn::Linear fc_in_{nullptr}, fc_out_{nullptr};
};
TORCH_MODULE(GeluMlp);

struct ToyOptions {
  std::string approximate;  ///< of GELU
};

class Toy : public model::Family {
  std::vector<const char*> names() const override { return {"toy"}; }
  const char* architecture() const override { return "ToyForCausalLM"; }

  model::DecoderConfig read(const Json& json, const std::string& source) const override {
    model::DecoderConfig c;
    for (const auto& [key, size] : {std::pair{"hidden_size", &c.hidden_size},
                                    {"intermediate_size", &c.intermediate_size},
                                    {"num_hidden_layers", &c.num_hidden_layers},
                                    {"num_attention_heads", &c.num_attention_heads},
                                    {"num_key_value_heads", &c.num_key_value_heads},
                                    {"head_dim", &c.head_dim},
                                    {"vocab_size", &c.vocab_size},
                                    {"max_position_embeddings", &c.max_position_embeddings}}) {
      if (!json.contains(key)) throw IoError(source, std::string(key) + ": is missing");
      *size = json.at(key).get<int64_t>();
    }
    c.tie_word_embeddings = true;
    c.rope.head_dim = c.head_dim;
    c.rope.max_positions = c.rope.original_positions = c.max_position_embeddings;
    c.own = ToyOptions{json.value("gelu", "none")};
    return c;
  }

  nn::DecoderBlock block(const model::DecoderConfig& c, const model::LayerSizes& sizes,
                         const at::TensorOptions& options) const override {
    const nn::AttentionOptions attention = {.dim = c.hidden_size,
                                            .num_heads = sizes.heads,
                                            .num_kv_heads = sizes.kv_heads,
                                            .head_dim = c.head_dim,
                                            .qkv_bias = true,
                                            .kv_head_of = sizes.kv_head_of};
    const auto& own = std::any_cast<const ToyOptions&>(c.own);
    return nn::DecoderBlock(
        c.hidden_size,
        nn::DecoderBlockParts{norm(c, options), nn::Attention(attention, options), norm(c, options),
                              GeluMlp(c.hidden_size, sizes.channels, own.approximate, options)});
  }
  nn::Norm norm(const model::DecoderConfig& c, const at::TensorOptions& options) const override {
    return ScaleNorm(c.hidden_size, 1e-5, options);
  }

  std::vector<model::CheckpointTensor> checkpoint_tensors(
      const model::NamedTensors& base, const model::DecoderConfig&) const override {
    std::vector<model::CheckpointTensor> all;
    std::map<std::string, size_t> fused;
    for (const auto& [name, tensor] : base) {
      // "model.layers.0.self_attn.k_proj.bias" goes into "model.layers.0.self_attn.qkv_proj.bias".
      const size_t at = name.find("_proj.") - 1;
      const bool part = name.find("_proj.") != std::string::npos &&
                        std::string("qkv").find(name[at]) != std::string::npos;
      const std::string whole = part ? name.substr(0, at) + "qkv" + name.substr(at + 1) : name;
      const auto [place, first] = fused.emplace(whole, all.size());
      if (first) all.push_back({whole, {}});
      all[place->second].parts.push_back(tensor);
    }
    return all;
  }
  bool travels(const std::string& name, const model::DecoderConfig&) const override {
    return name.starts_with("mtp.");
  }
};

const Toy& toy() {
  static const Toy family;
  static const bool registered = [] {
    model::register_family(family);
    return true;
  }();
  (void)registered;
  return family;
}

// --- what it then can, with no edit anywhere else ---

using model::test::loss_of, model::test::random_input, test::relative_difference;

Json toy_config(int64_t dim = 32, int64_t vocabulary = 300) {
  toy();
  return {{"model_type", "toy"},
          {"architectures", {"ToyForCausalLM"}},
          {"hidden_size", dim},
          {"intermediate_size", 3 * dim},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", dim / 4},
          {"vocab_size", vocabulary},
          {"max_position_embeddings", 128},
          {"gelu", "tanh"}};
}

model::Decoder toy_decoder() {
  model::Decoder decoder = model::test::small_decoder(toy_config());
  const torch::NoGradGuard no_grad;
  torch::manual_seed(7);
  for (at::Tensor& parameter : decoder->parameters())
    parameter.add_(at::randn_like(parameter), 0.1);
  return decoder;
}

at::Tensor logits(model::Decoder& decoder) {
  const torch::NoGradGuard no_grad;
  decoder->eval();
  return decoder->logits(decoder->hidden(random_input({9, 4}, 300)));
}

/// A folder as somebody else would have written it.
void write_folder(const std::string& folder, const model::Decoder& decoder) {
  model::NamedTensors tensors = decoder->hf_tensors();
  tensors.emplace_back("mtp.layers.0.weight", at::arange(-8, 8, at::kChar).view({4, 4}));
  io::save_checkpoint(folder, toy_config(), tensors);
}

model::Decoder load(const std::string& folder) {
  return model::load_decoder(io::Checkpoint::open(folder), at::kCPU, at::kFloat);
}

void train(model::Decoder& decoder, int steps) {
  optim::FusedAdamW optimizer(model::trainable_parameters(decoder), {.lr = 0.01});
  decoder->train();
  for (int i = 0; i < steps; ++i) {
    optimizer.zero_grad();
    loss_of(decoder, random_input({9, 4}, 300)).backward();
    optimizer.step();
  }
}

TEST_CASE("A new family: a folder comes in and goes out, fused and travelling tensors too") {
  const TemporaryFolder work;
  const std::string from = work.path + "/from", to = work.path + "/to";
  model::Decoder decoder = toy_decoder();
  write_folder(from, decoder);
  const io::Checkpoint saved = io::Checkpoint::open(from);
  CHECK(saved.shape("model.layers.1.self_attn.qkv_proj.weight") ==
        std::vector<int64_t>{(4 + 2 * 2) * 8, 32});
  CHECK_FALSE(saved.has("model.layers.1.self_attn.q_proj.weight"));
  CHECK_FALSE(saved.has("lm_head.weight"));

  model::Decoder loaded = load(from);
  CHECK(at::equal(logits(loaded), logits(decoder)));
  model::save_decoder(to, loaded, saved.config());
  const io::Checkpoint again = io::Checkpoint::open(to);
  REQUIRE(again.names() == saved.names());
  for (const std::string& name : saved.names()) {
    INFO(name);
    CHECK(again.dtype(name) == saved.dtype(name));
    CHECK(at::equal(again.load(name), saved.load(name)));
  }

  model::NamedTensors tensors = decoder->hf_tensors();
  tensors.emplace_back("model.layers.0.other.weight", at::ones({2}));
  io::save_checkpoint(to, toy_config(), tensors);
  CHECK_THROWS_WITH(load(to),
                    Catch::Contains("tensor model.layers.0.other.weight is not part of a toy"));
}

TEST_CASE(
    "A new family: what only travels may be quantised, and is numbers where nothing else is") {
  const TemporaryFolder work;
  const Json config = model::test::quantised_config(toy_config());
  model::NamedTensors tensors = model::test::quantised_tensors(toy_decoder()->hf_tensors());
  const model::NamedTensors layer =
      model::test::quantised_tensors({{"mtp.layers.0.up_proj.weight", at::rand({30, 40})}});
  tensors.insert(tensors.end(), layer.begin(), layer.end());
  io::save_checkpoint(work.path + "/from", config, tensors);
  const io::Checkpoint from = io::Checkpoint::open(work.path + "/from");
  model::Decoder loaded = load(work.path + "/from");
  CHECK(loaded->travelling().size() == 2);

  model::save_decoder(work.path + "/to", loaded, config,
                      {.types = model::tensor_types(from), .quantised_as = &from});
  CHECK(read_file(work.path + "/to/model.safetensors") ==
        read_file(work.path + "/from/model.safetensors"));

  model::save_decoder(work.path + "/plain", loaded, config);
  const io::Checkpoint plain = io::Checkpoint::open(work.path + "/plain");
  CHECK_FALSE(plain.config().contains("quantization_config"));
  CHECK_FALSE(plain.has(layer[1].first));
  CHECK(at::equal(plain.load(layer[0].first), io::dequantise(layer[0].second, layer[1].second,
                                                             model::test::kBlocks, at::kFloat)));
  model::Decoder again = load(work.path + "/plain");
  CHECK(at::equal(logits(again), logits(loaded)));
}

TEST_CASE("A new family: its memory is planned within a tenth, its cost counted") {
  const Json config = toy_config(192, 3000);
  const auto parsed = model::DecoderConfig::from_json(config, "test");
  const nn::LoraOptions lora = {.rank = 8, .targets = {"q_proj", "fc_in", "fc_out"}};
  for (const model::MemoryRequest& request : std::vector<model::MemoryRequest>{
           {.tokens_per_batch = 1024, .documents = 4},
           {.tokens_per_batch = 1024, .checkpoint_every = 1},
           {.tokens_per_batch = 1024, .documents = 4, .lora = lora}}) {
    const auto peak = static_cast<double>(model::predict_memory(parsed, request).peak);
    const auto measured = static_cast<double>(model::test::measured_peak(config, request));
    INFO("predicted " << peak << ", measured " << measured << ", ratio " << peak / measured);
    CHECK(std::abs(peak - measured) <= 0.1 * measured);
  }
  const int64_t qkv = 192 * 8 * 48, out = 192 * 4 * 48, mlp = 2 * 192 * 576;
  const int64_t small = 8 * 48 + 576 + 192 + 2 * 192;  // biases and norms
  const model::Cost cost(parsed);
  CHECK(cost.parameters() == 3 * (qkv + out + mlp + small) + 192 + 3000 * 192);
  CHECK(cost.token_flops(10) == 2 * (3 * (qkv + out + mlp) + 3000 * 192) + 3 * 4 * 192 * 10);
  CHECK(cost.cache_bytes(at::kFloat, 2, 5) == 3 * 2 * (2 * 48) * 2 * 5 * 4);
}

TEST_CASE("A new family: heads, channels and layers are pruned, and exported for transformers") {
  const TemporaryFolder work;
  write_folder(work.path + "/base", toy_decoder());
  model::Decoder decoder = load(work.path + "/base");
  using model::UnitKind;
  model::add_gates(decoder, {UnitKind::kHeads, UnitKind::kChannels, UnitKind::kLayers});
  std::vector<bool> channels(96, true);
  for (size_t i = 0; i < channels.size(); i += 3) channels[i] = false;
  model::set_masks(decoder, UnitKind::kHeads,
                   {{0, {true, true, false, true}}, {2, {true, true, false, false}}});
  model::set_masks(decoder, UnitKind::kChannels, {{2, channels}});
  model::set_masks(decoder, UnitKind::kLayers, {{1, {false}}});
  const at::Tensor masked = logits(decoder);
  for (const UnitKind kind : {UnitKind::kHeads, UnitKind::kChannels, UnitKind::kLayers}) {
    model::cut(decoder, kind);
  }
  CHECK(relative_difference(logits(decoder), masked) < 1e-5);

  const std::string plain = work.path + "/plain", compact = work.path + "/compact";
  CHECK(model::export_pruned(plain, compact, decoder, toy_config()) ==
        model::ExportForm::kZeroFilled);
  model::Decoder exported = load(plain), own = load(compact);
  CHECK(relative_difference(logits(exported), masked) < 1e-5);
  CHECK(at::equal(logits(own), logits(decoder)));
  CHECK(model::Cost(own).parameters() < model::Cost(exported).parameters());
  CHECK(io::Checkpoint::open(compact).has("mtp.layers.0.weight"));
}

TEST_CASE("A new family: an adapter trains, is written, read and worked in") {
  model::Decoder decoder = toy_decoder(), other = toy_decoder();
  const at::Tensor before = logits(decoder);
  model::add_lora(decoder, {.rank = 4, .targets = {"v_proj", "fc_in"}}, 1);
  train(decoder, 3);
  CHECK(relative_difference(logits(decoder), before) > 1e-3);
  io::AdapterFiles files = model::adapter_files(decoder, "base");
  CHECK(files.tensors.contains("base_model.model.model.layers.0.mlp.fc_in.lora_A.weight"));
  model::load_adapter(other, files);
  CHECK(at::equal(logits(other), logits(decoder)));
  model::merge_lora(other);
  CHECK(relative_difference(logits(other), logits(decoder)) < 1e-5);
}

TEST_CASE("A new family: with a cache it computes what it computes without") {
  model::Decoder decoder = toy_decoder();
  decoder->eval();
  const torch::NoGradGuard no_grad;
  const std::vector<int64_t> ids = {3, 1, 4, 1, 5, 9, 2, 6};
  const at::Tensor whole =
      decoder->hidden(model::make_input(std::vector<std::vector<int64_t>>{ids}, at::kCPU));
  model::KvCache cache(decoder->cache_shapes(), at::kFloat);
  std::vector<at::Tensor> parts;
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 4}, {4, 5}, {5, 8}}) {
    const std::vector<std::vector<int64_t>> part = {{ids.begin() + begin, ids.begin() + end}};
    const std::vector<int64_t> past = {begin};
    parts.push_back(decoder->hidden(model::make_input(part, at::kCPU, past), cache, 0));
  }
  CHECK(relative_difference(at::cat(parts), whole) < 1e-5);
}

/// The texts of a run, and a base with a tokenizer.
struct Recipe {
  explicit Recipe(const std::string& folder) {
    write_folder(folder + "/base", toy_decoder());
    const text::BpeTrainerOptions options{.vocab_size = 270, .special_tokens = {"<bos>", "<eos>"}};
    std::ofstream(folder + "/base/tokenizer.json")
        << text::train_bpe({"the stop of the shop", "stop that top"}, options).dump();
    std::ofstream(folder + "/base/tokenizer_config.json") << R"({"eos_token": "<eos>"})";
    std::ofstream rows(folder + "/rows.jsonl");
    for (int i = 0; i < 60; ++i) {
      rows << R"({"text": "the shop that stops at )" << i << R"( tops"})" << "\n";
    }
    rows.close();
    json = {{"about", "toy"},
            {"model", folder + "/base"},
            {"device", "cpu"},
            {"threads", 1},
            {"data",
             {{"train",
               {{{"name", "shops"}, {"domain", "shops"}, {"files", {folder + "/rows.jsonl"}}}}},
              {"tokens_per_batch", 128}}},
            {"train", {{"steps", 8}, {"lr", 1e-3}, {"save_every", 4}}}};
  }
  run::Report execute(const std::string& out, bool resume) const {
    const auto config = config::read_config<run::Config>(json);
    return run::execute(config, {.app = "hone-domain", .out = out, .resume = resume});
  }
  Json json;
};

TEST_CASE("A new family: a whole run trains it, goes on after a stop, and saves it") {
  const TemporaryFolder work;
  const Recipe recipe(work.path);
  const std::string whole = work.path + "/whole", stopped = work.path + "/stopped";
  CHECK(recipe.execute(whole, false).ending == train::Ending::kDone);
  model::Decoder trained = load(whole + "/model"), base = load(work.path + "/base");
  CHECK(relative_difference(logits(trained), logits(base)) > 1e-3);
  CHECK(trained->travelling().size() == 1);

  std::filesystem::copy(whole, stopped, std::filesystem::copy_options::recursive);
  for (const char* left : {"/model", "/report.json", "/checkpoints/checkpoint-8"}) {
    std::filesystem::remove_all(stopped + left);
  }
  CHECK(recipe.execute(stopped, true).ending == train::Ending::kDone);
  model::Decoder resumed = load(stopped + "/model");
  CHECK(at::equal(logits(resumed), logits(trained)));
}

}  // namespace
}  // namespace hone
