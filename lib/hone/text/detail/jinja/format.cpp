// Python's two ways to format text: "..." % values and "...".format(...).
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "hone/core/utf8.h"
#include "hone/text/detail/jinja/runtime.h"
#include "hone/unicode/python_text.h"

namespace hone::text::jinja {

namespace py = unicode::py;
namespace {

constexpr int kMaxPrecision = 400;  // digits after the point; a double has at most 309 before it

/// What stands between % or : and the type.
struct Spec {
  std::string fill = " ";
  char align = 0;  ///< < > ^ =, or 0: by the kind of value
  char sign = 0;   ///< + or space
  bool grouped = false;
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

int64_t read_number(const std::string& text, size_t& at) {
  int64_t number = 0;
  const auto result = std::from_chars(text.data() + at, text.data() + text.size(), number);
  if (result.ec != std::errc()) throw Fault("format: a number is missing or too large");
  at = static_cast<size_t>(result.ptr - text.data());
  return number;
}

bool is_digit(const std::string& text, size_t at) {
  return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

std::string padded(Runtime& runtime, const std::string& text, const Spec& spec, bool number) {
  const char align = spec.align ? spec.align : number ? '>' : '<';
  const int64_t missing = spec.width - py::count_chars(text);
  if (missing <= 0) return text;
  runtime.charge_text(text.size() + static_cast<size_t>(missing) * spec.fill.size());
  const auto fill = [&spec](int64_t count) {
    std::string out;
    for (; count > 0; --count) out += spec.fill;
    return out;
  };
  switch (align) {
    case '<':
      return text + fill(missing);
    case '^':
      return fill(missing / 2) + text + fill(missing - missing / 2);
    case '=': {
      const size_t sign = text[0] == '-' || text[0] == '+' || text[0] == ' ';
      return text.substr(0, sign) + fill(missing) + text.substr(sign);
    }
    default:
      return fill(missing) + text;
  }
}

std::string with_sign(std::string digits, const Spec& spec) {
  if (spec.grouped) {
    const size_t start = digits[0] == '-';
    size_t point = digits.find_first_not_of("0123456789", start);
    if (point == std::string::npos) point = digits.size();
    for (size_t at = point; at > start + 3; at -= 3) digits.insert(at - 3, ",");
  }
  return digits[0] != '-' && spec.sign ? spec.sign + digits : digits;
}

std::string integer_digits(int64_t value, char type) {
  char buffer[70];
  const int base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, base).ptr;
  std::string digits(buffer, end);
  return type == 'X' ? py::upper(digits) : digits;
}

std::string float_digits(double value, const Spec& spec, char type) {
  const int64_t precision = spec.precision < 0 ? 6 : spec.precision;
  if (precision > kMaxPrecision) throw Fault("format: the precision is too large");
  const char format[] = {'%', '.', '*', type, '\0'};
  char buffer[1024];
  std::snprintf(buffer, sizeof buffer, format, static_cast<int>(precision), value);
  return buffer;
}

std::string cut(const std::string& text, int64_t precision) {
  return precision < 0 ? text : text.substr(0, py::byte_of(text, precision));
}

// --- %

class PercentFormat {
 public:
  PercentFormat(Runtime& runtime, const std::string& format, const Value& args)
      : runtime_(runtime), format_(format), args_(args) {}

  std::string run() {
    std::string out;
    runtime_.charge_text(format_.size());
    while (at_ < format_.size()) {
      if (format_[at_] != '%') {
        out += format_[at_++];
        continue;
      }
      ++at_;
      out += conversion();
    }
    const size_t count = args_.is(Kind::kTuple) ? args_.items().size() : 1;
    if (used_ < count && !args_.is(Kind::kDict)) throw Fault("%: not all arguments were used");
    runtime_.charge_text(out.size());
    return out;
  }

 private:
  const Value& next() {
    if (args_.is(Kind::kTuple)) {
      if (used_ >= args_.items().size()) throw Fault("%: there are too few arguments");
      return args_.items()[used_++];
    }
    if (used_++) throw Fault("%: there are too few arguments");
    return args_;
  }

