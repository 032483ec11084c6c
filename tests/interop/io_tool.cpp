// Reads and writes files for the Python scripts io_*.py beside this one.
#include <torch/types.h>

#include <iostream>

#include "hone/core/error.h"
#include "hone/io/checkpoint.h"
#include "hone/io/metrics.h"

namespace hone::io {
namespace {

/// Reads a safetensors file and writes it again.
void copy(const std::string& from, const std::string& to) {
  const Safetensors file(from);
  NamedTensors tensors;
  for (const TensorInfo& info : file.tensors()) {
    tensors.emplace_back(info.name, read_tensor(file, info.name));
  }
  write_safetensors(to, tensors, file.metadata());
}

/// Reads a checkpoint folder and writes it again in shards of at most `max_shard_bytes`.
void copy_checkpoint(const std::string& from, const std::string& to, int64_t max_shard_bytes) {
  const Checkpoint checkpoint = Checkpoint::open(from);
  NamedTensors tensors;
  for (const std::string& name : checkpoint.names()) {
    tensors.emplace_back(name, checkpoint.load(name));
  }
  save_checkpoint(to, checkpoint.config(), tensors,
                  {.max_shard_bytes = max_shard_bytes, .source_folder = from});
}

/// Writes the rows of a JSON list into a folder's metrics; a number n among them stands for a run
/// that begins anew from step n.
void write_metrics(const std::string& rows, const std::string& folder) {
  auto metrics = std::make_unique<MetricsWriter>(folder);
  for (const Json& row : read_json_file(rows)) {
    if (row.is_object()) {
      metrics->write(row);
    } else {
      metrics = std::make_unique<MetricsWriter>(folder);
      metrics->rewind(row.get<int64_t>());
    }
  }
}

}  // namespace
}  // namespace hone::io

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  try {
    if (args.size() == 3 && args[0] == "copy") {
      hone::io::copy(args[1], args[2]);
    } else if (args.size() == 4 && args[0] == "checkpoint") {
      hone::io::copy_checkpoint(args[1], args[2], std::stoll(args[3]));
    } else if (args.size() == 3 && args[0] == "metrics") {
      hone::io::write_metrics(args[1], args[2]);
    } else {
      std::cerr << "usage: io_tool copy FROM TO | checkpoint FROM TO BYTES | metrics ROWS FOLDER\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
