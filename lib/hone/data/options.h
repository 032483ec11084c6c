/// One data set of a recipe.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hone/core/field.h"
#include "hone/core/names.h"

namespace hone::data {

/// How a file's rows are read; docs/data.md has an example row of each.
enum class Format {
  kAuto,              ///< by the file's ending and each row's keys
  kText,              ///< {"text"} rows, or a .txt file
  kMessages,          ///< OpenAI: {"messages": [{"role", "content"}], "tools"?}
  kPromptCompletion,  ///< TRL: {"prompt", "completion"}, strings or lists of messages
  kAlpaca,            ///< {"instruction", "input"?, "output", "system"?, "history"?}
  kShareGpt,          ///< {"conversations": [{"from", "value"}], "system"?, "tools"?}
  kLlamaFactory,      ///< an entry of LLaMA-Factory's dataset_info.json
  kSegments,          ///< {"segments": [{"label", "text"}]}, joined as they are
  kTokens,            ///< {"input_ids", "labels"?, "attention_mask"?}, tokenised elsewhere
};

/// How a .txt file falls into documents.
enum class TextUnit { kParagraph, kLine, kFile };

/// Which turns of a conversation are trained.
enum class TrainOn { kAssistant, kLastAssistant, kAll };

/// Which text a conversation becomes.
enum class ChatForm {
  kAuto,      ///< kTemplate, or kTraining where the template would discard reasoning
  kTemplate,  ///< the checkpoint's own template, as transformers renders it
  kTraining,  ///< R1's training form: reasoning kept, `<think>` opened by the generation prompt
  kPlain,     ///< no template: Alpaca in Stanford's text form; nothing else can be rendered
};

/// What becomes of tool definitions, calls and results that the chat template would leave out.
enum class ToolForm {
  kTemplate,  ///< nothing may be left out: such rows are an error
  kLeaveOut,  ///< rows that would lose calls or results are left out, lost definitions forgotten
  kChatMl,    ///< written into the messages as Qwen2.5 writes them
  kDeepSeek,  ///< written into the messages as DeepSeek V3 and V3.1 write them
};

enum class OnBadRow { kStop, kSkip };

/// What happens to a document of more than max_length tokens.
enum class OnTooLong {
  kTruncate,  ///< its first max_length tokens stay
  kDrop,      ///< it is left out
  kSplit,     ///< it becomes several documents; each target still counts once
  kError,
};

/// Held-out rows that are split off a data set; of `share` and `rows` one is given.
struct SplitOptions {
  std::optional<double> share;
  std::optional<int64_t> rows;
  int64_t seed = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("share", self.share, "Share of each training set's rows, e.g. 0.05.", Range{1e-6, 0.9});
    v("rows", self.rows, "Rows of each training set.", Range{1, 1e9});
    v("seed", self.seed, "Which rows they are; independent of the run's seed.", Range{0, 9e15});
  }
  void validate(Validation& v) const;
};

/// The side of a split that is read.
struct Portion {
  SplitOptions split;
  bool held_out = false;
};

