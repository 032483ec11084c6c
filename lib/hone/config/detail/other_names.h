/// What an unknown key was probably meant to be.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hone::config::detail {

/// A hint for a key of an object that has the keys `known`, "" if there is none. `all` are the
/// whole document's keys ("train.lr", "data.train[].files"). Told are the names by which the
/// trainers of Hugging Face, LLaMA-Factory, axolotl and torchtune call what hone has, letters that
/// changed places, keys that stand at another level, and those of hone's other executables.
std::string hint(std::string_view key, const std::vector<std::string>& known,
                 const std::vector<std::string>& all);

}  // namespace hone::config::detail
