// Rows of a data set that are held out.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "data/support.h"

namespace hone::data {
namespace {

using namespace testing;
using Catch::Contains;
using Texts = std::vector<std::string>;

std::string rows(int count, int different) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += "{\"text\": \"row " + std::to_string(i % different) +
            "\", \"id\": " + std::to_string(i) + "}\n";
  }
  return text;
}

Texts side(const std::string& path, const SplitOptions& split, bool held_out,
           std::optional<int64_t> max_rows = {}) {
  return read_texts({.files = {path}, .max_rows = max_rows, .portion = Portion{split, held_out}});
}

std::string refusal(const std::string& content, const SplitOptions& split) {
  const TempFile file("data_portion.jsonl", content);
  try {
    side(file.path(), split, false);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a split puts every row on one side, as many as asked, in their order") {
  const TempFile file("data_portion.jsonl", rows(200, 200));
  const Texts whole = read_texts({.files = {file.path()}});
  for (const SplitOptions& split : {SplitOptions{.share = 0.05}, SplitOptions{.rows = 10}}) {
    const Texts train = side(file.path(), split, false), held = side(file.path(), split, true);
    CHECK(held.size() == 10);
    CHECK(train.size() == 190);
    Texts both = train;
    both.insert(both.end(), held.begin(), held.end());
    CHECK(std::set<std::string>(both.begin(), both.end()) ==
          std::set<std::string>(whole.begin(), whole.end()));
    const auto place = [&](const std::string& text) {
      return std::find(whole.begin(), whole.end(), text);
    };
    CHECK(std::is_sorted(held.begin(), held.end(),
                         [&](const auto& a, const auto& b) { return place(a) < place(b); }));
  }
  // Another seed holds out others, the same seed the same; a smaller split is part of a larger one.
  const Texts held = side(file.path(), {.rows = 10}, true);
  CHECK(side(file.path(), {.rows = 10}, true) == held);
  CHECK(side(file.path(), {.rows = 10, .seed = 1}, true) != held);
  const Texts more = side(file.path(), {.rows = 30}, true);
  CHECK(std::all_of(held.begin(), held.end(), [&](const std::string& text) {
    return std::find(more.begin(), more.end(), text) != more.end();
  }));
  CHECK(side(file.path(), {.rows = 3}, true, 20).size() == 3);
  CHECK(side(file.path(), {.rows = 3}, false, 20).size() == 17);
}

TEST_CASE("rows of the same text are on the same side of a split") {
  const TempFile file("data_portion.jsonl", rows(300, 100));
  const SplitOptions split{.share = 0.1};
  const Texts train = side(file.path(), split, false), held = side(file.path(), split, true);
  CHECK(held.size() == 30);
  const std::set<std::string> trained(train.begin(), train.end());
  for (const std::string& text : held) CHECK_FALSE(trained.contains(text));
}

TEST_CASE("the tokenizer and the longest document do not move the split") {
  const TempFile file("data_portion.jsonl", rows(60, 60));
  const auto count = [&](const text::TokenizerFolder& folder, int64_t max_length) {
    const DatasetOptions options{
        .files = {file.path()}, .max_length = max_length, .portion = Portion{{.rows = 7}, true}};
    return marked(load_dataset(options, folder), folder.tokenizer);
  };
  const auto plain = count(make_folder(), 100);
  CHECK(plain.size() == 7);
  CHECK(count(make_folder({{"r", "o"}, {"ro", "w"}}), 100).size() == 7);
  const auto cut = count(make_folder(), 5);
  for (size_t i = 0; i < 7; ++i) CHECK(plain[i].substr(0, 4) == cut[i].substr(0, 4));
}

TEST_CASE("a split that leaves nothing to train on is refused with the numbers") {
  CHECK_THAT(refusal(rows(10, 10), {.rows = 10}),
             Contains("\"data_portion\": validation would hold out 10 of its 10 rows"));
  CHECK_THAT(refusal(rows(1, 1), {.share = 0.1}), Contains("would hold out 1 of its 1 rows"));
  CHECK_THAT(refusal(rows(8, 1), {.rows = 2}), Contains("(1 different texts)"));
  CHECK(refusal(rows(2, 2), {.share = 0.01}).empty());
  CHECK_THAT(refusal("{\"txt\": \"a\"}\n{\"txt\": \"b\"}\n", {.rows = 1}), Contains(".jsonl:1: "));
}

TEST_CASE("bad rows are on the side that is trained, which tells of them") {
  const TempFile file("data_portion.jsonl", rows(20, 20) + "{\"text\": 1}\n");
  CHECK(side(file.path(), {.rows = 5}, true).size() == 5);
  CHECK_THROWS_WITH(side(file.path(), {.rows = 5}, false), Contains(":21: \"text\" must be"));
}

}  // namespace
}  // namespace hone::data
