// The attributes that values have in Python: methods of str, dict, list, ..., and `loop`.
#include <algorithm>
#include <unordered_map>

#include "hone/text/detail/jinja/interpreter.h"
#include "hone/unicode/python_text.h"
#include "hone/unicode/unicode.h"

namespace hone::text::jinja {

namespace py = unicode::py;
namespace {

using Method = Value (*)(Runtime&, const Value&, Args&);
using Methods = std::unordered_map<std::string_view, Method>;

// --- str

Value text_like(Runtime& runtime, std::string text, const Value& self) {
  runtime.charge_text(text.size());
  return Value::string(std::move(text), self.markup());
}

Value texts(Runtime& runtime, const std::vector<std::string>& parts) {
  runtime.charge(parts.size());
  std::vector<Value> items;
  for (const std::string& part : parts) items.push_back(Value::string(part));
  return Value::list(std::move(items));
}

template <std::string (*F)(std::string_view)>
Value map_text(Runtime& runtime, const Value& self, Args& args) {
  Bound("str method", args, {});
  runtime.charge_text(self.text().size());
  return text_like(runtime, F(self.text()), self);
}

template <bool (*F)(std::string_view)>
Value ask_text(Runtime& runtime, const Value& self, Args& args) {
  Bound("str method", args, {});
  runtime.charge_text(self.text().size());
  return Value::boolean(F(self.text()));
}

template <int Sides>
Value strip_text(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("strip", args, {"chars"});
  std::optional<std::string_view> chars;
  if (bound.given(0)) {
    chars = bound.text(0);
    runtime.charge_text(chars->size());
  }
  return text_like(runtime, std::string(py::strip(self.text(), Sides, chars)), self);
}

/// Counts a search. From the right it may look at the whole part everywhere.
template <bool FromRight>
void charge_search(Runtime& runtime, std::string_view text, std::string_view part) {
  runtime.charge_text(text.size());
  if (FromRight) runtime.charge(text.size() / 64 * (part.size() / 64));
}

template <bool FromRight>
Value split_text(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("split", args, {"sep", "maxsplit"});
  std::optional<std::string_view> separator;
  if (bound.given(0)) {
    separator = bound.text(0);
    if (separator->empty()) throw Fault("split() needs a separator that is not empty");
  }
  charge_search<FromRight>(runtime, self.text(), separator.value_or(""));
  return texts(runtime, py::split(self.text(), separator, bound.integer(1, py::kAll), FromRight));
}

Value split_lines(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("splitlines", args, {"keepends"});
  runtime.charge_text(self.text().size());
  return texts(runtime, py::split_lines(self.text(), bound.flag(0, false)));
}

template <bool FromRight>
Value partition(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("partition", args, {"sep"}, 1);
  const std::string &text = self.text(), &separator = bound.text(0);
  if (separator.empty()) throw Fault("partition() needs a separator that is not empty");
  charge_search<FromRight>(runtime, text, separator);
  const size_t at = FromRight ? text.rfind(separator) : py::find(text, separator);
  if (at == std::string::npos) {
    return FromRight ? Value::tuple({Value::string(""), Value::string(""), self})
                     : Value::tuple({self, Value::string(""), Value::string("")});
  }
  return Value::tuple({Value::string(text.substr(0, at)), Value::string(separator),
                       Value::string(text.substr(at + separator.size()))});
}

/// text[start:end] as find(), count(), startswith() look at it, with the start's code point.
std::pair<std::string_view, int64_t> window(Runtime& runtime, const Value& self, const Bound& bound,
                                            bool& inside) {
  const std::string_view text = self.text();
  runtime.charge_text(text.size());
  const int64_t size = py::count_chars(text);
  const auto place = [&](size_t i, int64_t otherwise) {
    if (!bound.given(i)) return otherwise;
    const int64_t index = bound.integer(i, 0);
    return index < 0 ? std::max<int64_t>(index + size, 0) : index;
  };
  const int64_t start = place(1, 0), end = std::min(place(2, size), size);
  inside = start <= size && start <= end;
  if (!inside) return {"", 0};
  const size_t begin = py::byte_of(text, start);
  return {text.substr(begin, py::byte_of(text, end) - begin), start};
}

enum class Find { kFind, kRfind, kIndex, kRindex };
template <Find How>
Value find_text(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("find", args, {"sub", "start", "end"}, 1);
  bool inside = false;
  const auto [text, start] = window(runtime, self, bound, inside);
  constexpr bool last = How == Find::kRfind || How == Find::kRindex;
  charge_search<last>(runtime, text, bound.text(0));
  const size_t at = !inside ? std::string::npos
                    : last  ? text.rfind(bound.text(0))
                            : py::find(text, bound.text(0));
  if (at == std::string::npos) {
    if (How == Find::kIndex || How == Find::kRindex) throw Fault("index(): the text is not there");
    return Value::integer(-1);
  }
  return Value::integer(start + py::count_chars(text.substr(0, at)));
}

Value count_text(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("count", args, {"sub", "start", "end"}, 1);
  bool inside = false;
  const auto [text, start] = window(runtime, self, bound, inside);
  return Value::integer(inside ? py::count(text, bound.text(0)) : 0);
}

template <bool AtEnd>
Value touches(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound(AtEnd ? "endswith" : "startswith", args, {"affix", "start", "end"}, 1);
  std::vector<Value> affixes{bound[0]};
  if (bound[0].is(Kind::kTuple)) affixes = bound[0].items();
  bool inside = false;
  const auto [text, start] = window(runtime, self, bound, inside);
  const std::string_view view = text;
  bool found = false;
  for (const Value& affix : affixes) {
    if (!affix.is_string()) {
      throw Fault(std::string(AtEnd ? "endswith" : "startswith") + "() needs a text, got a " +
                  type_name(affix));
    }
    found |= inside && (AtEnd ? view.ends_with(affix.text()) : view.starts_with(affix.text()));
  }
  return Value::boolean(found);
}

Value replace_text(Runtime& runtime, const Value& self, Args& args) {
  if (self.markup()) throw Fault("replace() of a safe text is not supported");
  // As Python 3.13 and later: before, count could not be named, and old and new never could.
  if (args.positional.size() < 2) throw Fault("replace() needs the old and the new text, unnamed");
  const Bound bound("replace", args, {"old", "new", "count"}, 2);
  const std::string &text = self.text(), &from = bound.text(0), &to = bound.text(1);
  const int64_t limit = bound.integer(2, -1);
  runtime.charge_text(text.size());
  const auto found = static_cast<size_t>(py::count(text, from));
  runtime.charge_text(text.size() + found * to.size());  // both are bounded: no overflow
  return Value::string(py::replace(text, from, to, limit));
}

Value join_texts(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("join", args, {"iterable"}, 1);
  std::string out;
  size_t count = 0;
  for (const Value& item : to_items(runtime, bound[0])) {
    if (!item.is_string()) throw Fault("join() needs texts, got a " + type_name(item));
    if (count++) out += self.text();
    out += item.text();
    runtime.charge_text(self.text().size() + item.text().size());
  }
  runtime.charge_text(out.size());
  return Value::string(std::move(out));
}

Value format_text(Runtime& runtime, const Value& self, Args& args) {
  return Value::string(format_braces(runtime, self.text(), args));
}

template <bool Suffix>
Value remove_affix(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound(Suffix ? "removesuffix" : "removeprefix", args, {"affix"}, 1);
  std::string_view text = self.text();
  const std::string_view affix = bound.text(0);
  if (Suffix ? text.ends_with(affix) : text.starts_with(affix)) {
    text = Suffix ? text.substr(0, text.size() - affix.size()) : text.substr(affix.size());
  }
  return text_like(runtime, std::string(text), self);
}

template <py::Side Side>
Value pad_text(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("ljust", args, {"width", "fillchar"}, 1);
  const std::string fill = bound.has(1) ? bound.text(1) : " ";
  if (py::count_chars(fill) != 1) throw Fault("a padding must be one character");
  const int64_t width = bound.integer(0, 0);
  runtime.charge_text(self.text().size() + 4 * static_cast<size_t>(std::max<int64_t>(width, 0)));
  return text_like(runtime, py::pad(self.text(), width, Side, fill), self);
}

Value zero_fill(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("zfill", args, {"width"}, 1);
  const int64_t width = bound.integer(0, 0);
  runtime.charge_text(self.text().size() + static_cast<size_t>(std::max<int64_t>(width, 0)));
  const std::string& text = self.text();
  const size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  const auto digits = py::pad(std::string_view(text).substr(sign),
                              width - static_cast<int64_t>(sign), py::kRight, "0");
  return text_like(runtime, text.substr(0, sign) + digits, self);
}

const Methods& text_methods() {
  static const Methods methods = {
      {"strip", strip_text<py::kBoth>},
      {"lstrip", strip_text<py::kLeft>},
      {"rstrip", strip_text<py::kRight>},
      {"split", split_text<false>},
      {"rsplit", split_text<true>},
      {"splitlines", split_lines},
      {"partition", partition<false>},
      {"rpartition", partition<true>},
      {"find", find_text<Find::kFind>},
      {"rfind", find_text<Find::kRfind>},
      {"index", find_text<Find::kIndex>},
      {"rindex", find_text<Find::kRindex>},
      {"count", count_text},
      {"startswith", touches<false>},
      {"endswith", touches<true>},
      {"replace", replace_text},
      {"join", join_texts},
      {"format", format_text},
      {"removeprefix", remove_affix<false>},
      {"removesuffix", remove_affix<true>},
      {"ljust", pad_text<py::kLeft>},
      {"rjust", pad_text<py::kRight>},
      {"center", pad_text<py::kBoth>},
      {"zfill", zero_fill},
      {"upper", map_text<py::upper>},
      {"lower", map_text<py::lower>},
      {"title", map_text<py::title>},
      {"capitalize", map_text<py::capitalize>},
      {"swapcase", map_text<py::swap_case>},
      {"isupper", ask_text<py::is_upper>},
      {"islower", ask_text<py::is_lower>},
      {"istitle", ask_text<py::is_title>},
      {"isalpha", ask_text<py::is_alpha>},
      {"isalnum", ask_text<py::is_alnum>},
      {"isdigit", ask_text<py::is_digit>},
      {"isdecimal", ask_text<py::is_decimal>},
      {"isspace", ask_text<py::is_space_only>},
  };
  return methods;
}

// --- dict and list

template <int Part>
Value view_of(Runtime&, const Value& self, Args& args) {
  Bound("dict method", args, {});
  return Value::view(self, Part);
}

Value get_key(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("get", args, {"key", "default"}, 1);
  const Value* found = find_key(runtime, self.pairs(), bound[0]);
  return found ? *found : bound.get(1, Value::none());
}

Value copy_of(Runtime&, const Value& self, Args& args) {
  Bound("copy", args, {});
  return self;
}

const Methods& dict_methods() {
  static const Methods methods = {{"keys", view_of<0>},
                                  {"values", view_of<1>},
                                  {"items", view_of<2>},
                                  {"get", get_key},
                                  {"copy", copy_of}};
  return methods;
}

Value count_items(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("count", args, {"value"}, 1);
  return Value::integer(
      std::count_if(self.items().begin(), self.items().end(),
                    [&](const Value& item) { return equal(runtime, item, bound[0]); }));
}

Value index_of_item(Runtime& runtime, const Value& self, Args& args) {
  const Bound bound("index", args, {"value"}, 1);
  for (size_t i = 0; i < self.items().size(); ++i) {
    if (equal(runtime, self.items()[i], bound[0])) return Value::integer(static_cast<int64_t>(i));
  }
  throw Fault("index(): the value is not in the list");
}

const Methods& list_methods() {
  static const Methods methods = {
      {"count", count_items}, {"index", index_of_item}, {"copy", copy_of}};
  return methods;
}

/// Attributes that Python has and this interpreter does not: an error, lest they look undefined.
bool is_unsupported(const Value& value, std::string_view name) {
  static constexpr std::string_view text[] = {
      "casefold",     "encode",    "expandtabs",  "format_map", "isascii",
      "isidentifier", "isnumeric", "isprintable", "maketrans",  "translate"};
  static constexpr std::string_view number[] = {
      "real",       "imag",      "conjugate", "numerator",  "denominator",
      "bit_length", "bit_count", "to_bytes",  "from_bytes", "as_integer_ratio",
      "is_integer", "hex",       "fromhex"};
  const auto among = [name](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  switch (value.kind()) {
    case Kind::kString:
      return among(text);
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return among(number);
    case Kind::kDict:
      return name == "fromkeys";
    case Kind::kTuple:
      return name == "copy";
    case Kind::kRange:
      return name == "start" || name == "stop" || name == "step" || name == "count" ||
             name == "index";
    case Kind::kFunction:
      return true;
    default:
      return false;
  }
}

std::optional<Value> bind_method(const Methods& methods, const Value& self,
                                 const std::string& name) {
  const auto found = methods.find(name);
  if (found == methods.end()) return std::nullopt;
  const Method method = found->second;
  return Value::function(
      name, [method, self](Runtime& runtime, Args& args) { return method(runtime, self, args); });
}

// --- loop

Value loop_cycle(Runtime&, LoopObject& loop, Args& args) {
  if (args.positional.empty()) throw Fault("cycle() needs something to cycle through");
  return args.positional[static_cast<size_t>(loop.index0) % args.positional.size()];
}

Value loop_changed(Runtime& runtime, LoopObject& loop, Args& args) {
  Value value = Value::tuple(args.positional);
  if (loop.has_changed_value && equal(runtime, loop.changed_value, value)) {
    return Value::boolean(false);
  }
  loop.has_changed_value = true;
  loop.changed_value = std::move(value);
  return Value::boolean(true);
}

std::optional<Value> loop_attribute(Runtime& runtime, LoopObject& loop, const std::string& name) {
  if (name == "index0") return Value::integer(loop.index0);
  if (name == "index") return Value::integer(loop.index0 + 1);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "last") return Value::boolean(!loop.peek(runtime));
  if (name == "length") return Value::integer(loop.length(runtime));
  if (name == "revindex") return Value::integer(loop.length(runtime) - loop.index0);
  if (name == "revindex0") return Value::integer(loop.length(runtime) - loop.index0 - 1);
  if (name == "depth") return Value::integer(1);
  if (name == "depth0") return Value::integer(0);
  if (name == "previtem") {
    return loop.index0 == 0 ? Value::undefined("there is no previous item") : loop.before;
  }
  if (name == "nextitem") {
    return loop.peek(runtime) ? loop.after : Value::undefined("there is no next item");
  }
  LoopObject* self = &loop;
  if (name == "cycle" || name == "changed") {
    const auto method = name == "cycle" ? loop_cycle : loop_changed;
    return Value::function(
        name, [self, method](Runtime& inner, Args& args) { return method(inner, *self, args); });
  }
  return std::nullopt;
}

}  // namespace

bool LoopObject::peek(Runtime& runtime) {
  if (has_after) return true;
  if (finished) throw Fault("a loop variable is asked for more after its loop has ended");
  has_after = items->next(runtime, after);
  return has_after;
}

bool LoopObject::advance(Runtime& runtime) {
  Value item;
  if (has_after) {
    item = std::move(after);
    has_after = false;
  } else if (!items->next(runtime, item)) {
    return false;
  }
  ++index0;
  before = std::move(current);
  current = std::move(item);
  return true;
}

int64_t LoopObject::length(Runtime& runtime) {
  if (size >= 0) return size;
  if (!iterable.is(Kind::kIterator)) return size = jinja::length(iterable);
  if (finished) throw Fault("a loop variable is asked for more after its loop has ended");
  std::vector<Value> rest;
  for (Value item; items->next(runtime, item);) rest.push_back(item);
  size = index0 + 1 + has_after + static_cast<int64_t>(rest.size());
  items = &iterate(runtime, Value::list(std::move(rest)));
  return size;
}

std::optional<Value> find_counter_method(Runtime& runtime, const Value& value,
                                         const std::string& name);  // jinja_globals.cpp

std::optional<Value> find_method(Runtime& runtime, const Value& value, const std::string& name) {
  if (is_unsupported(value, name)) {
    throw Fault("the attribute '" + name + "' of a " + type_name(value) + " is not supported");
  }
  switch (value.kind()) {
    case Kind::kString:
      return bind_method(text_methods(), value, name);
    case Kind::kDict:
      return bind_method(dict_methods(), value, name);
    case Kind::kList:
    case Kind::kTuple:
      return bind_method(list_methods(), value, name);
    case Kind::kLoop:
      return loop_attribute(runtime, value.object<LoopObject>(), name);
    case Kind::kCounter:
      return find_counter_method(runtime, value, name);
    case Kind::kNamespace: {
      const Value* found = value.object<NamespaceObject>().find(name);
      return found ? std::optional(*found) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace hone::text::jinja
