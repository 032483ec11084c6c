#include "hone/text/detail/jinja/runtime.h"

#include <algorithm>
#include <cmath>

#include "hone/core/utf8.h"
#include "hone/unicode/python_text.h"

namespace hone::text::jinja {

namespace py = unicode::py;
namespace {

constexpr size_t kBytesPerStep = 32;  // of text made, against ChatLimits::max_steps

/// Walks what can be indexed; holds it while it does.
struct IndexIterator : IteratorObject {
  explicit IndexIterator(Value value) : value(std::move(value)) {}
  bool next(Runtime& runtime, Value& out) override {
    runtime.charge(1);
    if (value.is_string()) {
      const std::string& text = value.text();
      if (index >= text.size()) return false;
      const size_t size = sequence_length(text[index]);
      out = Value::string(text.substr(index, size));
      index += size;
      return true;
    }
    if (static_cast<int64_t>(index) >= length(value)) return false;
    switch (value.kind()) {
      case Kind::kList:
      case Kind::kTuple:
        out = value.items()[index];
        break;
      case Kind::kDict:
        out = value.pairs()[index].first;
        break;
      case Kind::kRange:
        out = Value::integer(value.object<RangeObject>().at(static_cast<int64_t>(index)));
        break;
      default:
        out = value.object<ViewObject>().at(index);
        break;
    }
    ++index;
    return true;
  }
  Value value;
  size_t index = 0;
};

struct FunctionIterator : IteratorObject {
  explicit FunctionIterator(std::function<bool(Runtime&, Value&)> step) : step(std::move(step)) {}
  bool next(Runtime& runtime, Value& out) override {
    const Runtime::Nested nested(runtime);  // iterators walk iterators
    runtime.charge(1);
    return step(runtime, out);
  }
  std::function<bool(Runtime&, Value&)> step;
};

int64_t checked(bool overflow, int64_t value) {
  if (overflow) throw Fault("an integer does not fit into 64 bits");
  return value;
}

[[noreturn]] void no_operation(const char* sign, const Value& a, const Value& b) {
  for (const Value* side : {&a, &b}) {
    if (side->is_undefined()) throw Fault(undefined_message(*side));
  }
  throw Fault("'" + std::string(sign) + "' is not defined between " + type_name(a) + " and " +
              type_name(b));
}

Value add(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    int64_t sum = 0;
    const bool overflow = __builtin_add_overflow(a.integer(), b.integer(), &sum);
    return Value::integer(checked(overflow, sum));
  }
  if (a.is_number() && b.is_number()) return Value::real(a.real() + b.real());
  if (a.is_string() && b.is_string()) {
    runtime.charge_text(a.text().size() + b.text().size());
    const bool markup = a.markup() || b.markup();  // a safe text escapes what is added to it
    const auto part = [markup](const Value& side) {
      return markup && !side.markup() ? escape_html(side.text()) : side.text();
    };
    return Value::string(part(a) + part(b), markup);
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    runtime.charge(a.items().size() + b.items().size());
    std::vector<Value> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return a.is(Kind::kList) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
  }
  no_operation("+", a, b);
}

Value repeat(Runtime& runtime, const Value& value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const auto size = value.is_string() ? value.text().size() : value.items().size();
  uint64_t total = 0;
  if (__builtin_mul_overflow(size, static_cast<uint64_t>(times), &total)) total = UINT64_MAX;
  if (value.is_string()) {
    runtime.charge_text(total);
    std::string text;
    for (; times > 0 && size > 0; --times) text += value.text();
    return Value::string(std::move(text), value.markup());
  }
  runtime.charge(total);
  std::vector<Value> items;
  for (; times > 0 && size > 0; --times) {
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return value.is(Kind::kList) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
}

Value multiply(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    int64_t product = 0;
    const bool overflow = __builtin_mul_overflow(a.integer(), b.integer(), &product);
    return Value::integer(checked(overflow, product));
  }
  if (a.is_number() && b.is_number()) return Value::real(a.real() * b.real());
  if ((a.is_string() || a.is_sequence()) && b.is_integral()) return repeat(runtime, a, b.integer());
  if ((b.is_string() || b.is_sequence()) && a.is_integral()) return repeat(runtime, b, a.integer());
  no_operation("*", a, b);
}

/// Python rounds the quotient down and gives the remainder the divisor's sign.
Value floor_divide(const Value& a, const Value& b, bool remainder) {
  if (b.real() == 0) throw Fault("division by zero");
  if (a.is_integral() && b.is_integral()) {
    const int64_t x = a.integer(), y = b.integer();
    if (y == -1) return remainder ? Value::integer(0) : negate(Value::integer(x));
    const int64_t quotient = x / y - (x % y != 0 && (x < 0) != (y < 0));
    return Value::integer(remainder ? x - quotient * y : quotient);
  }
  double rest = std::fmod(a.real(), b.real());
  double quotient = (a.real() - rest) / b.real();
  if (rest != 0 && (rest < 0) != (b.real() < 0)) {
    rest += b.real();
    quotient -= 1;
  }
  if (remainder) return Value::real(rest == 0 ? std::copysign(0.0, b.real()) : rest);
  if (quotient == 0) return Value::real(std::copysign(0.0, a.real() / b.real()));
  const double rounded = std::floor(quotient);
  return Value::real(quotient - rounded > 0.5 ? rounded + 1 : rounded);
}

Value power(const Value& a, const Value& b) {
  if (!a.is_integral() || !b.is_integral() || b.integer() < 0) {
    if (a.real() == 0 && b.real() < 0) throw Fault("0 cannot be raised to a negative power");
    const double result = std::pow(a.real(), b.real());
    if (std::isnan(result) && a.real() < 0) throw Fault("complex numbers are not supported");
    if (std::isinf(result) && std::isfinite(a.real()) && std::isfinite(b.real())) {
      throw Fault("a number is too large");
    }
    return Value::real(result);
  }
  int64_t result = 1, base = a.integer();
  bool overflow = false;
  for (int64_t exponent = b.integer(); exponent > 0; exponent >>= 1) {
    checked(overflow, 0);  // the highest bit is still to come
    if (exponent & 1) {
      checked(__builtin_mul_overflow(result, base, &result), 0);
    }
    if (exponent > 1) overflow = __builtin_mul_overflow(base, base, &base);
  }
  return Value::integer(result);
}

std::optional<int64_t> index_of(const Value& key) {
  return key.is_integral() ? std::optional(key.integer()) : std::nullopt;
}

/// The item, or nothing where Python raises an IndexError, KeyError or TypeError.
std::optional<Value> find_item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is(Kind::kDict)) {
    if (key.is_sequence() || key.is(Kind::kDict)) return std::nullopt;
    const Value* found = find_key(runtime, value.pairs(), key);
    return found ? std::optional(*found) : std::nullopt;
  }
  const bool indexable = value.is_string() || value.is_sequence() || value.is(Kind::kRange);
  std::optional<int64_t> index = index_of(key);
  if (!indexable || !index) return std::nullopt;
  if (value.is_string()) runtime.charge_text(value.text().size());
  const int64_t size = length(value);
  if (*index < 0) *index += size;
  if (*index < 0 || *index >= size) return std::nullopt;
  if (value.is_sequence()) return value.items()[static_cast<size_t>(*index)];
  if (value.is(Kind::kRange)) return Value::integer(value.object<RangeObject>().at(*index));
  const size_t byte = py::byte_of(value.text(), *index);
  return Value::string(value.text().substr(byte, sequence_length(value.text()[byte])));
}

