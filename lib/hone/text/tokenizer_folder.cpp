#include "hone/text/tokenizer_folder.h"

#include <algorithm>
#include <filesystem>

#include "hone/core/error.h"
#include "hone/core/file.h"

namespace hone::text {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSideFile = size_t{16} << 20;

struct SideFile {
  std::string path;
  Json json;  ///< null if there is no such file

  SideFile(const std::string& folder, const char* name) : path(folder + "/" + name) {
    if (!fs::exists(path)) return;
    json = read_json_file(path, {.max_bytes = kMaxSideFile});
    if (!json.is_object()) throw IoError(path, "expected an object");
  }

  /// Null if absent.
  const Json* find(const char* key) const {
    if (json.is_null()) return nullptr;
    const auto found = json.find(key);
    return found == json.end() || found->is_null() ? nullptr : &*found;
  }

  bool boolean(const char* key, bool fallback) const {
    const Json* value = find(key);
    if (!value) return fallback;
    if (!value->is_boolean()) throw IoError(path, std::string(key) + ": expected true or false");
    return value->get<bool>();
  }

  /// A token given as "text" or {"content": "text", ...}; "" if absent.
  std::string token(const char* key) const {
    const Json* value = find(key);
    if (!value) return "";
    if (value->is_object() && value->contains("content")) value = &(*value)["content"];
    if (!value->is_string()) {
      throw IoError(path, std::string(key) + ": expected a token or an object with its content");
    }
    return value->get<std::string>();
  }
};

bool is_llama_class(const SideFile& config) {
  const Json* name = config.find("tokenizer_class");
  if (!name || !name->is_string()) return false;
  static const std::vector<std::string> kNames = {"LlamaTokenizer", "LlamaTokenizerFast",
                                                  "CodeLlamaTokenizer", "CodeLlamaTokenizerFast"};
  return std::find(kNames.begin(), kNames.end(), name->get<std::string>()) != kNames.end();
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
void apply_llama_flags(TokenizerFolder& folder, const SideFile& config) {
  const bool add_bos = config.boolean("add_bos_token", true);
  const bool add_eos = config.boolean("add_eos_token", false);
  const auto check = [&](bool add, const char* which, const std::optional<int64_t>& id) {
    if (add && !id) {
      throw IoError(config.path, std::string("add_") + which +
                                     "_token is true (the default of bos), but " + which +
                                     "_token is missing or not in the vocabulary");
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
std::optional<std::string> named_template(const SideFile& config) {
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
  throw IoError(config.path,
                "chat_template: expected a string or a list with a template named \"default\"");
}

}  // namespace

TokenizerFolder TokenizerFolder::load(const std::string& folder) {
  const SideFile config(folder, "tokenizer_config.json");
  const SideFile map(folder, "special_tokens_map.json");
  TokenizerFolder result{Tokenizer::from_file(folder + "/tokenizer.json"),
                         {},
                         {},
                         {},
                         {},
                         {},
                         {},
                         false,
                         false,
                         {},
                         {}};
  const auto token = [&](const char* key, std::string& text, std::optional<int64_t>& id) {
    text = config.find(key) ? config.token(key) : map.token(key);
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
    result.chat_template_source = config.path;
  }
  return result;
}

}  // namespace hone::text
