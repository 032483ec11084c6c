#include <algorithm>
#include <cmath>

#include "hone/core/error.h"
#include "hone/data/detail/sample.h"
#include "hone/data/detail/untrainable.h"

namespace hone::data::detail {
namespace {

constexpr double kMaxWeight = 1e6;

[[noreturn]] void fail(size_t index, const std::string& reason) {
  throw Error("message " + std::to_string(index + 1) + ": " + reason);
}

const std::string& text_of(const Json& message, const std::string& key, size_t index) {
  const auto found = message.find(key);
  if (found == message.end()) fail(index, "\"" + key + "\" is missing");
  if (!found->is_string()) {
    fail(index, "\"" + key + "\" must be a string, got " + found->type_name());
  }
  return found->get_ref<const std::string&>();
}

/// The texts of content given in parts, joined.
std::string join_parts(const Json& parts, size_t index) {
  std::string text;
  for (const Json& part : parts) {
    try {
      check_part(part);
    } catch (const Error& error) {
      fail(index, error.what());
    }
    const bool fits = part.is_object() && part.contains("type") && part.at("type") == "text" &&
                      part.contains("text") && part.at("text").is_string();
    if (!fits) fail(index, "\"content\" may hold parts {\"type\": \"text\", \"text\"} only");
    if (part.contains("train") || part.contains("weight")) {
      fail(index, "train and weight of content parts are not supported; use format segments");
    }
    text += part.at("text").get_ref<const std::string&>();
  }
  return text;
}

bool has_text(const Json& message, const char* key) {
  const auto found = message.find(key);
  return found != message.end() && found->is_string() &&
         !found->get_ref<const std::string&>().empty();
}

/// Content as a string; an assistant may say nothing only while it calls a tool or thinks.
void normalise_content(Json& message, size_t index) {
  if (!message.contains("content")) message["content"] = nullptr;
  Json& content = message["content"];
  if (content.is_array()) content = join_parts(content, index);
  if (!content.is_null() && !content.is_string()) {
    fail(index,
         std::string("\"content\" must be a string, null or a list, got ") + content.type_name());
  }
  if (has_text(message, "content")) return;
  const auto calls = message.find("tool_calls");
  const bool acts = calls != message.end() && calls->is_array() && !calls->empty();
  const bool thinks = has_text(message, "reasoning_content") || has_text(message, "reasoning") ||
                      has_text(message, "thinking");
  if (message.at("role") == "assistant" ? !acts && !thinks : content.is_null()) {
    fail(index, "\"content\" is empty");
  }
}

/// Takes "train" or "weight" out of a message and gives its weight.
float take_weight(Json& message, size_t index) {
  if (message.contains("train_detail")) {
    fail(index, "train_detail is not supported; use format segments");
  }
  const bool assistant = message.at("role") == "assistant";
  double weight = assistant ? 1 : 0;
  const bool train = message.contains("train"), weighted = message.contains("weight");
  if (train && weighted) fail(index, "has both \"train\" and \"weight\"");
  if (train && !message.at("train").is_null()) {
    if (!message.at("train").is_boolean()) fail(index, "\"train\" must be true or false");
    weight = message.at("train").get<bool>() ? 1 : 0;
  }
  if (weighted && !message.at("weight").is_null()) {
    if (!message.at("weight").is_number()) fail(index, "\"weight\" must be a number");
    weight = message.at("weight").get<double>();
    if (!(weight >= 0 && weight <= kMaxWeight)) {
      fail(index, "\"weight\" must lie between 0 and 1000000, got " + message.at("weight").dump());
    }
  }
  message.erase("train");
  message.erase("weight");
  if (!assistant && weight > 0) fail(index, "only an assistant's message can be trained");
  return static_cast<float>(weight);
}

/// System texts first; then user and assistant in turn, tools answering the assistant.
void check_order(const std::string& before, const std::string& role, size_t index) {
  const auto follows = [&](std::initializer_list<const char*> roles) {
    return std::find(roles.begin(), roles.end(), before) != roles.end();
  };
  const bool fits = role == "system"      ? follows({"", "system"})
                    : role == "user"      ? follows({"", "system", "assistant"})
                    : role == "assistant" ? follows({"user", "tool"})
                                          : follows({"assistant", "tool"});
  if (fits) return;
  fail(index,
       "role " + role + (before.empty() ? " cannot come first" : " cannot follow " + before));
}

/// A ShareGPT function_call: {"name", "arguments"} or a list of them, as JSON in the content.
Json read_calls(const std::string& content, size_t index) {
  Json calls;
  try {
    calls = parse_json(content, "function call");
  } catch (const IoError& error) {
    fail(index, error.what());
  }
  if (!calls.is_array()) calls = Json::array({calls});
  Json result = Json::array();
  for (const Json& call : calls) {
    const bool fits = call.is_object() && call.contains("name") && call.at("name").is_string() &&
                      call.contains("arguments");
    if (!fits) fail(index, "a function call must be {\"name\", \"arguments\"}");
    result.push_back({{"type", "function"}, {"function", call}});
  }
  return result;
}

/// A message under OpenAI's names.
Json rename(Json message, const RoleTags& tags, size_t index) {
  const std::string from = text_of(message, *tags.role, index);
  const std::pair<const Key*, const char*> roles[] = {{&tags.user, "user"},
                                                      {&tags.assistant, "assistant"},
                                                      {&tags.observation, "tool"},
                                                      {&tags.function, "function"},
                                                      {&tags.system, "system"}};
  std::string role, known;
  for (const auto& [tag, name] : roles) {
    if (!*tag) continue;
    if (**tag == from) role = name;
    known += (known.empty() ? "" : ", ") + **tag;
  }
  if (role.empty()) fail(index, "unknown role \"" + from.substr(0, 40) + "\"; known: " + known);

  Json renamed = Json::object();
  renamed["role"] = role == "function" ? "assistant" : role;
  if (message.contains(*tags.content)) renamed["content"] = message.at(*tags.content);
  for (auto& [key, value] : message.items()) {
    if (key != *tags.role && key != *tags.content) renamed[key] = std::move(value);
  }
  if (role == "function") {
    renamed["tool_calls"] = read_calls(text_of(renamed, "content", index), index);
    renamed["content"] = "";
  }
  return renamed;
}

void check_list(const Json& messages) {
  if (!messages.is_array() || messages.empty()) {
    throw Error("messages must be a list that is not empty");
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].is_object()) fail(i, "must be an object");
  }
}

}  // namespace

