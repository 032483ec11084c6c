#include "hone/text/tokenizer_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "hone/core/keys.h"
#include "hone/text/encodings.h"

namespace hone::text {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSideFile = size_t{16} << 20;

/// The object that a file holds, empty if there is no such file.
Json read_side_file(const std::string& path) {
  return fs::exists(path) ? read_json_file(path, {.max_bytes = kMaxSideFile}) : Json::object();
}

/// A token given as "text" or {"content": "text", ...}; "" if absent.
std::string token_of(Keys& keys, const char* key) {
  const Json* value = keys.find(key);
  if (value && value->is_object()) return keys.below(*value, key).required_text("content");
  return keys.text(key).value_or("");
}

bool is_llama_class(Keys& config) {
  static const std::vector<std::string> kNames = {"LlamaTokenizer", "LlamaTokenizerFast",
                                                  "CodeLlamaTokenizer", "CodeLlamaTokenizerFast"};
  const std::string name = config.text("tokenizer_class").value_or("");
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

/// Ids that encode(text, true) puts before and behind a text's own.
struct Frame {
  std::vector<int64_t> before, behind;
  bool operator==(const Frame&) const = default;
};

Frame frame_of(const Tokenizer& tokenizer) {
  const std::vector<int64_t> own = tokenizer.encode_ids("a", false);
  const Encoding all = tokenizer.encode("a", true);
  // Added ids have offset [0, 0); the text's own has not, unless nothing is left of "a".
  size_t before = 0;
  while (before < all.ids.size() - own.size() && all.offsets[before] == Offset{0, 0}) ++before;
  const auto begin = all.ids.begin() + static_cast<ptrdiff_t>(before);
  return {{all.ids.begin(), begin}, {begin + static_cast<ptrdiff_t>(own.size()), all.ids.end()}};
}

/// The post-processor that LlamaTokenizerFast of transformers 4 makes.
Json llama_template(const TokenizerFolder& folder, bool add_bos, bool add_eos) {
  Json single = Json::array(), pair = Json::array(), specials = Json::object();
  const auto special = [&](const std::string& token, int64_t id) {
    specials[token] = {{"id", token}, {"ids", {id}}, {"tokens", {token}}};
  };
  const auto sequence = [&](Json& out, const char* name, int type) {
    const auto add = [&](const std::string& token) {
      out.push_back({{"SpecialToken", {{"id", token}, {"type_id", type}}}});
    };
    if (add_bos) add(folder.bos_token);
    out.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    if (add_eos) add(folder.eos_token);
  };
  sequence(single, "A", 0);
  sequence(pair, "A", 0);
  sequence(pair, "B", 1);
  if (add_bos) special(folder.bos_token, *folder.bos_id);
  if (add_eos) special(folder.eos_token, *folder.eos_id);
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", specials}};
}

/// What transformers 4 does to classes that derive from LlamaTokenizer.
void apply_llama_flags(TokenizerFolder& folder, Keys& config) {
  const bool add_bos = config.flag("add_bos_token").value_or(true);
  const bool add_eos = config.flag("add_eos_token").value_or(false);
  const auto check = [&](bool add, const char* which, const std::optional<int64_t>& id) {
    if (add && !id) {
      config.problem(fmt::format("add_{}_token", which),
                     fmt::format("is true (the default of bos), but {}_token is missing or not in "
                                 "the vocabulary",
                                 which));
    }
  };
  check(add_bos, "bos", folder.bos_id);
  check(add_eos, "eos", folder.eos_id);
  Frame wanted;
  if (add_bos) wanted.before = {*folder.bos_id};
  if (add_eos) wanted.behind = {*folder.eos_id};
  if (frame_of(folder.tokenizer) == wanted) return;
  Json json = folder.tokenizer.json();
  json["post_processor"] = llama_template(folder, add_bos, add_eos);
  folder.tokenizer = Tokenizer::from_json(std::move(json), folder.tokenizer.source());
  folder.rewritten = true;
}

/// tokenizer_config's chat_template: a string, or a list of named ones of which "default" counts.
std::optional<std::string> named_template(Keys& config) {
  const Json* value = config.find("chat_template");
  if (!value) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  if (value->is_array()) {
    for (const Json& entry : *value) {
      if (entry.is_object() && entry.value("name", Json()) == "default" &&
          entry.value("template", Json()).is_string()) {
        return entry["template"].get<std::string>();
      }
    }
  }
  config.problem("chat_template", "expected a string or a list with a template named \"default\"");
  return std::nullopt;
}

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// Whether `word` stands in the text as a word of its own.
bool names_word(const std::string& text, const std::string& word) {
  if (word.empty()) return false;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_name_char(text[at - 1])) &&
        (end == text.size() || !is_name_char(text[end]))) {
      return true;
    }
  }
  return false;
}

}  // namespace

TokenizerFolder TokenizerFolder::load(const std::string& folder) {
  const std::string config_path = folder + "/tokenizer_config.json";
  const std::string map_path = folder + "/special_tokens_map.json";
  const Json config_json = read_side_file(config_path), map_json = read_side_file(map_path);
  Keys config(config_json, config_path, ""), map(map_json, map_path, "");
  TokenizerFolder result{Tokenizer::from_file(folder + "/tokenizer.json")};
  const auto token = [&](const char* key, std::string& text, std::optional<int64_t>& id) {
    text = token_of(config.find(key) ? config : map, key);
    if (!text.empty()) id = result.tokenizer.token_to_id(text);
  };
  token("bos_token", result.bos_token, result.bos_id);
  token("eos_token", result.eos_token, result.eos_id);
  token("pad_token", result.pad_token, result.pad_id);
  if (is_llama_class(config)) apply_llama_flags(result, config);
  const Frame frame = frame_of(result.tokenizer);
  result.add_bos = result.bos_id && !frame.before.empty() && frame.before.front() == *result.bos_id;
  result.add_eos = result.eos_id && !frame.behind.empty() && frame.behind.back() == *result.eos_id;

  const std::string jinja = folder + "/chat_template.jinja";
  if (fs::exists(jinja)) {
    result.chat_template = read_file(jinja, kMaxSideFile);
    result.chat_template_source = jinja;
  } else if ((result.chat_template = named_template(config))) {
    result.chat_template_source = config_path;
  } else {
    const std::string model_path = folder + "/config.json";
    const Json model_json = read_side_file(model_path);
    const std::string type = Keys(model_json, model_path, "").text("model_type").value_or("");
    if (const char* encoding = makers_encoding(type)) {
      result.chat_template = encoding;
      result.chat_template_source = "the encoding of " + type;
    }
  }
  return result;
}

void TokenizerFolder::set_chat_template_kwargs(const Json& kwargs) {
  if (!kwargs.is_object()) throw Error("chat_template_kwargs: expected an object of variables");
  for (const auto& [name, value] : kwargs.items()) {
    if (!chat_template) {
      throw Error("chat_template_kwargs: " + tokenizer.source() + " comes without a chat template");
    }
    if (!names_word(*chat_template, name)) {
      throw Error(fmt::format("chat_template_kwargs: {} reads no variable \"{}\"",
                              chat_template_source, name));
    }
  }
  chat_template_kwargs = kwargs;
}

Json TokenizerFolder::chat_variables() const {
  Json variables = Json::object();
  if (!bos_token.empty()) variables["bos_token"] = bos_token;
  if (!eos_token.empty()) variables["eos_token"] = eos_token;
  variables.update(chat_template_kwargs);
  return variables;
}

}  // namespace hone::text
