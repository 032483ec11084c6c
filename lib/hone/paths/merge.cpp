#include "hone/paths/merge.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "hone/core/error.h"
#include "hone/io/atomic.h"
#include "hone/io/checkpoint.h"
#include "hone/model/adapter.h"
#include "hone/model/checkpoint.h"
#include "hone/run/model_folder.h"
#include "hone/run/saving.h"

namespace hone::paths {

std::optional<int64_t> parse_bytes(const std::string& text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || !(number > 0)) return std::nullopt;
  std::string_view unit(rest, static_cast<size_t>(end - rest));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},      {"B", 1},        {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
      {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  for (const auto& [name, factor] : kUnits) {
    const double bytes = number * factor;
    if (name == unit && bytes >= 1 && bytes < 0x1p62) return static_cast<int64_t>(bytes);
  }
  return std::nullopt;
}

void MergeOptions::validate(Validation& v) const {
  if (!parse_bytes(max_shard_size)) {
    v.problem("max_shard_size",
              "expected a size such as 5GB or 500MiB, got \"" + max_shard_size + "\"");
  }
}

std::string merge_adapter(const MergeOptions& options) {
  const run::ModelFolders folders = run::ModelFolders::find(options.adapter, options.base);
  if (!folders.adapter) {
    throw IoError(options.adapter, std::string("is no adapter: it has no ") + io::kAdapterConfig);
  }
  const bool as_numbers = options.dtype != run::SaveDtype::kAuto;
  io::AtomicFolder folder(options.out, io::AtomicFolder::Existing::kReplace);
  run::OpenModel open = run::open_model(folders, at::kCPU, at::kFloat, {.as_numbers = as_numbers});
  if (open.decoder->config().quantised) {
    throw Error(folders.model +
                " holds integers, which no adapter can be merged into: give --dtype, the type of "
                "the numbers to write in their place, or use base and adapter as they are");
  }
  model::merge_lora(open.decoder);
  run::Base base;
  base.decoder = open.decoder;
  base.types = std::move(open.types);
  base.quantised = std::move(open.quantised);
  io::CheckpointOptions written = run::save_options(base, options.dtype);
  written.max_shard_bytes = *parse_bytes(options.max_shard_size);
  written.source_folder = folders.model;
  // The adapter's tokenizer, where it has one, before the base's.
  io::copy_companion_files(*folders.adapter, folder.path());
  model::write_decoder(folder.path(), open.decoder, open.config, written);
  folder.commit();
  return fmt::format("{} with {} is in {} ({})", folders.model, options.adapter, options.out,
                     run::types_text(open.decoder->hf_tensors(), written));
}

}  // namespace hone::paths
