// Encodes and decodes with hone for tests/interop/text_tokenizer.py and scripts/bench/tokenizer.
//
//   tokenizer_tool <tokenizer.json> check          texts on stdin, each as "<bytes>\n<text>"; for
//   each one
//       line "ids|begin:end ...|decoded|decoded without special tokens|ids with special tokens",
//       the decoded texts in hexadecimal
//   tokenizer_tool <tokenizer.json> bench <file> <rounds>   CPU seconds of each encode_ids of the
//   file's lines tokenizer_tool <tokenizer.json> describe       line of vocab_size, special ids,
//   added ids tokenizer_tool <folder> folder <text>          ids of the text with special tokens,
//   as the folder has them tokenizer_tool <tokenizer.json> train <family> <vocab_size> <text file>
//   writes a tokenizer.json
//       trained on the file's lines, with the special tokens <bos> and <eos>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <string>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/text/bpe_trainer.h"
#include "hone/text/tokenizer.h"
#include "hone/text/tokenizer_folder.h"

namespace {

using hone::text::Tokenizer;

std::string hex(const std::string& text) {
  std::string out;
  char two[3];
  for (const char c : text) {
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(c));
    out += two;
  }
  return out;
}

std::string joined(const std::vector<int64_t>& ids) {
  std::string out;
  for (const int64_t id : ids) out += (out.empty() ? "" : " ") + std::to_string(id);
  return out;
}

void check(const Tokenizer& tokenizer) {
  std::string size, out;
  while (std::getline(std::cin, size)) {
    std::string text(std::stoul(size), '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    std::cin.get();
    const auto encoding = tokenizer.encode(text, true);
    std::string spans;
    for (const auto& [begin, end] : encoding.offsets) {
      spans += (spans.empty() ? "" : " ") + std::to_string(begin) + ":" + std::to_string(end);
    }
    const auto ids = tokenizer.encode_ids(text, false);
    if (tokenizer.encode(text, false).ids != ids ||
        tokenizer.encode_ids(text, true) != encoding.ids) {
      throw hone::Error("encode and encode_ids differ on " + text);
    }
    out += joined(ids) + "|" + spans + "|" + hex(tokenizer.decode(ids, false)) + "|" +
           hex(tokenizer.decode(ids, true)) + "|" + joined(encoding.ids) + "\n";
    if (out.size() > 1 << 20) {
      std::cout << out;
      out.clear();
    }
  }
  std::cout << out;
}

void bench(const Tokenizer& tokenizer, const std::string& file, int rounds) {
  const std::string text = hone::read_file(file);
  size_t sum = 0;
  for (int round = 0; round < rounds; ++round) {
    const std::clock_t start = std::clock();
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      sum += tokenizer.encode_ids(std::string_view(text).substr(at, end - at), false).size();
      at = end + 1;
    }
    std::cout << static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC << std::endl;
  }
  std::cerr << sum << " tokens\n";
}

void train(const std::string& out, const std::string& family, int64_t vocab_size,
           const std::string& file) {
  const std::string text = hone::read_file(file);
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  hone::text::BpeTrainerOptions options{.vocab_size = vocab_size,
                                        .special_tokens = {"<bos>", "<eos>"}};
  options.family = hone::enum_from_name<hone::text::TokenizerFamily>(family).value();
  std::ofstream(out) << hone::text::train_bpe(lines, options).dump();
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string mode = argc > 2 ? argv[2] : "";
  if (mode == "train" && argc == 6) {
    train(argv[1], argv[3], std::stoll(argv[4]), argv[5]);
    return 0;
  }
  if (mode == "folder" && argc == 4) {
    const auto folder = hone::text::TokenizerFolder::load(argv[1]);
    std::cout << joined(folder.tokenizer.encode_ids(argv[3], true)) << "\n";
    return 0;
  }
  const Tokenizer tokenizer = Tokenizer::from_file(argc > 1 ? argv[1] : "");
  if (mode == "check") {
    check(tokenizer);
  } else if (mode == "bench" && argc == 5) {
    bench(tokenizer, argv[3], std::stoi(argv[4]));
  } else if (mode == "describe") {
    std::cout << tokenizer.vocab_size() << "|" << joined(tokenizer.special_ids()) << "|"
              << joined(tokenizer.added_ids()) << "\n";
  } else {
    std::cerr << "usage: tokenizer_tool <tokenizer.json> check | bench <file> <rounds> | describe |"
                 " train <family> <vocab_size> <text file>; or <folder> folder <text>\n";
    return 2;
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << "tokenizer_tool: " << error.what() << "\n";
  return 1;
}
