/// A small WordNet folder for tests.
#pragma once
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace hone::data::testing {

/// Words of a synset; the part is n, v, a (or s) or r.
struct Synset {
  char part;
  std::vector<std::string> words;
};

/// A folder of files that goes when the test ends. A word's senses rank in the synsets' order.
class WordNetFolder {
 public:
  explicit WordNetFolder(const std::vector<Synset>& synsets, std::string path = "wordnet_test")
      : path_(std::move(path)) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
    const std::pair<std::string, std::string> kParts[] = {
        {"noun", "n"}, {"verb", "v"}, {"adj", "as"}, {"adv", "r"}};
    for (const auto& [name, letters] : kParts) {
      std::string data = "  1 the licence, passed over\n", index = data;
      std::map<std::string, std::vector<std::string>> entries;
      for (size_t i = 0; i < synsets.size(); ++i) {
        if (letters.find(synsets[i].part) == std::string::npos) continue;
        char offset[16], count[8];
        std::snprintf(offset, sizeof offset, "%08zu", i + 1);
        std::snprintf(count, sizeof count, "%02zx", synsets[i].words.size());
        data += std::string(offset) + " 00 " + synsets[i].part + " " + count;
        for (const std::string& word : synsets[i].words) {
          data += " " + word + " 0";
          std::string lower = word.substr(0, word.find('('));
          for (char& c : lower) c = static_cast<char>(std::tolower(c));
          entries[lower].push_back(offset);
        }
        data += " 000 | a gloss\n";
      }
      for (const auto& [word, offsets] : entries) {
        const std::string count = std::to_string(offsets.size());
        index += word + " " + letters[0] + " " + count + " 1 @ " + count + " 0";
        for (const std::string& offset : offsets) index += " " + offset;
        index += "  \n";
      }
      write("data." + name, data);
      write("index." + name, index);
      write(name + ".exc", "");
    }
  }
  WordNetFolder(const WordNetFolder&) = delete;
  ~WordNetFolder() { std::filesystem::remove_all(path_); }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ + "/" + name, std::ios::binary) << content;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace hone::data::testing
