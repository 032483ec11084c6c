#include "hone/data/evaluation_rows.h"

#include <catch2/catch.hpp>

#include "data/support.h"

namespace hone::data {
namespace {

using testing::TempFile;

std::vector<GenerationRow> generation(const std::string& content) {
  const TempFile file("evaluation_rows_test.jsonl", content);
  return read_generation_rows(file.path());
}

std::vector<ChoiceRow> choices(const std::string& content) {
  const TempFile file("evaluation_rows_test.jsonl", content);
  return read_choice_rows(file.path());
}

/// What the reader throws, less the file's name; "" if it throws nothing.
template <class Read>
std::string failure(const Read& read, const std::string& content) {
  try {
    read(content);
  } catch (const Error& error) {
    return std::string(error.what()).substr(std::string("evaluation_rows_test.jsonl").size());
  }
  return "";
}

TEST_CASE("Generation rows: prompts, conversations and the three ways to give an answer") {
  const auto rows = generation(
      R"({"prompt": "Q: 1+1\nA:", "references": ["2", "two"], "id": 7}

{"prompt": "a", "completion": " b"}
{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "reference": "r"}
{"prompt": [{"role": "user", "content": "q"}], "references": ["x"], "tools": [{"name": "f"}]}
{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "held out"}]}
)");
  REQUIRE(rows.size() == 5);
  CHECK(rows[0].prompt == "Q: 1+1\nA:");
  CHECK(rows[0].messages.is_null());
  CHECK(rows[0].references == std::vector<std::string>{"2", "two"});
  CHECK(rows[0].line == 1);
  CHECK(rows[1].references == std::vector<std::string>{" b"});
  CHECK(rows[1].line == 3);
  CHECK(rows[2].prompt.empty());
  CHECK(rows[2].messages.dump() ==
        R"([{"role":"system","content":"s"},{"role":"user","content":"q"}])");
  CHECK(rows[2].tools.is_null());
  CHECK(rows[2].references == std::vector<std::string>{"r"});
  CHECK(rows[3].tools.dump() == R"([{"type":"function","function":{"name":"f"}}])");
  CHECK(rows[4].messages.dump() == R"([{"role":"user","content":"q"}])");
  CHECK(rows[4].references == std::vector<std::string>{"held out"});
}

TEST_CASE("Choice rows: the answer as an index or a letter") {
  const auto rows = choices(R"({"question": "q", "choices": ["x", "y", "z"], "answer": 2}
{"prompt": "p", "choices": ["x", "y"], "answer": "B", "subject": "law"}
{"prompt": "p", "choices": ["x", "y"], "answer": "a"}
{"prompt": "p", "choices": ["A", "B"], "answer": "B"})");
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].prompt == "q");
  CHECK(rows[0].choices == std::vector<std::string>{"x", "y", "z"});
  CHECK(rows[0].answer == 2);
  CHECK(rows[1].answer == 1);
  CHECK(rows[2].answer == 0);
  CHECK(rows[3].answer == 1);
  CHECK(rows[3].line == 4);
}

TEST_CASE("A JSON array serves as well as lines") {
  const TempFile file("evaluation_rows_test.json",
                      "[{\"prompt\": \"a\", \"reference\": \"b\"},\n {\"prompt\": \"c\", "
                      "\"reference\": \"d\"}]");
  const auto rows = read_generation_rows(file.path());
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].line == 2);
}

TEST_CASE("Bad generation rows name their file and line, and what is wrong") {
  const std::pair<const char*, const char*> table[] = {
      {"{", "not valid JSON: "},
      {"[1]", "expected an object, got array"},
      {R"({"prompt": "a", "prompt": "b", "reference": "r"})",
       "not valid JSON: /prompt: duplicate key"},
      {R"({"reference": "r"})", "has neither \"prompt\" nor \"messages\""},
      {R"({"prompt": "a", "messages": [], "reference": "r"})",
       "has both \"prompt\" and \"messages\"; keep one of them"},
      {R"({"prompt": "", "reference": "r"})", "\"prompt\" is empty"},
      {R"({"prompt": 3, "reference": "r"})", "\"prompt\" must be a string, got number"},
      {R"({"prompt": "a"})",
       "has no answer: expected \"references\", \"reference\" or \"completion\""},
      {R"({"prompt": "a", "reference": "r", "references": ["r"]})",
       "has both \"references\" and \"reference\"; keep one of them"},
      {R"({"prompt": "a", "reference": null})", "\"reference\" must be a string, got null"},
      {R"({"prompt": "a", "completion": ""})", "\"completion\" is empty"},
      {R"({"prompt": "a", "references": "r"})",
       "\"references\" must be a list of strings that is not empty"},
      {R"({"prompt": "a", "references": []})",
       "\"references\" must be a list of strings that is not empty"},
      {R"({"prompt": "a", "references": ["r", 1]})",
       "\"references\"[1] must be a string, got number"},
      {R"({"prompt": "a", "references": ["r", ""]})", "\"references\"[1] is empty"},
      {R"({"prompt": "a", "reference": "r", "tools": []})",
       "\"tools\" need a conversation, not a prompt of text"},
      {R"({"messages": "hi", "reference": "r"})", "messages must be a list that is not empty"},
      {R"({"messages": [], "reference": "r"})", "messages must be a list that is not empty"},
      {R"({"messages": [{"role": "robot", "content": "q"}], "reference": "r"})",
       "message 1: unknown role \"robot\""},
      {R"({"messages": [{"role": "user", "content": "q"}]})",
       "the conversation must end with the assistant, not user"},
      {R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
          "reference": "r"})",
       "not valid JSON: "},  // a row is one line
      {R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "reference": "r"})",
       "message 3: role assistant cannot follow assistant"},
      {R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "", "reasoning_content": "hm"}]})",
       "the last message has no content to judge an answer by"},
  };
  for (const auto& [row, reason] : table) {
    INFO(row);
    CHECK_THAT(
        failure(generation, "{\"prompt\": \"a\", \"reference\": \"b\"}\n" + std::string(row)),
        Catch::StartsWith(std::string(":2: ") + reason));
  }
}

