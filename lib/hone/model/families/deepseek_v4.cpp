// DeepSeek-V4: compressed attention, several streams between blocks, experts in every layer, those
// of the first layers chosen by the token's id.
#include <fmt/format.h>

#include <algorithm>
#include <any>
#include <charconv>
#include <string_view>

#include "hone/core/error.h"
#include "hone/model/decoder.h"
#include "hone/model/families/sparse.h"
#include "hone/nn/compressed_attention.h"

namespace hone::model {
namespace {

/// How a folder spells the names of tensors.
enum class Spelling {
  kReleased,     ///< DeepSeek's: layers.0.attn.wq_a.weight
  kSaved,        ///< what transformers saves: model.layers.0.attn.wq_a.weight
  kTransformers  ///< transformers' own, which are hone's: model.layers.0.self_attn.q_a_proj.weight
};

struct V4Options {
  std::vector<nn::CompressedAttentionOptions> attention;  ///< of each layer
  std::vector<bool> hashed;                               ///< whose experts a table chooses
  nn::HyperConnectionOptions streams;
  Spelling spelling = Spelling::kReleased;
};

const V4Options& own_of(const DecoderConfig& config) {
  return *std::any_cast<V4Options>(&sparse_options(config).own);
}

using Renames = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Behind the name of the layer, from hone's: each is replaced where it is found, in this order.
constexpr Renames kInLayer = {{"self_attn.compressor.indexer.q_b_proj.", "attn.indexer.wq_b."},
                              {"self_attn.compressor.indexer.scorer.", "attn.indexer."},
                              {"self_attn.compressor.indexer.", "attn.indexer.compressor."},
                              {"self_attn.", "attn."},
                              {"compressor.gate_proj.", "compressor.wgate."},
                              {"compressor.kv_norm.", "compressor.norm."},
                              {"position_bias", "ape"},
                              {"q_a_norm.", "q_norm."},
                              {"q_a_proj.", "wq_a."},
                              {"q_b_proj.", "wq_b."},
                              {"kv_proj.", "wkv."},
                              {"o_a_proj.", "wo_a."},
                              {"o_b_proj.", "wo_b."},
                              {"sinks", "attn_sink"},
                              {"mlp.", "ffn."},
                              {"e_score_correction_bias", "bias"},
                              {"gate_proj.", "w1."},
                              {"down_proj.", "w2."},
                              {"up_proj.", "w3."},
                              {"input_layernorm.", "attn_norm."},
                              {"post_attention_layernorm.", "ffn_norm."},
                              {"attn_hc.", "hc_attn_"},
                              {"ffn_hc.", "hc_ffn_"}};
/// Outside of layers.
constexpr Renames kReleasedRoot = {
    {"model.embed_tokens.", "embed."}, {"model.hc_head.hc_", "hc_head_"}, {"model.", ""}};

std::string renamed(std::string name, Renames renames) {
  for (const auto& [from, to] : renames) {
    if (const size_t at = name.find(from); at != std::string::npos) {
      name.replace(at, from.size(), to);
    }
  }
  return name;
}

std::string spelled(const std::string& name, Spelling spelling) {
  if (spelling == Spelling::kTransformers) return name;
  const bool released = spelling == Spelling::kReleased;
  if (name == "lm_head.weight") return "head.weight";
  const auto layer = layer_of(name);
  if (!layer) return released ? renamed(name, kReleasedRoot) : name;
  const std::string prefix = layer_prefix(*layer);
  const std::string inside = renamed(name.substr(prefix.size()), kInLayer);
  if (released) return renamed(prefix, {{"model.", ""}}) + inside;
  return prefix + renamed(inside, {{"attn.kv_norm.", "attn.norm."}});
}

/// A kind of attention by transformers' name, and what compress_ratios has for it.
struct Kind {
  const char* name;
  int64_t released;  ///< positions to an entry
  const char* rate;  ///< the key that has had another number of them
};
constexpr Kind kKinds[] = {{"sliding_attention", 0, nullptr},
                           {"compressed_sparse_attention", 4, "compress_rate_csa"},
                           {"heavily_compressed_attention", 128, "compress_rate_hca"}};

/// A problem unless the list `key` has an entry for each layer; more are those of layers for
/// multi-token prediction.
bool is_complete(Keys& keys, const char* key, const Json& list, const DecoderConfig& config) {
  const bool complete = list.is_array() && std::ssize(list) >= config.num_hidden_layers;
  if (!complete) {
    keys.problem(key, fmt::format("expected a list of an entry for each of the {} layers",
                                  config.num_hidden_layers));
  }
  return complete;
}

/// Of each layer, by layer_types or compress_ratios.
std::vector<const Kind*> read_kinds(Keys& keys, const DecoderConfig& config) {
  const bool named = keys.find("layer_types");
  const char* key = named ? "layer_types" : "compress_ratios";
  std::vector<const Kind*> kinds(config.num_hidden_layers, &kKinds[0]);
  const Json* list = keys.find(key);
  if (!list) keys.problem(key, "is missing, and layer_types too");
  if (!list || !is_complete(keys, key, *list, config)) return kinds;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const Json& entry = (*list)[i];
    const auto known = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& kind) {
      return named ? entry == kind.name : entry == kind.released;
    });
    if (known == std::end(kKinds)) {
      keys.problem(fmt::format("{}/{}", key, i), "is not supported, got " + shown(entry));
      continue;
    }
    kinds[i] = known;
  }
  return kinds;
}

