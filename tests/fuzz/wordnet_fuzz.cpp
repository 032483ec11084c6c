// The input's first byte picks the file that the rest stands for: index, data or exceptions of one
// part of speech, beside small good ones. Read as a folder, then asked for every word of the input.
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "../data/wordnet_fixture.h"
#include "hone/core/error.h"
#include "hone/data/detail/synonyms.h"

namespace {

using namespace hone;
using namespace hone::data;

const std::vector<testing::Synset> kSynsets = {{'n', {"road", "route"}},
                                               {'v', {"go", "travel"}},
                                               {'a', {"happy", "glad(p)"}},
                                               {'s', {"happy", "lucky"}},
                                               {'r', {"quickly", "rapidly"}}};
const char* const kParts[] = {"noun", "verb", "adj", "adv"};

std::string name_of(uint8_t pick) {
  const std::string part = kParts[pick & 3];
  switch (pick >> 2 & 3) {
    case 0:
      return part + ".exc";
    case 1:
      return "index." + part;
    default:
      return "data." + part;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const testing::WordNetFolder folder(kSynsets, std::filesystem::temp_directory_path() /
                                                    ("wordnet_fuzz." + std::to_string(getpid())));
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  folder.write(name_of(data[0]), text);
  try {
    const WordNet wordnet(folder.path());
    std::istringstream words(text);
    for (std::string word; words >> word;) {
      for (const WordNet::Part part : wordnet.parts(word)) {
        // A word is never its own synonym, and none comes twice.
        const auto others = wordnet.synonyms(word, part, 100);
        for (size_t i = 0; i < others.size(); ++i) {
          if (others[i] == word) __builtin_trap();
          for (size_t j = 0; j < i; ++j) {
            if (others[i] == others[j]) __builtin_trap();
          }
        }
      }
      for (const std::string& other : detail::replacements(wordnet, word, 2)) {
        if (other.size() < 3) __builtin_trap();
      }
    }
  } catch (const IoError&) {
  }
  return 0;
}