bool is_mutating(const Value& value, const std::string& name) {
  static constexpr const char* list[] = {"append", "clear", "pop",    "reverse",
                                         "insert", "sort",  "extend", "remove"};
  static constexpr const char* dict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  const auto among = [&](const auto& names) {
    return std::any_of(std::begin(names), std::end(names),
                       [&](const char* other) { return name == other; });
  };
  return (value.is(Kind::kList) && among(list)) || (value.is(Kind::kDict) && among(dict));
}

/// An attribute that Python has; undefined where the sandbox refuses it.
std::optional<Value> find_safe(Runtime& runtime, const Value& value, const std::string& name) {
  const bool internal = name.size() > 4 && name.starts_with("__") && name.ends_with("__");
  if (internal || is_mutating(value, name)) {
    return Value::undefined("access to attribute '" + name + "' of a " + type_name(value) +
                            " is not safe");
  }
  return find_method(runtime, value, name);
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

void Runtime::charge_text(size_t bytes) {
  if (bytes > limits_.max_output) {
    throw Fault("a text grows over " + std::to_string(limits_.max_output) + " bytes");
  }
  charge(bytes / kBytesPerStep);
}

void Runtime::over_steps() const {
  throw Fault("stopped after " + std::to_string(limits_.max_steps) + " steps");
}

void Runtime::over_depth() const {
  throw Fault("nested more than " + std::to_string(limits_.max_depth) + " deep");
}

IteratorObject& iterate(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kIterator:
      return value.object<IteratorObject>();
    case Kind::kUndefined:
      return *runtime.make<IndexIterator>(Value::list({}));
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kRange:
    case Kind::kView:
      return *runtime.make<IndexIterator>(value);
    default:
      throw Fault("a " + type_name(value) + " cannot be iterated");
  }
}

