#pragma once
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace hone::io::test {

/// A folder of its own, gone with the object.
struct TemporaryFolder {
  /// In /dev/shm fsync costs nothing.
  explicit TemporaryFolder(const std::string& parent = "/tmp") {
    std::string name = parent + "/hone-io-test-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path); }

  std::string file(const std::string& name) const { return path + "/" + name; }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
    return file(name);
  }

  std::string path;
};

/// A safetensors file: length, header, data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(uint64_t{header.size()} >> (8 * i));
  return bytes + header + data;
}

}  // namespace hone::io::test
