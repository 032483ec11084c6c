// The filters that make text.
#include <algorithm>
#include <unordered_map>

#include "hone/core/utf8.h"
#include "hone/text/detail/jinja/runtime.h"
#include "hone/unicode/python_text.h"

namespace hone::text::jinja {

namespace py = unicode::py;
namespace {

/// The text of anything, as the text filters take it; `f` makes another of it.
template <std::string (*F)(std::string_view)>
Value text_filter(Runtime& runtime, const Value& value, Args& args) {
  Bound("text filter", args, {});
  const std::string text = to_str(runtime, value);
  runtime.charge_text(text.size());
  return Value::string(F(text), value.markup());
}

Value filter_trim(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("trim", args, {"chars"});
  const std::string text = to_str(runtime, value);
  runtime.charge_text(text.size());
  std::optional<std::string_view> chars;
  if (bound.given(0)) chars = bound.text(0);
  return Value::string(std::string(py::strip(text, py::kBoth, chars)), value.markup());
}

Value filter_string(Runtime& runtime, const Value& value, Args& args) {
  Bound("string", args, {});
  return value.is_string() ? value : Value::string(to_str(runtime, value));
}

/// Every run of letters between blanks, hyphens and opening brackets; not as str.title().
std::string title_words(std::string_view text) {
  std::string out;
  const auto breaks = [](char32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || py::is_space(c);
  };
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char* start = p;
    const char32_t first = next_char(p);
    const char* after_first = p;
    const bool gap = breaks(first);
    for (const char* probe = p; probe < end && breaks(next_char(probe)) == gap;) p = probe;
    out += py::upper({start, static_cast<size_t>(after_first - start)});
    out += py::lower({after_first, static_cast<size_t>(p - after_first)});
  }
  return out;
}

Value filter_replace(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("replace", args, {"old", "new", "count"}, 2);
  const std::string text = to_str(runtime, value), from = to_str(runtime, bound[0]),
                    to = to_str(runtime, bound[1]);
  const int64_t limit = bound.given(2) ? bound.integer(2, -1) : -1;
  runtime.charge_text(text.size());
  runtime.charge_text(text.size() + static_cast<size_t>(py::count(text, from)) * to.size());
  return Value::string(py::replace(text, from, to, limit));
}

Value filter_indent(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("indent", args, {"width", "first", "blank"});
  if (value.is_undefined()) throw Fault(undefined_message(value));
  if (!value.is_string()) throw Fault("indent() needs a text, got a " + type_name(value));
  std::string indent;
  if (bound.has(0) && bound[0].is_string()) {
    indent = bound.text(0);
  } else {
    const int64_t width = std::max<int64_t>(bound.integer(0, 4), 0);
    runtime.charge_text(static_cast<size_t>(width));
    indent.assign(static_cast<size_t>(width), ' ');
  }
  const bool blank = bound.flag(2, false);
  const auto lines = py::split_lines(value.text() + "\n");
  runtime.charge_text(value.text().size() + lines.size() * (indent.size() + 1));
  std::string out = bound.flag(1, false) ? indent : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i) out += '\n';
    if (i && (blank || !lines[i].empty())) out += indent;
    out += lines[i];
  }
  return Value::string(std::move(out));
}

Value filter_center(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("center", args, {"width"});
  const int64_t width = bound.integer(0, 80);
  const std::string text = to_str(runtime, value);
  runtime.charge_text(text.size() + static_cast<size_t>(std::max<int64_t>(width, 0)));
  return Value::string(py::pad(text, width, py::kBoth));
}

Value filter_truncate(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("truncate", args, {"length", "killwords", "end", "leeway"});
  if (!value.is_string()) throw Fault("truncate() needs a text, got a " + type_name(value));
  const int64_t limit = bound.integer(0, 255), leeway = bound.given(3) ? bound.integer(3, 5) : 5;
  const std::string end = bound.has(2) ? bound.text(2) : "...";
  const int64_t end_size = py::count_chars(end);
  if (limit < end_size || leeway < 0) throw Fault("truncate(): the length is too small");
  const std::string& text = value.text();
  runtime.charge_text(text.size());
  const int64_t most = leeway > py::kAll - limit ? py::kAll : limit + leeway;
  if (py::count_chars(text) <= most) return value;
  std::string cut = text.substr(0, py::byte_of(text, limit - end_size));
  if (!bound.flag(1, false)) cut = py::split(cut, " ", 1, true)[0];
  return Value::string(cut + end);
}

Value filter_wordcount(Runtime& runtime, const Value& value, Args& args) {
  Bound("wordcount", args, {});
  const std::string text = to_str(runtime, value);
  runtime.charge_text(text.size());
  int64_t words = 0;
  bool inside = false;
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char* start = p;
    const bool letter =
        next_char(p) == '_' || py::is_alnum({start, static_cast<size_t>(p - start)});
    words += letter && !inside;
    inside = letter;
  }
  return Value::integer(words);
}

Value filter_format(Runtime& runtime, const Value& value, Args& args) {
  if (!args.named.empty() && !args.positional.empty()) {
    throw Fault("format(): arguments by name and by position at once");
  }
  Pairs pairs;
  for (const auto& [key, item] : args.named) pairs.emplace_back(Value::string(key), item);
  return Value::string(format_percent(
      runtime, to_str(runtime, value),
      pairs.empty() ? Value::tuple(args.positional) : Value::dict(std::move(pairs))));
}

Value filter_escape(Runtime& runtime, const Value& value, Args& args) {
  Bound("escape", args, {});
  if (value.markup()) return value;
  const std::string text = to_str(runtime, value);
  runtime.charge_text(5 * text.size());
  return Value::string(escape_html(text), true);
}

Value filter_forceescape(Runtime& runtime, const Value& value, Args& args) {
  Args none;
  return filter_escape(runtime, Value::string(to_str(runtime, value)),
                       args.positional.empty() ? none : args);
}

Value filter_safe(Runtime& runtime, const Value& value, Args& args) {
  Bound("safe", args, {});
  return Value::string(to_str(runtime, value), true);
}

Value filter_tojson(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.flag(0, false);
  style.sort_keys = bound.flag(3, false);
  if (bound.given(1)) {
    style.pretty = true;
    style.item_separator = ",";
    if (bound[1].is_string()) {
      style.indent = bound.text(1);
    } else {
      const int64_t width = std::max<int64_t>(bound.integer(1, 0), 0);
      runtime.charge_text(static_cast<size_t>(width));
      style.indent.assign(static_cast<size_t>(width), ' ');
    }
  }
  if (bound.given(2)) {
    const std::vector<Value> pair = to_items(runtime, bound[2]);
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      throw Fault("tojson(): separators are two texts");
    }
    style.item_separator = pair[0].text();
    style.key_separator = pair[1].text();
  }
  return Value::string(to_json(runtime, value, style));
}

}  // namespace

Filter find_text_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> filters = {
      {"capitalize", text_filter<py::capitalize>},
      {"center", filter_center},
      {"e", filter_escape},
      {"escape", filter_escape},
      {"forceescape", filter_forceescape},
      {"format", filter_format},
      {"indent", filter_indent},
      {"lower", text_filter<py::lower>},
      {"replace", filter_replace},
      {"safe", filter_safe},
      {"string", filter_string},
      {"title", text_filter<title_words>},
      {"tojson", filter_tojson},
      {"trim", filter_trim},
      {"truncate", filter_truncate},
      {"upper", text_filter<py::upper>},
      {"wordcount", filter_wordcount},
  };
  const auto found = filters.find(name);
  return found == filters.end() ? nullptr : found->second;
}

}  // namespace hone::text::jinja
