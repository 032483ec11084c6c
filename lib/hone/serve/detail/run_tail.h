/// A run as its folder tells it, followed while it grows.
#pragma once
#include <cstdint>
#include <string>

#include "hone/io/json_tail.h"
#include "hone/view/curves.h"

namespace hone::serve::detail {

class RunTail {
 public:
  explicit RunTail(const std::string& folder);

  /// Reads what is new, at most about two MiB of it; whether anything has changed. A file that
  /// cannot be read is a change of state().
  bool refresh();

  const view::Curves& curves() const { return curves_; }
  /// "running", "ended: done", with what went wrong.
  const std::string& state() const { return state_; }
  bool ended() const { return ended_; }
  /// More can be read at once.
  bool behind() const { return behind_; }
  /// What the run is, for people: "about" of its configuration, or the folder's name.
  std::string title() const;

 private:
  bool read_rows();
  std::string read_state();

  std::string folder_;
  view::Curves curves_;
  io::JsonTail metrics_, decisions_;
  std::string state_;
  bool ended_ = false, behind_ = false;
};

}  // namespace hone::serve::detail
