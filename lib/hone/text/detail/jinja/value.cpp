#include "hone/text/detail/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <limits>

#include "hone/core/utf8.h"
#include "hone/text/detail/jinja/runtime.h"

namespace hone::text::jinja {
namespace {

struct StringObject : Object {
  std::string text;
  bool markup = false;
};

struct ListObject : Object {
  std::vector<Value> items;
  int depth = 1;
};

struct DictObject : Object {
  Pairs pairs;
  int depth = 1;
};

int checked_depth(int inner) {
  if (inner >= kMaxValueDepth) {
    throw Fault("values are nested more than " + std::to_string(kMaxValueDepth) + " deep");
  }
  return inner + 1;
}

/// int or float against int or float, exactly: not every integer is a double.
std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return a.integer() <=> b.integer();
  // 53 bits hold every integer below 2^53; beyond, the double decides unless it is in range.
  const auto mixed = [](int64_t i, double d) -> std::partial_ordering {
    if (std::isnan(d)) return std::partial_ordering::unordered;
    if (d >= 0x1p63) return std::partial_ordering::less;
    if (d < -0x1p63) return std::partial_ordering::greater;
    const auto whole = static_cast<int64_t>(d);
    if (i != whole) return i <=> whole;
    return 0.0 <=> d - static_cast<double>(whole);
  };
  if (a.is_integral()) return mixed(a.integer(), b.real());
  if (b.is_integral()) {
    const auto reversed = mixed(b.integer(), a.real());
    return 0 <=> reversed;
  }
  return a.real() <=> b.real();
}

bool equal_dicts(Runtime& runtime, const Value& a, const Value& b) {
  if (a.pairs().size() != b.pairs().size()) return false;
  return std::all_of(a.pairs().begin(), a.pairs().end(), [&](const auto& pair) {
    const Value* other = find_key(runtime, b.pairs(), pair.first);
    return other && equal(runtime, pair.second, *other);
  });
}

bool equal_ranges(const RangeObject& a, const RangeObject& b) {
  return a.size == b.size &&
         (a.size == 0 || (a.start == b.start && (a.size == 1 || a.step == b.step)));
}

}  // namespace

Value Value::undefined(std::string message) {
  Value value;
  auto object = std::make_shared<StringObject>();
  object->text = std::move(message);
  value.object_ = std::move(object);
  return value;
}

Value Value::boolean(bool value) {
  Value result(Kind::kBool);
  result.integer_ = value;
  return result;
}

Value Value::integer(int64_t value) {
  Value result(Kind::kInt);
  result.integer_ = value;
  return result;
}

Value Value::real(double value) {
  Value result(Kind::kFloat);
  result.real_ = value;
  return result;
}

Value Value::string(std::string text, bool markup) {
  Value value(Kind::kString);
  auto object = std::make_shared<StringObject>();
  object->text = std::move(text);
  object->markup = markup;
  value.object_ = std::move(object);
  return value;
}

Value Value::sequence(Kind kind, std::vector<Value> items) {
  Value value(kind);
  auto object = std::make_shared<ListObject>();
  for (const Value& item : items) {
    object->depth = std::max(object->depth, checked_depth(item.depth()));
  }
  object->items = std::move(items);
  value.object_ = std::move(object);
  return value;
}

Value Value::dict(Pairs items) {
  Value value(Kind::kDict);
  auto object = std::make_shared<DictObject>();
  for (const auto& [key, item] : items) {
    object->depth =
        std::max({object->depth, checked_depth(item.depth()), checked_depth(key.depth())});
  }
  object->pairs = std::move(items);
  value.object_ = std::move(object);
  return value;
}

Value Value::range(int64_t start, int64_t stop, int64_t step) {
  Value value(Kind::kRange);
  auto object = std::make_shared<RangeObject>();
  const bool empty = step > 0 ? start >= stop : start <= stop;
  const auto distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                 : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const auto stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  object->start = start;
  object->stop = stop;
  object->step = step;
  object->size = empty ? 0
                       : static_cast<int64_t>(std::min<uint64_t>(
                             (distance - 1) / stride + 1, std::numeric_limits<int64_t>::max()));
  value.object_ = std::move(object);
  return value;
}

Value Value::view(const Value& dict, int part) {
  Value value(Kind::kView);
  auto object = std::make_shared<ViewObject>();
  object->dict = dict;
  object->part = part;
  value.object_ = std::move(object);
  return value;
}

Value Value::function(std::string name, std::function<Value(Runtime&, Args&)> call) {
  Value value(Kind::kFunction);
  auto object = std::make_shared<FunctionObject>();
  object->name = std::move(name);
  object->call = std::move(call);
  value.object_ = std::move(object);
  return value;
}

Value Value::owned(Kind kind, Object* object) {
  Value value(kind);
  value.object_ = std::shared_ptr<Object>(std::shared_ptr<void>(), object);
  return value;
}

