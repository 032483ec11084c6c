// Small tokenizers for the tests of the text room.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>

#include "hone/core/error.h"
#include "hone/core/random.h"
#include "hone/text/bpe_trainer.h"
#include "hone/text/tokenizer.h"

namespace hone::text {

/// A character model: a b c, ab, abc, space, unknown; merges a+b, ab+c. Parts replaceable.
inline Json small_json() {
  return parse_json(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
      {"id": 6, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
       "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
      "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
      "byte_fallback": false, "ignore_merges": false,
      "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, " ": 5},
      "merges": [["a", "b"], ["ab", "c"]]}})",
                    "small");
}

inline Tokenizer small() { return Tokenizer::from_json(small_json(), "small"); }

/// Trained on `texts` with <bos> 0, <eos> 1.
inline Tokenizer trained(TokenizerFamily family, const std::vector<std::string>& texts,
                         int64_t vocab_size = 300) {
  BpeTrainerOptions options{.vocab_size = vocab_size, .special_tokens = {"<bos>", "<eos>"}};
  options.family = family;
  return Tokenizer::from_json(train_bpe(texts, options), "trained");
}

/// The message of the hone::Error that `act` throws, or "no error".
template <class Act>
std::string error_of(Act&& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// A folder that is gone after the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = std::filesystem::temp_directory_path() / "hone_text_XXXXXX";
    if (!mkdtemp(name.data())) throw Error("no temporary folder");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
  }

 private:
  std::string path_;
};

}  // namespace hone::text
