// wordnet_tool <folder> <senses>: for each word of standard input a line of JSON,
// {"word", "inflected", "noun", "verb", "adj", "adv"} with its synonyms in each part of speech that
// lists it, for comparison with another reading of the same files.
#include <exception>
#include <iostream>

#include "hone/core/json.h"
#include "hone/data/wordnet.h"

int main(int argc, char** argv) {
  using hone::Json;
  using hone::data::WordNet;
  if (argc != 3) {
    std::cerr << "usage: wordnet_tool <folder> <senses>\n";
    return 2;
  }
  try {
    const WordNet wordnet(argv[1]);
    const char* const names[] = {"noun", "verb", "adj", "adv"};
    for (std::string word; std::getline(std::cin, word);) {
      Json line{{"word", word}, {"inflected", wordnet.is_inflected(word)}};
      for (const WordNet::Part part : wordnet.parts(word)) {
        line[names[static_cast<size_t>(part)]] = wordnet.synonyms(word, part, std::stoll(argv[2]));
      }
      std::cout << line.dump() << "\n";
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