const std::string& Value::text() const { return object<StringObject>().text; }
bool Value::markup() const { return is_string() && object<StringObject>().markup; }
const std::vector<Value>& Value::items() const { return object<ListObject>().items; }
const Pairs& Value::pairs() const { return object<DictObject>().pairs; }

int Value::depth() const {
  if (is_sequence()) return object<ListObject>().depth;
  if (is(Kind::kDict)) return object<DictObject>().depth;
  if (is(Kind::kView)) return object<ViewObject>().dict.depth();
  return 0;
}

Value ViewObject::at(size_t index) const {
  const auto& [key, value] = dict.pairs()[index];
  return part == 0 ? key : part == 1 ? value : Value::tuple({key, value});
}

Value* NamespaceObject::find(std::string_view name) {
  for (auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kView:
      return "dict view";
    case Kind::kIterator:
      return "generator";
    case Kind::kNamespace:
      return "namespace";
    case Kind::kLoop:
      return "loop";
    case Kind::kFunction:
      return "function";
    case Kind::kCounter:
      return "cycler";
  }
  return "?";
}

const std::string& undefined_message(const Value& value) {
  static const std::string plain = "a value is undefined";
  return value.identity() ? value.text() : plain;
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.real() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.items().empty();
    case Kind::kDict:
      return !value.pairs().empty();
    case Kind::kRange:
      return value.object<RangeObject>().size != 0;
    case Kind::kView:
      return !value.object<ViewObject>().dict.pairs().empty();
    default:
      return true;
  }
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.charge(1);
  if (a.is_number() && b.is_number()) {
    return compare_numbers(a, b) == std::partial_ordering::equivalent;
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return a.identity() == b.identity() ||
             std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(),
                        [&](const Value& x, const Value& y) { return equal(runtime, x, y); });
    case Kind::kDict:
      return a.identity() == b.identity() || equal_dicts(runtime, a, b);
    case Kind::kRange:
      return equal_ranges(a.object<RangeObject>(), b.object<RangeObject>());
    default:
      return a.identity() == b.identity();
  }
}

bool less(Runtime& runtime, const Value& a, const Value& b, bool or_equal) {
  runtime.charge(1);
  for (const Value* side : {&a, &b}) {
    if (side->is_undefined()) throw Fault(undefined_message(*side));
  }
  if (a.is_number() && b.is_number()) {
    const auto order = compare_numbers(a, b);
    return or_equal ? order <= 0 : order < 0;
  }
  // UTF-8 sorts by code point, as Python does.
  if (a.is_string() && b.is_string()) {
    return or_equal ? a.text() <= b.text() : a.text() < b.text();
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    const size_t shared = std::min(a.items().size(), b.items().size());
    for (size_t i = 0; i < shared; ++i) {
      if (!equal(runtime, a.items()[i], b.items()[i])) {
        return less(runtime, a.items()[i], b.items()[i], or_equal);
      }
    }
    return or_equal ? a.items().size() <= b.items().size() : a.items().size() < b.items().size();
  }
  throw Fault("'<' is not defined between " + type_name(a) + " and " + type_name(b));
}

const Value* find_key(Runtime& runtime, const Pairs& pairs, const Value& key) {
  const auto hashable = [](const auto& self, const Value& value) -> bool {
    if (value.is(Kind::kList) || value.is(Kind::kDict) || value.is(Kind::kView)) return false;
    return !value.is(Kind::kTuple) ||
           std::all_of(value.items().begin(), value.items().end(),
                       [&](const Value& item) { return self(self, item); });
  };
  if (!hashable(hashable, key)) throw Fault("a " + type_name(key) + " cannot be a key");
  runtime.charge(pairs.size() / 8);
  for (const auto& [name, value] : pairs) {
    if (key.is_string()) {
      if (name.is_string() && name.text() == key.text()) return &value;
    } else if (equal(runtime, name, key)) {
      return &value;
    }
  }
  return nullptr;
}

void put(Runtime& runtime, Pairs& pairs, Value key, Value value) {
  if (const Value* old = find_key(runtime, pairs, key)) {
    *const_cast<Value*>(old) = std::move(value);  // an element of `pairs`, which is not const
  } else {
    pairs.emplace_back(std::move(key), std::move(value));
  }
}

int64_t length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(std::count_if(value.text().begin(), value.text().end(),
                                                [](char c) { return !is_continuation(c); }));
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<int64_t>(value.pairs().size());
    case Kind::kRange:
      return value.object<RangeObject>().size;
    case Kind::kView:
      return static_cast<int64_t>(value.object<ViewObject>().dict.pairs().size());
    default:
      throw Fault("a " + type_name(value) + " has no length");
  }
}

}  // namespace hone::text::jinja
