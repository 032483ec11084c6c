#include "hone/run/tokenizer.h"

#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/io/atomic.h"
#include "recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;
namespace fs = std::filesystem;

TEST_CASE("A new tokenizer is trained on the training text, with DeepSeek's special tokens") {
  const test::RecipeFolder folder;
  const RunTokenizer made = make_tokenizer(folder.config({{"tokenizer", {{"vocab_size", 310}}}}));
  CHECK(made.source_folder == "");
  CHECK_FALSE(made.grown);
  const text::TokenizerFolder& text = made.text;
  CHECK(text.tokenizer.vocab_size() <= 310);
  CHECK(text.bos_token == "<｜begin▁of▁sentence｜>");
  CHECK(text.eos_token == "<｜end▁of▁sentence｜>");
  CHECK(text.pad_token == "<｜▁pad▁｜>");
  CHECK(text.bos_id == text.tokenizer.token_to_id("<｜begin▁of▁sentence｜>"));
  CHECK(text.eos_id == text.tokenizer.token_to_id("<｜end▁of▁sentence｜>"));
  CHECK(text.pad_id == text.tokenizer.token_to_id("<｜▁pad▁｜>"));
  CHECK(text.bos_id);
  CHECK(text.tokenizer.encode_ids(" court", false).size() == 1);  // the text's own word
  CHECK(text.tokenizer.encode_ids(" giraffe", false).size() > 1);
}

TEST_CASE("The model's tokenizer comes first, then the recipe's folder") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base");
  const RunTokenizer of_model = make_tokenizer(folder.config_of(model));
  CHECK(of_model.source_folder == model);
  const RunTokenizer of_folder =
      make_tokenizer(folder.config({{"tokenizer", {{"folder", model}, {"vocab_size", nullptr}}}}));
  CHECK(of_folder.source_folder == model);
  CHECK(of_folder.text.tokenizer.json() == of_model.text.tokenizer.json());
  CHECK_THROWS_AS(make_tokenizer(folder.config_of(folder.file("nothing/here"))), IoError);
}

TEST_CASE("A new tokenizer is written as a folder that loads alike") {
  const test::RecipeFolder folder;
  const RunTokenizer made = make_tokenizer(folder.config());
  write_tokenizer(made, folder.file("out"));
  CHECK_FALSE(io::verify_manifest(folder.file("out")));
  const auto read = text::TokenizerFolder::load(folder.file("out"));
  CHECK(read.tokenizer.json() == made.text.tokenizer.json());
  CHECK(read.bos_id == made.text.bos_id);
  CHECK(read.eos_token == made.text.eos_token);
  CHECK(read.pad_id == made.text.pad_id);
}

TEST_CASE("A folder's tokenizer keeps its files; a grown one leaves out those that contradict it") {
  const test::RecipeFolder folder;
  const std::string model = folder.model("base");
  folder.write("base/merges.txt", "#version\n");
  folder.write("base/vocab.json", "{}");
  folder.write("base/generation_config.json", R"({"max_new_tokens": 3})");
  RunTokenizer tokenizer = make_tokenizer(folder.config_of(model));
  write_tokenizer(tokenizer, folder.file("as_it_was"));
  CHECK(read_file(folder.file("as_it_was/tokenizer.json")) == read_file(model + "/tokenizer.json"));
  CHECK(fs::exists(folder.file("as_it_was/merges.txt")));
  CHECK(fs::exists(folder.file("as_it_was/vocab.json")));
  CHECK(fs::exists(folder.file("as_it_was/generation_config.json")));

  tokenizer.grown = true;
  write_tokenizer(tokenizer, folder.file("grown"));
  CHECK(fs::exists(folder.file("grown/tokenizer.json")));
  CHECK(fs::exists(folder.file("grown/generation_config.json")));
  CHECK_FALSE(fs::exists(folder.file("grown/merges.txt")));
  CHECK_FALSE(fs::exists(folder.file("grown/vocab.json")));
  CHECK_FALSE(io::verify_manifest(folder.file("grown")));
  CHECK_NOTHROW(write_tokenizer(tokenizer, folder.file("grown")));  // a resumed run does it again
}
