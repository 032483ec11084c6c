#include "hone/paths/chat.h"

#include <filesystem>
#include <sstream>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/io/json_lines.h"
#include "run/recipe_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::paths;
using Catch::Contains;

namespace {

/// A small model to talk to, of three tokens an answer.
struct Room : test::RecipeFolder {
  ChatOptions options{.model = RecipeFolder::model("base"), .max_new_tokens = 3, .threads = 1};
  std::string said, complained;

  int talk(const std::string& lines = "", bool terminal = false) {
    std::istringstream in(lines);
    std::ostringstream out, err;
    const int code = chat(options, {in, out, err, terminal});
    said = out.str();
    complained = err.str();
    return code;
  }
};

std::string problems(const ChatOptions& options, const std::string& set = "") {
  std::vector<Problem> found;
  Validation validation("", [&](const std::string& path) { return path == set; }, found);
  options.validate(validation);
  return found.empty() ? "" : ConfigError(std::move(found)).what();
}

}  // namespace

TEST_CASE("Flags that exclude each other, or have no effect") {
  CHECK(problems({.prompt = "a", .prompts = "b"}) ==
        "/prompts: give either one prompt or a file of them");
  CHECK_THAT(problems({.out = "o"}, "/out"), Contains("/out: has no effect without prompts"));
  CHECK_THAT(problems({.top_p = 0.5}, "/top_p"),
             Contains("/top_p: has no effect with temperature"));
  CHECK(problems({.temperature = 1, .top_p = 0.5}, "/top_p") == "");
}

TEST_CASE("One prompt is answered and left; the same one always alike") {
  Room room;
  room.options.prompt = "the court";
  CHECK(room.talk() == 0);
  const std::string answer = room.said;
  CHECK(answer.ends_with("\n"));
  CHECK(room.complained == "the folder has no chat template: the model goes on with your text\n");
  room.talk();
  CHECK(room.said == answer);
}

TEST_CASE("A conversation answers line by line, and marks the user's turn in a terminal alone") {
  Room room;
  CHECK(room.talk("the court\n\na plaintiff\n") == 0);
  const std::string both = room.said;
  room.talk("a plaintiff\n/new\nthe court\n");
  const size_t end = both.find('\n') + 1;
  CHECK(room.said == both.substr(end) + both.substr(0, end));  // without a template no memory
  room.talk("", true);
  CHECK(room.said == "> \n");
}

TEST_CASE("Prompts of a file come out as rows, with what else their rows had") {
  Room room;
  room.options.prompts = room.write(
      "p.jsonl", "{\"prompt\": \"the court\", \"id\": 7}\r\n\n{\"prompt\": \"a plaintiff\"}\n");
  room.options.out = room.file("answers.jsonl");
  CHECK(room.talk() == 0);
  CHECK(room.said == "");
  CHECK_THAT(room.complained, Contains("2 of 2 prompts answered\n"));
  const auto rows = io::read_json_lines(room.file("answers.jsonl"));
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("id") == 7);
  CHECK(rows[0].at("finish") == "length");
  CHECK(rows[0].at("answer_tokens") == 3);
  CHECK(rows[0].at("prompt_tokens") > 0);
  const std::string written = read_file(room.file("answers.jsonl"));

  room.options.out.reset();
  room.options.prompts = room.write("p.txt", "the court\n  \na plaintiff");
  room.talk();
  CHECK(parse_json(room.said.substr(0, room.said.find('\n')), "row").at("answer") ==
        rows[0].at("answer"));
}

TEST_CASE("Files of prompts that are none are refused by line") {
  Room room;
  const auto refusal = [&](const std::string& name, const std::string& text) {
    room.options.prompts = room.write(name, text);
    try {
      room.talk();
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what()).substr(room.file(name).size());
    }
  };
  CHECK(refusal("p.csv", "x") == ": expected a file that ends in .jsonl or .txt");
  CHECK(refusal("p.txt", " \n\n") == ": holds no prompt");
  const std::string either = ": expected an object with either \"prompt\" or \"messages\"";
  CHECK(refusal("p.jsonl", "{\"prompt\": \"a\"}\n\n{}\n") == ":3" + either);
  CHECK(refusal("p.jsonl", R"({"prompt": "a", "messages": []})") == ":1" + either);
  CHECK(refusal("p.jsonl", "[]") == ":1" + either);
  CHECK(refusal("p.jsonl", R"({"prompt": 5})") == ":1: \"prompt\" must be a string");
  CHECK_THAT(refusal("p.jsonl", "{"), Contains(":1: "));
}

TEST_CASE("A system turn needs a template, and answers a place to go") {
  Room room;
  room.options.system = "be brief";
  CHECK_THROWS_WITH(room.talk(), "--system needs a chat template, which the folder has not");
  room.options.system.reset();
  room.options.prompts = room.write("p.txt", "the court");
  room.options.out = room.file("no/answers");
  CHECK_THROWS_WITH(room.talk(), room.file("no/answers") + ": cannot be written");
  room.options.model = room.file("nothing");
  CHECK_THROWS_WITH(room.talk(), room.file("nothing") + ": there is no such folder");
}
