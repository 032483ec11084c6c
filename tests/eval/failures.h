/// What scores and options of the eval room refuse, as text.
#pragma once
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/field.h"

namespace hone::eval {

/// The text of the error; "" if there is none.
template <class Call>
std::string failure(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// What validate() finds, one "<path>: <message>" a line.
template <class Options>
std::string problems(const Options& options, const std::string& set = "") {
  std::vector<Problem> found;
  Validation validation("", [&](const std::string& path) { return path == set; }, found);
  options.validate(validation);
  std::string text;
  for (const Problem& problem : found) text += problem.path + ": " + problem.message + "\n";
  return text;
}

}  // namespace hone::eval
