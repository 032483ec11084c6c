#include <catch2/catch.hpp>

#include "data/support.h"
#include "hone/data/detail/line_reader.h"
#include "hone/data/detail/row_format.h"

namespace hone::data {
namespace {

using namespace testing;
using Catch::Contains;
using detail::LineReader;

const std::string kGood = "{\"text\": \"ab\"}\n";

TEST_CASE("a bad row names its file and line, or is skipped") {
  const auto folder = make_folder();
  CHECK_THAT(failure(kGood + "\n\n{\"text\": 1}\n" + kGood, folder),
             Contains("data_test_rows.jsonl:4: \"text\" must be a string, got number"));
  CHECK_THAT(
      failure("[{\"text\": \"a\"},\n{\"text\": \"b\"},\n\n{\"text\": 1}]", folder, {}, {}, ".json"),
      Contains("data_test_rows.json:4: "));
  CHECK_THAT(failure("ok\n\n\na\nb\xff\n", folder, {}, {}, ".txt"),
             Contains("data_test_rows.txt:4: byte 4 of the text is not valid UTF-8"));
  CHECK_THAT(failure(std::string("a\0b", 3), folder, {}, {}, ".txt"), Contains("NUL byte"));
  const Dataset set = load(kGood + "{]\n[]\n" + kGood, folder, {.on_bad_row = OnBadRow::kSkip});
  CHECK(set.counts.bad_rows == 2);
  CHECK(set.counts.documents == 2);
  // The rows before the first bad one do not hide it, whatever the number of threads.
  CHECK_THAT(failure(kGood + "{]\n[]\n", folder, {}, {.threads = 4}), Contains(".jsonl:2: "));
}

TEST_CASE("a line of any length costs no more than the limit") {
  const auto folder = make_folder();
  const std::string huge = "{\"text\": \"" + std::string(size_t{17} << 20, 'a') + "\"}\n";
  CHECK_THAT(failure(kGood + huge, folder), Contains(":2: row is longer than 16777216 bytes"));
  const Dataset set = load(huge + kGood, folder, {.on_bad_row = OnBadRow::kSkip});
  CHECK(set.counts.bad_rows == 1);
  CHECK(set.counts.documents == 1);
  CHECK_THAT(failure("[" + huge + "]", folder, {}, {}, ".json"), Contains(":1: row is longer"));
  CHECK_THAT(failure(huge, folder, {}, {}, ".txt"), Contains(":1: row is longer"));
  CHECK_THAT(failure(std::string(5'000'000, '['), folder), Contains("nested deeper than 64"));
}

TEST_CASE("files that are no data are refused by name") {
  const auto folder = make_folder();
  const auto refusal = [&](const std::string& path, Format format = Format::kAuto) {
    try {
      load_dataset({.files = {path}, .format = format}, folder);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  std::filesystem::create_directory("data_dir.jsonl");
  CHECK_THAT(refusal("data_dir.jsonl"), Contains("data_dir.jsonl: the folder holds no file"));
  std::filesystem::remove("data_dir.jsonl");
  CHECK(refusal("data_absent.jsonl") ==
        "data_absent.jsonl: cannot open: No such file or directory");
  CHECK_THAT(refusal("data_absent.txt"), Contains("cannot open"));
  CHECK_THAT(refusal("data_absent.json"), Contains("cannot open"));
  CHECK(refusal("rows.xlsx") ==
        "rows.xlsx: expected a file ending in .jsonl, .json, .csv, .tsv, .txt (each also .gz) or "
        ".parquet");
  const TempFile text("data_x.txt", "a");
  CHECK(refusal(text.path(), Format::kAlpaca) ==
        "data_x.txt: a .txt file has format text, not alpaca");
}

TEST_CASE("a cut-off array is an error, not a shorter data set") {
  const auto folder = make_folder();
  const std::string whole = R"([{"text": "ab"}, {"text": "c\"]d"}])";
  CHECK(load(whole, folder, {}, {}, ".json").counts.documents == 2);
  for (size_t length = 1; length < whole.size(); ++length) {
    INFO(length);
    CHECK_THAT(
        failure(whole.substr(0, length), folder, {.on_bad_row = OnBadRow::kSkip}, {}, ".json"),
        Contains("is the file cut off?"));
  }
  CHECK_THAT(failure(whole + "x", folder, {}, {}, ".json"), Contains("something follows"));
  CHECK_THAT(failure("[{\"text\": \"ab\"} 1]", folder, {}, {}, ".json"),
             Contains(":1: not valid JSON"));
  CHECK_THAT(failure("[{\"text\": \"ab\"},]", folder, {}, {}, ".json"), Contains(":1: "));
  CHECK_THAT(failure("[,]", folder, {}, {}, ".json"), Contains(":1: "));
  CHECK_THAT(failure("[}]", folder, {}, {}, ".json"), Contains(":1: "));
}

TEST_CASE("lines are cut at every place of the buffer alike") {
  std::string text;
  for (int i = 0; i < 400; ++i) text += std::string(static_cast<size_t>(i * 7), 'x') + "\r\n";
  const TempFile file("data_lines.txt", text + "end");
  LineReader reader(file.path(), 2793);
  std::string line;
  for (int i = 0; i < 400; ++i) {
    REQUIRE(reader.next(line) == LineReader::Got::kLine);
    REQUIRE(line.size() == static_cast<size_t>(i * 7));
    REQUIRE(reader.line() == i + 1);
  }
  CHECK(reader.next(line) == LineReader::Got::kLine);
  CHECK(line == "end");
  CHECK(reader.next(line) == LineReader::Got::kEnd);
  CHECK(reader.next(line) == LineReader::Got::kEnd);

  LineReader narrow(file.path(), 2792);
  LineReader::Got got = LineReader::Got::kLine;
  for (int i = 0; i < 400; ++i) got = narrow.next(line);
  CHECK(got == LineReader::Got::kTooLong);
  CHECK(narrow.next(line) == LineReader::Got::kLine);
  CHECK(line == "end");
}

detail::LlamaFactoryEntry entry(const std::string& json) {
  const TempFile file("dataset_info.json", "{\"law\": " + json + "}");
  return detail::read_dataset_info(file.path(), "law");
}

std::string entry_failure(const std::string& json) {
  try {
    entry(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("dataset_info.json: defaults hold until columns or tags are given") {
  const auto plain = entry(R"({"file_name": "law.json"})");
  CHECK(plain.file == "law.json");
  CHECK(plain.format.format == Format::kAlpaca);
  CHECK(plain.format.input == "input");
  CHECK_FALSE(plain.format.system);
  CHECK_FALSE(plain.format.history);

  const auto named = entry(
      R"({"file_name": "law.json", "columns": {"prompt": "q", "response": "a", "system": "sys"}})");
  CHECK(named.format.instruction == "q");
  CHECK_FALSE(named.format.input);  // the trap
  CHECK(named.format.system == "sys");

  const auto text = entry(R"({"file_name": "x.jsonl", "columns": {"prompt": "body"}})");
  CHECK(text.format.format == Format::kText);
  CHECK(text.format.text == "body");

  const auto share =
      entry(R"({"file_name": "x.json", "formatting": "sharegpt", "num_samples": 3})");
  CHECK(share.format.messages == "conversations");
  CHECK(share.format.tags.user == "human");
  CHECK(share.num_samples == 3);

  const auto openai = entry(
      R"({"file_name": "x.json", "formatting": "openai", "columns": {"messages": "messages"},
          "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "U",
                   "assistant_tag": "A"}})");
  CHECK(openai.format.tags.user == "U");
  CHECK_FALSE(openai.format.tags.system);
  CHECK(entry(R"({"file_name": "x.json", "formatting": "openai",
                  "columns": {"messages": "m"}})")
            .format.tags.observation == "tool");
}

TEST_CASE("dataset_info.json: what cannot be read is refused") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"1", "/law: expected object, got 1"},
      {"{}", "/law/file_name: is missing"},
      {R"({"file_name": "a", "colums": {}})", "/law/colums: unknown key; did you mean columns?"},
      {R"({"file_name": "a", "formatting": "chatml"})", "must be alpaca, sharegpt or openai"},
      {R"({"hf_hub_url": "x/y"})", "/law/hf_hub_url: is not read"},
      {R"({"file_name": "a", "script_url": "x"})", "nothing is downloaded or executed"},
      {R"({"file_name": "a", "ranking": true})", "preference data"},
      {R"({"file_name": "a", "split": "test"})", "only the split \"train\""},
      {R"({"file_name": "a", "subset": "x"})", "no meaning for a local file"},
      {R"({"file_name": "a", "num_samples": 0})", "/law/num_samples: must be in [1, "},
      {R"({"file_name": "a", "columns": {"response": "x"}})", "/law/columns: must name \"prompt\""},
      {R"({"file_name": "a", "columns": {"prompt": "x", "query": "y"}})", "no \"response\""},
      {R"({"file_name": "a", "columns": {"prompt": 1}})",
       "/law/columns/prompt: expected string, got 1"},
      {R"({"file_name": "a", "columns": {"chosen": "x"}})", "preference data"},
      {R"({"file_name": "a", "columns": {"images": "x"}})", "text only"},
      {R"({"file_name": "a", "tags": {}})", "/law/tags: have no meaning with formatting alpaca"},
      {R"({"file_name": "a", "formatting": "sharegpt", "columns": {"system": "s"}})",
       "/law/columns: must name \"messages\""},
      {R"({"file_name": "a", "formatting": "sharegpt", "tags": {"role_tag": "r"}})",
       "role_tag, content_tag, user_tag and assistant_tag must be among them"},
  };
  for (const auto& [json, reason] : table) {
    INFO(json);
    CHECK_THAT(entry_failure(json), Contains(reason));
  }
  const TempFile file("dataset_info.json", R"({"law_train": {}, "medicine": {}})");
  CHECK_THROWS_WITH(detail::read_dataset_info(file.path(), "law_trian"),
                    Contains("has no entry \"law_trian\"; did you mean law_train?"));
}

