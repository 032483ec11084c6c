#include "hone/run/tokenizer.h"

#include <filesystem>

#include "hone/core/log.h"
#include "hone/io/atomic.h"
#include "hone/io/checkpoint.h"
#include "hone/run/data.h"
#include "hone/run/hub_cache.h"
#include "hone/text/bpe_trainer.h"

namespace hone::run {
namespace {

constexpr const char* kBos = "<｜begin▁of▁sentence｜>";
constexpr const char* kEos = "<｜end▁of▁sentence｜>";
constexpr const char* kPad = "<｜▁pad▁｜>";

RunTokenizer train_tokenizer(const Config& config, const TokenizerOptions& options) {
  const std::vector<std::string> texts = read_texts(config.data.train_sets());
  Json json = text::train_bpe(texts, {.vocab_size = options.vocab_size,
                                      .family = options.family,
                                      .special_tokens = {kBos, kEos, kPad}});
  text::TokenizerFolder folder{text::Tokenizer::from_json(std::move(json), "trained tokenizer")};
  folder.bos_token = kBos;
  folder.eos_token = kEos;
  folder.pad_token = kPad;
  folder.bos_id = folder.tokenizer.token_to_id(kBos);
  folder.eos_id = folder.tokenizer.token_to_id(kEos);
  folder.pad_id = folder.tokenizer.token_to_id(kPad);
  log_info("trained a tokenizer of " + std::to_string(folder.tokenizer.vocab_size()) +
           " entries on " + std::to_string(texts.size()) + " texts");
  return {std::move(folder), ""};
}

RunTokenizer read_or_train(const Config& config) {
  const TokenizerOptions options = config.tokenizer.value_or(TokenizerOptions{});
  const std::optional<std::string> name = config.model ? config.model : options.folder;
  if (name) {
    const std::string folder = model_folder(*name);
    RunTokenizer tokenizer{text::TokenizerFolder::load(folder), folder};
    if (tokenizer.text.rewritten) {
      log_info(folder + ": texts " + (tokenizer.text.add_bos ? "begin" : "do not begin") +
               " with bos, as transformers 4 reads add_bos_token; transformers 5 takes "
               "tokenizer.json as it is");
    }
    return tokenizer;
  }
  return train_tokenizer(config, options);
}

}  // namespace

RunTokenizer make_tokenizer(const Config& config) {
  RunTokenizer tokenizer = read_or_train(config);
  tokenizer.text.set_chat_template_kwargs(config.data.chat_template_kwargs);
  return tokenizer;
}

void write_tokenizer(const RunTokenizer& tokenizer, const std::string& path) {
  io::AtomicFolder folder(path, io::AtomicFolder::Existing::kReplace);
  const text::TokenizerFolder& text = tokenizer.text;
  if (tokenizer.grown || tokenizer.source_folder.empty()) {
    io::replace_file_atomically(folder.path() + "/tokenizer.json", text.tokenizer.json().dump());
  }
  if (tokenizer.source_folder.empty()) {
    const Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                         {"bos_token", text.bos_token},
                         {"eos_token", text.eos_token},
                         {"pad_token", text.pad_token},
                         {"clean_up_tokenization_spaces", false}};
    io::replace_file_atomically(folder.path() + "/tokenizer_config.json", config.dump(2));
  } else {
    io::copy_companion_files(tokenizer.source_folder, folder.path());
  }
  if (tokenizer.grown) {
    for (const char* stale : {"vocab.json", "merges.txt", "tokenizer.model"}) {
      std::filesystem::remove(folder.path() + "/" + stale);
    }
  }
  folder.commit();
}

}  // namespace hone::run
