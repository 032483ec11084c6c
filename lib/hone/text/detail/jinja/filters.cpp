// The filters, `value|filter(...)`, of numbers and sequences.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "hone/text/detail/jinja/runtime.h"
#include "hone/unicode/python_text.h"
#include "hone/unicode/unicode.h"

namespace hone::text::jinja {

namespace py = unicode::py;
namespace {

// --- helpers

/// "a.b.0", an index, or none: what map, sort, ... look up in an item.
class Getter {
 public:
  explicit Getter(const Value& path, Value otherwise = Value::none())
      : otherwise_(std::move(otherwise)) {
    if (path.is_none()) return;
    if (!path.is_string()) {
      parts_.push_back(path);
      return;
    }
    for (const std::string& part : py::split(path.text(), ".")) {
      int64_t index = 0;
      const auto* end = part.data() + part.size();
      const bool number =
          !part.empty() && part[0] != '-' && std::from_chars(part.data(), end, index).ptr == end;
      parts_.push_back(number ? Value::integer(index) : Value::string(part));
    }
  }
  Value operator()(Runtime& runtime, Value item) const {
    for (const Value& part : parts_) {
      item = get_item(runtime, item, part);
      if (item.is_undefined() && !otherwise_.is_none()) item = otherwise_;
    }
    return item;
  }

 private:
  std::vector<Value> parts_;
  Value otherwise_;
};

/// "a,b.c": several paths at once.
std::vector<Getter> getters(const Value& paths) {
  std::vector<Getter> list;
  if (!paths.is_string()) return {Getter(paths)};
  for (const std::string& path : py::split(paths.text(), ",")) {
    list.emplace_back(Value::string(path));
  }
  return list;
}

Value fold_case(Runtime& runtime, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_string()) return value;
  runtime.charge_text(value.text().size());
  return Value::string(py::lower(value.text()));
}

/// Sorted stably by keys; the keys go with the values.
std::vector<Value> sort_by(Runtime& runtime, std::vector<std::pair<Value, Value>> keyed,
                           bool reverse) {
  merge_sort(keyed, [&](const auto& a, const auto& b) {
    return reverse ? less(runtime, b.first, a.first) : less(runtime, a.first, b.first);
  });
  std::vector<Value> values;
  for (auto& [key, value] : keyed) values.push_back(std::move(value));
  return values;
}

// --- values

Value filter_default(Runtime&, const Value& value, Args& args) {
  const Bound bound("default", args, {"default_value", "boolean"});
  const bool replaced = value.is_undefined() || (bound.flag(1, false) && !truth(value));
  return replaced ? bound.get(0, Value::string("")) : value;
}

Value filter_length(Runtime& runtime, const Value& value, Args& args) {
  Bound("length", args, {});
  if (value.is_string()) runtime.charge_text(value.text().size());
  return Value::integer(length(value));
}

Value filter_attr(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("attr", args, {"name"}, 1);
  if (!value.is(Kind::kDict)) return get_attribute(runtime, value, bound.text(0));
  return find_method(runtime, value, bound.text(0))
      .value_or(Value::undefined("a dict has no attribute '" + bound.text(0) + "'"));
}

/// A number from text as Python reads it, or nothing.
template <class Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  std::string digits;
  text = py::strip(text, py::kBoth);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at]));
    };
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || !digit(i - 1) || !digit(i + 1)) {
      return std::nullopt;
    }
  }
  const char *begin = digits.data(), *end = begin + digits.size();
  if (begin < end && *begin == '+' && end - begin > 1 && begin[1] != '-') ++begin;
  Number number{};
  std::from_chars_result result{};
  if constexpr (std::is_integral_v<Number>) {
    result = std::from_chars(begin, end, number, base);
    if (result.ec == std::errc::result_out_of_range)
      throw Fault("an integer does not fit into 64 bits");
  } else {
    result = std::from_chars(begin, end, number);
    if (result.ec == std::errc::result_out_of_range) number = std::strtod(begin, nullptr);
    // from_chars also reads nan(...), Python does not.
    if (digits.find('(') != std::string::npos) return std::nullopt;
  }
  if (result.ec == std::errc::invalid_argument || result.ptr != end) return std::nullopt;
  return number;
}

Value truncated(double value) {
  if (!(std::abs(value) < 0x1p63)) throw Fault("a number does not fit into a 64-bit integer");
  return Value::integer(static_cast<int64_t>(value));
}