TEST_CASE("a LLaMA-Factory data set is loaded from beside its dataset_info.json") {
  const auto folder = make_folder();
  std::filesystem::create_directory("data_lf");
  const TempFile info("data_lf/dataset_info.json",
                      R"({"t": {"file_name": "t.json", "columns": {"prompt": "body"},
                                "num_samples": 2},
                          "a": {"file_name": "a.json"}})");
  const TempFile text("data_lf/t.json", R"([{"body": "ab"}, {"body": "cd"}, {"body": 1}])");
  const TempFile alpaca("data_lf/a.json", R"([{"instruction": "q", "input": "i", "output": "z",
                                               "system": "not read"}])");
  DatasetOptions options{
      .files = {info.path()}, .format = Format::kLlamaFactory, .dataset_info = "t"};
  const Dataset set = load_dataset(options, folder);
  CHECK(set.name == "t");
  CHECK(marked(set, folder.tokenizer) == std::vector<std::string>{"a[b</s>]", "c[d</s>]"});
  options.dataset_info = "a";
  options.chat_form = ChatForm::kPlain;
  CHECK_THAT(marked(load_dataset(options, folder), folder.tokenizer)[0],
             Contains("### Input:\ni\n\n### Response:[z</s>]"));
  CHECK(read_texts(options) == std::vector<std::string>{"q\ni", "z"});
  options.dataset_info.reset();
  CHECK_THROWS_WITH(load_dataset(options, folder), Contains("the name of an entry"));
  std::filesystem::remove_all("data_lf");
}

