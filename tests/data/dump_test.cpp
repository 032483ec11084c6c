#include "hone/data/dump.h"

#include <catch2/catch.hpp>
#include <sstream>

#include "data/support.h"

namespace hone::data {
namespace {

using namespace testing;

/// What Hugging Face code makes of a prompt and a completion: labels beside ids, unshifted.
std::vector<int64_t> hf_labels(const text::Tokenizer& tokenizer, const std::string& prompt,
                               const std::string& completion, int64_t eos) {
  std::vector<int64_t> labels = tokenizer.encode_ids(prompt + completion, true);
  labels.push_back(eos);
  std::fill_n(labels.begin(), tokenizer.encode_ids(prompt, true).size(), -100);
  return labels;
}

TEST_CASE("a dumped row's labels are Hugging Face's") {
  const auto folder = make_folder({{"a", "b"}}, true);
  const Dataset set = load(
      "{\"prompt\": \"ab é\", \"completion\": \" yes ab\"}\n"
      "{\"prompt\": \"\", \"completion\": \"x\"}\n",
      folder);
  std::ostringstream out;
  dump_jsonl(out, set.examples, folder.tokenizer);
  std::istringstream lines(out.str());
  std::string line;
  REQUIRE(std::getline(lines, line));
  const Json row = parse_json(line, "dump");
  CHECK(row["labels"].get<std::vector<int64_t>>() ==
        hf_labels(folder.tokenizer, "ab é", " yes ab", 1));
  CHECK(row["ids"].get<std::vector<int64_t>>() == set.examples[0].ids);
  CHECK(row["pieces"][0] == "<s>");
  CHECK(row["pieces"][1] == "ab");
  CHECK(row["positions"].get<std::vector<int64_t>>().back() == set.examples[0].length() - 1);
  CHECK(row["domain"] == 0);
  for (size_t i = 0; i < row["labels"].size(); ++i) {
    CHECK(row["weights"][i] == (row["labels"][i] == -100 ? 0.0 : 1.0));
  }
  REQUIRE(std::getline(lines, line));
  CHECK(parse_json(line, "dump")["labels"].get<std::vector<int64_t>>() ==
        hf_labels(folder.tokenizer, "", "x", 1));
  CHECK_FALSE(std::getline(lines, line));
}

TEST_CASE("the text dump marks what is trained and lists every token") {
  const auto folder = make_folder();
  const EntityMatcher matcher({"law"}, false);
  const Dataset set =
      load("{\"prompt\": \"a\", \"completion\": \" law.\"}\n{\"text\": \"bc\"}", folder, {},
           {.domain = 1, .entities = &matcher, .entity_multiplier = 2.5F});
  std::ostringstream plain, color;
  dump_text(plain, set.examples, folder.tokenizer, {.documents = 1});
  CHECK(plain.str() ==
        "document 0: 7 tokens, 6 trained, domain 1\n"
        "a[[ ]]{{law}}[[.</s>]]\n"
        "0\t102\t\"a\"\t-100\t0\n"
        "1\t37\t\"Ġ\"\t37\t1\n"
        "2\t113\t\"l\"\t113\t2.5\n"
        "3\t102\t\"a\"\t102\t2.5\n"
        "4\t124\t\"w\"\t124\t2.5\n"
        "5\t51\t\".\"\t51\t1\n"
        "6\t1\t\"</s>\"\t1\t1\n\n");
  dump_text(color, set.examples, folder.tokenizer, {.documents = 0, .color = true});
  CHECK(color.str().find("\x1b[90ma\x1b[0m\x1b[32m \x1b[0m\x1b[33mlaw\x1b[0m") !=
        std::string::npos);
  CHECK(color.str().find("document 1: 3 tokens, 2 trained") != std::string::npos);
}

}  // namespace
}  // namespace hone::data