Value filter_int(Runtime&, const Value& value, Args& args) {
  const Bound bound("int", args, {"default", "base"});
  if (value.is_undefined()) throw Fault(undefined_message(value));
  if (value.is_integral()) return Value::integer(value.integer());
  const Value otherwise = bound.get(0, Value::integer(0));
  if (value.is(Kind::kFloat)) return std::isnan(value.real()) ? otherwise : truncated(value.real());
  if (!value.is_string()) return otherwise;
  const int64_t base = bound.integer(1, 10);
  if (base != 10) throw Fault("int(): only base 10 is supported");
  if (const auto number = parse_number<int64_t>(value.text())) return Value::integer(*number);
  const auto number = parse_number<double>(value.text());
  return number && std::isfinite(*number) ? truncated(*number) : otherwise;
}

Value filter_float(Runtime&, const Value& value, Args& args) {
  const Bound bound("float", args, {"default"});
  if (value.is_undefined()) throw Fault(undefined_message(value));
  if (value.is_number()) return Value::real(value.real());
  const Value otherwise = bound.get(0, Value::real(0));
  if (!value.is_string()) return otherwise;
  const auto number = parse_number<double>(value.text());
  return number ? Value::real(*number) : otherwise;
}

Value filter_abs(Runtime&, const Value& value, Args& args) {
  Bound("abs", args, {});
  if (!value.is_number()) return negate(value);  // fails with what is wrong
  if (value.is(Kind::kFloat)) return Value::real(std::abs(value.real()));
  return value.integer() < 0 ? negate(value) : Value::integer(value.integer());
}

Value filter_round(Runtime&, const Value& value, Args& args) {
  const Bound bound("round", args, {"precision", "method"});
  const std::string method = bound.has(1) ? bound.text(1) : "common";
  const int64_t precision = bound.integer(0, 0);
  if (!value.is_number()) return negate(value);  // fails with what is wrong
  if (precision < 0 || precision > 300) throw Fault("round(): the precision must be in [0, 300]");
  if (method == "ceil" || method == "floor") {
    const double scale = std::pow(10.0, static_cast<double>(precision));
    const double scaled = value.real() * scale;
    return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (method != "common") throw Fault("round(): the method must be common, ceil or floor");
  if (value.is_integral()) return Value::integer(value.integer());
  // printf rounds the exact binary value, half to even, as Python does.
  char buffer[700];
  std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), value.real());
  return Value::real(std::strtod(buffer, nullptr));
}

// --- sequences

Value filter_first(Runtime& runtime, const Value& value, Args& args) {
  Bound("first", args, {});
  Value item;
  if (iterate(runtime, value).next(runtime, item)) return item;
  return Value::undefined("there is no first item");
}

/// Items that can be walked from the end; throws for iterators.
std::vector<Value> reversible(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kIterator)) throw Fault("a generator has no end to start from");
  return to_items(runtime, value);
}

Value filter_last(Runtime& runtime, const Value& value, Args& args) {
  Bound("last", args, {});
  const std::vector<Value> items = reversible(runtime, value);
  return items.empty() ? Value::undefined("there is no last item") : items.back();
}

Value filter_list(Runtime& runtime, const Value& value, Args& args) {
  Bound("list", args, {});
  return Value::list(to_items(runtime, value));
}

Value filter_reverse(Runtime& runtime, const Value& value, Args& args) {
  Bound("reverse", args, {});
  if (value.is_string()) {
    return get_slice(runtime, value, Value::none(), Value::none(), Value::integer(-1));
  }
  std::vector<Value> items = to_items(runtime, value);
  std::reverse(items.begin(), items.end());
  if (value.is(Kind::kIterator)) return Value::list(std::move(items));
  IteratorObject* iterator = &iterate(runtime, Value::list(std::move(items)));
  return Value::owned(Kind::kIterator, iterator);
}

Value filter_join(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("join", args, {"d", "attribute"});
  const std::string separator = bound.has(0) ? to_str(runtime, bound[0]) : "";
  const Getter getter(bound.get(1, Value::none()));
  std::string out;
  IteratorObject& items = iterate(runtime, value);
  bool first = true;
  for (Value item; items.next(runtime, item); first = false) {
    const std::string part = to_str(runtime, getter(runtime, item));
    runtime.charge_text(separator.size() + part.size());
    if (!first) out += separator;
    out += part;
  }
  runtime.charge_text(out.size());
  return Value::string(std::move(out));
}

