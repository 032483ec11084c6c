/// The exceptions of hone. Bad tensors throw c10::Error through TORCH_CHECK_VALUE instead.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hone {

/// Base of every exception that the library throws for bad input other than tensors.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file that is missing, broken or hostile. what() is "<path>: <reason>".
class IoError : public Error {
 public:
  IoError(std::string path, const std::string& reason)
      : Error(path + ": " + reason), path_(std::move(path)) {}
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A bad row of a dataset. what() is "<file>:<line>: <reason>"; lines count from 1.
class DataError : public Error {
 public:
  DataError(const std::string& file, int64_t line, const std::string& reason)
      : Error(file + ":" + std::to_string(line) + ": " + reason) {}
};

/// One thing wrong with a configuration.
struct Problem {
  std::string path;        ///< JSON pointer of the key, e.g. "/train/lr"
  std::string message;     ///< what is wrong and how to mend it
  bool no_effect = false;  ///< wrong only in that the key was given
};

/// All that is wrong with a configuration. what() is one "<path>: <message>" a line.
class ConfigError : public Error {
 public:
  explicit ConfigError(std::vector<Problem> problems);
  const std::vector<Problem>& problems() const { return problems_; }

 private:
  std::vector<Problem> problems_;
};

}  // namespace hone
