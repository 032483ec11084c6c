/// In which type a model is written.
#pragma once
#include <utility>

#include "hone/core/names.h"

namespace hone::run {

enum class SaveDtype {
  kAuto,  ///< each tensor in the type that it came in; float32 for a model made from nothing
  kFloat32,
  kBFloat16,
  kFloat16
};

/// How a run's models are written. Checkpoints of the run itself keep what it computes with.
struct SaveOptions {
  SaveDtype dtype = SaveDtype::kAuto;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("dtype", self.dtype,
      "Type of the saved weights; auto: that in which the model came, float32 for one from "
      "nothing and for a new adapter.");
  }
};

}  // namespace hone::run

template <>
struct hone::EnumNames<hone::run::SaveDtype> {
  static constexpr std::pair<run::SaveDtype, const char*> values[] = {
      {run::SaveDtype::kAuto, "auto"},
      {run::SaveDtype::kFloat32, "float32"},
      {run::SaveDtype::kBFloat16, "bfloat16"},
      {run::SaveDtype::kFloat16, "float16"}};
};
