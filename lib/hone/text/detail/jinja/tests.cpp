// The tests, `value is test(...)`.
#include <algorithm>
#include <unordered_map>

#include "hone/text/detail/jinja/runtime.h"
#include "hone/unicode/python_text.h"

namespace hone::text::jinja {

namespace py = unicode::py;
namespace {

/// A test without arguments.
template <bool (*F)(const Value&)>
bool plain(Runtime&, const Value& value, Args& args) {
  Bound("test", args, {});
  return F(value);
}

bool is_defined(const Value& value) { return !value.is_undefined(); }
bool is_undefined(const Value& value) { return value.is_undefined(); }
bool is_none(const Value& value) { return value.is_none(); }
bool is_boolean(const Value& value) { return value.is(Kind::kBool); }
bool is_true(const Value& value) { return value.is(Kind::kBool) && value.boolean(); }
bool is_false(const Value& value) { return value.is(Kind::kBool) && !value.boolean(); }
bool is_integer(const Value& value) { return value.is(Kind::kInt); }
bool is_float(const Value& value) { return value.is(Kind::kFloat); }
bool is_number(const Value& value) { return value.is_number(); }
bool is_string(const Value& value) { return value.is_string(); }
bool is_mapping(const Value& value) { return value.is(Kind::kDict); }
bool is_escaped(const Value& value) { return value.markup(); }
bool is_sequence(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_sequence() ||
         value.is(Kind::kDict) || value.is(Kind::kRange);
}
bool is_iterable(const Value& value) {
  return is_sequence(value) || value.is(Kind::kView) || value.is(Kind::kIterator) ||
         value.is(Kind::kLoop);
}
bool is_callable(const Value& value) {
  return value.is_undefined() || value.is(Kind::kFunction) || value.is(Kind::kLoop);
}

bool remainder_is(Runtime& runtime, const Value& value, const Value& divisor, int64_t rest) {
  return equal(runtime, arithmetic(runtime, Op::kMod, value, divisor), Value::integer(rest));
}

template <int Rest>
bool parity(Runtime& runtime, const Value& value, Args& args) {
  Bound("odd", args, {});
  return remainder_is(runtime, value, Value::integer(2), Rest);
}

bool divisible(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("divisibleby", args, {"num"}, 1);
  return remainder_is(runtime, value, bound[0], 0);
}

template <bool (*F)(std::string_view)>
bool text_is(Runtime& runtime, const Value& value, Args& args) {
  Bound("test", args, {});
  return F(to_str(runtime, value));
}

template <bool Equal>
bool compares_equal(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("equalto", args, {"other"}, 1);
  return equal(runtime, value, bound[0]) == Equal;
}

/// value < other, or with its sides exchanged.
template <bool Exchanged, bool OrEqual>
bool compares(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("comparison", args, {"other"}, 1);
  return Exchanged ? less(runtime, bound[0], value, OrEqual)
                   : less(runtime, value, bound[0], OrEqual);
}

bool same_as(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("sameas", args, {"other"}, 1);
  if (value.kind() != bound[0].kind()) return false;
  return value.is_number() ? equal(runtime, value, bound[0])
                           : value.identity() == bound[0].identity();
}

bool is_in(Runtime& runtime, const Value& value, Args& args) {
  const Bound bound("in", args, {"seq"}, 1);
  return contains(runtime, bound[0], value);
}

bool is_filter(Runtime&, const Value& value, Args& args) {
  Bound("filter", args, {});
  return value.is_string() && names_filter(value.text());
}

bool names_test(Runtime&, const Value& value, Args& args) {
  Bound("test", args, {});
  return value.is_string() && find_test(value.text());
}

}  // namespace

Test find_test(std::string_view name) {
  static const std::unordered_map<std::string_view, Test> tests = {
      {"defined", plain<is_defined>},
      {"undefined", plain<is_undefined>},
      {"none", plain<is_none>},
      {"boolean", plain<is_boolean>},
      {"true", plain<is_true>},
      {"false", plain<is_false>},
      {"integer", plain<is_integer>},
      {"float", plain<is_float>},
      {"number", plain<is_number>},
      {"string", plain<is_string>},
      {"mapping", plain<is_mapping>},
      {"sequence", plain<is_sequence>},
      {"iterable", plain<is_iterable>},
      {"callable", plain<is_callable>},
      {"escaped", plain<is_escaped>},
      {"odd", parity<1>},
      {"even", parity<0>},
      {"divisibleby", divisible},
      {"lower", text_is<py::is_lower>},
      {"upper", text_is<py::is_upper>},
      {"sameas", same_as},
      {"in", is_in},
      {"filter", is_filter},
      {"test", names_test},
      {"==", compares_equal<true>},
      {"eq", compares_equal<true>},
      {"equalto", compares_equal<true>},
      {"!=", compares_equal<false>},
      {"ne", compares_equal<false>},
      {"<", compares<false, false>},
      {"lt", compares<false, false>},
      {"lessthan", compares<false, false>},
      {"<=", compares<false, true>},
      {"le", compares<false, true>},
      {">", compares<true, false>},
      {"gt", compares<true, false>},
      {"greaterthan", compares<true, false>},
      {">=", compares<true, true>},
      {"ge", compares<true, true>},
  };
  const auto found = tests.find(name);
  return found == tests.end() ? nullptr : found->second;
}

}  // namespace hone::text::jinja