ChatSample read_messages(const Json& messages, const Json& tools) {
  check_list(messages);
  ChatSample sample;
  sample.tools = tools;
  std::string before;
  for (size_t i = 0; i < messages.size(); ++i) {
    Json message = messages[i];
    std::string role = text_of(message, "role", i);
    // Templates of these families know no developer, and some would leave it out in silence.
    if (role == "developer") message["role"] = role = "system";
    if (role != "system" && role != "user" && role != "assistant" && role != "tool") {
      fail(i, "unknown role \"" + role.substr(0, 40) +
                  "\"; known: system, developer, user, assistant, tool");
    }
    check_order(before, role, i);
    normalise_content(message, i);
    sample.weights.push_back(take_weight(message, i));
    sample.messages.push_back(std::move(message));
    before = std::move(role);
  }
  if (before != "assistant")
    throw Error("the conversation must end with the assistant, not " + before);
  return sample;
}

ChatSample read_tagged_messages(const Json& messages, const RoleTags& tags,
                                const std::string& system, const Json& tools) {
  check_list(messages);
  Json renamed = Json::array();
  for (size_t i = 0; i < messages.size(); ++i) renamed.push_back(rename(messages[i], tags, i));
  if (!system.empty() && renamed.front().at("role") != "system") {
    renamed.insert(renamed.begin(), Json::object({{"role", "system"}, {"content", system}}));
  }
  return read_messages(renamed, tools);
}

ChatSample read_message_pair(const Json& prompt, const Json& completion, const Json& tools) {
  check_list(prompt);
  check_list(completion);
  Json messages = prompt;
  for (const Json& message : completion) messages.push_back(message);
  ChatSample sample = read_messages(messages, tools);
  std::fill_n(sample.weights.begin(), prompt.size(), 0.0F);
  return sample;
}

Json read_tools(const Json& row, const Key& key) {
  if (!key || !row.contains(*key)) return nullptr;
  Json tools = row.at(*key);
  if (tools.is_string()) {
    if (tools.get_ref<const std::string&>().empty()) return nullptr;
    try {
      tools = parse_json(tools.get_ref<const std::string&>(), *key);
    } catch (const IoError& error) {
      throw Error(error.what());
    }
  }
  if (tools.is_null() || (tools.is_array() && tools.empty())) return nullptr;
  if (!tools.is_array()) throw Error("\"" + *key + "\" must be a list");
  for (Json& tool : tools) {
    if (!tool.is_object()) throw Error("\"" + *key + "\" must hold objects");
    if (!tool.contains("function")) tool = {{"type", "function"}, {"function", Json(tool)}};
  }
  return tools;
}

}  // namespace hone::data::detail