/// An iterator over `value` that asks `make` for its step when it starts, as Python's generators.
template <class Make>
Value lazily(Runtime& runtime, const Value& value, Make make) {
  using Step = std::function<bool(Runtime&, const Value&, Value&)>;
  return make_iterator(runtime,
                       [value, make, step = Step(), items = static_cast<IteratorObject*>(nullptr),
                        started = false](Runtime& inner, Value& out) mutable {
                         if (!started) {
                           started = true;
                           if (truth(value)) {
                             step = make();
                             items = &iterate(inner, value);
                           }
                         }
                         for (Value item; items && items->next(inner, item);) {
                           if (step(inner, item, out)) return true;
                         }
                         return false;
                       });
}

Value filter_map(Runtime& runtime, const Value& value, Args& args) {
  return lazily(runtime, value, [args]() -> std::function<bool(Runtime&, const Value&, Value&)> {
    Args rest = args;
    const auto named = [&rest](const char* name) {
      return std::find_if(rest.named.begin(), rest.named.end(),
                          [name](const auto& keyword) { return keyword.first == name; });
    };
    if (rest.positional.empty() && named("attribute") != rest.named.end()) {
      const Bound bound("map", rest, {"attribute", "default"});
      const Getter getter(bound[0], bound.get(1, Value::none()));
      return [getter](Runtime& inner, const Value& item, Value& out) {
        out = getter(inner, item);
        return true;
      };
    }
    if (rest.positional.empty() || !rest.positional[0].is_string()) {
      throw Fault("map() needs a filter's name or attribute=");
    }
    const std::string& name = rest.positional[0].text();
    const Filter filter = find_filter(name);
    if (!filter) throw Fault("unknown filter '" + name + "'");
    rest.positional.erase(rest.positional.begin());
    return [filter, rest](Runtime& inner, const Value& item, Value& out) {
      Args call_args = rest;
      out = filter(inner, item, call_args);
      return true;
    };
  });
}

template <bool Keep, bool ByAttribute>
Value filter_select(Runtime& runtime, const Value& value, Args& args) {
  return lazily(runtime, value, [args]() -> std::function<bool(Runtime&, const Value&, Value&)> {
    Args rest = args;
    if (ByAttribute && rest.positional.empty()) throw Fault("selectattr() needs an attribute");
    const Getter getter(ByAttribute ? rest.positional[0] : Value::none());
    if (ByAttribute) rest.positional.erase(rest.positional.begin());
    Test test = nullptr;
    if (!rest.positional.empty()) {
      const Value& name = rest.positional[0];
      test = name.is_string() ? find_test(name.text()) : nullptr;
      if (!test) throw Fault("unknown test '" + (name.is_string() ? name.text() : "") + "'");
      rest.positional.erase(rest.positional.begin());
    }
    return [getter, test, rest](Runtime& inner, const Value& item, Value& out) {
      const Value tested = getter(inner, item);
      Args call_args = rest;
      if ((test ? test(inner, tested, call_args) : truth(tested)) != Keep) return false;
      out = item;
      return true;
    };
  });
}

Value filter_items(Runtime& runtime, const Value& value, Args& args) {
  Bound("items", args, {});
  return make_iterator(runtime, [value, index = size_t{0}](Runtime&, Value& out) mutable {
    if (value.is_undefined()) return false;
    if (!value.is(Kind::kDict)) throw Fault("items() needs a dict, got a " + type_name(value));
    if (index == value.pairs().size()) return false;
    const auto& [key, item] = value.pairs()[index++];
    out = Value::tuple({key, item});
    return true;
  });
}

Value filter_dictsort(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.has(1) ? bound.text(1) : "key";
  if (by != "key" && by != "value") throw Fault("dictsort(): by must be key or value");
  if (!value.is(Kind::kDict)) throw Fault("dictsort() needs a dict, got a " + type_name(value));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [key, item] : value.pairs()) {
    keyed.emplace_back(fold_case(runtime, by == "key" ? key : item, bound.flag(0, false)),
                       Value::tuple({key, item}));
  }
  return Value::list(sort_by(runtime, std::move(keyed), bound.flag(2, false)));
}

