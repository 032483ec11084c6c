/// A small tokenizer folder, and files that tests write.
#pragma once
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/utf8.h"
#include "hone/data/dataset.h"
#include "hone/text/tokenizer_folder.h"

namespace hone::data::testing {

/// A byte as byte-level vocabularies spell it.
inline std::string byte_token(int byte) {
  int shifted = 256;
  const auto printable = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  for (int b = 0; b < byte; ++b) shifted += !printable(b);
  std::string token;
  append_utf8(token, static_cast<uint32_t>(printable(byte) ? byte : shifted));
  return token;
}

using Merges = std::vector<std::pair<std::string, std::string>>;

/// Byte-level: <s> is 0, </s> 1, <|end|> 2, <|user|> 3, <|bot|> 4, byte b is 5 + b, merges follow.
/// With `bos`, encode(text, true) begins with <s>.
inline text::TokenizerFolder make_folder(const Merges& merges = {}, bool bos = false) {
  const std::vector<std::string> special{"<s>", "</s>", "<|end|>", "<|user|>", "<|bot|>"};
  Json added = Json::array(), vocabulary = Json::object(), pairs = Json::array();
  for (const std::string& token : special) {
    added.push_back({{"id", added.size()},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
    vocabulary[token] = vocabulary.size();
  }
  for (int byte = 0; byte < 256; ++byte) vocabulary[byte_token(byte)] = 5 + byte;
  for (const auto& [left, right] : merges) {
    pairs.push_back({left, right});
    vocabulary[left + right] = vocabulary.size();
  }
  const Json byte_level{{"type", "ByteLevel"},
                        {"add_prefix_space", false},
                        {"trim_offsets", false},
                        {"use_regex", true}};
  Json post = byte_level;
  if (bos) {
    const Json sequence{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    post = {{"type", "TemplateProcessing"},
            {"single", {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, sequence}},
            {"pair", {sequence, sequence}},
            {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {0}}, {"tokens", {"<s>"}}}}}}};
  }
  const Json json{{"version", "1.0"},
                  {"truncation", nullptr},
                  {"padding", nullptr},
                  {"added_tokens", added},
                  {"normalizer", nullptr},
                  {"pre_tokenizer", byte_level},
                  {"post_processor", post},
                  {"decoder", byte_level},
                  {"model",
                   {{"type", "BPE"},
                    {"dropout", nullptr},
                    {"unk_token", nullptr},
                    {"continuing_subword_prefix", nullptr},
                    {"end_of_word_suffix", nullptr},
                    {"fuse_unk", false},
                    {"byte_fallback", false},
                    {"ignore_merges", false},
                    {"vocab", vocabulary},
                    {"merges", pairs}}}};
  text::TokenizerFolder folder{.tokenizer = text::Tokenizer::from_json(
                                   parse_json(json.dump(), "tokenizer.json"), "tokenizer.json")};
  folder.bos_id = 0;
  folder.eos_id = 1;
  folder.bos_token = "<s>";
  folder.eos_token = "</s>";
  folder.add_bos = bos;
  return folder;
}

/// A file in the working folder that goes when the test ends.
class TempFile {
 public:
  TempFile(std::string path, const std::string& content) : path_(std::move(path)) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  TempFile(const TempFile&) = delete;
  ~TempFile() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Loads `content` as a file with the ending, under the options.
inline Dataset load(const std::string& content, const text::TokenizerFolder& folder,
                    DatasetOptions options = {}, const LoadContext& context = {},
                    const std::string& ending = ".jsonl") {
  const TempFile file("data_test_rows" + ending, content);
  options.files = {file.path()};
  return load_dataset(options, folder, context);
}

/// What load() throws, less the path's folder; "" if it throws nothing.
inline std::string failure(const std::string& content, const text::TokenizerFolder& folder,
                           const DatasetOptions& options = {}, const LoadContext& context = {},
                           const std::string& ending = ".jsonl") {
  try {
    load(content, folder, options, context, ending);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// The example's text with its trained tokens in brackets, weighted ones as [text*weight].
inline std::string marked(const Example& example, const text::Tokenizer& tokenizer) {
  std::string result, run;
  std::vector<int64_t> ids;
  float before = 0;
  const auto flush = [&](float weight) {
    if (ids.empty()) return;
    const std::string text = tokenizer.decode(ids, false);
    char mark[32] = "";
    if (before != 0 && before != 1) std::snprintf(mark, sizeof mark, "*%g", double{before});
    result += before == 0 ? text : "[" + text + mark + "]";
    ids.clear();
  };
  for (size_t i = 0; i < example.ids.size(); ++i) {
    const bool trained = i > 0 && example.targets[i - 1] != kIgnoreIndex;
    const float weight = trained ? example.weights[i - 1] : 0;
    if (weight != before) flush(weight);
    before = weight;
    ids.push_back(example.ids[i]);
  }
  flush(0);
  return result;
}

inline std::vector<std::string> marked(const Dataset& set, const text::Tokenizer& tokenizer) {
  std::vector<std::string> all;
  for (const Example& example : set.examples) all.push_back(marked(example, tokenizer));
  return all;
}

}  // namespace hone::data::testing
