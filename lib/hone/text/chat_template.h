/// Chat templates: conversations as the text a model was trained to read, and which of it is
/// trained.
#pragma once
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hone/core/json.h"
#include "hone/text/chat_limits.h"

namespace hone::text {

/// What a chat template sees of one conversation.
struct ChatInput {
  /// List of {"role", "content" (string, null or list of parts), "reasoning_content"?,
  /// "tool_calls"?, ...}. As in transformers, "thinking" and "reasoning" are other names of
  /// "reasoning_content", and keys whose value is null count as left out; all others go to the
  /// template as they are. Must not be empty.
  Json messages = Json::array();
  Json tools;      ///< list of JSON schemas, or null
  Json documents;  ///< list of {"title", "text"}, or null
  bool add_generation_prompt = false;
  /// Further variables: "bos_token", "eos_token" (leave out what the tokenizer lacks: it is then
  /// undefined, as in transformers), "enable_thinking", ... They win over the fields above.
  Json variables = Json::object();
  /// The time that strftime_now shows, in the local zone; the clock's when absent.
  std::optional<std::time_t> now;
};

/// One trained stretch of a rendered conversation: bytes [begin, end) of the text.
struct ChatSpan {
  int64_t begin, end;
  int64_t message;  ///< index of the assistant message, or -1 where a template does not tell
  bool operator==(const ChatSpan&) const = default;
};

struct RenderedChat {
  std::string text;
  std::vector<ChatSpan> spans;  ///< ascending, without overlap
};

/// A stretch of a training text.
struct ChatSegment {
  std::string text;
  bool trained;
  bool operator==(const ChatSegment&) const = default;
};

/// A chat template, compiled once. Copies share it; all methods may run in several threads at once.
///
/// Renders what transformers 5 `apply_chat_template(tokenize=False)` renders (jinja2 3.1:
/// ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loop controls, its own tojson,
/// raise_exception, strftime_now, `{% generation %}`). What it does not know is an Error naming the
/// construct and its line: a template is never rendered by guess. docs/chat-templates.md lists the
/// language. There is no access to files, modules or attributes of anything but values.
/// Parity: tests/interop/text_chat.py.
class ChatTemplate {
 public:
  /// `source_name` stands for the template in messages.
  /// Throws: Error "<source_name>: line <n>: <reason>" for what cannot be read.
  ChatTemplate(std::string source, std::string source_name, const ChatLimits& limits = {});

  /// The conversation's text. It holds bos where the template writes it: encode it without adding
  /// special tokens.
  /// Throws: Error "<source_name>: line <n>: <reason>", also for raise_exception.
  std::string render(const ChatInput& input) const;

  /// The text with the stretches inside `{% generation %}` blocks; no spans if there are none.
  /// The k-th stretch belongs to the k-th assistant message if their numbers agree, else to -1.
  RenderedChat render_generation(const ChatInput& input) const;
  /// Whether the template marks what the assistant says with `{% generation %}`.
  bool has_generation_blocks() const;

  const std::string& source() const;
  const std::string& source_name() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// Which assistant turns become spans.
enum class ChatTurns { kAll, kLast };

/// A conversation's text with the spans of its assistant turns (add_generation_prompt is ignored).
///
/// Where the template has `{% generation %}` blocks, they are the spans. Otherwise the span of
/// message i starts where the text of messages [0, i) with the generation prompt ends, and stops
/// after the turn's end-of-turn token: content, tool calls and that token, not the line break that
/// some templates write after it. The end-of-turn token is what the template writes after the
/// content of a short answer, less trailing white space.
/// Both prefixes must be what the whole text starts with. Some templates render a turn otherwise
/// once others follow (Qwen3 drops its thoughts): then only kLast of a conversation cut after that
/// turn has a span.
/// Throws: Error naming the message whose text is no prefix; Error as render().
RenderedChat render_turns(const ChatTemplate& chat, const ChatInput& input,
                          ChatTurns turns = ChatTurns::kAll);

/// Whether the template throws away `<think>...</think>` in the content of assistant turns, the
/// last one included, so that reasoning cannot be trained through it (DeepSeek R1 and its
/// distillations). Found by rendering a small conversation, not by name.
/// `variables` as in ChatInput. Throws: Error as render().
bool discards_reasoning(const ChatTemplate& chat, const Json& variables = Json::object());

/// What an assistant message thinks and what it says.
struct Reasoning {
  std::string thought, answer;
};

/// "reasoning_content" (or "reasoning", "thinking") and "content"; without such a key, content is
/// cut at its last `</think>`. Line breaks next to the tags are no part of either. List content is
/// joined from its text parts.
Reasoning split_reasoning(const Json& message);

/// The training form of assistant message `message`: the conversation up to it as the model meets
/// it when serving, and the turn with its chain of thought kept and trained.
///
///   not trained: messages [0, message) as the template renders them (earlier turns lose their
///                thoughts where it drops them) and the generation prompt
///   trained:     thought + "\n</think>\n\n" + answer, tool calls and end-of-turn token as the
///                template renders them
///
/// The generation prompt decides about the tags: one that ends in "<think>\n" (R1) is followed by
/// the above; one that ends in "<think>" (V3.1) closes with a bare "</think>"; one that opens no
/// thought gets a trained "<think>\n" in front of it. A turn without a thought closes an opened one
/// at once, untrained, lest the model learn to skip thinking, and opens none itself.
/// One text a turn: to train several turns, call it for each.
/// Throws: Error if `message` is no assistant message, if the generation prompt forbids thinking
/// (ends in "</think>") but there is a thought, or as render().
std::vector<ChatSegment> training_form(const ChatTemplate& chat, const ChatInput& input,
                                       size_t message);

}  // namespace hone::text
