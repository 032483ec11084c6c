#include "hone/paths/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

#include "hone/core/log.h"
#include "hone/data/entities.h"
#include "hone/paths/domain_data.h"

namespace hone::paths {
namespace {

bool is_mined(const DomainConfig& config, const std::string& domain) {
  const std::vector<std::string>& chosen = config.vocabulary.domains;
  if (chosen.empty()) return config.weights.domains.contains(domain);
  return std::find(chosen.begin(), chosen.end(), domain) != chosen.end();
}

std::vector<std::string> mined_terms(const DomainConfig& config, const text::Tokenizer& tokenizer) {
  std::vector<data::DatasetOptions> sets = config.data.train_sets();
  std::erase_if(sets, [&](const auto& set) { return !is_mined(config, set.domain); });
  const std::vector<std::string> texts = read_texts(sets);
  const VocabularyOptions& options = config.vocabulary;
  std::vector<std::string> terms;
  for (const text::TermCandidate& candidate : text::mine_terms(tokenizer, texts,
                                                               {.max_terms = options.new_tokens,
                                                               .min_pieces = options.min_pieces,
                                                               .min_count = options.min_count})) {
    terms.push_back(candidate.text);
  }
  if (terms.empty()) {
    throw Error("vocabulary: no term of the domains' text takes min_pieces = " +
                std::to_string(options.min_pieces) + " tokens and occurs min_count = " +
                std::to_string(options.min_count) + " times; lower them or set new_tokens to 0");
  }
  return terms;
}

}  // namespace

text::GrowthResult grow_vocabulary(const DomainConfig& config, const text::Tokenizer& tokenizer) {
  const VocabularyOptions& options = config.vocabulary;
  const std::vector<std::string> terms =
      options.terms_file ? text::with_spaced_forms(tokenizer, data::read_terms(*options.terms_file))
                         : mined_terms(config, tokenizer);
  text::GrowthResult result = text::grow(tokenizer, terms, {.max_new_tokens = options.new_tokens});
  if (!result.left_out.empty()) {
    log_info(fmt::format("vocabulary: {} of {} terms do not fit into {} new tokens",
                         result.left_out.size(), terms.size(), options.new_tokens));
  }
  return result;
}

}  // namespace hone::paths