  Value argument() {
    if (at_ >= format_.size() || format_[at_] != '(') return Value();
    const size_t end = format_.find(')', at_);
    if (end == std::string::npos) throw Fault("%: a name without )");
    if (!args_.is(Kind::kDict)) throw Fault("%: a name needs a dict");
    const Value key = Value::string(format_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    const Value* found = find_key(runtime_, args_.pairs(), key);
    if (!found) throw Fault("%: there is no '" + key.text() + "'");
    used_ = 1;
    return Value::tuple({*found});
  }

  std::string conversion() {
    const Value named = argument();  // in a tuple, or undefined
    Spec spec;
    for (; at_ < format_.size() && std::string_view("-+ 0").find(format_[at_]) != std::string::npos;
         ++at_) {
      const char flag = format_[at_];
      if (flag == '-') {
        spec.align = '<';
      } else if (flag == '0') {
        zero_ = true;
      } else if (spec.sign != '+') {
        spec.sign = flag;
      }
    }
    if (is_digit(format_, at_)) spec.width = read_number(format_, at_);
    if (at_ < format_.size() && format_[at_] == '.') {
      ++at_;
      spec.precision = is_digit(format_, at_) ? read_number(format_, at_) : 0;
    }
    if (at_ >= format_.size()) throw Fault("%: the format ends too early");
    const char type = format_[at_++];
    if (type == '%') return "%";
    const bool number = type != 's' && type != 'r';
    if (std::exchange(zero_, false) && number && spec.align != '<') {
      spec.fill = "0";
      spec.align = '=';
    }
    const Value value = named.is_undefined() ? next() : named.items()[0];
    return padded(runtime_, converted(value, spec, type), spec, true);
  }

  std::string converted(const Value& value, const Spec& spec, char type) {
    switch (type) {
      case 's':
        return cut(to_str(runtime_, value), spec.precision);
      case 'r':
        return cut(to_repr(runtime_, value), spec.precision);
      case 'd':
      case 'i':
      case 'u': {
        if (!value.is_number()) break;
        if (value.is(Kind::kFloat) && !(std::abs(value.real()) < 0x1p63)) {
          throw Fault("%: a number does not fit into 64 bits");
        }
        const int64_t whole =
            value.is_integral() ? value.integer() : static_cast<int64_t>(value.real());
        return with_sign(integer_digits(whole, 'd'), spec);
      }
      case 'x':
      case 'X':
      case 'o':
        if (!value.is_integral()) break;
        return with_sign(integer_digits(value.integer(), type), spec);
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
        if (!value.is_number()) break;
        return with_sign(float_digits(value.real(), spec, type), spec);
      default:
        throw Fault(std::string("%: the conversion '") + type + "' is not supported");
    }
    throw Fault(std::string("%: '") + type + "' needs a number, got a " + type_name(value));
  }

  Runtime& runtime_;
  const std::string& format_;
  const Value& args_;
  size_t at_ = 0, used_ = 0;
  bool zero_ = false;
};

// --- str.format

Spec parse_spec(const std::string& text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  const size_t first = text.empty() ? 0 : sequence_length(text[0]);
  if (first < text.size() && is_align(text[first])) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    at = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[at++];
  }
  if (at < text.size() && (text[at] == '+' || text[at] == ' ' || text[at] == '-')) {
    if (text[at] != '-') spec.sign = text[at];
    ++at;
  }
  if (at < text.size() && text[at] == '0') {
    if (!spec.align) {
      spec.align = '=';
      spec.fill = "0";
    }
    ++at;
  }
  if (is_digit(text, at)) spec.width = read_number(text, at);
  if (at < text.size() && text[at] == ',') spec.grouped = true, ++at;
  if (at < text.size() && text[at] == '.') spec.precision = read_number(text, ++at);
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) throw Fault("format(): the format '" + text + "' is not supported");
  return spec;
}

std::string format_value(Runtime& runtime, const Value& value, const std::string& text) {
  if (text.empty()) return to_str(runtime, value);
  const Spec spec = parse_spec(text);
  const auto is_type = [&spec](const char* types) {
    return spec.type && std::string_view(types).find(spec.type) != std::string_view::npos;
  };
  if (value.is_string() && (!spec.type || spec.type == 's') && spec.align != '=' && !spec.sign) {
    return padded(runtime, cut(value.text(), spec.precision), spec, false);
  }
  if (value.is(Kind::kInt) && (!spec.type || is_type("dxXob")) && spec.precision < 0) {
    return padded(runtime, with_sign(integer_digits(value.integer(), spec.type), spec), spec, true);
  }
  if (value.is_number() && !value.is(Kind::kBool) && is_type("fFeEgG")) {
    return padded(runtime, with_sign(float_digits(value.real(), spec, spec.type), spec), spec,
                  true);
  }
  if (value.is_number() && spec.type == '%') {
    return padded(runtime, with_sign(float_digits(100 * value.real(), spec, 'f') + "%", spec), spec,
                  true);
  }
  throw Fault("format(): the format '" + text + "' of a " + type_name(value) + " is not supported");
}

class BracesFormat {
 public:
  BracesFormat(Runtime& runtime, const std::string& format, const Args& args)
      : runtime_(runtime), format_(format), args_(args) {}