TEST_CASE("Bad choice rows name their file and line, and what is wrong") {
  const std::string answer =
      "\"answer\" must be an index from 0 to 1 or a letter from A to B, got ";
  const std::pair<const char*, std::string> table[] = {
      {R"({"choices": ["x", "y"], "answer": 0})", "has neither \"prompt\" nor \"question\""},
      {R"({"prompt": "p", "question": "q", "choices": ["x", "y"], "answer": 0})",
       "has both \"prompt\" and \"question\"; keep one of them"},
      {R"({"prompt": ["p"], "choices": ["x", "y"], "answer": 0})",
       "\"prompt\" must be a string, got array"},
      {R"({"prompt": "p", "answer": 0})", "\"choices\" is missing"},
      {R"({"prompt": "p", "choices": {"text": ["x"]}, "answer": 0})",
       "\"choices\" must be a list of strings that is not empty"},
      {R"({"prompt": "p", "choices": ["x"], "answer": 0})",
       "\"choices\" must hold 2 to 26 choices, got 1"},
      {R"({"prompt": "p", "choices": ["x", ""], "answer": 0})", "\"choices\"[1] is empty"},
      {R"({"prompt": "p", "choices": ["x", "x"], "answer": 0})",
       "\"choices\" holds the same choice twice"},
      {R"({"prompt": "p", "choices": ["x", "y"]})", "\"answer\" is missing"},
      {R"({"prompt": "p", "choices": ["x", "y"], "answer": 2})", answer + "2"},
      {R"({"prompt": "p", "choices": ["x", "y"], "answer": -1})", answer + "-1"},
      {R"({"prompt": "p", "choices": ["x", "y"], "answer": 0.5})", answer + "0.5"},
      {R"({"prompt": "p", "choices": ["x", "y"], "answer": true})", answer + "true"},
      {R"({"prompt": "p", "choices": ["x", "y"], "answer": "C"})", answer + "\"C\""},
      {R"({"prompt": "p", "choices": ["x", "y"], "answer": "1"})", answer + "\"1\""},
      {R"({"prompt": "p", "choices": ["x", "y"], "answer": "["})", answer + "\"[\""},
      {R"({"prompt": "p", "choices": ["x", "y"], "answer": "y"})", answer + "\"y\""},
      {R"({"prompt": "p", "choices": ["B", "A"], "answer": "A"})",
       "\"answer\" \"A\" is a choice's text and another's letter; give an index"},
  };
  for (const auto& [row, reason] : table) {
    INFO(row);
    CHECK(failure(choices, "\n" + std::string(row)) == ":2: " + reason);
  }
}

TEST_CASE("Files of evaluation rows are refused as a whole where they must be") {
  const auto message = [](const std::string& path, const EvaluationLimits& limits = {}) {
    try {
      read_choice_rows(path, limits);
    } catch (const IoError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message("nowhere.jsonl") == "nowhere.jsonl: cannot open: No such file or directory");
  const TempFile text("evaluation_rows_test.txt", "x");
  CHECK(message(text.path()) ==
        "evaluation_rows_test.txt: expected a file of rows ending in .jsonl, .json, .csv, .tsv "
        "(each also .gz) or .parquet");
  const TempFile empty("evaluation_rows_test.json", "\n \n");
  CHECK(message(empty.path()) == "evaluation_rows_test.json: holds no row");
  const std::string row = R"({"prompt": "p", "choices": ["x", "y"], "answer": 0})";
  const TempFile two("evaluation_rows_test.jsonl", row + "\n" + row + "\n");
  CHECK(message(two.path(), {.max_rows = 2}) == "");
  CHECK(message(two.path(), {.max_rows = 1}) ==
        "evaluation_rows_test.jsonl: holds more than 1 rows");
  CHECK(message(two.path(), {.max_bytes = 100}) ==
        "evaluation_rows_test.jsonl: holds 104 bytes; the limit is 100");
}

}  // namespace
}  // namespace hone::data
