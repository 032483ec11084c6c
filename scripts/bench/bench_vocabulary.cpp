// What growth saves, for scripts/bench/vocabulary.
//
//   bench_vocabulary train <texts> <vocabulary size> <tokenizer.json>
//   bench_vocabulary grow <tokenizer.json> <train texts> <held back texts> <new ids> [<terms
//   shown>]
//       prints {"ids", "terms", "seconds", "train": [before, after], "held_back": [before, after]}
//
// Files hold one text a line. `grow` mines with the options' defaults.
#include <chrono>
#include <fstream>
#include <iostream>

#include "hone/core/json.h"
#include "hone/text/bpe_trainer.h"
#include "hone/text/growth.h"

namespace {

using hone::Json;
using hone::text::Tokenizer;
using Texts = std::vector<std::string>;

Texts lines(const std::string& path) {
  std::ifstream file(path);
  Texts texts;
  for (std::string line; std::getline(file, line);) texts.push_back(line);
  return texts;
}

size_t tokens(const Tokenizer& tokenizer, const Texts& texts) {
  size_t sum = 0;
  for (const std::string& text : texts) sum += tokenizer.encode_ids(text, false).size();
  return sum;
}

void train(const std::string& texts, int64_t size, const std::string& path) {
  std::ofstream(path) << hone::text::train_bpe(lines(texts), {.vocab_size = size}).dump();
}

Json grow(const Tokenizer& tokenizer, const Texts& train, const Texts& held_back, int64_t ids,
          size_t shown) {
  const auto start = std::chrono::steady_clock::now();
  hone::text::MineOptions options{.max_terms = ids};
  const auto limit = [ids](auto& all) {  // the code before 2026-12 had no such limit
    if constexpr (requires { all.max_ids; }) all.max_ids = ids;
  };
  limit(options);
  Texts terms;
  for (const auto& term : hone::text::mine_terms(tokenizer, train, options)) {
    if (terms.size() < shown) {
      std::cerr << "\"" << term.text << "\" " << term.count << " times, " << term.pieces
                << " pieces, saves " << term.saved << "\n";
    }
    terms.push_back(term.text);
  }
  const auto grown = hone::text::grow(tokenizer, terms, {.max_new_tokens = ids});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {{"ids", grown.added.size()},
          {"terms", terms.size() - grown.left_out.size()},
          {"seconds", seconds.count()},
          {"train", {tokens(tokenizer, train), tokens(grown.tokenizer, train)}},
          {"held_back", {tokens(tokenizer, held_back), tokens(grown.tokenizer, held_back)}}};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "train" && argc == 5) {
    train(argv[2], std::stoll(argv[3]), argv[4]);
  } else if (command == "grow" && (argc == 6 || argc == 7)) {
    std::cout << grow(Tokenizer::from_file(argv[2]), lines(argv[3]), lines(argv[4]),
                      std::stoll(argv[5]), argc == 7 ? std::stoull(argv[6]) : 0)
              << "\n";
  } else {
    std::cerr << "usage: see the head of bench_vocabulary.cpp\n";
    return 2;
  }
}