Value filter_sort(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("sort", args, {"reverse", "case_sensitive", "attribute"});
  const std::vector<Getter> keys = getters(bound.get(2, Value::none()));
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : to_items(runtime, value)) {
    std::vector<Value> key;
    for (const Getter& getter : keys) {
      key.push_back(fold_case(runtime, getter(runtime, item), bound.flag(1, false)));
    }
    keyed.emplace_back(Value::list(std::move(key)), item);
  }
  return Value::list(sort_by(runtime, std::move(keyed), bound.flag(0, false)));
}

Value filter_unique(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("unique", args, {"case_sensitive", "attribute"});
  const bool case_sensitive = bound.flag(0, false);
  const Getter getter(bound.get(1, Value::none()));
  IteratorObject* items = &iterate(runtime, value);
  return make_iterator(runtime, [value, case_sensitive, getter, items, seen = Pairs()](
                                    Runtime& inner, Value& out) mutable {
    while (items->next(inner, out)) {
      Value key = fold_case(inner, getter(inner, out), case_sensitive);
      if (find_key(inner, seen, key)) continue;
      seen.emplace_back(std::move(key), Value::none());
      return true;
    }
    return false;
  });
}

template <bool Largest>
Value filter_extreme(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound(Largest ? "max" : "min", args, {"case_sensitive", "attribute"});
  const Getter getter(bound.get(1, Value::none()));
  Value best = Value::undefined("there is no item to choose from"), best_key;
  IteratorObject& items = iterate(runtime, value);
  bool first = true;
  for (Value item; items.next(runtime, item); first = false) {
    Value key = fold_case(runtime, getter(runtime, item), bound.flag(0, false));
    if (first || (Largest ? less(runtime, best_key, key) : less(runtime, key, best_key))) {
      best = item;
      best_key = std::move(key);
    }
  }
  return best;
}

Value filter_sum(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("sum", args, {"attribute", "start"});
  const Getter getter(bound.get(0, Value::none()));
  Value total = bound.get(1, Value::integer(0));
  if (total.is_string()) throw Fault("sum() cannot add texts");
  IteratorObject& items = iterate(runtime, value);
  for (Value item; items.next(runtime, item);) {
    total = arithmetic(runtime, Op::kAdd, total, getter(runtime, item));
  }
  return total;
}

Value filter_batch(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("batch", args, {"linecount", "fill_with"}, 1);
  const int64_t size = bound.integer(0, 0);
  std::vector<Value> batches, batch;
  for (Value& item : to_items(runtime, value)) {
    if (static_cast<int64_t>(batch.size()) == size) {
      batches.push_back(Value::list(std::move(batch)));
      batch.clear();
    }
    batch.push_back(std::move(item));
  }
  if (!batch.empty()) {
    while (bound.given(1) && static_cast<int64_t>(batch.size()) < size) {
      runtime.charge(1);
      batch.push_back(bound[1]);
    }
    batches.push_back(Value::list(std::move(batch)));
  }
  return Value::owned(Kind::kIterator, &iterate(runtime, Value::list(std::move(batches))));
}

}  // namespace

Filter find_text_filter(std::string_view name);  // jinja_text_filters.cpp

Filter find_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, Filter> filters = {
      {"abs", filter_abs},
      {"attr", filter_attr},
      {"batch", filter_batch},
      {"count", filter_length},
      {"d", filter_default},
      {"default", filter_default},
      {"dictsort", filter_dictsort},
      {"first", filter_first},
      {"float", filter_float},
      {"int", filter_int},
      {"items", filter_items},
      {"join", filter_join},
      {"last", filter_last},
      {"length", filter_length},
      {"list", filter_list},
      {"map", filter_map},
      {"max", filter_extreme<true>},
      {"min", filter_extreme<false>},
      {"reject", filter_select<false, false>},
      {"rejectattr", filter_select<false, true>},
      {"reverse", filter_reverse},
      {"round", filter_round},
      {"select", filter_select<true, false>},
      {"selectattr", filter_select<true, true>},
      {"sort", filter_sort},
      {"sum", filter_sum},
      {"unique", filter_unique},
  };
  const auto found = filters.find(name);
  return found == filters.end() ? find_text_filter(name) : found->second;
}

bool names_filter(std::string_view name) {
  static constexpr std::string_view kUnsupported[] = {
      "filesizeformat", "groupby",   "pprint", "random",   "slice",
      "striptags",      "urlencode", "urlize", "wordwrap", "xmlattr"};
  return find_filter(name) || std::find(std::begin(kUnsupported), std::end(kUnsupported), name) !=
                                  std::end(kUnsupported);
}

}  // namespace hone::text::jinja
