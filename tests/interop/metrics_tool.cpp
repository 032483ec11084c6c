// Scores texts with hone for tests/interop/text_metrics.py and scripts/bench/text_metrics.
//
//   metrics_tool [corpus]    on stdin {"hypotheses": [...], "references": [[...], ...], "jobs":
//   [...]}; for
//       each job {"metric": name, "options": {...}} one line of JSON {"corpus", "sentences",
//       "seconds" of CPU}, with "corpus" without the sentences
//
// Metrics: bleu, chrf, ter, rouge, answers; and, of each hypothesis alone, tokens (of a BLEU
// tokenizer), lower (Python's str.lower) and stem.
#include <cstdio>
#include <ctime>
#include <iostream>
#include <iterator>
#include <string>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/json.h"
#include "hone/eval/detail/mt_tokenizer.h"
#include "hone/eval/detail/porter_stemmer.h"
#include "hone/eval/metrics/bleu.h"
#include "hone/eval/metrics/chrf.h"
#include "hone/eval/metrics/exact_match.h"
#include "hone/eval/metrics/rouge.h"
#include "hone/eval/metrics/ter.h"
#include "hone/unicode/python_text.h"

namespace {

using hone::Json;
using namespace hone::eval;

struct ScoredTexts {
  hone::eval::Hypotheses hypotheses;
  hone::eval::References references;
};

Json to_json(const hone::eval::BleuScore& score) {
  return {{"score", score.score},     {"precisions", score.precisions},
          {"counts", score.counts},   {"totals", score.totals},
          {"bp", score.bp},           {"sys_len", score.sys_len},
          {"ref_len", score.ref_len}, {"signature", score.signature}};
}

Json to_json(const hone::eval::ChrfScore& score) {
  return {{"score", score.score}, {"name", score.name}, {"signature", score.signature}};
}

Json to_json(const hone::eval::TerScore& score) {
  return {{"score", score.score},
          {"num_edits", score.num_edits},
          {"ref_length", score.ref_length},
          {"signature", score.signature}};
}

Json to_json(const std::vector<hone::eval::RougeScore>& scores) {
  Json list = Json::array();
  for (const hone::eval::RougeScore& score : scores) {
    list.push_back({score.precision, score.recall, score.fmeasure});
  }
  return list;
}

/// The corpus's score, and each segment's unless only the corpus's is wanted.
template <class Options, class Corpus, class Sentence>
Json score(const ScoredTexts& texts, const Json& options_json, bool corpus_only,
           const Corpus& corpus, const Sentence& sentence) {
  const auto options = hone::config::read_config<Options>(options_json);
  Json result{{"corpus", corpus(texts.hypotheses, texts.references, options)}};
  for (size_t i = 0; i < texts.hypotheses.size() && !corpus_only; ++i) {
    result["sentences"].push_back(sentence(texts.hypotheses[i], texts.references[i], options));
  }
  return result;
}

template <class Each>
Json for_each(const ScoredTexts& texts, const Each& each) {
  Json list = Json::array();
  for (const std::string& text : texts.hypotheses) list.push_back(each(text));
  return {{"sentences", list}};
}

Json run(const ScoredTexts& texts, const std::string& metric, const Json& options,
         bool corpus_only) {
  const auto json = [](const auto& function) {
    return [&function](const auto&... arguments) { return to_json(function(arguments...)); };
  };
  if (metric == "bleu") {
    return score<hone::eval::BleuOptions>(texts, options, corpus_only,
                                          json(hone::eval::corpus_bleu),
                                          json(hone::eval::sentence_bleu));
  }
  if (metric == "chrf") {
    return score<hone::eval::ChrfOptions>(texts, options, corpus_only,
                                          json(hone::eval::corpus_chrf),
                                          json(hone::eval::sentence_chrf));
  }
  if (metric == "ter") {
    return score<hone::eval::TerOptions>(texts, options, corpus_only, json(hone::eval::corpus_ter),
                                         json(hone::eval::sentence_ter));
  }
  if (metric == "rouge") {
    return score<hone::eval::RougeOptions>(texts, options, corpus_only,
                                           json(hone::eval::mean_rouge), json(hone::eval::rouge));
  }
  if (metric == "answers") {
    const auto corpus = [](const auto&... arguments) -> Json {
      const hone::eval::AnswerScore mean = hone::eval::mean_answer_score(arguments...);
      return {mean.exact_match, mean.f1};
    };
    const auto sentence = [](const auto&... arguments) -> Json {
      return {hone::eval::exact_match(arguments...) ? 1 : 0, hone::eval::token_f1(arguments...)};
    };
    return score<hone::eval::AnswerOptions>(texts, options, corpus_only, corpus, sentence);
  }
  if (metric == "tokens") {
    const auto tokenize = hone::config::read_config<hone::eval::BleuOptions>(options).tokenize;
    return for_each(texts, [&](const std::string& text) -> Json {
      const std::string tokens = hone::eval::detail::mt_tokenize(text, tokenize);
      return hone::unicode::py::words(tokens);
    });
  }
  if (metric == "lower") return for_each(texts, hone::unicode::py::lower);
  if (metric == "stem") return for_each(texts, hone::eval::detail::porter_stem);
  throw hone::Error("unknown metric " + metric);
}

}  // namespace

int main(int argc, char** argv) try {
  const bool corpus_only = argc > 1 && argv[1] == std::string("corpus");
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  const Json json = hone::parse_json(input, "stdin");
  const ScoredTexts texts{json.at("hypotheses").get<hone::eval::Hypotheses>(),
                          json.at("references").get<hone::eval::References>()};
  for (const Json& job : json.at("jobs")) {
    const std::clock_t start = std::clock();
    Json result = run(texts, job.at("metric"), job.at("options"), corpus_only);
    result["seconds"] = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    std::puts(result.dump().c_str());
  }
} catch (const std::exception& error) {
  std::cerr << "metrics_tool: " << error.what() << "\n";
  return 1;
}
