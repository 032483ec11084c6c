// Broken and hostile tokenizer.json files: each is one clear IoError, and takes bounded time.
#include <catch2/catch.hpp>
#include <chrono>

#include "hone/text/tokenizer.h"
#include "text/tokenizer_fixture.h"

namespace hone::text {
namespace {

struct Broken {
  const char* pointer;  ///< what is replaced in small_json()
  const char* value;    ///< by what; "" takes the key away
  const char* reason;   ///< part of the message
};

const Broken kBroken[] = {
    {"/version", R"("2.0")", "/version: must be \"1.0\""},
    {"/version", "7", "/version: expected string, got 7"},
    {"/surprise", "1", "/surprise: unknown key"},
    {"/model", "", "/model: is missing"},
    {"/model", "[]", "/model: expected object, got a list"},
    {"/model/type", R"("WordPiece")", "unknown model \"WordPiece\""},
    {"/model/type", R"("Unigram")", "unknown model \"Unigram\""},
    {"/model/type", "3", "/model/type: expected string, got 3"},
    {"/model/dropout", "0.1", "/model/dropout: is not supported"},
    {"/model/continuing_subword_prefix", R"("##")",
     "/model/continuing_subword_prefix: is not supported"},
    {"/model/end_of_word_suffix", R"("</w>")", "/model/end_of_word_suffix: is not supported"},
    {"/model/fuse_unk", R"("yes")", "/model/fuse_unk: expected true or false"},
    {"/model/byte_fallback", "1", "/model/byte_fallback: expected true or false"},
    {"/model/unk_token", "5", "/model/unk_token: expected string"},
    {"/model/surprise", "null", "/model/surprise: unknown key"},
    {"/model/vocab", "", "/model/vocab: is missing"},
    {"/model/vocab", "[]", "/model/vocab: expected object"},
    {"/model/vocab/a", "-1", "token \"a\" must have an integer id in [0, 10000000), got -1"},
    {"/model/vocab/a", "1.5", "token \"a\" must have an integer id"},
    {"/model/vocab/a", "9223372036854775807", "token \"a\" must have an integer id"},
    {"/model/vocab/a", "18446744073709551615", "token \"a\" must have an integer id"},
    {"/model/vocab/a", "10000000", "token \"a\" must have an integer id"},
    {"/model/vocab/a", R"("0")", "token \"a\" must have an integer id"},
    {"/model/vocab/a", "1", "tokens \"a\" and \"b\" both have id 1"},
    {"/model/merges", "", "/model/merges: is missing"},
    {"/model/merges", "{}", "/model/merges: expected list"},
    {"/model/merges/0", R"("ab")",
     "/model/merges/0: expected two tokens with one space between, got \"ab\""},
    {"/model/merges/0", R"("a b c")", "/model/merges/0: expected two tokens"},
    {"/model/merges/0", R"(["a"])", "/model/merges/0: expected \"left right\" or [left, right]"},
    {"/model/merges/0", R"(["a", 1])", "/model/merges/0: expected \"left right\" or [left, right]"},
    {"/model/merges/0", "17", "/model/merges/0: expected \"left right\" or [left, right]"},
    {"/model/merges/1", R"(["x", "a"])", "/model/merges/1: token \"x\" is not in the vocabulary"},
    {"/model/merges/1", R"(["a", "x"])", "/model/merges/1: token \"x\" is not in the vocabulary"},
    {"/model/merges/1", R"(["b", "c"])", "/model/merges/1: token \"bc\" is not in the vocabulary"},
    {"/added_tokens", "{}", "/added_tokens: expected list"},
    {"/added_tokens/0", "3", "/added_tokens/0: expected object, got 3"},
    {"/added_tokens/0/id", "9",
     "/added_tokens/0/id: \"<s>\" has id 9, but by counting on from the vocabulary it is 6"},
    {"/added_tokens/0/id", "-1", "/added_tokens/0/id: must be in [0, 2147483647], got -1"},
    {"/added_tokens/0/id", "99999999999", "/added_tokens/0/id: must be in ["},
    {"/added_tokens/0/id", "", "/added_tokens/0/id: is missing"},
    {"/added_tokens/0/content", R"("")", "/added_tokens/0/content: is empty"},
    {"/added_tokens/0/content", R"("ab")", "\"ab\" has id 6, but the vocabulary gives it 3"},
    {"/added_tokens/0/special", "", "/added_tokens/0/special: is missing"},
    {"/added_tokens/0/lstrip", "0", "/added_tokens/0/lstrip: expected true or false, got 0"},
    {"/added_tokens/0/surprise", "true", "/added_tokens/0/surprise: unknown key"},
    {"/added_tokens/1",
     R"({"id": 7, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})",
     "/added_tokens/1: \"<s>\" is listed twice"},
    {"/normalizer", R"({"type": "Nmt"})", "/normalizer: unknown normalizer \"Nmt\""},
    {"/normalizer", R"({"type": "BertNormalizer", "clean_text": true})",
     "unknown normalizer \"BertNormalizer\""},
    {"/normalizer", R"({})", "/normalizer: unknown normalizer \"\""},
    {"/normalizer", R"("NFC")", "/normalizer: expected object, got \"NFC\""},
    {"/normalizer", R"({"type": "NFC", "form": 1})", "/normalizer/form: unknown key"},
    {"/normalizer", R"({"type": "Sequence"})", "/normalizer/normalizers: is missing"},
    {"/normalizer",
     R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Precompiled"}]})",
     "/normalizer/normalizers/1: unknown normalizer \"Precompiled\""},
    {"/normalizer",
     R"({"type": "Replace", "pattern": {"String": "a", "Regex": "b"}, "content": ""})",
     "/normalizer/pattern: expected one of {\"String\": ...} and {\"Regex\": ...}"},
    {"/normalizer", R"({"type": "Replace", "pattern": {"Regex": "("}, "content": ""})",
     "pattern \"(\" does not compile"},
    {"/normalizer", R"({"type": "Replace", "pattern": {"Regex": "a"}})",
     "/normalizer/content: is missing"},
    {"/normalizer", R"({"type": "Strip", "strip_left": true})",
     "/normalizer/strip_right: is missing"},
    {"/normalizer", R"({"type": "Prepend"})", "/normalizer/prepend: is missing"},
    {"/pre_tokenizer", R"({"type": "BertPreTokenizer"})",
     "/pre_tokenizer: unknown pre-tokenizer \"BertPreTokenizer\""},
    {"/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "Punctuation"}]})",
     "/pre_tokenizer/pretokenizers/0: unknown pre-tokenizer \"Punctuation\""},
    {"/pre_tokenizer",
     R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Sometimes", "invert": false})",
     "/pre_tokenizer/behavior: unknown value \"Sometimes\"; known are Removed, Isolated"},
    {"/pre_tokenizer",
     R"({"type": "Split", "pattern": "a", "behavior": "Isolated", "invert": false})",
     "/pre_tokenizer/pattern: expected object"},
    {"/pre_tokenizer",
     R"j({"type": "Split", "pattern": {"Regex": "(?<n>a)"}, "behavior": "Isolated", "invert": false})j",
     "uses a group (?<, which hone does not know"},
    {"/pre_tokenizer",
     R"({"type": "Split", "pattern": {"Regex": "(a)\\1"}, "behavior": "Isolated", "invert": false})",
     "uses \\1, which hone does not know"},
    {"/pre_tokenizer",
     R"({"type": "Split", "pattern": {"Regex": "[b-a]"}, "behavior": "Isolated", "invert": false})",
     "has a range that runs backwards"},
    {"/pre_tokenizer",
     R"({"type": "Split", "pattern": {"Regex": "\\p{Nope}"}, "behavior": "Isolated", "invert": false})",
     "does not compile"},
    {"/pre_tokenizer",
     R"({"type": "Split", "pattern": {"Regex": "[a"}, "behavior": "Isolated", "invert": false})",
     "ends too early"},
    {"/pre_tokenizer", R"({"type": "Digits"})", "/pre_tokenizer/individual_digits: is missing"},
    {"/pre_tokenizer", R"({"type": "ByteLevel", "add_prefix_space": 1, "trim_offsets": true})",
     "/pre_tokenizer/add_prefix_space: expected true or false"},
    {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "__"})",
     "/pre_tokenizer/replacement: expected one character, got \"__\""},
    {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})",
     "unknown value \"last\""},
    {"/pre_tokenizer",
     R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "add_prefix_space": false})",
     "prepend_scheme must be \"never\""},
    {"/post_processor", R"({"type": "RobertaProcessing"})",
     "/post_processor: unknown post-processor \"RobertaProcessing\""},
    {"/post_processor", R"({"type": "BertProcessing"})",
     "unknown post-processor \"BertProcessing\""},
    {"/post_processor", R"({"type": "ByteLevel"})", "/post_processor/add_prefix_space: is missing"},
    {"/post_processor",
     R"({"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}})",
     "/post_processor/single: must hold Sequence A once"},
    {"/post_processor",
     R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B", "type_id": 0}}], "pair": [], "special_tokens": {}})",
     "expected \"A\", got \"B\""},
    {"/post_processor",
     R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}], "pair": [], "special_tokens": {}})",
     "\"x\" is not in special_tokens"},
    {"/post_processor",
     R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}], "pair": [],
         "special_tokens": {"x": {"id": "x", "ids": [77], "tokens": ["x"]}}})",
     "/post_processor/special_tokens/x/ids: there is no token with id 77"},
    {"/post_processor",
     R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}], "pair": [],
         "special_tokens": {"x": {"id": "x", "ids": [1], "tokens": []}}})",
     "must be as many as ids"},
    {"/post_processor",
     R"({"type": "TemplateProcessing", "single": [{}], "pair": [], "special_tokens": {}})",
     "expected one of SpecialToken and Sequence"},
    {"/decoder", R"({"type": "WordPiece"})", "/decoder: unknown decoder \"WordPiece\""},
    {"/decoder", R"({"type": "CTC"})", "unknown decoder \"CTC\""},
    {"/decoder", R"({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "BPEDecoder"}]})",
     "/decoder/decoders/1: unknown decoder \"BPEDecoder\""},
    {"/decoder", R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})",
     "/decoder/start: must be in ["},
    {"/decoder", R"({"type": "Strip", "content": "", "start": 0, "stop": 0})",
     "/decoder/content: expected one character"},
    {"/decoder", R"({"type": "Replace", "pattern": {"String": "a"}})",
     "/decoder/content: is missing"},
    {"/decoder", R"({"type": "Fuse", "glue": ""})", "/decoder/glue: unknown key"},
};

