/// How a recipe lets a model learn from a teacher.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "hone/core/field.h"
#include "hone/core/names.h"
#include "hone/kernels/divergence.h"
#include "hone/loss/hidden_distance.h"

namespace hone::run {

/// The teacher that is the run's own base, its adapter off.
inline constexpr const char* kOwnBase = "base";

/// Distances between outputs of blocks, beside those of the rows.
struct HiddenOptions {
  double weight = 0;
  loss::HiddenDistance distance = loss::HiddenDistance::kCosine;
  int64_t last = 0;
  std::optional<double> until;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("weight", self.weight,
      "Weight of the mean distance between mapped blocks' outputs, added to the loss; 0: none.",
      Range{0, 1e6});
    v("distance", self.distance,
      "cosine, 1 - cos, whatever the outputs' size; mse, the mean of squared differences.");
    v("last", self.last, "Compares the student's last so many blocks; 0 all.", Range{0, 1000});
    v("until", self.until,
      "Share of the steps after which the weight, falling evenly, is 0; absent: it stays.",
      Range{0.001, 1});
  }
  void validate(Validation& v) const;

  bool on() const { return weight > 0; }
};

/// Batches that the student writes.
struct OnPolicyOptions {
  double share = 0;
  int64_t min_prompt = 8;
  int64_t max_new_tokens = 64;
  double temperature = 1;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("share", self.share,
      "Share of the batches that the student writes itself, after the beginnings of their "
      "documents, and learns from the teacher alone; 0: none.",
      Range{0, 1});
    v("min_prompt", self.min_prompt,
      "Tokens of a document that it is given at least; all that stand before its first target in "
      "any case.",
      Range{1, 1e6});
    v("max_new_tokens", self.max_new_tokens,
      "Most that it writes behind one; as far as the document went, at most.", Range{1, 1e6});
    v("temperature", self.temperature, "Divides its logits before it draws a token.",
      Range{0.01, 100});
  }
  void validate(Validation& v) const;

  bool on() const { return share > 0; }
};

/// The recipe's `distillation`.
struct DistillationOptions {
  std::optional<std::string> teacher;
  std::optional<std::string> cache;
  int64_t top_k = 32;
  double share = 0.5;
  kernels::Divergence divergence = kernels::Divergence::kForwardKl;
  double beta = 0.5;
  double temperature = 1;
  bool temperature_squared = true;
  HiddenOptions hidden;
  OnPolicyOptions on_policy;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("teacher", self.teacher,
      "Folder of the teacher: a checkpoint, an adapter or a run of hone, of the same tokenizer; or "
      "base, with tuning lora: the run's own model with its adapter off (a folder of that name is "
      "./base).");
    v("cache", self.cache,
      "Folder in which hone-domain has cached a teacher over the same text, instead of the "
      "teacher.");
    v("top_k", self.top_k, "Likeliest tokens of a target that go into a cache.", Range{1, 1000000});
    v("share", self.share,
      "Share of the divergence from the teacher in the loss; the rest is the text's own.",
      Range{0, 1});
    v("divergence", self.divergence,
      "Of the model's q from the teacher's p: forward_kl, sum p ln(p/q), covers all that the "
      "teacher knows; reverse_kl, sum q ln(q/p), keeps to what it is sure of; jsd lies between.");
    v("beta", self.beta, "Weight of p in the mixture of jsd.", Range{1e-3, 0.999});
    v("temperature", self.temperature, "Divides the logits of both.", Range{0.01, 100});
    v("temperature_squared", self.temperature_squared,
      "Multiplies the divergence by temperature^2, which keeps its gradient's size.");
    v("hidden", self.hidden, "Layers that become like the teacher's.");
    v("on_policy", self.on_policy, "Text of the student's own that the teacher judges.");
  }
  void validate(Validation& v) const;

  bool own_base() const { return teacher == kOwnBase; }
  kernels::DivergenceOptions loss() const {
    return {divergence, beta, temperature, temperature_squared};
  }
};

}  // namespace hone::run

template <>
struct hone::EnumNames<hone::kernels::Divergence> {
  static constexpr std::pair<kernels::Divergence, const char*> values[] = {
      {kernels::Divergence::kForwardKl, "forward_kl"},
      {kernels::Divergence::kReverseKl, "reverse_kl"},
      {kernels::Divergence::kJsd, "jsd"}};
};
template <>
struct hone::EnumNames<hone::loss::HiddenDistance> {
  static constexpr std::pair<loss::HiddenDistance, const char*> values[] = {
      {loss::HiddenDistance::kCosine, "cosine"}, {loss::HiddenDistance::kMse, "mse"}};
};
