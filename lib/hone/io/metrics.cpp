#include "hone/io/metrics.h"

#include <cmath>

#include "hone/io/run_folder.h"

namespace hone::io {
namespace {

std::vector<std::pair<std::string, float>> scalars_of(const Json& row) {
  std::vector<std::pair<std::string, float>> scalars;
  const auto add = [&scalars](const std::string& tag, const Json& value) {
    if (!value.is_number()) return;
    const auto number = value.get<double>();
    if (std::isfinite(number)) scalars.emplace_back(tag, static_cast<float>(number));
  };
  for (const auto& [key, value] : row.items()) {
    if (key == "step") continue;
    add(key, value);
    if (value.is_object()) {
      for (const auto& [name, inner] : value.items()) add(key + "/" + name, inner);
    }
    if (key != "evaluation" || !value.is_array()) continue;
    for (const Json& set : value) {
      if (set.is_object() && set.contains("name") && set.contains("perplexity")) {
        add("perplexity/" + set["name"].get<std::string>(), set["perplexity"]);
      }
    }
  }
  return scalars;
}

}  // namespace

MetricsWriter::MetricsWriter(const std::string& folder)
    : folder_(folder), lines_(folder + "/" + kMetricsFile) {}

EventWriter& MetricsWriter::events() {
  if (!events_) events_ = std::make_unique<EventWriter>(folder_);
  return *events_;
}

void MetricsWriter::write(const Json& row) {
  lines_.write(row);
  const auto step = row_step(row);
  if (!step) return;
  const auto scalars = scalars_of(row);
  if (!scalars.empty()) events().scalars(*step, scalars);
}

void MetricsWriter::rewind(int64_t step) {
  if (lines_.rewind(step)) events().restart(step + 1);
}

}  // namespace hone::io
