/// What one rendering shares: its bounds, its objects, and the operations on values.
#pragma once
#include <algorithm>
#include <ctime>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hone/text/chat_limits.h"
#include "hone/text/detail/jinja/value.h"

namespace hone::text::jinja {

class Runtime {
 public:
  explicit Runtime(const ChatLimits& limits) : limits_(limits) {}

  /// Counts work. Throws: Fault over ChatLimits::max_steps.
  void charge(size_t steps) {
    steps_ += steps;
    if (steps_ > limits_.max_steps) over_steps();
  }
  /// Counts a text that is about to be made. Throws: Fault if it is too long.
  void charge_text(size_t bytes);

  /// Nesting of evaluation, of any kind. Throws: Fault over ChatLimits::max_depth.
  class Nested {
   public:
    explicit Nested(Runtime& runtime) : runtime_(runtime) {
      if (runtime.depth_ >= runtime.limits_.max_depth) runtime.over_depth();
      ++runtime.depth_;
    }
    ~Nested() { --runtime_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Runtime& runtime_;
  };

  /// Makes an object that lives as long as the rendering.
  template <class T, class... A>
  T* make(A&&... args) {
    charge(8);
    auto object = std::make_unique<T>(std::forward<A>(args)...);
    T* raw = object.get();
    objects_.push_back(std::move(object));
    return raw;
  }

  std::optional<std::time_t> now;  ///< ChatInput::now

 private:
  friend class Nested;
  [[noreturn]] void over_steps() const;
  [[noreturn]] void over_depth() const;

  ChatLimits limits_;
  size_t steps_ = 0, depth_ = 0;
  std::vector<std::unique_ptr<Object>> objects_;
};

/// An iterator over anything that Python can iterate. Throws: Fault.
IteratorObject& iterate(Runtime& runtime, const Value& value);
/// All items. Throws: Fault.
std::vector<Value> to_items(Runtime& runtime, const Value& value);
/// A value of kIterator made of `next`, called until it returns false.
Value make_iterator(Runtime& runtime, std::function<bool(Runtime&, Value&)> next);

/// x.name and x[key], as the sandboxed environment looks them up. Throw: Fault for x undefined.
Value get_attribute(Runtime& runtime, const Value& value, const std::string& name);
Value get_item(Runtime& runtime, const Value& value, const Value& key);
/// x[start:stop:step]; none stands for what is left out.
Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                const Value& step);
/// The attributes of str, dict, list, ...: bound methods. Nothing if there is none of the name.
std::optional<Value> find_method(Runtime& runtime, const Value& value, const std::string& name);

enum class Op : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };
Value arithmetic(Runtime& runtime, Op op, const Value& a, const Value& b);
Value negate(const Value& value);
bool contains(Runtime& runtime, const Value& container, const Value& item);
Value call(Runtime& runtime, const Value& callee, Args& args);

/// Python's "..." % args and "...".format(...).
std::string format_percent(Runtime& runtime, const std::string& format, const Value& args);
std::string format_braces(Runtime& runtime, const std::string& format, const Args& args);

using Filter = Value (*)(Runtime&, const Value&, Args&);
using Test = bool (*)(Runtime&, const Value&, Args&);
/// Null if there is none of the name.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);
/// Whether jinja2 has a filter of the name: one of those above, or one that is not supported here.
bool names_filter(std::string_view name);
/// range, dict, namespace, cycler, joiner, raise_exception, strftime_now; nothing for others.
std::optional<Value> find_global(std::string_view name);

/// A stable merge sort, safe for any `before`: values such as NaN have no consistent order.
template <class T, class Before>
void merge_sort(std::vector<T>& items, Before before) {
  std::vector<T> merged;
  for (size_t width = 1; width < items.size(); width *= 2) {
    merged.clear();
    for (size_t start = 0; start < items.size(); start += 2 * width) {
      size_t left = start, right = std::min(start + width, items.size());
      const size_t middle = right, end = std::min(start + 2 * width, items.size());
      while (left < middle || right < end) {
        const bool take_right =
            left == middle || (right < end && before(items[right], items[left]));
        merged.push_back(std::move(items[take_right ? right++ : left++]));
      }
    }
    items.swap(merged);
  }
}

/// Arguments by the names of a signature. Throws: Fault for too many, unknown and missing ones.
class Bound {
 public:
  Bound(const char* function, Args& args, std::initializer_list<const char*> names,
        size_t required = 0);
  bool has(size_t i) const { return values_[i].has_value(); }
  /// Whether it was given and is not none.
  bool given(size_t i) const { return has(i) && !values_[i]->is_none(); }
  const Value& operator[](size_t i) const { return *values_[i]; }
  Value get(size_t i, Value otherwise) const { return has(i) ? *values_[i] : otherwise; }
  bool flag(size_t i, bool otherwise) const { return has(i) ? truth(*values_[i]) : otherwise; }
  int64_t integer(size_t i, int64_t otherwise) const;
  const std::string& text(size_t i) const;

 private:
  const char* function_;
  std::vector<std::optional<Value>> values_;
};

/// & < > ' " as HTML entities, as markupsafe writes them.
std::string escape_html(std::string_view text);

}  // namespace hone::text::jinja
