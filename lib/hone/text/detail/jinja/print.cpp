// How Python prints values: str(), repr() and json.dumps().
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "hone/core/utf8.h"
#include "hone/text/detail/jinja/runtime.h"

namespace hone::text::jinja {
namespace {

/// Fails where Python would print an address.
[[noreturn]] void no_text(const Value& value) {
  throw Fault("a " + type_name(value) + " cannot be printed");
}

bool printable(char32_t c) {
  if (c == ' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

void append_hex(std::string& out, const char* prefix, uint32_t value, int digits) {
  out += prefix;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[value >> shift & 15];
  }
}

void append_string_repr(std::string& out, const std::string& text) {
  const bool single = text.find('\'') == std::string::npos || text.find('"') != std::string::npos;
  const char quote = single ? '\'' : '"';
  out += quote;
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char* start = p;
    const char32_t c = next_char(p);
    if (c == '\\' || c == static_cast<char32_t>(quote)) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (printable(c)) {
      out.append(start, p);
    } else if (c < 0x100) {
      append_hex(out, "\\x", c, 2);
    } else if (c < 0x10000) {
      append_hex(out, "\\u", c, 4);
    } else {
      append_hex(out, "\\U", c, 8);
    }
  }
  out += quote;
}

void append_repr(Runtime& runtime, std::string& out, const Value& value);

void append_items(Runtime& runtime, std::string& out, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i) out += ", ";
    append_repr(runtime, out, items[i]);
  }
}

void append_view(Runtime& runtime, std::string& out, const ViewObject& view) {
  out += view.part == 0 ? "dict_keys([" : view.part == 1 ? "dict_values([" : "dict_items([";
  for (size_t i = 0; i < view.dict.pairs().size(); ++i) {
    if (i) out += ", ";
    append_repr(runtime, out, view.at(i));
  }
  out += "])";
}

template <class Pair, class Key>
void append_pairs(Runtime& runtime, std::string& out, const std::vector<Pair>& pairs, Key key) {
  out += '{';
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (i) out += ", ";
    key(pairs[i].first);
    out += ": ";
    append_repr(runtime, out, pairs[i].second);
  }
  out += '}';
}

void append_repr(Runtime& runtime, std::string& out, const Value& value) {
  const Runtime::Nested nested(runtime);
  runtime.charge(1);
  switch (value.kind()) {
    case Kind::kUndefined:
      out += "Undefined";
      return;
    case Kind::kNone:
      out += "None";
      return;
    case Kind::kBool:
      out += value.boolean() ? "True" : "False";
      return;
    case Kind::kInt:
      out += std::to_string(value.integer());
      return;
    case Kind::kFloat:
      out += float_repr(value.real());
      return;
    case Kind::kString:
      if (value.markup()) no_text(value);
      runtime.charge_text(value.text().size());
      append_string_repr(out, value.text());
      return;
    case Kind::kList:
      out += '[';
      append_items(runtime, out, value.items());
      out += ']';
      return;
    case Kind::kTuple:
      out += '(';
      append_items(runtime, out, value.items());
      out += value.items().size() == 1 ? ",)" : ")";
      return;
    case Kind::kDict:
      append_pairs(runtime, out, value.pairs(),
                   [&](const Value& key) { append_repr(runtime, out, key); });
      return;
    case Kind::kNamespace:
      out += "<Namespace ";
      append_pairs(runtime, out, value.object<NamespaceObject>().attributes,
                   [&](const std::string& key) { append_string_repr(out, key); });
      out += '>';
      return;
    case Kind::kRange: {
      const auto& range = value.object<RangeObject>();
      out += "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
      if (range.step != 1) out += ", " + std::to_string(range.step);
      out += ')';
      return;
    }
    case Kind::kView:
      append_view(runtime, out, value.object<ViewObject>());
      return;
    default:
      no_text(value);
  }
}

