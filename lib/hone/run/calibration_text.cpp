#include "hone/run/calibration_text.h"

#include <cstddef>

namespace hone::run {

std::vector<model::DecoderInput> calibration_text(const std::vector<data::DatasetPtr>& sets,
                                                  int64_t tokens, int64_t tokens_per_batch,
                                                  at::Device device) {
  std::vector<model::DecoderInput> text;
  std::vector<std::vector<int64_t>> documents;
  int64_t taken = 0, gathered = 0;
  const auto flush = [&] {
    if (!documents.empty()) text.push_back(model::make_input(documents, device));
    documents.clear();
    gathered = 0;
  };
  for (size_t i = 0, left = sets.size(); left > 0 && taken < tokens; ++i) {
    left = 0;
    for (const data::DatasetPtr& set : sets) {
      if (i >= set->examples.size() || taken >= tokens) continue;
      ++left;
      const data::Example& document = set->examples[i];
      if (gathered + document.length() > tokens_per_batch) flush();
      documents.push_back(document.ids);
      gathered += document.length();
      taken += document.length();
    }
  }
  flush();
  return text;
}

}  // namespace hone::run
