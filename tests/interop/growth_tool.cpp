// Grows and trims tokenizers with hone for tests/interop/text_growth.py and text_trimmed.py.
//
//   growth_tool mine <tokenizer.json> <texts> <terms>   JSON list of the texts' best candidates, at
//       most <terms>, as {"text", "count", "pieces", "saved"}; <texts> holds one text a line
//   growth_tool grow <tokenizer.json> <terms.json> <grown.json> <mode> [<first free id>]   writes
//   the
//       grown file; prints {"added": [{"id", "kind", "token", "text", "pieces"}], "unchanged": []}
//   growth_tool trim <tokenizer.json> <texts.json> <trimmed.json>   writes the tokenizer of the
//   tokens
//       that the texts need; prints the old id of each new one
#include <fstream>
#include <iostream>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/json.h"
#include "hone/text/growth.h"
#include "hone/text/trim_vocabulary.h"

namespace {

using hone::Json;
using hone::text::Tokenizer;

void mine(const Tokenizer& tokenizer, const std::string& texts_path, int64_t most) {
  std::vector<std::string> texts;
  std::ifstream file(texts_path);
  for (std::string line; std::getline(file, line);) texts.push_back(line);
  Json list = Json::array();
  for (const auto& term : hone::text::mine_terms(tokenizer, texts, {.max_terms = most})) {
    list.push_back({{"text", term.text},
                    {"count", term.count},
                    {"pieces", term.pieces},
                    {"saved", term.saved}});
  }
  std::cout << list << "\n";
}

void grow(const Tokenizer& tokenizer, const std::string& terms_path, const std::string& grown_path,
          const hone::text::GrowOptions& options) {
  const auto terms = hone::read_json_file(terms_path).get<std::vector<std::string>>();
  const auto result = hone::text::grow(tokenizer, terms, options);
  std::ofstream(grown_path) << result.tokenizer.json().dump();
  Json added = Json::array();
  for (const auto& token : result.added) {
    added.push_back({{"id", token.id},
                     {"kind", static_cast<int>(token.kind)},
                     {"token", token.token},
                     {"text", token.text},
                     {"pieces", token.pieces}});
  }
  std::cout << Json{{"added", added}, {"unchanged", result.unchanged}} << "\n";
}

void trim(const Tokenizer& tokenizer, const std::string& texts_path, const std::string& path) {
  std::vector<int64_t> used;
  for (const Json& text : hone::read_json_file(texts_path)) {
    const auto ids = tokenizer.encode_ids(text.get<std::string>(), false);
    used.insert(used.end(), ids.begin(), ids.end());
  }
  const auto trimmed = hone::text::trim_vocabulary(tokenizer, used);
  std::ofstream(path) << trimmed.tokenizer.json().dump();
  std::cout << Json(trimmed.kept) << "\n";
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string mode = argc > 2 ? argv[1] : "";
  if (mode == "mine" && argc == 5) {
    mine(Tokenizer::from_file(argv[2]), argv[3], std::stoll(argv[4]));
  } else if (mode == "grow" && (argc == 6 || argc == 7)) {
    hone::text::GrowOptions options;
    options.mode = hone::enum_from_name<hone::text::GrowthMode>(argv[5]).value();
    if (argc == 7) options.first_free_id = std::stoll(argv[6]);
    grow(Tokenizer::from_file(argv[2]), argv[3], argv[4], options);
  } else if (mode == "trim" && argc == 5) {
    trim(Tokenizer::from_file(argv[2]), argv[3], argv[4]);
  } else {
    std::cerr << "usage: see the head of growth_tool.cpp\n";
    return 2;
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << "growth_tool: " << error.what() << "\n";
  return 1;
}
