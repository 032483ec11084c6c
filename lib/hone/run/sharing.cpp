#include "hone/run/sharing.h"

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/io/run_folder.h"
#include "hone/model/decoder.h"
#include "hone/model/sharing/choice.h"
#include "hone/model/sharing/conversion.h"
#include "hone/nn/anatomy.h"
#include "hone/run/calibration_text.h"
#include "hone/run/config.h"
#include "hone/run/data.h"
#include "hone/run/decoder_step.h"
#include "hone/train/progress.h"

namespace hone::run {

model::LayerGroups sharing_groups(const SharingOptions& options,
                                  const model::DecoderConfig& config) {
  if (!config.sharing.empty()) {
    throw Error(
        "sharing: the model's layers share already (hone_sharing in its config.json); leave the "
        "key out, they go on to");
  }
  const int64_t layers = config.num_hidden_layers;
  std::vector<Problem> problems;
  for (const std::string& text : model::group_problems(options.layers, layers)) {
    const size_t colon = text.find(": ");
    problems.push_back({"/sharing/layers/" + text.substr(0, colon), text.substr(colon + 2)});
  }
  if (options.pairs > model::most_pairs(layers)) {
    problems.push_back(
        {"/sharing/pairs", fmt::format("of {} layers, at most {} pairs can be chosen, got {}",
                                       layers, model::most_pairs(layers), options.pairs)});
  }
  if (!problems.empty()) throw ConfigError(std::move(problems));
  model::LayerGroups groups = options.layers;
  for (int64_t pair = 0; pair < options.pairs; ++pair) {
    const int64_t first = model::kFirstShared + 2 * pair;
    groups.push_back({first, first + 1});
  }
  return groups;
}

void Sharing::choose(ReadyRun& run) {
  report_["layers"] = options_.layers;
  if (!options_.layers.empty()) return;
  const auto measured = model::pair_divergences(
      run.decoder,
      calibration_text(run.data.held_out.empty() ? run.data.train : run.data.held_out,
                       options_.calibration_tokens, run.config.data.tokens_per_batch,
                       run.decoder->device()),
      options_.start);
  for (const auto& [first, divergence] : measured) {
    log_info(fmt::format("layers {} and {} sharing: divergence {:.4g} nats a token", first,
                         first + 1, divergence));
    report_["divergences"].push_back({{"layers", {first, first + 1}}, {"divergence", divergence}});
  }
  report_["layers"] = model::choose_pairs(measured, options_.pairs);
}

void Sharing::open(ReadyRun& run) {
  sharing_groups(options_, run.decoder->config());  // throws
  const std::string file = run.folder.file(kSharingFile);
  const bool goes_on = run.folder.resumed() && std::filesystem::exists(file);
  goes_on ? void(report_ = read_json_file(file)) : choose(run);
  const int64_t before = nn::numel(*run.decoder);
  const auto groups = report_.at("layers").get<model::LayerGroups>();
  model::share_weights(run.decoder, groups, options_.start);
  if (goes_on) return;
  const int64_t after = nn::numel(*run.decoder);
  report_["parameters"] = after;
  report_["parameters_saved"] = before - after;
  log_info(fmt::format("layers {} share q_proj and k_proj: {} parameters fewer of {} ({:.1f} %)",
                       report_.at("layers").dump(), before - after, before,
                       100 * static_cast<double>(before - after) / static_cast<double>(before)));
  measure_start(run);
  run.folder.write_json(kSharingFile, report_);
}

void Sharing::measure_start(ReadyRun& run) {
  const auto sets =
      evaluation_sets(run.data.held_out, run.data.held_out, run.config.data.tokens_per_batch);
  if (sets.empty()) return;
  const train::Evaluation scores{
      0, train::evaluate(sets, [&](const data::Batch& batch) { return run.step.nll(batch); })};
  log_info("sharing, untrained: " + train::describe(scores));
  report_["perplexity"] = train::perplexities(scores.scores);
}

void Sharing::report(const EndedRun&, Json& report) { report["sharing"] = report_; }

}  // namespace hone::run