std::vector<Value> to_items(Runtime& runtime, const Value& value) {
  if (value.is_sequence()) {
    runtime.charge(value.items().size());
    return value.items();
  }
  std::vector<Value> items;
  IteratorObject& iterator = iterate(runtime, value);
  for (Value item; iterator.next(runtime, item);) items.push_back(item);
  return items;
}

Value make_iterator(Runtime& runtime, std::function<bool(Runtime&, Value&)> next) {
  return Value::owned(Kind::kIterator, runtime.make<FunctionIterator>(std::move(next)));
}

Value get_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  if (value.is_undefined()) throw Fault(undefined_message(value));
  if (std::optional<Value> found = find_safe(runtime, value, name)) return *found;
  if (value.is(Kind::kDict)) {
    if (const Value* item = find_key(runtime, value.pairs(), Value::string(name))) return *item;
  }
  return Value::undefined("a " + type_name(value) + " has no attribute '" + name + "'");
}

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is_undefined()) throw Fault(undefined_message(value));
  if (std::optional<Value> item = find_item(runtime, value, key)) return *item;
  if (key.is_string()) {
    if (std::optional<Value> found = find_safe(runtime, value, key.text())) return *found;
    return Value::undefined("a " + type_name(value) + " has no attribute '" + key.text() + "'");
  }
  return Value::undefined("a " + type_name(value) + " has no such element");
}

Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                const Value& step) {
  if (value.is_undefined()) throw Fault(undefined_message(value));
  if (!value.is_string() && !value.is_sequence() && !value.is(Kind::kRange)) {
    throw Fault("a " + type_name(value) + " cannot be sliced");
  }
  for (const Value* bound : {&start, &stop, &step}) {
    if (!bound->is_none() && !bound->is_integral()) {
      throw Fault("a slice needs integers, got a " + type_name(*bound));
    }
  }
  const int64_t stride = step.is_none() ? 1 : step.integer();
  if (stride == 0) throw Fault("a slice cannot have step 0");
  const int64_t size = length(value);
  const auto clamp = [&](const Value& bound, int64_t otherwise) {
    if (bound.is_none()) return otherwise;
    const int64_t index = bound.integer() < 0 ? bound.integer() + size : bound.integer();
    return stride > 0 ? std::clamp<int64_t>(index, 0, size)
                      : std::clamp<int64_t>(index, -1, size - 1);
  };
  const int64_t first = clamp(start, stride > 0 ? 0 : size - 1);
  const int64_t last = clamp(stop, stride > 0 ? size : -1);
  const Value picked = Value::range(first, last, stride);
  const auto& range = picked.object<RangeObject>();
  if (value.is(Kind::kRange)) {
    const auto& inner = value.object<RangeObject>();
    const auto scaled = static_cast<uint64_t>(inner.step) * static_cast<uint64_t>(stride);
    return Value::range(inner.at(first), inner.at(last), static_cast<int64_t>(scaled));
  }
  if (value.is_sequence()) {
    runtime.charge(static_cast<size_t>(range.size));
    std::vector<Value> items;
    for (int64_t i = 0; i < range.size; ++i) {
      items.push_back(value.items()[static_cast<size_t>(range.at(i))]);
    }
    return value.is(Kind::kList) ? Value::list(std::move(items)) : Value::tuple(std::move(items));
  }
  const std::string& text = value.text();
  runtime.charge_text(text.size());
  if (stride == 1) {
    if (range.size == 0) return Value::string("", value.markup());
    const size_t begin = py::byte_of(text, first);
    const size_t bytes = py::byte_of(std::string_view(text).substr(begin), range.size);
    return Value::string(text.substr(begin, bytes), value.markup());
  }
  const std::u32string chars = to_utf32(text);
  std::string out;
  for (int64_t i = 0; i < range.size; ++i) {
    append_utf8(out, chars[static_cast<size_t>(range.at(i))]);
  }
  return Value::string(std::move(out), value.markup());
}