void append_json_string(std::string& out, const std::string& text, bool ascii) {
  out += '"';
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char* start = p;
    const char32_t c = next_char(p);
    switch (c) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\f':
        out += "\\f";
        continue;
      case '\b':
        out += "\\b";
        continue;
      default:
        break;
    }
    if (c >= 0x20 && (!ascii || c < 0x7F)) {
      out.append(start, p);
    } else if (c < 0x10000) {
      append_hex(out, "\\u", c, 4);
    } else {
      append_hex(out, "\\u", 0xD7C0 + (c >> 10), 4);
      append_hex(out, "\\u", 0xDC00 + (c & 0x3FF), 4);
    }
  }
  out += '"';
}

std::string json_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return float_repr(value);
}

std::string json_key(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      return key.text();
    case Kind::kNone:
      return "null";
    case Kind::kBool:
      return key.boolean() ? "true" : "false";
    case Kind::kInt:
      return std::to_string(key.integer());
    case Kind::kFloat:
      return json_number(key.real());
    default:
      throw Fault("tojson: a " + type_name(key) + " cannot be a key");
  }
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, std::string& out, const JsonStyle& style)
      : runtime_(runtime), out_(out), style_(style) {}

  void write(const Value& value) {
    const Runtime::Nested nested(runtime_);
    runtime_.charge(1);
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        return;
      case Kind::kBool:
        out_ += value.boolean() ? "true" : "false";
        return;
      case Kind::kInt:
        out_ += std::to_string(value.integer());
        return;
      case Kind::kFloat:
        out_ += json_number(value.real());
        return;
      case Kind::kString:
        write_string(value.text());
        return;
      case Kind::kList:
      case Kind::kTuple:
        brackets('[', ']', value.items(), [this](const Value& item) { write(item); });
        return;
      case Kind::kDict:
        write_dict(value.pairs());
        return;
      default:
        throw Fault("tojson: a " + type_name(value) + " is not JSON serializable");
    }
  }

 private:
  void write_string(const std::string& text) {
    runtime_.charge_text(text.size());
    append_json_string(out_, text, style_.ensure_ascii);
  }

  void write_dict(Pairs pairs) {
    if (style_.sort_keys) {
      merge_sort(pairs,
                 [this](const auto& a, const auto& b) { return less(runtime_, a.first, b.first); });
    }
    brackets('{', '}', pairs, [this](const auto& pair) {
      write_string(json_key(pair.first));
      out_ += style_.key_separator;
      write(pair.second);
    });
  }

  template <class Items, class Write>
  void brackets(char open, char close, const Items& items, Write write_item) {
    out_ += open;
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i) out_ += style_.item_separator;
      line_break();
      write_item(items[i]);
    }
    --level_;
    if (!items.empty()) line_break();
    out_ += close;
  }

  void line_break() {
    if (!style_.pretty) return;
    runtime_.charge_text(level_ * style_.indent.size());
    out_ += '\n';
    for (size_t i = 0; i < level_; ++i) out_ += style_.indent;
  }

  Runtime& runtime_;
  std::string& out_;
  const JsonStyle& style_;
  size_t level_ = 0;
};

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string text(buffer, end.ptr);  // d[.ddd]e[+-]dd
  const size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return text;
  const bool negative = text[0] == '-';
  std::string digits = text.substr(negative, e - negative);
  digits.erase(std::remove(digits.begin(), digits.end(), '.'), digits.end());
  if (exponent < 0) {
    digits = "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else if (digits.size() > static_cast<size_t>(exponent) + 1) {
    digits.insert(static_cast<size_t>(exponent) + 1, ".");
  } else {
    digits += std::string(static_cast<size_t>(exponent) + 1 - digits.size(), '0') + ".0";
  }
  return negative ? "-" + digits : digits;
}

std::string to_repr(Runtime& runtime, const Value& value) {
  std::string out;
  append_repr(runtime, out, value);
  return out;
}

std::string to_str(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value.text();
  return value.is_undefined() ? std::string() : to_repr(runtime, value);
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  std::string out;
  JsonWriter(runtime, out, style).write(value);
  return out;
}

}  // namespace hone::text::jinja
