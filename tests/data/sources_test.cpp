// Where rows come from: files, folders, patterns, packed files, tables.
#include <zlib.h>

#include <catch2/catch.hpp>
#include <cstdint>

#include "data/support.h"
#include "hone/core/log.h"
#include "hone/data/files.h"

namespace hone::data {
namespace {

using namespace testing;
using Catch::Contains;
using Texts = std::vector<std::string>;

const std::string kRow = "{\"text\": \"ab\"}\n";

std::string gzip(const std::string& text) {
  std::string packed(compressBound(text.size()) + 64, '\0');
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

Texts texts(const std::vector<std::string>& files, DatasetOptions options = {}) {
  options.files = files;
  return read_texts(options);
}

std::string refusal(const std::vector<std::string>& files, DatasetOptions options = {}) {
  try {
    texts(files, std::move(options));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Texts of a file with this content and ending.
Texts texts_of(const std::string& content, const std::string& ending, DatasetOptions options = {}) {
  const TempFile file("data_source" + ending, content);
  return texts({file.path()}, std::move(options));
}

std::string refusal_of(const std::string& content, const std::string& ending,
                       DatasetOptions options = {}) {
  const TempFile file("data_source" + ending, content);
  return refusal({file.path()}, std::move(options));
}

TEST_CASE("files may be folders and patterns, sorted; without a match they are an error") {
  std::filesystem::create_directories("data_many/deeper");
  const TempFile b("data_many/b.jsonl", "{\"text\": \"b\"}\n"), a("data_many/a.txt", "a\n"),
      c("data_many/c.csv", "text\nc\n"), readme("data_many/README.md", "no data"),
      hidden("data_many/.hidden.jsonl", "x"), deep("data_many/deeper/d.jsonl", "x");
  CHECK(texts({"data_many"}) == Texts{"a", "b", "c"});
  CHECK(texts({"data_many/"}) == Texts{"a", "b", "c"});
  CHECK(texts({"data_many/[bc].*"}) == Texts{"b", "c"});
  CHECK(texts({"data_many/c.csv", "data_many/b.jsonl"}) == Texts{"c", "b"});
  CHECK(refusal({"data_many/*.parquet"}) == "data_many/*.parquet: no file matches the pattern");
  CHECK_THAT(refusal({"data_many/*.md"}), Contains("README.md: expected a file ending in .jsonl"));
  CHECK_THAT(refusal({"data_many", "data_many/*.csv"}), Contains("c.csv: is named twice"));
  std::filesystem::create_directory("data_none");
  CHECK_THAT(refusal({"data_none"}), Contains("data_none: the folder holds no file ending in"));
  std::filesystem::remove_all("data_none");
  std::filesystem::remove_all("data_many");
}

TEST_CASE("every text form is read from .gz, of several members too") {
  CHECK(texts_of(gzip(kRow) + gzip("{\"text\": \"cd\"}\n"), ".jsonl.gz") == Texts{"ab", "cd"});
  CHECK(texts_of(gzip("[" + kRow + "]"), ".json.gz") == Texts{"ab"});
  CHECK(texts_of(gzip("one\n\ntwo"), ".txt.gz") == Texts{"one", "two"});
  CHECK(texts_of(gzip("one\ntwo"), ".txt.gz", {.text_unit = TextUnit::kFile}) == Texts{"one\ntwo"});
  CHECK(texts_of(gzip("text\nab\n"), ".csv.gz") == Texts{"ab"});
  CHECK(texts_of(gzip("text\nab\n") + std::string(512, '\0'), ".csv.gz") == Texts{"ab"});
}

TEST_CASE("a gzip file that is cut off, damaged or a bomb is an error, not a shorter data set") {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "{\"text\": \"row " + std::to_string(i * 7919) + "\"}\n";
  const std::string packed = gzip(text);
  for (size_t keep = 1; keep < packed.size(); keep += 97) {
    INFO(keep);
    CHECK_THAT(refusal_of(packed.substr(0, keep), ".jsonl.gz", {.on_bad_row = OnBadRow::kSkip}),
               Contains("is cut off"));
  }
  std::string damaged = packed;
  damaged[packed.size() / 2] ^= 0x55;
  CHECK_THAT(refusal_of(damaged, ".jsonl.gz", {.on_bad_row = OnBadRow::kSkip}),
             Contains("gzip data are damaged"));
  CHECK_THAT(refusal_of(packed + "rest", ".jsonl.gz"), Contains("no gzip data follows"));
  CHECK_THAT(refusal_of(kRow, ".jsonl.gz"), Contains("is no gzip file, though its name ends in"));
  CHECK_THAT(refusal_of("", ".jsonl.gz"), Contains("is empty, and no gzip file"));
  CHECK_THAT(refusal_of(gzip(std::string(size_t{80} << 20, '\n')), ".jsonl.gz"),
             Contains("unpacks to more than 200 times its size"));
}

TEST_CASE("CSV is read as RFC 4180 says: quotes, line breaks in them, CRLF, a byte-order mark") {
  CHECK(texts_of("text,id\r\n\"a, \"\"b\"\"\r\nc\",1\r\n\r\nplain,2\r\n", ".csv") ==
        Texts{"a, \"b\"\r\nc", "plain"});
  CHECK(texts_of("\xef\xbb\xbftext\nab", ".csv") == Texts{"ab"});
  CHECK(texts_of("\xef\xbb\xbf\"text\",n\nab,1", ".csv") == Texts{"ab"});
  CHECK(texts_of("id\ttext\n1\ta,b\n", ".tsv") == Texts{"a,b"});
  CHECK(texts_of("prompt,completion\nq,\n\"\",a b\n", ".csv", {.on_bad_row = OnBadRow::kSkip}) ==
        Texts{"a b"});
  CHECK(texts_of("text\nsaid \"so\" here\n", ".csv") == Texts{"said \"so\" here"});
}

TEST_CASE("a broken CSV names the line where its record begins") {
  CHECK_THAT(refusal_of("text,n\n\"a\nb\",1\nc\n", ".csv"),
             Contains(".csv:4: has 1 fields, the header names 2 columns"));
  CHECK_THAT(refusal_of("text\nab\n\"cd\n", ".csv"),
             Contains("quotes opened on line 3 are never closed"));
  CHECK_THAT(refusal_of("text\n\"a\"b\n", ".csv"), Contains(":2: something follows a field's"));
  CHECK_THAT(refusal_of("text,text\na,b\n", ".csv"), Contains("names the column \"text\" twice"));
  CHECK_THAT(refusal_of("", ".csv"), Contains("expected a header"));
  CHECK_THAT(refusal_of("text;id\na;1\n", ".csv"), Contains("are the columns separated by ';'?"));
  CHECK_THAT(refusal_of("text\nok\na\xff\n", ".csv"),
             Contains(":3: column \"text\": byte 2 is not valid UTF-8"));
  CHECK_THAT(refusal_of("body,n\na,1\n", ".csv"), Contains("no known format: \"body\", \"n\""));
  CHECK_THAT(refusal_of("text\n\"" + std::string(size_t{17} << 20, 'a') + "\"\n", ".csv"),
             Contains(":2: row is longer than 16777216 bytes"));
}

TEST_CASE("columns give a file's own names to what a format knows") {
  const auto options = [](std::map<std::string, std::string> columns,
                          Format format = Format::kAuto) {
    return DatasetOptions{.format = format, .columns = std::move(columns)};
  };
  const std::map<std::string, std::string> pair{{"prompt", "question"}, {"completion", "answer"}};
  const std::string jsonl = R"({"question": "q ", "answer": "a", "text": "not this", "id": 1})";
  CHECK(texts_of(jsonl, ".jsonl", options(pair)) == Texts{"q ", "a"});
  CHECK(texts_of("[" + jsonl + "]", ".json", options(pair)) == Texts{"q ", "a"});
  CHECK(texts_of("answer,question\na,q \n", ".csv", options(pair)) == Texts{"q ", "a"});
  CHECK(texts_of(R"({"body": "ab", "text": 1})", ".jsonl", options({{"text", "body"}})) ==
        Texts{"ab"});
  CHECK(texts_of(R"({"chat": [{"role": "user", "content": "q"}, )"
                 R"({"role": "assistant", "content": "a"}]})",
                 ".json", options({{"messages", "chat"}})) == Texts{"q", "a"});
  // One of a pair has its own name already.
  CHECK(texts_of(R"({"prompt": "q ", "answer": "a"})", ".jsonl",
                 options({{"completion", "answer"}})) == Texts{"q ", "a"});
  CHECK(texts_of(R"({"q": "do", "more": "it", "a": "done"})", ".jsonl",
                 options({{"instruction", "q"}, {"input", "more"}, {"output", "a"}},
                         Format::kAlpaca)) == Texts{"do\nit", "done"});
}

TEST_CASE("columns that the rows lack are an error that names those that are there") {
  const std::string row = R"({"question": "q", "answers": "a"})";
  const DatasetOptions pair{.columns = {{"prompt", "question"}, {"completion", "answer"}}};
  CHECK_THAT(refusal_of(row, ".jsonl", pair),
             Contains(".jsonl:1: has no column \"answer\", which columns.completion names; its "
                      "columns are \"question\", \"answers\"; did you mean answers?"));
  // A column that rows may lack must be in one of them.
  const std::string some = R"({"instruction": "q", "output": "a", "sys": "s"})";
  const std::string none = R"({"instruction": "q", "output": "a"})";
  const DatasetOptions system{.format = Format::kAlpaca, .columns = {{"system", "sys"}}};
  CHECK(texts_of(none + "\n" + some, ".jsonl", system).size() == 5);
  CHECK_THAT(refusal_of(none + "\n" + none, ".jsonl", system),
             Contains("columns.system names \"sys\", which no row has; the columns are "
                      "\"instruction\", \"output\""));
  CHECK_THAT(refusal_of("a", ".txt", pair), Contains("a .txt file has no columns"));
}

TEST_CASE("a file under a wrong name is called what it is") {
  const std::string utf16 = std::string("\xff\xfe{\0\"\0t\0", 8);
  const std::vector<std::tuple<std::string, std::string, std::string>> table{
      {gzip(kRow), ".jsonl", "is a gzip file, not JSON in UTF-8; let its name end in .gz"},
      {"PAR1" + std::string(20, '\0'), ".json", "is a Parquet file, not JSON in UTF-8; let its"},
      {std::string("PK\x03\x04\x14\0", 6), ".csv", "is a zip file, not CSV in UTF-8; unpack it"},
      {utf16, ".jsonl", "is a UTF-16 text file, not JSON in UTF-8; convert it to UTF-8"},
      {utf16.substr(2), ".jsonl", "is a UTF-16 text file"},
      {std::string("\x28\xb5\x2f\xfd\x04", 5), ".txt", "is a Zstandard file, not text in UTF-8"},
      {std::string("\xff\x01\0\x02\x80", 5), ".txt", "is a binary file, not text in UTF-8"},
      {gzip("PAR1" + std::string(20, '\0')), ".jsonl.gz", "is a Parquet file, not JSON in UTF-8"},
      {kRow, ".parquet", "is no Parquet file"},
      {gzip(kRow), ".parquet", "is no Parquet file, but gzip"},
  };
  for (const auto& [content, ending, message] : table) {
    INFO(message);
    CHECK_THAT(refusal_of(content, ending), Contains(message));
  }
}

TEST_CASE("bytes that are no text are not given to the terminal") {
  std::string shown;
  set_log_sink([&](LogLevel, std::string_view message) { shown += message; });
  refusal_of(kRow + "{\"text\": \"a\xff\x1b[31m\"}\n" + "{\"\x1b]0;x\\u001b\": 1}\n", ".jsonl",
             {.on_bad_row = OnBadRow::kSkip});
  set_log_sink({});
  CHECK_THAT(shown, Contains("\\xFF"));
  CHECK(shown.find('\x1b') == std::string::npos);
  CHECK(shown.find('\xff') == std::string::npos);
  // Nor is all of a long row.
  CHECK(refusal_of("{\"text\": \"" + std::string(1 << 20, 'a') + "\xff\"}", ".jsonl").size() < 500);
}

TEST_CASE("an error in JSON names line and column, counted in the file") {
  CHECK_THAT(refusal_of(kRow + "{\"text\": \"é\", x}\n", ".jsonl"),
             Contains(".jsonl:2: not valid JSON: column 15: "));
  CHECK_THAT(refusal_of("[\n {\"text\": \"a\"},   {\"text\": !}]", ".json"),
             Contains(".json:2: not valid JSON: column 28: "));
  CHECK_THAT(refusal_of("[\n {\"text\": \"a\"}, {\"text\":\n\n  !}]", ".json"),
             Contains(".json:2: not valid JSON: line 4, column 3: "));
}

TEST_CASE("valid JSON over several lines is not called invalid") {
  const std::string pretty = "{\n  \"text\": \"ab\",\n  \"n\": [1,\n 2]\n}\n";
  for (const char* ending : {".jsonl", ".json", ".jsonl.gz"}) {
    const std::string content = std::string(ending).ends_with(".gz") ? gzip(pretty) : pretty;
    CHECK_THAT(refusal_of(content, ending, {.on_bad_row = OnBadRow::kSkip}),
               Contains("is one JSON document over several lines; expected one object a line"));
  }
  CHECK_THAT(refusal_of(pretty + pretty, ".jsonl"),
             Contains("holds JSON objects over several lines each"));
  CHECK_THAT(refusal_of("{\"version\": 1,\n\"data\": [{\"text\": \"a\"}]}", ".json"),
             Contains("jq -c '.[\"data\"][]' "));
  // An array is read whatever the ending; what is broken stays a bad row with its place.
  CHECK(texts_of("[\n  {\n \"text\": \"ab\"\n}\n]", ".jsonl") == Texts{"ab"});
  CHECK(texts_of("[{\"text\": \"ab\"}, {\"text\": \"cd\"}]\n", ".jsonl") == Texts{"ab", "cd"});
  CHECK(texts_of("[1]\n" + kRow, ".jsonl", {.on_bad_row = OnBadRow::kSkip}) == Texts{"ab"});
  CHECK_THAT(refusal_of("{\"text\": \"a\"\n" + kRow, ".jsonl"), Contains(":1: not valid JSON"));
  CHECK(texts_of("{\"text\": \"a\"\n" + kRow, ".jsonl", {.on_bad_row = OnBadRow::kSkip}) ==
        Texts{"ab"});
}

}  // namespace
}  // namespace hone::data