Value arithmetic(Runtime& runtime, Op op, const Value& a, const Value& b) {
  const bool numbers = a.is_number() && b.is_number();
  switch (op) {
    case Op::kAdd:
      return add(runtime, a, b);
    case Op::kMul:
      return multiply(runtime, a, b);
    case Op::kSub:
      if (a.is_integral() && b.is_integral()) {
        int64_t difference = 0;
        const bool overflow = __builtin_sub_overflow(a.integer(), b.integer(), &difference);
        return Value::integer(checked(overflow, difference));
      }
      if (!numbers) no_operation("-", a, b);
      return Value::real(a.real() - b.real());
    case Op::kDiv:
      if (!numbers) no_operation("/", a, b);
      if (b.real() == 0) throw Fault("division by zero");
      return Value::real(a.real() / b.real());
    case Op::kFloorDiv:
      if (!numbers) no_operation("//", a, b);
      return floor_divide(a, b, false);
    case Op::kMod:
      if (a.is_string()) {
        return Value::string(format_percent(runtime, a.text(), b));
      }
      if (!numbers) no_operation("%", a, b);
      return floor_divide(a, b, true);
    case Op::kPow:
      if (!numbers) no_operation("**", a, b);
      return power(a, b);
  }
  throw Fault("internal: no such operation");
}

Value negate(const Value& value) {
  if (value.is_undefined()) throw Fault(undefined_message(value));
  if (value.is_integral()) {
    int64_t result = 0;
    const bool overflow = __builtin_sub_overflow(int64_t{0}, value.integer(), &result);
    return Value::integer(checked(overflow, result));
  }
  if (!value.is(Kind::kFloat)) throw Fault("a " + type_name(value) + " has no sign");
  return Value::real(-value.real());
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (item.is_undefined()) throw Fault(undefined_message(item));
      if (!item.is_string()) throw Fault("only a text can be in a text, not a " + type_name(item));
      runtime.charge_text(container.text().size());
      return py::find(container.text(), item.text()) != std::string::npos;
    case Kind::kDict:
      return find_key(runtime, container.pairs(), item) != nullptr;
    case Kind::kView:
      if (container.object<ViewObject>().part == 0) {
        return find_key(runtime, container.object<ViewObject>().dict.pairs(), item) != nullptr;
      }
      [[fallthrough]];
    default:
      break;
  }
  IteratorObject& items = iterate(runtime, container);
  for (Value other; items.next(runtime, other);) {
    if (equal(runtime, other, item)) return true;
  }
  return false;
}

Value call(Runtime& runtime, const Value& callee, Args& args) {
  const Runtime::Nested nested(runtime);
  if (callee.is_undefined()) throw Fault(undefined_message(callee));
  if (!callee.is(Kind::kFunction)) throw Fault("a " + type_name(callee) + " cannot be called");
  const auto& function = callee.object<FunctionObject>();
  return function.call(runtime, args);
}

Bound::Bound(const char* function, Args& args, std::initializer_list<const char*> names,
             size_t required)
    : function_(function), values_(names.size()) {
  if (args.positional.size() > names.size()) {
    throw Fault(std::string(function) + "() takes at most " + std::to_string(names.size()) +
                " arguments, got " + std::to_string(args.positional.size()));
  }
  for (size_t i = 0; i < args.positional.size(); ++i) values_[i] = args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto found = std::find(names.begin(), names.end(), std::string_view(name));
    if (found == names.end()) {
      throw Fault(std::string(function) + "() takes no argument '" + name + "'");
    }
    auto& slot = values_[static_cast<size_t>(found - names.begin())];
    if (slot) throw Fault(std::string(function) + "() got '" + name + "' twice");
    slot = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!values_[i]) {
      throw Fault(std::string(function) + "() needs the argument '" + *(names.begin() + i) + "'");
    }
  }
}

int64_t Bound::integer(size_t i, int64_t otherwise) const {
  if (!has(i)) return otherwise;
  if (!values_[i]->is_integral()) {
    throw Fault(std::string(function_) + "() needs an integer, got a " + type_name(*values_[i]));
  }
  return values_[i]->integer();
}

const std::string& Bound::text(size_t i) const {
  if (!values_[i]->is_string()) {
    throw Fault(std::string(function_) + "() needs a text, got a " + type_name(*values_[i]));
  }
  return values_[i]->text();
}

}  // namespace hone::text::jinja
