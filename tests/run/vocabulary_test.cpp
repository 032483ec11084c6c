#include "hone/run/vocabulary.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "hone/config/reader.h"
#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/text/bpe_trainer.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::run;

namespace {

/// A folder with the text of a domain, and the recipe's part that says how the vocabulary grows.
class Growing {
 public:
  Growing()
      : tokenizer_(
            text::Tokenizer::from_json(text::train_bpe({"a b c"}, {.vocab_size = 270}), "base")) {
    std::filesystem::remove_all(kFolder);
    std::filesystem::create_directories(kFolder);
    write("law", {"plaintiff sues defendant", "defendant pays plaintiff",
                  "appellate court hears plaintiff", "defendant leaves appellate court"});
    write("news", {"reporters question ministers", "ministers answer reporters"});
    set_log_sink(
        [this](LogLevel, std::string_view message) { log_ += std::string(message) + "\n"; });
  }
  ~Growing() {
    set_log_sink({});
    std::filesystem::remove_all(kFolder);
  }

  run::Config config(const Json& vocabulary, const Json& weights = {{"law", 1.0}}) const {
    return config::read_config<run::Config>(
        {{"about", "x"},
         {"model", "m"},
         {"vocabulary", vocabulary},
         {"weights", {{"domains", weights}}},
         {"data",
          {{"train",
            {{{"domain", "law"}, {"files", {file("law")}}},
             {{"domain", "news"}, {"files", {file("news")}}}}}}}});
  }
  text::GrowthResult grow(const run::Config& config, bool in_run = false) {
    return run::grow_vocabulary(config, tokenizer_,
                                in_run ? std::optional<std::string>(kFolder) : std::nullopt);
  }
  const text::Tokenizer& tokenizer() const { return tokenizer_; }
  const std::string& log() const { return log_; }

  static constexpr const char* kFolder = "vocabulary_test";

 private:
  static std::string file(const std::string& domain) {
    return std::string(kFolder) + "/" + domain + ".jsonl";
  }
  /// Each text four times.
  static void write(const std::string& domain, const std::vector<std::string>& texts) {
    std::ofstream out(file(domain));
    for (const std::string& text : texts) {
      for (int i = 0; i < 4; ++i) out << Json{{"text", text}}.dump() << "\n";
    }
  }

  text::Tokenizer tokenizer_;
  std::string log_;
};

}  // namespace

TEST_CASE("new_tokens bounds ids, new_terms terms, and the log says them apart") {
  Growing growing;
  const auto by_ids = growing.grow(growing.config({{"new_tokens", 20}}));
  CHECK(by_ids.added.size() <= 20);
  CHECK(by_ids.terms() < std::ssize(by_ids.added));
  CHECK_THAT(growing.log(),
             Catch::Contains(std::to_string(by_ids.terms()) + " terms became tokens: " +
                             std::to_string(by_ids.added.size()) + " new ids, "));
  const auto by_terms = growing.grow(growing.config({{"new_terms", 2}}));
  CHECK(by_terms.terms() == 2);
  CHECK_THAT(growing.log(), !Catch::Contains("fewer than the recipe allows"));
  CHECK(by_terms.added.size() > 2);
  const auto added = growing.grow(growing.config({{"new_tokens", 3}, {"mode", "added_tokens"}}));
  CHECK(added.terms() == 3);
  CHECK(added.added.size() == 3);
}

TEST_CASE("Terms are mined in the domains that have a weight, or in those that are named") {
  Growing growing;
  const auto knows = [&](const Json& vocabulary, const Json& weights, const char* term) {
    const auto grown = growing.grow(growing.config(vocabulary, weights));
    return grown.tokenizer.encode_ids(term, false).size() == 1;
  };
  const Json all = {{"new_tokens", 5000}, {"min_count", 4}};
  Json named = all;
  named["domains"] = {"news"};
  for (const Json& weights : {Json{{"law", 1.0}, {"news", 0.0}}, Json{{"law", 1.0}}}) {
    CHECK(knows(all, weights, " plaintiff"));
    CHECK_FALSE(knows(all, weights, " ministers"));
    CHECK(knows(named, weights, " ministers"));
    CHECK_FALSE(knows(named, weights, " plaintiff"));
  }
}

TEST_CASE("Text that has too few terms is said so, with what a term must be") {
  Growing growing;
  growing.grow(growing.config({{"new_tokens", 5000}}));
  CHECK_THAT(growing.log(), Catch::Contains("fewer than the recipe allows") &&
                                Catch::Contains("min_count = 5 times"));
  CHECK_THROWS_WITH(growing.grow(growing.config({{"new_tokens", 5}, {"min_count", 1000}})),
                    Catch::Contains("of 16 texts") && Catch::Contains("min_count = 1000"));
}

TEST_CASE("Growth without a domain to mine is refused for that reason, before anything runs") {
  Growing growing;
  CHECK_THROWS_WITH(growing.config({{"new_tokens", 5}}, Json::object()),
                    Catch::Contains("/vocabulary/domains: names no domain whose text is mined"));
  CHECK_THROWS_WITH(growing.config({{"new_terms", 5}}, {{"law", 0.0}}),
                    Catch::Contains("/vocabulary/domains: names no domain whose text is mined"));
  CHECK_NOTHROW(growing.config({{"new_tokens", 5}, {"domains", {"law"}}}, Json::object()));
  CHECK_NOTHROW(growing.config({{"new_tokens", 5}, {"terms_file", "t"}}, Json::object()));
  CHECK_THROWS_WITH(growing.config({{"mode", "merges"}}),
                    Catch::Contains("/vocabulary/mode: has no effect with new_tokens 0"));
}

TEST_CASE("A run gone on with keeps its terms whatever the text says by then") {
  Growing growing;
  const run::Config config = growing.config({{"new_tokens", 30}});
  const auto first = growing.grow(config, true);
  std::ofstream(std::string(Growing::kFolder) + "/law.jsonl") << R"({"text": "other"})" << "\n";
  CHECK(growing.grow(config, true).tokenizer.json() == first.tokenizer.json());

  // One begun before terms were kept has its tokenizer only.
  std::filesystem::remove(std::string(Growing::kFolder) + "/vocabulary.json");
  std::filesystem::create_directories(std::string(Growing::kFolder) + "/tokenizer");
  std::ofstream(std::string(Growing::kFolder) + "/tokenizer/tokenizer.json")
      << first.tokenizer.json().dump();
  const auto again = growing.grow(config, true);
  REQUIRE(again.added.size() == first.added.size());
  for (size_t i = 0; i < first.added.size(); ++i) {
    CHECK(again.added[i].id == first.added[i].id);
    CHECK(again.added[i].pieces == first.added[i].pieces);
  }
}