Json with(const Broken& broken) {
  Json json = small_json();
  const Json::json_pointer pointer(broken.pointer);
  if (*broken.value == '\0') {
    json[pointer.parent_pointer()].erase(pointer.back());
  } else {
    json[pointer] = parse_json(broken.value, "value");
  }
  return json;
}

TEST_CASE("each broken tokenizer.json is one IoError that names the place") {
  for (const Broken& broken : kBroken) {
    CAPTURE(broken.pointer, broken.value);
    std::string message = "no error";
    try {
      Tokenizer::from_json(with(broken), "dir/tokenizer.json");
    } catch (const IoError& error) {
      message = error.what();
      CHECK(error.path() == "dir/tokenizer.json");
    }
    CHECK(message.find("dir/tokenizer.json: ") == 0);
    CHECK_THAT(message, Catch::Contains(broken.reason));
  }
}

TEST_CASE("a file cut off anywhere is an IoError") {
  const std::string text = small_json().dump();
  TemporaryFolder folder;
  size_t errors = 0;
  for (size_t size = 0; size < text.size(); size += 7) {
    folder.write("tokenizer.json", text.substr(0, size));
    try {
      Tokenizer::from_file(folder.path() + "/tokenizer.json");
      FAIL("accepted " << size << " bytes");
    } catch (const IoError&) {
      ++errors;
    }
  }
  CHECK(errors == (text.size() + 6) / 7);
  CHECK_THROWS_AS(Tokenizer::from_file(folder.path() + "/nowhere.json"), IoError);
}

