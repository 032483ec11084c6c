/// What an option struct says of its fields beside their defaults; read by the config room.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/core/error.h"

namespace hone {

/// Attribute of a field in visit(): numbers must lie in [min, max].
struct Range {
  double min, max;
};

/// Attribute of a field in visit(): the key must be given.
struct Required {};

/// Collects what a struct's validate() finds; every message is reported, not the first.
class Validation {
 public:
  using IsSet = std::function<bool(const std::string& path)>;

  /// `path` is the JSON pointer of the struct; `is_set` tells whether the user gave a key.
  Validation(std::string path, IsSet is_set, std::vector<Problem>& problems)
      : path_(std::move(path)), is_set_(std::move(is_set)), problems_(problems) {}

  /// Reports `message` for the struct's field `key` ("rank", or "lora/rank" for a nested one; a
  /// map's keys go through pointer_step).
  void problem(std::string_view key, std::string message) {
    problems_.push_back({path_ + "/" + std::string(key), std::move(message)});
  }

  /// Whether the user gave the key, as opposed to its default standing.
  bool is_set(std::string_view key) const { return is_set_(path_ + "/" + std::string(key)); }

  /// Reports `key` if it was given although it has no effect: `why` says when it would.
  void no_effect(std::string_view key, const std::string& why) {
    if (!is_set(key)) return;
    problems_.push_back(
        {path_ + "/" + std::string(key), "has no effect " + why + "; remove it", true});
  }

 private:
  std::string path_;
  IsSet is_set_;
  std::vector<Problem>& problems_;
};

}  // namespace hone