struct DatasetOptions {
  std::string name;
  std::string domain = "general";
  std::vector<std::string> files;
  Format format = Format::kAuto;
  std::optional<std::string> dataset_info;
  std::map<std::string, std::string> columns;
  TextUnit text_unit = TextUnit::kParagraph;
  ChatForm chat_form = ChatForm::kAuto;
  TrainOn train_on = TrainOn::kAssistant;
  ToolForm tool_form = ToolForm::kTemplate;
  double weight = 1.0;
  OnBadRow on_bad_row = OnBadRow::kStop;
  std::optional<int64_t> max_length;
  OnTooLong on_too_long = OnTooLong::kTruncate;
  std::optional<int64_t> max_rows;
  std::optional<Portion> portion;  ///< set by who splits, no key: absent reads every row

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& v) {
    v("name", self.name, "Name in reports; the first file's stem when empty.");
    v("domain", self.domain, "Domain that its tokens count under.");
    v("files", self.files,
      "Files read in this order, folders of them or patterns (data/*.jsonl): .jsonl, .json, .csv, "
      ".tsv, .txt, each also .gz, or .parquet.",
      Required{});
    v("format", self.format, "How rows are read; auto looks at endings and keys.");
    v("dataset_info", self.dataset_info,
      "Entry of the dataset_info.json given as the only file; with format llama_factory.");
    v("columns", self.columns,
      "Columns of the files by the names that the format knows, e.g. {\"prompt\": \"question\", "
      "\"completion\": \"answer\"}.");
    v("text_unit", self.text_unit,
      "What one document of a .txt file is; in entries of LLaMA-Factory a line, as there, unless "
      "it is file.");
    v("chat_form", self.chat_form, "Which text a conversation becomes.");
    v("train_on", self.train_on, "Which turns of a conversation are trained.");
    v("tool_form", self.tool_form,
      "What becomes of tools that the chat template does not show: an error, rows left out, or "
      "text.");
    v("weight", self.weight, "Factor on the set's share of the mix; 0 leaves it out.",
      Range{0, 1e6});
    v("on_bad_row", self.on_bad_row, "Whether a bad row stops the run or is skipped and counted.");
    v("max_length", self.max_length,
      "Most tokens of a document; as many as a batch holds when absent.", Range{2, 16777216});
    v("on_too_long", self.on_too_long, "What happens to a longer document.");
    v("max_rows", self.max_rows, "Only the first so many rows are read.", Range{1, 1e15});
  }

  void validate(Validation& v) const;

  /// `name`, or the first file's stem where it is empty; of a folder or pattern the folder's name.
  std::string label() const;
};

}  // namespace hone::data

template <>
struct hone::EnumNames<hone::data::Format> {
  static constexpr std::pair<data::Format, const char*> values[] = {
      {data::Format::kAuto, "auto"},
      {data::Format::kText, "text"},
      {data::Format::kMessages, "messages"},
      {data::Format::kPromptCompletion, "prompt_completion"},
      {data::Format::kAlpaca, "alpaca"},
      {data::Format::kShareGpt, "sharegpt"},
      {data::Format::kLlamaFactory, "llama_factory"},
      {data::Format::kSegments, "segments"},
      {data::Format::kTokens, "tokens"}};
};
template <>
struct hone::EnumNames<hone::data::TextUnit> {
  static constexpr std::pair<data::TextUnit, const char*> values[] = {
      {data::TextUnit::kParagraph, "paragraph"},
      {data::TextUnit::kLine, "line"},
      {data::TextUnit::kFile, "file"}};
};
template <>
struct hone::EnumNames<hone::data::TrainOn> {
  static constexpr std::pair<data::TrainOn, const char*> values[] = {
      {data::TrainOn::kAssistant, "assistant"},
      {data::TrainOn::kLastAssistant, "last_assistant"},
      {data::TrainOn::kAll, "all"}};
};
template <>
struct hone::EnumNames<hone::data::ChatForm> {
  static constexpr std::pair<data::ChatForm, const char*> values[] = {
      {data::ChatForm::kAuto, "auto"},
      {data::ChatForm::kTemplate, "template"},
      {data::ChatForm::kTraining, "training"},
      {data::ChatForm::kPlain, "plain"}};
};
template <>
struct hone::EnumNames<hone::data::ToolForm> {
  static constexpr std::pair<data::ToolForm, const char*> values[] = {
      {data::ToolForm::kTemplate, "template"},
      {data::ToolForm::kLeaveOut, "leave_out"},
      {data::ToolForm::kChatMl, "chatml"},
      {data::ToolForm::kDeepSeek, "deepseek"}};
};
template <>
struct hone::EnumNames<hone::data::OnBadRow> {
  static constexpr std::pair<data::OnBadRow, const char*> values[] = {
      {data::OnBadRow::kStop, "stop"}, {data::OnBadRow::kSkip, "skip"}};
};
template <>
struct hone::EnumNames<hone::data::OnTooLong> {
  static constexpr std::pair<data::OnTooLong, const char*> values[] = {
      {data::OnTooLong::kTruncate, "truncate"},
      {data::OnTooLong::kDrop, "drop"},
      {data::OnTooLong::kSplit, "split"},
      {data::OnTooLong::kError, "error"}};
};
