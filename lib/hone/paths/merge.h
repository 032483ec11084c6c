/// Working an adapter into its base.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "hone/core/field.h"
#include "hone/run/save_options.h"

namespace hone::paths {

/// The flags of hone-merge.
struct MergeOptions {
  std::string adapter, out;
  std::optional<std::string> base;
  run::SaveDtype dtype = run::SaveDtype::kAuto;
  std::string max_shard_size = "5GB";

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("adapter", self.adapter, "PEFT adapter folder.", Required{});
    v("base", self.base, "Folder of its base, if not the one that it names.");
    v("out", self.out, "Folder that is written.", Required{});
    v("dtype", self.dtype,
      "Type of the weights: auto as the base's came, float32, bfloat16 or float16.");
    v("max_shard_size", self.max_shard_size,
      "Weights beyond this go into several files: a number with KB, MB, GB, KiB, MiB or GiB.");
  }
  void validate(Validation& v) const;
};

/// Writes base and adapter as one checkpoint folder, tokenizer files included, computed in float32
/// and rounded once; equals PEFT's merge_and_unload (tests/e2e/chat_and_merge.py).
/// Returns a closing line for people. Throws: IoError, Error.
std::string merge_adapter(const MergeOptions& options);

/// Bytes of "5GB", "500 MiB" or "1000"; nullopt for anything else.
std::optional<int64_t> parse_bytes(const std::string& text);

}  // namespace hone::paths
