#include "hone/run/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "hone/core/log.h"
#include "hone/data/entities.h"
#include "hone/io/atomic.h"
#include "hone/run/data.h"

namespace hone::run {
namespace {

constexpr const char* kTermsFile = "/vocabulary.json";
constexpr int64_t kMostTerms = 1'000'000;  // without new_terms, new_tokens bounds them
constexpr int64_t kLongestTerm = 32;       // ids that hardly a term needs more of

bool is_mined(const Config& config, const std::string& domain) {
  const std::vector<std::string>& chosen = config.vocabulary.domains;
  if (!chosen.empty()) return std::find(chosen.begin(), chosen.end(), domain) != chosen.end();
  const auto weight = config.weights.domains.find(domain);
  return weight != config.weights.domains.end() && weight->second > 0;
}

std::optional<int64_t> limit(int64_t most) { return most > 0 ? std::optional(most) : std::nullopt; }

/// "3 tokens (2 inside text without spaces) and occurs 5 times".
std::string conditions(const VocabularyOptions& options) {
  const std::string pieces =
      options.min_pieces ? fmt::format("min_pieces = {} tokens", *options.min_pieces)
                         : fmt::format("{} tokens, {} inside text without spaces (min_pieces),",
                                       text::kMinWordPieces, text::kMinRunPieces);
  return fmt::format("{} and occurs min_count = {} times", pieces, options.min_count);
}

std::vector<std::string> mined_terms(const Config& config, const text::Tokenizer& tokenizer) {
  std::vector<data::DatasetOptions> sets = config.data.train_sets();
  std::erase_if(sets, [&](const auto& set) { return !is_mined(config, set.domain); });
  if (sets.empty()) {
    throw Error(
        "vocabulary: no training set belongs to a domain that is mined for terms: name "
        "domains of data.train in vocabulary.domains, or give them a weight");
  }
  const std::vector<std::string> texts = read_texts(sets);
  const VocabularyOptions& options = config.vocabulary;
  std::vector<std::string> terms;
  int64_t ids = 0;
  for (const text::TermCandidate& candidate :
       text::mine_terms(tokenizer, texts,
                        {.max_terms = limit(options.new_terms).value_or(kMostTerms),
                         .max_ids = limit(options.new_tokens),
                         .min_pieces = options.min_pieces,
                         .min_count = options.min_count,
                         .mode = options.mode})) {
    terms.push_back(candidate.text);
    ids += candidate.ids;
  }
  if (terms.empty()) {
    throw Error(
        fmt::format("vocabulary: of {} texts of the domains no term takes {}; lower them or "
                    "set new_tokens and new_terms to 0",
                    texts.size(), conditions(options)));
  }
  // A last term may need more ids than are left; anything less means that the text has no more.
  const bool ids_left = options.new_tokens == 0 || ids + kLongestTerm < options.new_tokens;
  const bool terms_left = options.new_terms == 0 || std::ssize(terms) < options.new_terms;
  if (ids_left && terms_left) {
    log_info(
        fmt::format("vocabulary: {} terms need {} ids, fewer than the recipe allows: no other "
                    "term of the domains' text takes {}",
                    terms.size(), ids, conditions(options)));
  }
  return terms;
}

std::vector<std::string> chosen_terms(const Config& config, const text::Tokenizer& tokenizer) {
  const auto& file = config.vocabulary.terms_file;
  return file ? text::with_spaced_forms(tokenizer, data::read_terms(*file))
              : mined_terms(config, tokenizer);
}

}  // namespace

std::string describe(const text::GrowthResult& growth) {
  const auto ids = std::ssize(growth.added);
  return fmt::format("{} terms became tokens: {} new ids, {} of them of intermediate merges",
                     growth.terms(), ids, ids - growth.terms());
}

text::GrowthResult grow_vocabulary(const Config& config, const text::Tokenizer& tokenizer,
                                   const std::optional<std::string>& run_folder) {
  const VocabularyOptions& options = config.vocabulary;
  std::vector<std::string> terms;
  const std::string file = run_folder.value_or("") + kTermsFile;
  const std::string saved = run_folder.value_or("") + "/tokenizer/tokenizer.json";
  if (run_folder && std::filesystem::exists(file)) {
    terms = read_json_file(file).at("terms").get<std::vector<std::string>>();
  } else if (run_folder && std::filesystem::exists(saved)) {
    text::GrowthResult grown = text::growth_between(tokenizer, text::Tokenizer::from_file(saved));
    log_info("vocabulary: " + describe(grown) + "; they are the run's own, from its tokenizer");
    return grown;
  } else {
    terms = chosen_terms(config, tokenizer);
    if (run_folder) io::replace_file_atomically(file, Json{{"terms", terms}}.dump(1) + "\n");
  }
  text::GrowthResult result = text::grow(tokenizer, terms,
                                         {.mode = options.mode,
                                          .max_new_tokens = limit(options.new_tokens),
                                          .max_terms = limit(options.new_terms)});
  log_info("vocabulary: " + describe(result));
  if (!result.left_out.empty()) {
    log_info(
        fmt::format("vocabulary: {} of {} terms are left out, as new_tokens or new_terms has "
                    "no room for them",
                    result.left_out.size(), terms.size()));
  }
  return result;
}

}  // namespace hone::run
