#include "hone/io/quantised_weights.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <cstring>
#include <memory>
#include <set>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/keys.h"
#include "hone/io/quantised_tensors.h"

namespace hone::io {
namespace {

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

}  // namespace

/// One weight on its way into a file: with the checkpoint's codes and scales if it is as it was,
/// else with its own. Which it is shows when the first of them is written.
class QuantisedWeights::Rewritten {
 public:
  Rewritten(const Checkpoint& checkpoint, std::string name, Stored stored, at::Tensor weight)
      : checkpoint_(checkpoint),
        name_(std::move(name)),
        stored_(std::move(stored)),
        weight_(weight.detach()) {}

  at::Tensor scales() {
    if (!scales_.defined()) {
      scales_ = checkpoint_.load(stored_.scales);
      unchanged_ = is_unchanged();
      if (!unchanged_) scales_ = block_scales(weight_, stored_.format, scales_.scalar_type());
    }
    return scales_;
  }

  void codes(const std::function<void(const at::Tensor&)>& write) {
    const at::Tensor own = scales();
    by_rows(weight_.size(0), weight_.size(1), 1, [&](int64_t begin, int64_t end) {
      write(unchanged_ ? checkpoint_.load_rows(name_, begin, end)
                       : encoded(weight_.slice(0, begin, end), own, stored_.format, begin,
                                 checkpoint_.dtype(name_)));
    });
  }

 private:
  /// To the bit, so that NaN equals itself.
  bool is_unchanged() const {
    if (weight_shape(checkpoint_.shape(name_), stored_.format) != weight_.sizes()) return false;
    const at::Tensor factors = scales_.to(at::kFloat);
    bool same = true;
    by_rows(weight_.size(0), weight_.size(1), 1, [&](int64_t begin, int64_t end) {
      if (!same) return;
      const at::Tensor now = weight_.slice(0, begin, end).cpu().contiguous();
      const at::Tensor then =
          decoded(checkpoint_.load_rows(name_, begin, end), factors, stored_.format, begin);
      same = same_bits(then.to(now.scalar_type()), now);
    });
    return same;
  }

  const Checkpoint& checkpoint_;
  const std::string name_;
  const Stored stored_;
  const at::Tensor weight_;
  at::Tensor scales_;
  bool unchanged_ = false;
};

QuantisedWeights::QuantisedWeights(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {
  std::vector<std::string> problems;
  const auto quantisation = read_quantisation(checkpoint.config(), problems);
  if (!problems.empty()) throw IoError(checkpoint.folder() + "/config.json", joined(problems));
  if (!quantisation) return;
  for (const std::string& name : checkpoint.names()) {
    const auto format = block_format(checkpoint.info(name), *quantisation);
    if (!format) continue;
    const auto has = [&](const std::string& scales) { return checkpoint.has(scales); };
    stored_.emplace(name, Stored{*format, scale_name(name, has)});
  }
}

std::vector<std::string> QuantisedWeights::names() const {
  std::set<std::string> scales;
  for (const auto& [name, stored] : stored_) scales.insert(stored.scales);
  std::vector<std::string> names = checkpoint_.names();
  std::erase_if(names, [&](const std::string& name) { return scales.contains(name); });
  return names;
}

std::vector<int64_t> QuantisedWeights::shape(const std::string& name) const {
  const auto found = stored_.find(name);
  const std::vector<int64_t>& shape = checkpoint_.shape(name);
  return found == stored_.end() ? shape : weight_shape(shape, found->second.format);
}

std::optional<std::string> QuantisedWeights::problem(const std::string& name, bool integers) const {
  const TensorInfo& info = checkpoint_.info(name);
  if (integers) {
    if (at::isIntegralType(to_scalar_type(info.dtype), /*includeBool=*/false)) return std::nullopt;
    return fmt::format("tensor {} is {}, but must hold integers", name, dtype_name(info.dtype));
  }
  if (const auto found = stored_.find(name); found != stored_.end()) {
    const auto& [format, scales] = found->second;
    return quantised_problem(info, scales.empty() ? nullptr : &checkpoint_.info(scales), format);
  }
  if (is_weight_dtype(info.dtype)) return std::nullopt;
  return "tensor " + name + " " + not_weights(info.dtype);
}

const BlockFormat* QuantisedWeights::format(const std::string& name) const {
  const auto found = stored_.find(name);
  return found == stored_.end() ? nullptr : &found->second.format;
}

std::string QuantisedWeights::scales(const std::string& name) const {
  const auto found = stored_.find(name);
  return found == stored_.end() ? "" : found->second.scales;
}

void QuantisedWeights::read(const std::string& name, int64_t first_row, at::Tensor out) const {
  if (out.dim() == 0) {
    out.copy_(checkpoint_.load(name));
    return;
  }
  const auto found = stored_.find(name);
  const bool codes = found != stored_.end();
  at::Tensor scales;
  if (codes) scales = checkpoint_.load(found->second.scales).to(at::kFloat);
  const int64_t rows = out.size(0);
  by_rows(rows, rows == 0 ? 0 : out.numel() / rows, 1, [&](int64_t begin, int64_t end) {
    const int64_t from = first_row + begin;
    const at::Tensor part = checkpoint_.load_rows(name, from, first_row + end);
    out.slice(0, begin, end)
        .copy_(codes ? decoded(part, scales, found->second.format, from) : part);
  });
}

std::vector<WrittenTensor> QuantisedWeights::written(
    const NamedTensors& tensors, const TensorTypes& types,
    const std::map<std::string, std::string>& stored_names) const {
  std::vector<WrittenTensor> result;
  for (const auto& [name, tensor] : tensors) {
    const auto other = stored_names.find(name);
    const std::string source = other == stored_names.end() ? name : other->second;
    const auto found = stored_.find(source);
    if (found == stored_.end() || !is_weight_dtype(to_dtype(tensor.scalar_type()))) {
      result.push_back(io::written({{name, tensor}}, types).front());
      continue;
    }
    const auto& [format, scales] = found->second;
    if (format.fp4 && tensor.size(1) % format.columns != 0) {
      throw Error(
          fmt::format("{} has {} columns, which groups of {} do not divide, so that it "
                      "cannot be FP4 as it came; save it in another type (save.dtype)",
                      name, tensor.size(1), format.columns));
    }
    const auto rewritten = std::make_shared<Rewritten>(checkpoint_, source, found->second, tensor);
    std::vector<int64_t> codes = tensor.sizes().vec();
    codes.back() /= format.packed();
    result.push_back({name, checkpoint_.dtype(source), codes,
                      [rewritten](const auto& write) { rewritten->codes(write); }});
    const bool inverse = scales == scale_names(source)[0];
    result.push_back({scale_names(name)[inverse ? 0 : 1], checkpoint_.dtype(scales),
                      scale_shape(tensor.sizes().vec(), format),
                      [rewritten](const auto& write) { write(rewritten->scales()); }});
  }
  return result;
}

}  // namespace hone::io
