// The functions that every template can call.
#include <algorithm>
#include <array>

#include "hone/text/detail/jinja/json.h"
#include "hone/text/detail/jinja/runtime.h"

namespace hone::text::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // jinja2's sandbox

Value make_range(Runtime&, Args& args) {
  if (args.positional.empty()) throw Fault("range() needs an argument");
  const Bound bound("range", args, {"start", "stop", "step"});
  for (size_t i = 0; i < args.positional.size(); ++i) bound.integer(i, 0);
  const bool one = !bound.has(1);
  const int64_t start = one ? 0 : bound.integer(0, 0), stop = bound.integer(one ? 0 : 1, 0);
  const int64_t step = bound.integer(2, 1);
  if (!args.named.empty()) throw Fault("range() takes no argument by name");
  if (step == 0) throw Fault("range() cannot have step 0");
  Value range = Value::range(start, stop, step);
  if (range.object<RangeObject>().size > kMaxRange) {
    throw Fault("range() of more than " + std::to_string(kMaxRange) + " numbers");
  }
  return range;
}

Value make_dict(Runtime& runtime, Args& args) {
  Pairs pairs;
  if (args.positional.size() > 1) throw Fault("dict() takes at most one positional argument");
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.is(Kind::kDict)) {
      pairs = source.pairs();
    } else {
      for (const Value& item : to_items(runtime, source)) {
        const std::vector<Value> pair = to_items(runtime, item);
        if (pair.size() != 2) throw Fault("dict() needs pairs");
        put(runtime, pairs, pair[0], pair[1]);
      }
    }
  }
  for (const auto& [key, value] : args.named) put(runtime, pairs, Value::string(key), value);
  return Value::dict(std::move(pairs));
}

Value make_namespace(Runtime& runtime, Args& args) {
  const Value attributes = make_dict(runtime, args);
  auto* space = runtime.make<NamespaceObject>();
  for (const auto& [key, value] : attributes.pairs()) {
    if (!key.is_string()) throw Fault("namespace() needs names");
    if (key.text().starts_with("_")) throw Fault("a namespace's names cannot start with _");
    space->attributes.emplace_back(key.text(), value);
  }
  return Value::owned(Kind::kNamespace, space);
}

/// cycler() and joiner().
struct CounterObject : Object {
  std::vector<Value> items;
  size_t position = 0;
};

Value make_cycler(Runtime& runtime, Args& args) {
  if (args.positional.empty() || !args.named.empty()) throw Fault("cycler() needs items");
  auto* counter = runtime.make<CounterObject>();
  counter->items = args.positional;
  return Value::owned(Kind::kCounter, counter);
}

Value make_joiner(Runtime& runtime, Args& args) {
  const Bound bound("joiner", args, {"sep"});
  auto* counter = runtime.make<CounterObject>();
  const Value separator = bound.get(0, Value::string(", "));
  return Value::function("joiner", [counter, separator](Runtime&, Args&) {
    return counter->position++ ? separator : Value::string("");
  });
}

Value raise_exception(Runtime& runtime, Args& args) {
  const Bound bound("raise_exception", args, {"message"}, 1);
  throw Fault(to_str(runtime, bound[0]));
}

Value strftime_now(Runtime& runtime, Args& args) {
  const Bound bound("strftime_now", args, {"format"}, 1);
  const std::time_t now = runtime.now ? *runtime.now : std::time(nullptr);
  std::tm parts{};
  if (!localtime_r(&now, &parts)) throw Fault("strftime_now(): the time is out of range");
  // A mark in front tells an empty result from one that does not fit.
  const std::string format = "+" + bound.text(0);
  if (format.find('\0') != std::string::npos) throw Fault("strftime_now(): a NUL in the format");
  std::array<char, 4096> buffer;
  const size_t size = std::strftime(buffer.data(), buffer.size(), format.c_str(), &parts);
  if (size == 0) throw Fault("strftime_now(): the text is too long");
  return Value::string(std::string(buffer.data() + 1, size - 1));
}

/// What a text holds, or none if it is no JSON. Not jinja2's: our own encodings (text/encodings.h)
/// need it for the arguments of tool calls.
Value from_json(Runtime&, Args& args) {
  const Bound bound("hone_from_json", args, {"text"}, 1);
  const Json json = Json::parse(bound.text(0), nullptr, false);
  return json.is_discarded() ? Value::none() : to_value(json);
}

}  // namespace

std::optional<Value> find_counter_method(Runtime&, const Value& value, const std::string& name) {
  auto* counter = &value.object<CounterObject>();
  if (name == "current") return counter->items[counter->position];
  if (name == "next") {
    return Value::function(name, [counter](Runtime&, Args&) {
      Value item = counter->items[counter->position];
      counter->position = (counter->position + 1) % counter->items.size();
      return item;
    });
  }
  if (name == "reset") {
    return Value::function(name, [counter](Runtime&, Args&) {
      counter->position = 0;
      return Value::none();
    });
  }
  return std::nullopt;
}

std::optional<Value> find_global(std::string_view name) {
  static const std::vector<std::pair<std::string_view, Value>> globals = {
      {"range", Value::function("range", make_range)},
      {"dict", Value::function("dict", make_dict)},
      {"namespace", Value::function("namespace", make_namespace)},
      {"cycler", Value::function("cycler", make_cycler)},
      {"joiner", Value::function("joiner", make_joiner)},
      {"raise_exception", Value::function("raise_exception", raise_exception)},
      {"strftime_now", Value::function("strftime_now", strftime_now)},
      {"hone_from_json", Value::function("hone_from_json", from_json)},
  };
  const auto found = std::find_if(globals.begin(), globals.end(),
                                  [name](const auto& entry) { return entry.first == name; });
  if (found != globals.end()) return found->second;
  if (name == "lipsum") throw Fault("lipsum() is not supported");
  return std::nullopt;
}

}  // namespace hone::text::jinja
