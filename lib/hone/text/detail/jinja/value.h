/// Values of the Jinja interpreter: Python's, as far as chat templates meet them.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hone::text::jinja {

/// Containers within containers.
inline constexpr int kMaxValueDepth = 200;

/// What a template does wrong. The interpreter adds the template's name and the line.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Runtime;
struct Args;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kView,      ///< dict.keys(), .values(), .items()
  kIterator,  ///< what map, select, reverse, ... give: can be walked once
  kNamespace,
  kLoop,
  kFunction,  ///< macros, globals, bound methods
  kCounter,   ///< cycler and joiner
};

struct Object {
  virtual ~Object() = default;
};

/// Immutable, but for the kinds from kIterator on. Those belong to the Runtime (a namespace may
/// hold itself), the others are shared.
class Value {
 public:
  Value() = default;
  static Value undefined(std::string message);
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value real(double value);
  static Value string(std::string text, bool markup = false);
  static Value list(std::vector<Value> items) { return sequence(Kind::kList, std::move(items)); }
  static Value tuple(std::vector<Value> items) { return sequence(Kind::kTuple, std::move(items)); }
  static Value dict(std::vector<std::pair<Value, Value>> items);
  static Value range(int64_t start, int64_t stop, int64_t step);
  static Value view(const Value& dict, int part);
  static Value function(std::string name, std::function<Value(Runtime&, Args&)> call);
  /// Of an object that the Runtime owns.
  static Value owned(Kind kind, Object* object);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  /// Python's bool is an int.
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  // Each needs the kind that it is named after.
  bool boolean() const { return integer_ != 0; }
  int64_t integer() const { return integer_; }
  double real() const { return kind_ == Kind::kFloat ? real_ : static_cast<double>(integer_); }
  const std::string& text() const;
  bool markup() const;
  const std::vector<Value>& items() const;  ///< list or tuple
  const std::vector<std::pair<Value, Value>>& pairs() const;
  template <class T>
  T& object() const {
    return *static_cast<T*>(object_.get());
  }
  const Object* identity() const { return object_.get(); }

  /// Containers around the innermost value; bounded, so that walking one cannot overflow the stack.
  int depth() const;

 private:
  explicit Value(Kind kind) : kind_(kind) {}
  static Value sequence(Kind kind, std::vector<Value> items);

  Kind kind_ = Kind::kUndefined;
  union {
    int64_t integer_ = 0;
    double real_;
  };
  std::shared_ptr<Object> object_;
};

using Pairs = std::vector<std::pair<Value, Value>>;

struct RangeObject : Object {
  int64_t start, stop, step, size;
  /// Wraps around for an index out of range, which only bounds of slices are.
  int64_t at(int64_t index) const {
    return static_cast<int64_t>(static_cast<uint64_t>(start) +
                                static_cast<uint64_t>(index) * static_cast<uint64_t>(step));
  }
};

struct ViewObject : Object {
  Value dict;
  int part;  ///< 0 keys, 1 values, 2 items
  Value at(size_t index) const;
};

struct FunctionObject : Object {
  std::string name;
  std::function<Value(Runtime&, Args&)> call;
};

/// Walks something once.
struct IteratorObject : Object {
  /// False at the end.
  virtual bool next(Runtime& runtime, Value& out) = 0;
};

struct NamespaceObject : Object {
  std::vector<std::pair<std::string, Value>> attributes;
  Value* find(std::string_view name);
};

/// Arguments of a call.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Python's name of a value's type.
std::string type_name(const Value& value);
/// What an undefined value says of itself when it is used.
const std::string& undefined_message(const Value& value);

bool truth(const Value& value);
bool equal(Runtime& runtime, const Value& a, const Value& b);
/// a < b, or a <= b. Throws: Fault for kinds without an order.
bool less(Runtime& runtime, const Value& a, const Value& b, bool or_equal = false);
/// The pair's value, or null. Throws: Fault if the key cannot be hashed (a list or dict).
const Value* find_key(Runtime& runtime, const Pairs& pairs, const Value& key);
/// pairs[key] = value. Throws: Fault as find_key().
void put(Runtime& runtime, Pairs& pairs, Value key, Value value);
/// Number of items; throws: Fault for what has none.
int64_t length(const Value& value);

/// Python's str() and repr(). Throw: Fault for functions and iterators, which print their address.
std::string to_str(Runtime& runtime, const Value& value);
std::string to_repr(Runtime& runtime, const Value& value);
std::string float_repr(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool pretty = false;
  std::string indent;
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
};
/// json.dumps. Throws: Fault for what JSON has no form for.
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace hone::text::jinja
