#include "hone/text/tokenizer_folder.h"

#include <catch2/catch.hpp>

#include "text/tokenizer_fixture.h"

namespace hone::text {
namespace {

using Ids = std::vector<int64_t>;

/// small_json() with <s> 6, </s> 7.
struct Folder : TemporaryFolder {
  explicit Folder(const std::string& config = "") {
    Json json = small_json();
    json["added_tokens"].push_back(json["added_tokens"][0]);
    json["added_tokens"][1]["id"] = 7;
    json["added_tokens"][1]["content"] = "</s>";
    write("tokenizer.json", json.dump());
    if (!config.empty()) write("tokenizer_config.json", config);
  }
};

TEST_CASE("only tokenizer.json need be there") {
  const Folder folder;
  const TokenizerFolder loaded = TokenizerFolder::load(folder.path());
  CHECK_FALSE(loaded.bos_id);
  CHECK_FALSE(loaded.chat_template);
  CHECK_FALSE(loaded.add_bos);
  CHECK(loaded.tokenizer.encode_ids("ab", true) == Ids{3});
  CHECK_THROWS_AS(TokenizerFolder::load(folder.path() + "/nowhere"), IoError);
}

// To the letter, but for the tokens' names.
TEST_CASE("a folder without a length limit loads as transformers writes it") {
  const Folder folder(R"({
  "add_prefix_space": null,
  "backend": "tokenizers",
  "bos_token": "<s>",
  "clean_up_tokenization_spaces": false,
  "eos_token": "</s>",
  "is_local": false,
  "model_max_length": 1000000000000000019884624838656,
  "tokenizer_class": "TokenizersBackend"
}
)");
  const TokenizerFolder loaded = TokenizerFolder::load(folder.path());
  CHECK(loaded.bos_id == 6);
  CHECK(loaded.eos_id == 7);
  CHECK(loaded.tokenizer.encode_ids("ab", true) == Ids{3});
}

TEST_CASE("what tokenizer_config.json should not hold is named") {
  const auto refused = [](const char* config, const char* problem) {
    const Folder folder(config);
    CHECK_THROWS_WITH(TokenizerFolder::load(folder.path()),
                      Catch::Contains("tokenizer_config.json: ") && Catch::EndsWith(problem));
  };
  refused("[]", "expected object, got a list");
  refused(R"({"eos_token": 3})", "/eos_token: expected string, got 3");
  refused(R"({"eos_token": {"id": 3}})", "/eos_token/content: is missing");
  refused(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": 1})",
          "/add_bos_token: expected true or false, got 1");
  refused(R"({"tokenizer_class": "LlamaTokenizer"})",
          "bos_token is missing or not in the vocabulary");
  refused(R"({"chat_template": 3})", "a list with a template named \"default\"");
}

TEST_CASE("an integer of tokenizer.json beyond 64 bits is refused where it is read") {
  const Folder folder;
  Json json = small_json();
  json["added_tokens"][0]["id"] = 1e30;
  folder.write("tokenizer.json", json.dump());
  CHECK_THROWS_WITH(TokenizerFolder::load(folder.path()),
                    Catch::Contains("added_tokens/0/id") && Catch::Contains("must be in [0, "));
}

TEST_CASE("Llama classes add bos as transformers 4 does") {
  const std::string tokens =
      R"("bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false})";
  const auto load = [&](const std::string& rest) {
    const Folder folder("{" + tokens + rest + "}");
    return TokenizerFolder::load(folder.path());
  };
  const auto plain =
      load(R"(, "tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": true)");
  CHECK(plain.bos_id == 6);
  CHECK(plain.eos_id == 7);
  CHECK_FALSE(plain.pad_id);
  CHECK(plain.tokenizer.encode_ids("ab", true) == Ids{3});
  const auto llama = load(R"(, "tokenizer_class": "LlamaTokenizerFast")");
  CHECK(llama.tokenizer.encode_ids("ab", true) == Ids{6, 3});
  CHECK(llama.tokenizer.encode_ids("ab", false) == Ids{3});
  CHECK(llama.add_bos);
  CHECK_FALSE(llama.add_eos);
  const auto both = load(R"(, "tokenizer_class": "LlamaTokenizer", "add_eos_token": true)");
  CHECK(both.tokenizer.encode_ids("ab", true) == Ids{6, 3, 7});
  CHECK(both.add_eos);
  // What the rewritten JSON says is what the tokenizer does.
  CHECK(Tokenizer::from_json(both.tokenizer.json(), "again").encode_ids("ab", true) ==
        Ids{6, 3, 7});
  const auto none = load(R"(, "tokenizer_class": "LlamaTokenizerFast", "add_bos_token": false)");
  CHECK(none.tokenizer.encode_ids("ab", true) == Ids{3});
  CHECK(none.tokenizer.json()["post_processor"].is_null());
  const Folder missing(R"({"tokenizer_class": "LlamaTokenizerFast"})");
  CHECK(error_of([&] { TokenizerFolder::load(missing.path()); }).find("bos_token is missing") !=
        std::string::npos);
}

