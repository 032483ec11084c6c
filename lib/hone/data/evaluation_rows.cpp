#include "hone/data/evaluation_rows.h"

#include <filesystem>
#include <set>

#include "hone/core/error.h"
#include "hone/data/detail/row_source.h"
#include "hone/data/detail/sample.h"
#include "hone/data/files.h"

namespace hone::data {
namespace {

constexpr size_t kMaxChoices = 26;  // as many as letters

/// The one of the keys that a row has, or "". Throws: Error if it has several.
std::string only_key(const Json& row, std::initializer_list<const char*> keys) {
  std::string found;
  for (const char* key : keys) {
    if (!row.contains(key)) continue;
    if (!found.empty()) {
      throw Error("has both \"" + found + "\" and \"" + key + "\"; keep one of them");
    }
    found = key;
  }
  return found;
}

const std::string& filled_text(const Json& value, const std::string& name) {
  if (!value.is_string()) throw Error(name + " must be a string, got " + value.type_name());
  const std::string& text = value.get_ref<const std::string&>();
  if (text.empty()) throw Error(name + " is empty");
  return text;
}

const std::string& filled_text(const Json& row, const char* key) {
  return filled_text(detail::need(row, key), "\"" + std::string(key) + "\"");
}

std::vector<std::string> text_list(const Json& row, const std::string& key) {
  const Json& list = detail::need(row, key);
  if (!list.is_array() || list.empty()) {
    throw Error("\"" + key + "\" must be a list of strings that is not empty");
  }
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    texts.push_back(filled_text(list[i], "\"" + key + "\"[" + std::to_string(i) + "]"));
  }
  return texts;
}

std::vector<std::string> read_references(const Json& row) {
  const std::string key = only_key(row, {"references", "reference", "completion"});
  if (key.empty()) return {};
  if (key == "references") return text_list(row, key);
  return {filled_text(row, key.c_str())};
}

/// The conversation under a key, and the reference that its last message is where there is no
/// other.
void read_conversation(const Json& row, const char* key, GenerationRow& result) {
  const Json& messages = row.at(key);
  result.tools = detail::read_tools(row, "tools");
  const bool own_answer = result.references.empty();
  // With an answer behind it a prompt has to be a conversation like one that is trained.
  const Json answer = Json::array({{{"role", "assistant"}, {"content", "answer"}}});
  result.messages = (own_answer ? detail::read_messages(messages, result.tools)
                                : detail::read_message_pair(messages, answer, result.tools))
                        .messages;
  if (own_answer) {
    const Json& content = result.messages.back().at("content");
    if (!content.is_string() || content.get_ref<const std::string&>().empty()) {
      throw Error("the last message has no content to judge an answer by");
    }
    result.references = {content.get<std::string>()};
  }
  result.messages.erase(result.messages.size() - 1);
}

GenerationRow read_generation_row(const Json& row) {
  GenerationRow result;
  result.references = read_references(row);
  const std::string key = only_key(row, {"prompt", "messages"});
  if (key.empty()) throw Error("has neither \"prompt\" nor \"messages\"");
  if (key == "messages" || row.at(key).is_array()) {
    read_conversation(row, key.c_str(), result);
    return result;
  }
  if (row.contains("tools")) throw Error("\"tools\" need a conversation, not a prompt of text");
  result.prompt = filled_text(row, "prompt");
  if (result.references.empty()) {
    throw Error("has no answer: expected \"references\", \"reference\" or \"completion\"");
  }
  return result;
}

size_t read_answer(const Json& answer, const std::vector<std::string>& choices) {
  const std::string expected = "\"answer\" must be an index from 0 to " +
                               std::to_string(choices.size() - 1) + " or a letter from A to " +
                               static_cast<char>('A' + choices.size() - 1) + ", got ";
  if (answer.is_number_unsigned() && answer.get<uint64_t>() < choices.size()) {
    return answer.get<size_t>();
  }
  if (answer.is_string() && answer.get_ref<const std::string&>().size() == 1) {
    const char letter = answer.get_ref<const std::string&>()[0];
    const int index = letter >= 'a' ? letter - 'a' : letter - 'A';
    if (index >= 0 && static_cast<size_t>(index) < choices.size()) {
      return static_cast<size_t>(index);
    }
  }
  throw Error(expected + answer.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 40));
}

ChoiceRow read_choice_row(const Json& row) {
  ChoiceRow result;
  const std::string key = only_key(row, {"prompt", "question"});
  if (key.empty()) throw Error("has neither \"prompt\" nor \"question\"");
  result.prompt = filled_text(row, key.c_str());
  result.choices = text_list(row, "choices");
  const size_t count = result.choices.size();
  if (count < 2 || count > kMaxChoices) {
    throw Error("\"choices\" must hold 2 to 26 choices, got " + std::to_string(count));
  }
  const std::set<std::string> different(result.choices.begin(), result.choices.end());
  if (different.size() != count) throw Error("\"choices\" holds the same choice twice");
  const Json& answer = detail::need(row, "answer");
  result.answer = read_answer(answer, result.choices);
  // "answer": "B" beside a choice that reads "B": a letter and a text are not told apart.
  if (answer.is_string() && different.contains(answer.get<std::string>()) &&
      result.choices[result.answer] != answer.get<std::string>()) {
    throw Error("\"answer\" " + answer.dump() +
                " is a choice's text and another's letter; give an index");
  }
  return result;
}

template <class Row>
std::vector<Row> read_rows(const std::string& path, const EvaluationLimits& limits,
                           Row (*read)(const Json& row)) {
  const FileForm form = form_of(path);
  if (form == FileForm::kUnknown || form == FileForm::kText) {
    throw IoError(path,
                  "expected a file of rows ending in .jsonl, .json, .csv, .tsv (each also "
                  ".gz) or .parquet");
  }
  std::error_code unreadable;  // reported by RowSource
  const auto bytes = std::filesystem::file_size(path, unreadable);
  if (!unreadable && bytes > limits.max_bytes) {
    throw IoError(path, "holds " + std::to_string(bytes) + " bytes; the limit is " +
                            std::to_string(limits.max_bytes));
  }
  detail::RowSource source({.files = {path}});
  std::vector<Row> rows;
  for (detail::RawRow raw; source.next(raw);) {
    if (rows.size() == limits.max_rows) {
      throw IoError(path, "holds more than " + std::to_string(limits.max_rows) + " rows");
    }
    try {
      rows.push_back(read(detail::parse_object(raw)));
    } catch (const Error& error) {
      throw DataError(path, raw.line, error.what());
    }
    rows.back().line = raw.line;
  }
  if (rows.empty()) throw IoError(path, "holds no row");
  return rows;
}

}  // namespace

std::vector<GenerationRow> read_generation_rows(const std::string& path,
                                                const EvaluationLimits& limits) {
  return read_rows(path, limits, read_generation_row);
}

std::vector<ChoiceRow> read_choice_rows(const std::string& path, const EvaluationLimits& limits) {
  return read_rows(path, limits, read_choice_row);
}

}  // namespace hone::data