TEST_CASE("a .txt entry of LLaMA-Factory is a document a line, as there") {
  const auto folder = make_folder();
  const TempFile info("dataset_info.json",
                      R"({"w": {"file_name": "data_w.txt", "columns": {"prompt": "text"}}})");
  const TempFile text("data_w.txt", "one\ntwo\n\nthree\n");
  DatasetOptions options{
      .files = {info.path()}, .format = Format::kLlamaFactory, .dataset_info = "w"};
  using Marked = std::vector<std::string>;
  CHECK(marked(load_dataset(options, folder), folder.tokenizer) ==
        Marked{"o[ne</s>]", "t[wo</s>]", "t[hree</s>]"});
  options.text_unit = TextUnit::kFile;
  CHECK(load_dataset(options, folder).counts.documents == 1);
  // By itself the same file falls into paragraphs.
  CHECK(load_dataset({.files = {text.path()}}, folder).counts.documents == 2);
}

TEST_CASE("the files of a data set are known by the paths that they are read from") {
  const TempFile info("dataset_info.json", R"({"w": {"file_name": "data_w.jsonl"}})");
  const DatasetOptions entry{
      .files = {info.path()}, .format = Format::kLlamaFactory, .dataset_info = "w"};
  CHECK(source_files(entry) == std::vector<std::string>{"data_w.jsonl"});
  CHECK(source_files({.files = {"a.jsonl", "b.txt"}}) ==
        std::vector<std::string>{"a.jsonl", "b.txt"});
}

}  // namespace
}  // namespace hone::data
