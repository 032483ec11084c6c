#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "data/augmentation_fixture.h"
#include "hone/data/detail/paraphrases.h"
#include "hone/data/detail/text_command.h"

namespace hone::data {
namespace {

using Catch::Contains;
using detail::Paraphrases;
using testing::load_text;
using testing::make_folder;
using testing::read;
using testing::text_row;
using testing::variant;
using Command = std::vector<std::string>;
using Texts = std::vector<std::string>;

Command shell(const std::string& script) { return {"sh", "-c", script}; }

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Texts answers(const Command& command, const Texts& texts, double timeout = 20) {
  Texts got;
  detail::run_text_command(command, texts, timeout, [&](size_t i, std::string answer) {
    CHECK(i == got.size());
    got.push_back(std::move(answer));
  });
  return got;
}

std::string failure(const Command& command, const Texts& texts, double timeout = 20) {
  try {
    answers(command, texts, timeout);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a command answers each text in order; no shell reads its arguments") {
  CHECK(answers({"cat"}, {"a", "b\n\"c\" \u5fc3", "$HOME `x`"}) ==
        Texts{"a", "b\n\"c\" \u5fc3", "$HOME `x`"});
  CHECK(answers({"sed", "s/a dog; $x/a cat/"}, {"a dog; $x"}) == Texts{"a cat"});
  CHECK(answers({"sed", "s/dog/cat/"}, {"dog"}) == Texts{"cat"});
  CHECK(answers({"no-such-program"}, {}).empty());
  Texts many(3000, std::string(1000, 'x'));  // more than pipes hold, either way
  CHECK(answers({"cat"}, many) == many);
  CHECK(answers(shell("cat > all_of_it; cat all_of_it; rm all_of_it"), many) == many);
}

TEST_CASE("a command that fails is named, with the line of its output") {
  const Texts two = {"a", "b"};
  CHECK_THAT(failure({"no-such-program", "x"}, two),
             Contains("\"no-such-program x\": cannot be started: No such file"));
  CHECK_THAT(failure({"false"}, two), Contains("\"false\": ended with status 1 after 0 answers"));
  CHECK_THAT(failure(shell("echo oh no >&2; exit 3"), two),
             Contains("ended with status 3 after 0 answers; it says: oh no"));
  CHECK_THAT(failure(shell("kill -9 $$"), two), Contains("was ended by signal 9"));
  CHECK_THAT(failure({"head", "-n", "1"}, two), Contains("gave 1 answers to 2 texts"));
  CHECK_THAT(failure({"true"}, Texts(3000, std::string(1000, 'x'))),
             Contains("gave 0 answers to 3000"));
  CHECK_THAT(failure(shell("cat; echo '{\"text\": \"more\"}'"), two),
             Contains("line 3: is one too many"));
  CHECK_THAT(failure(shell("cat; printf more"), two), Contains("line 3: is one too many"));
  CHECK_THAT(failure({"sed", "s/text/txt/"}, two),
             Contains("line 1: must be {\"text\": \"...\"}, got"));
  CHECK_THAT(failure({"sed", "2s/.*/{\"text\": 5}/"}, two), Contains("line 2: must be"));
  CHECK_THAT(failure({"sed", "2s/.*/so sorry/"}, two),
             Contains("line 2: not valid JSON: column 1: syntax"));
  CHECK_THAT(failure(shell("printf '{\"text\": \"\\377\"}\\n'"), two),
             Contains("line 1") && Contains("UTF-8"));
  CHECK_THAT(failure(shell("head -c 300000 /dev/zero | tr '\\0' a"), two),
             Contains("line 1: is over the limit of 65552 bytes"));
  CHECK_THAT(failure({"sleep", "30"}, two, 0.2), Contains("line 1: no answer within 0.2 seconds"));
  CHECK_THAT(failure(shell("cat; exec sleep 30"), two, 0.3),
             Contains("did not end within 0.3 seconds"));
  CHECK_THAT(failure(shell("cat; exec >&-; exec sleep 30"), two, 0.3),
             Contains("did not end within"));
}

/// A folder for a cache, and a command that counts its runs there.
struct CacheFolder {
  const std::string path = "back_translation_test";
  const std::string cache = path + "/cache.jsonl";
  const Command counted = shell("echo run >> " + path + "/runs; sed s/dog/cat/");

  CacheFolder() {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~CacheFolder() { std::filesystem::remove_all(path); }
  size_t runs() const { return content(path + "/runs").size() / 4; }
};

TEST_CASE("answers are asked for once and kept; a torn last line is asked for again") {
  const CacheFolder folder;
  const Texts texts = {"a dog", "no", "a dog", "dog"};
  {
    const Paraphrases first(folder.counted, folder.cache, 20, texts);
    CHECK(first.size() == 3);
    CHECK(*first.find("a dog") == "a cat");
    CHECK(*first.find("no") == "no");
    CHECK(first.find("other") == nullptr);
  }
  const std::string whole = content(folder.cache);
  CHECK(std::count(whole.begin(), whole.end(), '\n') == 3);
  const Paraphrases again(folder.counted, folder.cache, 20, texts);
  CHECK(folder.runs() == 1);
  CHECK(*again.find("dog") == "cat");
  CHECK(content(folder.cache) == whole);

  const Paraphrases more(folder.counted, folder.cache, 20, {"dog", "dogs"});
  CHECK(folder.runs() == 2);
  CHECK(*more.find("dogs") == "cats");
  CHECK(content(folder.cache).starts_with(whole));

  std::filesystem::resize_file(folder.cache, whole.size() - 10);  // a killed run
  const Paraphrases torn(folder.counted, folder.cache, 20, texts);
  CHECK(folder.runs() == 3);
  CHECK(*torn.find("dog") == "cat");
  CHECK(content(folder.cache) == whole);
  CHECK(torn.hash() == again.hash());

  const Paraphrases other({"sed", "s/dog/cow/"}, folder.cache, 20, texts);
  CHECK(*other.find("dog") == "cow");
}

TEST_CASE("what a command answered before it failed is kept") {
  const CacheFolder folder;
  const Command fails_once = shell("if [ -f " + folder.path + "/seen ]; then cat; else touch " +
                                   folder.path + "/seen; sed 2q; exit 1; fi");
  CHECK_THROWS_WITH(Paraphrases(fails_once, folder.cache, 20, {"a", "b", "c"}),
                    Contains("status 1 after 2 answers"));
  const std::string kept = content(folder.cache);
  CHECK(std::count(kept.begin(), kept.end(), '\n') == 2);
  CHECK(Paraphrases(fails_once, folder.cache, 20, {"a", "b", "c"}).size() == 3);
}

TEST_CASE("of runs at the same time one asks, the others find its answers") {
  const CacheFolder folder;
  const Command slow = shell("echo run >> " + folder.path + "/runs; sleep 0.2; cat");
  std::vector<std::thread> runs;
  std::atomic<int> right{0};
  for (int i = 0; i < 4; ++i) {
    runs.emplace_back(
        [&] { right += *Paraphrases(slow, folder.cache, 20, {"a", "b"}).find("b") == "b"; });
  }
  for (std::thread& run : runs) run.join();
  CHECK(right == 4);
  CHECK(folder.runs() == 1);
}

TEST_CASE("a broken cache is named with its line and left as it is") {
  const CacheFolder folder;
  const auto refusal = [&](const std::string& lines) -> std::string {
    std::ofstream(folder.cache, std::ios::binary) << lines;
    try {
      Paraphrases(folder.counted, folder.cache, 20, {"a"});
    } catch (const IoError& error) {
      CHECK(content(folder.cache) == lines);
      return error.what();
    }
    return "";
  };
  const std::string good = "{\"key\": \"k\", \"text\": \"t\"}\n";
  CHECK_THAT(refusal(good + "oops\n"),
             Contains("cache.jsonl: line 2: ") && Contains("delete the line"));
  CHECK_THAT(refusal(good + good + "{\"key\": 1, \"text\": \"t\"}\n"), Contains("line 3: must be"));
  CHECK_THAT(refusal("{\"key\": \"k\", \"text\": \"\xff\"}\n"), Contains("UTF-8"));
  CHECK_THROWS_WITH(Paraphrases(folder.counted, folder.path, 20, {"a"}), Contains("cannot open"));
  CHECK_THROWS_WITH(Paraphrases(folder.counted, "no/such/folder/c", 20, {"a"}),
                    Contains("cannot open"));
  REQUIRE(::mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(Paraphrases(folder.counted, folder.path + "/pipe", 20, {"a"}),
                    Contains("not a regular file"));
  CHECK(folder.runs() == 0);
}

TEST_CASE("texts become their paraphrases where those keep entities, numbers and code") {
  const CacheFolder folder;
  const auto tokenizer = make_folder({{"h", "a"}}, true);
  const EntityMatcher entities({"aspirin"}, true);
  const std::string rows =
      text_row("Take 5 dogs with aspirin.") + text_row("Take 7 dogs.") +
      text_row("`x` is aspirin!") +
      Json{{"prompt", "  a dog and aspirin\n"}, {"completion", "a dog"}}.dump() + "\n";
  const auto set = load_text(rows, tokenizer, {}, {.entities = &entities, .entity_multiplier = 2});
  AugmentationOptions options;
  options.back_translation = {.rate = 0.5,
                              .command = {"sed",
                                          "s/Take 5 dogs/Have 5 nice cats/; s/7/seven/; "
                                          "s/is aspirin/are Aspirin/; s/a dog and/the/"},
                              .cache = folder.cache};
  std::string said;
  set_log_sink([&](LogLevel, std::string_view message) { said += message; });
  const Augmenter augmenter(options, tokenizer, {set}, 1);
  set_log_sink({});
  CHECK_THAT(said,
             Contains("4 texts to the command") && Contains("2 of 4 paraphrases are not used"));
  const auto seen = [&](size_t document) {
    std::set<std::string> texts;
    for (int64_t epoch = 0; epoch < 40; ++epoch) {
      texts.insert(
          testing::marked(variant(augmenter, set->examples[document], epoch), tokenizer.tokenizer));
    }
    return texts;
  };
  using Seen = std::set<std::string>;
  CHECK(seen(0) == Seen{"<s>[Take 5 dogs with ][aspirin*2][.</s>]",
                        "<s>[Have 5 nice cats with ][aspirin*2][.</s>]"});
  CHECK(seen(1) == Seen{"<s>[Take 7 dogs.</s>]"});
  CHECK(seen(2) == Seen{"<s>[`x` is ][aspirin*2][!</s>]"});
  CHECK(seen(3) == Seen{"<s>  a dog and aspirin\n[a dog</s>]", "<s>  the aspirin\n[a dog</s>]"});
}

TEST_CASE("a field's paraphrase need not keep what other fields hold") {
  const CacheFolder folder;
  const auto tokenizer = make_folder();
  const auto set = load_text(R"({"instruction": "Take 5.", "input": "a dog", "output": "x"})",
                             tokenizer, {.chat_form = ChatForm::kPlain});
  AugmentationOptions options;
  options.back_translation = {
      .rate = 1, .command = {"sed", "s/a dog/the cat/; s/Take/Have/"}, .cache = folder.cache};
  const Augmenter augmenter(options, tokenizer, {set}, 1);
  CHECK_THAT(testing::marked(variant(augmenter, set->examples[0], 0), tokenizer.tokenizer),
             Contains("\nHave 5.\n") && Contains("\nthe cat\n"));
}

}  // namespace
}  // namespace hone::data