/// Positions to an entry of one kind's.
int64_t read_rate(Keys& keys, const Kind& kind) {
  constexpr int64_t kMostPositions = 1 << 20;
  if (!kind.rate) return 0;
  if (const auto rate = keys.integer(kind.rate, 1, kMostPositions)) return *rate;
  const Json* rates = keys.find("compress_rates");
  if (!rates) return kind.released;
  Keys below = keys.below(*rates, "compress_rates");
  return below.integer(kind.name, 1, kMostPositions).value_or(kind.released);
}

/// By mlp_layer_types or num_hash_layers.
std::vector<bool> read_hashed(Keys& keys, const DecoderConfig& config) {
  std::vector<bool> hashed(config.num_hidden_layers, false);
  const char* key = "mlp_layer_types";
  const Json* types = keys.find(key);
  if (!types) {
    const int64_t count = keys.required_integer("num_hash_layers", 0, 100000);
    std::fill_n(hashed.begin(), std::min(count, config.num_hidden_layers), true);
  } else if (is_complete(keys, key, *types, config)) {
    for (size_t i = 0; i < hashed.size(); ++i) {
      hashed[i] = (*types)[i] == "hash_moe";
      if (hashed[i] || (*types)[i] == "moe") continue;
      keys.problem(fmt::format("{}/{}", key, i), "must be moe or hash_moe");
    }
  }
  return hashed;
}

/// The numbers of a head that partial_rotary_factor has turned, as transformers rounds them.
int64_t rotated(int64_t head_dim, double share) {
  return static_cast<int64_t>(static_cast<double>(head_dim) * share);
}

/// A problem unless text `key` is absent or `known`.
void check_text(Keys& keys, const char* key, const std::string& known) {
  const auto text = keys.text(key);
  if (text.value_or(known) != known) {
    keys.problem(key, fmt::format("only {} is supported, got \"{}\"", known, *text));
  }
}

/// A problem if the flag `key` is there and not `known`.
void check_flag(Keys& keys, const char* key, bool known) {
  if (keys.flag(key).value_or(known) != known) {
    keys.problem(key, fmt::format("{} is not supported: transformers ignores it", !known));
  }
}

class DeepSeekV4 final : public SparseFamily {
  std::vector<const char*> names() const override { return {"deepseek_v4"}; }
  const char* architecture() const override { return "DeepseekV4ForCausalLM"; }
  bool quantises() const override { return false; }

  const char* needs_weights() const override {
    return "deepseek_v4 needs weights: nothing trains its indexers, so that those from nothing "
           "would choose at random; begin with deepseek_v3";
  }

  /// None that can be cut: the tables of ids name them all.
  RoutedExperts experts(const DecoderConfig&, int64_t) const override { return {}; }

  /// Its layers, "mtp.*", travel: they are of another kind than V3's.
  int64_t multi_token_layers(const DecoderConfig&) const override { return 0; }

  const char* width_key() const override { return "moe_intermediate_size"; }

  void read_heads(Keys& keys, DecoderConfig& config) const override {
    config.num_attention_heads = config.num_key_value_heads =
        keys.required_integer("num_attention_heads", 1, kMaxHeads);
    if (keys.integer("num_key_value_heads", 1, kMaxHeads).value_or(1) != 1) {
      keys.problem("num_key_value_heads", "must be 1: one head is the key and value of all");
    }
    const int64_t width = keys.required_integer("head_dim", 2, 1 << 14);
    const auto share = keys.number("partial_rotary_factor", 0, 1);
    const char* key = "qk_rope_head_dim";
    if (!share && !keys.find(key)) keys.problem(key, "is missing, and partial_rotary_factor too");
    config.head_dim = keys.integer(key, 2, width).value_or(share ? rotated(width, *share) : 2);
    if (share && rotated(width, *share) != config.head_dim) {
      keys.problem("partial_rotary_factor",
                   fmt::format("must be {} {} / head_dim {}", key, config.head_dim, width));
    }
    if (config.head_dim < 2 || config.head_dim % 2 != 0) {
      keys.problem(key, fmt::format("must be even and above 0, got {}", config.head_dim));
      config.head_dim = 2;
    }
  }

