/// What is held out must not be trained on.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "hone/core/error.h"
#include "hone/data/options.h"

namespace hone::run {

/// That and how a file is trained on: it is a file of `train`, by whatever path, or another of the
/// same content. Nothing if it is not. Throws: IoError for files that cannot be read.
std::optional<std::string> trained_on(const std::string& file,
                                      const std::vector<data::DatasetOptions>& train);

/// Adds a problem at "/<where>/held_out/<i>/files" for every held-out file that is also trained on.
/// Throws: IoError for files that cannot be read.
void check_held_out(const std::vector<data::DatasetOptions>& train,
                    const std::vector<data::DatasetOptions>& held_out, const std::string& where,
                    std::vector<Problem>& problems);

}  // namespace hone::run
