/// A folder of the test's own, removed with everything in it at the end.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace hone {

struct TemporaryFolder {
  std::string path = (std::filesystem::temp_directory_path() / "hone-test-XXXXXX").string();
  TemporaryFolder() {
    if (!mkdtemp(path.data())) throw std::runtime_error("cannot make " + path);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

}  // namespace hone