  void read_positions(Keys& keys, DecoderConfig& config) const override {
    const auto [rope, place] = rope_object(keys);
    if (rope->contains("main")) {
      config.rope = read_nested(keys, *rope, place, "main", config);
    } else {
      config.rope = read_angles(keys, Json::object(), place, config);
    }
  }

  void read_own(Keys& keys, DecoderConfig& config) const override {
    for (const char* key : {"n_routed_experts", "routed_scaling_factor", "swiglu_limit"}) {
      require(keys, key);
    }
    SparseOptions own = read_experts(keys, config);
    own.experts.router.scoring = nn::Scoring::kSqrtSoftplus;
    own.experts.router.normalise = true;
    own.experts.limit = keys.number("swiglu_limit", 1e-3, 1e6).value_or(1);
    own.experts.shared_hidden = own.experts.hidden;
    if (keys.integer("n_shared_experts", 0, 1000).value_or(1) != 1) {
      keys.problem("n_shared_experts", "must be 1");
    }
    own.empty_shared = false;
    check_text(keys, "scoring_func", "sqrtsoftplus");
    check_text(keys, "topk_method", "noaux_tc");
    check_flag(keys, "norm_topk_prob", true);
    check_flag(keys, "attention_bias", false);
    check_flag(keys, "mlp_bias", false);
    const V4Options options{
        .attention = read_attention(keys, config),
        .hashed = read_hashed(keys, config),
        .streams = {.dim = config.hidden_size,
                    .streams = keys.required_integer("hc_mult", 1, 64),
                    .iterations = keys.required_integer("hc_sinkhorn_iters", 1, 1000),
                    .eps = keys.required_number("hc_eps", 0, 1),
                    .norm_eps = config.rms_norm_eps}};
    own.own = options;
    config.own = own;
  }

  /// The angles of rope_parameters/main or /compress. What is not said there is not said.
  static nn::RotaryOptions read_nested(Keys& keys, const Json& rope, const std::string& place,
                                       const char* name, const DecoderConfig& config) {
    static const Json kNone = Json::object();
    const auto found = rope.find(name);
    const bool there = found != rope.end() && found->is_object();
    Keys inside = keys.below(rope, place);
    if (!there) inside.problem(name, "expected an object");
    const std::string where = place + "/" + name;
    const Json& object = there ? *found : kNone;
    Keys own = keys.below(object, where);
    const auto head_dim = keys.integer("head_dim", 2, 1 << 14).value_or(2);
    const double share = own.number("partial_rotary_factor", 0, 1).value_or(1);
    if (there && rotated(head_dim, share) != config.head_dim) {
      own.problem("partial_rotary_factor",
                  fmt::format("must leave {} numbers of a head, as for others", config.head_dim));
    }
    return read_angles(keys, object, where, config);
  }

  /// The angles of layers with entries.
  static nn::RotaryOptions read_compressed(Keys& keys, const DecoderConfig& config) {
    const auto [rope, place] = rope_object(keys);
    if (rope->contains("main")) return read_nested(keys, *rope, place, "compress", config);
    nn::RotaryOptions options = read_angles(keys, *rope, place, config);
    options.theta = keys.required_number("compress_rope_theta", 1.001, 1e15);
    // DeepSeek's code does not scale cos and sin (transformers' DeepseekV4Config neither).
    if (!options.attention_factor) options.attention_factor = 1;
    return options;
  }

  static std::vector<nn::CompressedAttentionOptions> read_attention(Keys& keys,
                                                                    const DecoderConfig& config) {
    nn::CompressedAttentionOptions plain{
        .hidden_size = config.hidden_size,
        .num_heads = config.num_attention_heads,
        .head_dim = keys.integer("head_dim", 2, 1 << 14).value_or(2),
        .q_rank = keys.required_integer("q_lora_rank", 1, kMaxWidth),
        .o_groups = keys.required_integer("o_groups", 1, kMaxHeads),
        .o_rank = keys.required_integer("o_lora_rank", 1, kMaxWidth),
        .window = keys.required_integer("sliding_window", 1, 1 << 28),
        .norm_eps = config.rms_norm_eps,
        .dropout = config.attention_dropout,
        .rope = config.rope};
    if (plain.num_heads % plain.o_groups != 0) {
      keys.problem("o_groups", fmt::format("must divide num_attention_heads {}, got {}",
                                           plain.num_heads, plain.o_groups));
    }
    const nn::IndexerOptions index{.heads = keys.required_integer("index_n_heads", 1, kMaxHeads),
                                   .width = keys.required_integer("index_head_dim", 1, 1 << 14),
                                   .chosen = keys.required_integer("index_topk", 1, 1 << 30)};
    if (index.width < config.head_dim) {
      keys.problem("index_head_dim", fmt::format("must be at least the {} numbers that are rotated",
                                                 config.head_dim));
    }
    nn::CompressedAttentionOptions compressed = plain;
    compressed.rope = read_compressed(keys, config);
    for (const nn::RotaryOptions& rope : {plain.rope, compressed.rope}) {
      if (rope.type != nn::RopeType::kDynamic) continue;
      keys.problem("rope_parameters", "dynamic is not supported: entries would turn otherwise");
    }
    const int64_t rates[] = {0, read_rate(keys, kKinds[1]), read_rate(keys, kKinds[2])};
    std::vector<nn::CompressedAttentionOptions> layers;
    for (const Kind* kind : read_kinds(keys, config)) {
      nn::CompressedAttentionOptions& layer = layers.emplace_back(kind->rate ? compressed : plain);
      layer.ratio = rates[kind - kKinds];
      if (kind == &kKinds[1]) layer.index = index;
    }
    return layers;
  }

