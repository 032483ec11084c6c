#include "hone/run/sharing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/model/decoder.h"
#include "hone/model/sharing/conversion.h"
#include "hone/nn/anatomy.h"

namespace hone::run {

model::LayerGroups sharing_groups(const SharingOptions& options,
                                  const model::DecoderConfig& config) {
  if (!config.sharing.empty()) {
    throw Error(
        "sharing: the model's layers share already (hone_sharing in its config.json); leave the "
        "key out, they go on to");
  }
  std::vector<Problem> problems;
  for (const std::string& text : model::group_problems(options.layers, config.num_hidden_layers)) {
    const size_t colon = text.find(": ");
    problems.push_back({"/sharing/layers/" + text.substr(0, colon), text.substr(colon + 2)});
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
  return options.layers;
}

void Sharing::open(ReadyRun& run) {
  const int64_t before = nn::numel(*run.decoder);
  model::share_weights(run.decoder, sharing_groups(options_, run.decoder->config()),
                       options_.start);
  parameters_ = nn::numel(*run.decoder);
  saved_ = before - parameters_;
  log_info(fmt::format("layers {} share q_proj and k_proj: {} parameters of {} fewer ({:.1f} %)",
                       fmt::join(options_.layers, ", "), saved_, before,
                       100 * static_cast<double>(saved_) / static_cast<double>(before)));
}

void Sharing::report(const EndedRun&, Json& report) {
  report["sharing"] = {
      {"layers", options_.layers}, {"parameters", parameters_}, {"parameters_saved", saved_}};
}

}  // namespace hone::run
