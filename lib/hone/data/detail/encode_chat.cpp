#include <algorithm>

#include "hone/data/detail/encoder.h"
#include "hone/data/detail/tool_forms.h"

namespace hone::data::detail {
namespace {

/// The conversation up to and with message `last`.
text::ChatInput up_to(const text::ChatInput& input, size_t last) {
  text::ChatInput cut = input;
  cut.messages = Json(input.messages.begin(), input.messages.begin() + last + 1);
  return cut;
}

/// Where what system and user wrote stands in the text, message after message. A single word is
/// left out: it might be found in what the template writes itself.
std::vector<Span> free_contents(const std::string& text, const Json& messages) {
  std::vector<Span> free;
  size_t from = 0;
  for (const Json& message : messages) {
    const Json content = message.value("content", Json());
    if (!content.is_string()) continue;
    constexpr const char* kBlank = " \t\r\n";
    const std::string& whole = content.get_ref<const std::string&>();
    const size_t first = whole.find_first_not_of(kBlank);
    if (first == std::string::npos) continue;
    const std::string part = whole.substr(first, whole.find_last_not_of(kBlank) + 1 - first);
    const size_t at = text.find(part, from);
    if (at == std::string::npos) continue;
    from = at + part.size();
    const bool author = message.at("role") == "system" || message.at("role") == "user";
    if (!author || part.find_first_of(kBlank) == std::string::npos) continue;
    free.push_back({static_cast<int64_t>(at), static_cast<int64_t>(from)});
  }
  return free;
}

bool is_assistant(const Json& message) { return message.at("role") == "assistant"; }

}  // namespace

const text::ChatTemplate& Encoder::chat() const {
  std::call_once(chat_once_, [this] {
    if (!text_.chat_template) {
      throw SetupError(
          "holds conversations, but the tokenizer folder has no chat template; add "
          "chat_template.jinja, or for Alpaca rows set chat_form plain");
    }
    try {
      chat_.emplace(*text_.chat_template, text_.chat_template_source);
    } catch (const Error& error) {
      throw SetupError(error.what());
    }
  });
  return *chat_;
}

bool Encoder::use_training_form() const {
  if (options_.chat_form == ChatForm::kTraining) return true;
  if (options_.chat_form == ChatForm::kTemplate) return false;
  std::call_once(form_once_, [this] { discards_ = text::discards_reasoning(chat(), variables_); });
  return discards_;
}

text::ToolParts Encoder::lost_tools(const ChatSample& sample) const {
  const text::ToolParts used = text::used_tools(sample.messages, sample.tools);
  if (!used.any() || options_.chat_form == ChatForm::kPlain) return {};
  std::call_once(tools_once_, [this] { shown_ = text::shown_tools(chat(), variables_); });
  return text::lost_tools(used, shown_);
}

bool Encoder::keeps_tools(const ChatSample& sample, DatasetCounts& counts) const {
  if (options_.tool_form == ToolForm::kChatMl || options_.tool_form == ToolForm::kDeepSeek) {
    return true;
  }
  const text::ToolParts lost = lost_tools(sample);
  const bool calls = lost.calls || lost.results;
  counts.lost_calls += calls;
  counts.lost_tools += lost.definitions;
  return !calls && (!lost.definitions || options_.tool_form == ToolForm::kLeaveOut);
}

std::vector<Document> Encoder::chat_documents(const ChatSample& sample) const {
  const text::ToolParts lost = lost_tools(sample);
  std::vector<Document> documents =
      rendered_documents(lost.any() && options_.tool_form != ToolForm::kLeaveOut
                             ? with_tools_as_text(sample, options_.tool_form, lost)
                             : sample);
  for (Document& document : documents) {
    document.free = free_contents(document.text, sample.messages);
    std::erase_if(document.free, [&](const Span& span) {
      return !document.trained_whole() &&
             std::any_of(document.trained.begin(), document.trained.end(), [&](const Trained& t) {
               return t.begin < span.end && span.begin < t.end;
             });
    });
  }
  return documents;
}

std::vector<Document> Encoder::rendered_documents(const ChatSample& sample) const {
  if (options_.chat_form == ChatForm::kPlain) {
    throw SetupError("chat_form plain has a text form for Alpaca rows only, not for conversations");
  }
  text::ChatInput input;
  input.messages = sample.messages;
  input.tools = sample.tools;
  input.variables = variables_;
  if (use_training_form()) return training_documents(sample, input);
  if (options_.train_on == TrainOn::kAll) return {whole_document(sample, input)};
  if (options_.train_on == TrainOn::kLastAssistant) {
    return {template_document(sample, input, text::ChatTurns::kLast)};
  }

  const auto turns = std::count_if(sample.messages.begin(), sample.messages.end(), is_assistant);
  try {
    return {template_document(sample, input, text::ChatTurns::kAll)};
  } catch (const SetupError&) {
    throw;
  } catch (const Error&) {
    if (turns < 2) throw;
  }
  // The template renders turns otherwise once others follow: a document for each, cut behind it.
  std::vector<Document> documents;
  for (size_t i = 0; i < sample.messages.size(); ++i) {
    if (sample.weights[i] <= 0) continue;
    documents.push_back(template_document(sample, up_to(input, i), text::ChatTurns::kLast));
  }
  return documents;
}

Document Encoder::whole_document(const ChatSample& sample, const text::ChatInput& input) const {
  for (size_t i = 0; i < sample.weights.size(); ++i) {
    if (!is_assistant(sample.messages[i]) || sample.weights[i] == 1) continue;
    throw Error("message " + std::to_string(i + 1) +
                ": train, weight and untrained prompts have no effect with train_on all");
  }
  Document document;
  document.text = chat().render(input);
  document.trained = {{0, static_cast<int64_t>(document.text.size()), 1}};
  return document;
}

Document Encoder::template_document(const ChatSample& sample, const text::ChatInput& input,
                                    text::ChatTurns turns) const {
  text::RenderedChat rendered = text::render_turns(chat(), input, turns);
  Document document;
  document.text = std::move(rendered.text);
  for (const text::ChatSpan& span : rendered.spans) {
    float weight = 1;
    if (span.message >= 0) {
      weight = sample.weights.at(static_cast<size_t>(span.message));
    } else {
      for (size_t i = 0; i < sample.weights.size(); ++i) {
        if (!is_assistant(sample.messages[i]) || sample.weights[i] == 1) continue;
        throw Error(
            "the template's generation blocks do not tell which message they belong to, "
            "so that train, weight and untrained prompts cannot be kept");
      }
    }
    if (weight > 0) document.trained.push_back({span.begin, span.end, weight});
  }
  return document;
}

std::vector<Document> Encoder::training_documents(const ChatSample& sample,
                                                  const text::ChatInput& input) const {
  if (options_.train_on == TrainOn::kAll) {
    throw SetupError(
        "train_on all needs chat_form template: in the training form each answer is "
        "a document of its own, with the conversation before it as its prompt");
  }
  std::vector<Document> documents;
  for (size_t i = 0; i < sample.messages.size(); ++i) {
    if (sample.weights[i] <= 0) continue;
    // The last message is an assistant's.
    if (options_.train_on == TrainOn::kLastAssistant && i + 1 < sample.messages.size()) continue;
    Document& document = documents.emplace_back();
    for (const text::ChatSegment& segment : text::training_form(chat(), input, i)) {
      const auto begin = static_cast<int64_t>(document.text.size());
      document.text += segment.text;
      if (segment.trained) {
        document.trained.push_back(
            {begin, static_cast<int64_t>(document.text.size()), sample.weights[i]});
      }
    }
  }
  return documents;
}

}  // namespace hone::data::detail