  nn::Mixer mixer(const DecoderConfig& config, const LayerSizes& sizes,
                  const at::TensorOptions& tensor_options) const override {
    if (sizes.heads != config.num_attention_heads) {
      throw Error("deepseek_v4: heads cannot be cut; leave heads out of hone_pruned");
    }
    return nn::CompressedAttention(own_of(config).attention.at(sizes.index), tensor_options);
  }

  nn::FeedForward feed_forward(const DecoderConfig& config, const LayerSizes& sizes,
                               const at::TensorOptions& tensor_options) const override {
    nn::MoeOptions experts = sparse_options(config).experts;
    const bool hashed = own_of(config).hashed.at(sizes.index);
    experts.router.bias = !hashed;
    if (hashed) experts.router.hashed = config.vocab_size;
    experts.fixed = true;
    return nn::Moe(experts, tensor_options);
  }

  nn::HyperConnection connection(const DecoderConfig& config,
                                 const at::TensorOptions& tensor_options) const override {
    return nn::HyperConnection(own_of(config).streams, tensor_options);
  }
  nn::HyperHead head_connection(const DecoderConfig& config,
                                const at::TensorOptions& tensor_options) const override {
    return nn::HyperHead(own_of(config).streams, tensor_options);
  }

  void recognise(DecoderConfig& config, const std::vector<std::string>& names) const override {
    SparseFamily::recognise(config, names);
    const auto any = [&](std::string_view prefix, std::string_view part) {
      return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        return name.starts_with(prefix) && name.find(part) != std::string::npos;
      });
    };
    auto& own = std::any_cast<SparseOptions>(&config.own)->own;
    std::any_cast<V4Options>(&own)->spelling = any("layers.", "")        ? Spelling::kReleased
                                               : any("model.", ".attn.") ? Spelling::kSaved
                                                                         : Spelling::kTransformers;
  }

  std::vector<CheckpointTensor> checkpoint_tensors(const NamedTensors& base,
                                                   const DecoderConfig& config) const override {
    std::vector<CheckpointTensor> tensors = SparseFamily::checkpoint_tensors(base, config);
    for (CheckpointTensor& tensor : tensors) {
      tensor.name = spelled(tensor.name, own_of(config).spelling);
    }
    return tensors;
  }

  /// mtp.0.* and on, of layers for multi-token prediction.
  bool travels(const std::string& name, const DecoderConfig& config) const override {
    constexpr std::string_view kPrefix = "mtp.";
    int64_t layer = 0;
    const char* const end = name.data() + name.size();
    return name.starts_with(kPrefix) &&
           std::from_chars(name.data() + kPrefix.size(), end, layer).ec == std::errc() &&
           layer < sparse_options(config).extra_layers;
  }

  void keep_layers(Json& json, const std::vector<int64_t>& left,
                   const DecoderConfig& config) const override {
    for (const char* key : {"layer_types", "mlp_layer_types", "compress_ratios"}) {
      if (!json.contains(key) || json[key].is_null()) continue;
      Json kept = Json::array();
      for (const int64_t layer : left) kept.push_back(json[key].at(layer));
      json[key] = std::move(kept);
    }
    const V4Options& own = own_of(config);
    if (json.contains("num_hash_layers")) {
      json["num_hash_layers"] = std::count_if(
          left.begin(), left.end(), [&](int64_t layer) -> bool { return own.hashed[layer]; });
    }
    if (json.contains("num_nextn_predict_layers")) json["num_nextn_predict_layers"] = 0;
    // Of other families, and not what they mean here.
    json.erase("intermediate_size");
    json["num_key_value_heads"] = 1;
    json["head_dim"] = own.attention.front().head_dim;
  }
};

}  // namespace

const Family& deepseek_v4() {
  static const DeepSeekV4 family;
  return family;
}

}  // namespace hone::model