TEST_CASE("bombs are refused before memory is spent") {
  TemporaryFolder folder;
  const std::string path = folder.path() + "/tokenizer.json";
  const auto message = [&](const std::string& text) {
    folder.write("tokenizer.json", text);
    return error_of([&] { Tokenizer::from_file(path); });
  };
  CHECK_THAT(message(std::string(1'000'000, '[')), Catch::Contains("nested deeper than 64"));
  CHECK_THAT(message(R"({"model": 1, "model": 2})"), Catch::Contains("duplicate key"));
  CHECK_THAT(message("{\"a\": \"\xff\"}"), Catch::Contains("UTF-8"));
  Json json = small_json();
  Json steps = Json::array();
  for (int i = 0; i < 100; ++i) steps.push_back({{"type", "Fuse"}});
  json["decoder"] = {{"type", "Sequence"}, {"decoders", steps}};
  CHECK_THAT(error_of([&] { Tokenizer::from_json(json, "s"); }),
             Catch::Contains("more than 64 steps"));
  steps = Json::array();
  for (int i = 0; i < 100; ++i) steps.push_back({{"type", "Prepend"}, {"prepend", "a"}});
  json = small_json();
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  CHECK_THAT(error_of([&] { Tokenizer::from_json(json, "s"); }),
             Catch::Contains("more than 64 steps"));
}

TEST_CASE("a catastrophic pattern is stopped by its limits") {
  Json json = small_json();
  json["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "(a+)+$"}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  const Tokenizer tokenizer = Tokenizer::from_json(json, "s");
  const auto start = std::chrono::steady_clock::now();
  const std::string message =
      error_of([&] { tokenizer.encode_ids(std::string(40, 'a') + "b", false); });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  CHECK_THAT(message, Catch::Contains("ran over its limit on 41 bytes"));
  CHECK(taken.count() < 60);  // unbounded it would take hours
}

}  // namespace
}  // namespace hone::text