TEST_CASE("special_tokens_map.json stands in for tokens the config lacks") {
  const Folder folder(R"({"bos_token": null})");
  folder.write("special_tokens_map.json", R"({"bos_token": "<s>", "pad_token": "<nowhere>"})");
  const auto loaded = TokenizerFolder::load(folder.path());
  CHECK(loaded.bos_token == "<s>");
  CHECK(loaded.bos_id == 6);
  CHECK(loaded.pad_token == "<nowhere>");
  CHECK_FALSE(loaded.pad_id);
}

TEST_CASE("the chat template comes from its file first, then from the config") {
  const Folder folder(
      R"({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  auto loaded = TokenizerFolder::load(folder.path());
  CHECK(loaded.chat_template == "D");
  CHECK(loaded.chat_template_source == folder.path() + "/tokenizer_config.json");
  folder.write("chat_template.jinja", "J");
  loaded = TokenizerFolder::load(folder.path());
  CHECK(loaded.chat_template == "J");
  CHECK(loaded.chat_template_source == folder.path() + "/chat_template.jinja");
}

TEST_CASE("broken side files are named") {
  const auto message = [](const std::string& config) {
    const Folder folder(config);
    return error_of([&] { TokenizerFolder::load(folder.path()); });
  };
  for (const char* config :
       {"[]", "{", R"({"bos_token": 3})", R"({"chat_template": 3})", R"({"chat_template": []})",
        R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": "yes"})"}) {
    CAPTURE(config);
    CHECK(message(config).find("/tokenizer_config.json: ") != std::string::npos);
  }
}

TEST_CASE("a model whose makers give an encoding instead of a template has that") {
  Folder folder;
  folder.write("config.json", R"({"model_type": "deepseek_v32"})");
  TokenizerFolder loaded = TokenizerFolder::load(folder.path());
  REQUIRE(loaded.chat_template);
  CHECK(loaded.chat_template_source == "the encoding of deepseek_v32");
  folder.write("chat_template.jinja", "{{ messages }}");
  loaded = TokenizerFolder::load(folder.path());
  CHECK(loaded.chat_template == "{{ messages }}");
}

TEST_CASE("variables of the template are those that it reads") {
  Folder folder(R"({"bos_token": "<s>"})");
  TokenizerFolder loaded = TokenizerFolder::load(folder.path());
  CHECK_THROWS_WITH(loaded.set_chat_template_kwargs({{"thinking", true}}),
                    Catch::EndsWith("comes without a chat template"));
  loaded.set_chat_template_kwargs(Json::object());
  folder.write("chat_template.jinja", "{% if thinking %}{{ messages[0].rethinking2 }}{% endif %}");
  loaded = TokenizerFolder::load(folder.path());
  CHECK_THROWS_WITH(loaded.set_chat_template_kwargs({{"think", true}}),
                    Catch::EndsWith("chat_template.jinja reads no variable \"think\""));
  CHECK_THROWS_AS(loaded.set_chat_template_kwargs({{"", true}}), Error);
  CHECK_THROWS_AS(loaded.set_chat_template_kwargs(Json::array({1})), Error);
  loaded.set_chat_template_kwargs({{"thinking", true}});
  CHECK(loaded.chat_variables() == Json{{"bos_token", "<s>"}, {"thinking", true}});
}

}  // namespace
}  // namespace hone::text