  std::string run() {
    std::string out;
    runtime_.charge_text(format_.size());
    for (size_t at = 0; at < format_.size(); ++at) {
      const char c = format_[at];
      if (c != '{' && c != '}') {
        out += c;
      } else if (at + 1 < format_.size() && format_[at + 1] == c) {
        out += c;
        ++at;
      } else {
        const size_t end = format_.find('}', at);
        if (c == '}' || end == std::string::npos) throw Fault("format(): a single '{' or '}'");
        out += replacement(format_.substr(at + 1, end - at - 1));
        at = end;
      }
    }
    runtime_.charge_text(out.size());
    return out;
  }

 private:
  std::string replacement(const std::string& field) {
    if (field.find('{') != std::string::npos)
      throw Fault("format(): nested fields are not supported");
    const size_t colon = field.find(':');
    const std::string spec = colon == std::string::npos ? "" : field.substr(colon + 1);
    std::string name = field.substr(0, colon);
    char conversion = 0;
    if (name.size() >= 2 && name[name.size() - 2] == '!') {
      conversion = name.back();
      name.resize(name.size() - 2);
    }
    Value value = lookup(name);
    if (conversion == 'r') {
      value = Value::string(to_repr(runtime_, value));
    } else if (conversion == 's') {
      value = Value::string(to_str(runtime_, value));
    } else if (conversion) {
      throw Fault("format(): the conversion '!" + std::string(1, conversion) +
                  "' is not supported");
    }
    return format_value(runtime_, value, spec);
  }

  /// "name", "0" or "", with ".attribute" and "[key]" behind.
  Value lookup(const std::string& name) {
    size_t at = std::min(name.find_first_of(".["), name.size());
    Value value = argument(name.substr(0, at));
    while (at < name.size()) {
      if (name[at] == '.') {
        const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        value = get_attribute(runtime_, value, name.substr(at + 1, end - at - 1));
        at = end;
      } else {
        const size_t end = name.find(']', at);
        if (name[at] != '[' || end == std::string::npos) throw Fault("format(): '[' without ']'");
        const std::string key = name.substr(at + 1, end - at - 1);
        size_t digits = 0;
        const bool index =
            is_digit(key, 0) && key.find_first_not_of("0123456789") == std::string::npos;
        value = get_item(runtime_, value,
                         index ? Value::integer(read_number(key, digits)) : Value::string(key));
        at = end + 1;
      }
    }
    return value;
  }

  Value argument(const std::string& name) {
    if (name.empty() || is_digit(name, 0)) {
      if (name.empty() ? numbered_ : next_ > 0) {
        throw Fault("format(): numbered and unnumbered fields in one format");
      }
      numbered_ |= !name.empty();
      size_t digits = 0;
      const auto index = name.empty() ? next_++ : static_cast<size_t>(read_number(name, digits));
      if (index >= args_.positional.size()) throw Fault("format(): there are too few arguments");
      return args_.positional[index];
    }
    const auto found = std::find_if(args_.named.begin(), args_.named.end(),
                                    [&](const auto& keyword) { return keyword.first == name; });
    if (found == args_.named.end()) throw Fault("format(): there is no '" + name + "'");
    return found->second;
  }

  Runtime& runtime_;
  const std::string& format_;
  const Args& args_;
  size_t next_ = 0;
  bool numbered_ = false;
};

}  // namespace

std::string format_percent(Runtime& runtime, const std::string& format, const Value& args) {
  return PercentFormat(runtime, format, args).run();
}

std::string format_braces(Runtime& runtime, const std::string& format, const Args& args) {
  return BracesFormat(runtime, format, args).run();
}

}  // namespace hone::text::jinja
