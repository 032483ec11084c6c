#include "hone/tune/distribution.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>
#include <string>

#include "hone/core/error.h"

namespace hone::tune {
namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

/// nlohmann finds 1 == 1.0; Optuna's choices keep the type.
bool same_choice(const Json& a, const Json& b) {
  const auto integer = [](const Json& x) { return x.is_number_integer(); };
  return integer(a) == integer(b) && a.type_name() == std::string(b.type_name()) && a == b;
}

/// A decimal number digits * 10^exponent.
struct Decimal {
  __int128 digits;
  int exponent;
};

/// The shortest decimal that reads back as `value`, as Python's str() gives it.
Decimal decimal(double value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific);
  const std::string_view all(text, end.ptr - text);
  const size_t e = all.find('e');
  Decimal result{0, 0};
  std::string_view power = all.substr(e + 1);
  if (power.starts_with('+')) power.remove_prefix(1);
  std::from_chars(power.data(), power.data() + power.size(), result.exponent);
  bool fraction = false;
  for (const char c : all.substr(0, e)) {
    if (c == '.') fraction = true;
    if (c < '0' || c > '9') continue;
    result.digits = result.digits * 10 + (c - '0');
    if (fraction) --result.exponent;
  }
  if (value < 0) result.digits = -result.digits;
  return result;
}

/// grid_high() in doubles; `high` itself where rounding alone keeps it off the grid.
double rounded_grid_high(double low, double high, double step) {
  const double steps = std::floor((high - low) / step);
  const double last = low + (steps + 1) * step <= high ? steps + 1 : steps;
  return std::clamp(low + last * step, low, high);
}

/// The double nearest to digits * 10^exponent.
double nearest(Decimal number) {
  std::string digits;
  const bool negative = number.digits < 0;
  if (negative) number.digits = -number.digits;
  for (; number.digits > 0; number.digits /= 10) {
    digits.insert(digits.begin(), static_cast<char>('0' + number.digits % 10));
  }
  const std::string text = (negative ? "-0" : "0") + digits + "e" + std::to_string(number.exponent);
  return std::strtod(text.c_str(), nullptr);  // std::stod throws at subnormal numbers
}

/// low + floor((high - low) / step) * step in decimal arithmetic.
double grid_high(double low, double high, double step) {
  constexpr int kMostDigits = 20;  // of 38 that fit, so that sums of 17-digit numbers do too
  const Decimal parts[] = {decimal(low), decimal(high), decimal(step)};
  int exponent = std::numeric_limits<int>::max();
  for (const Decimal& part : parts) {
    if (part.digits != 0) exponent = std::min(exponent, part.exponent);
  }
  __int128 scaled[3];
  for (int i = 0; i < 3; ++i) {
    const int shift = parts[i].digits == 0 ? 0 : parts[i].exponent - exponent;
    if (shift > kMostDigits) return rounded_grid_high(low, high, step);
    scaled[i] = parts[i].digits;
    for (int k = 0; k < shift; ++k) scaled[i] *= 10;
  }
  const __int128 range = scaled[1] - scaled[0];
  if (range % scaled[2] == 0) return high;
  const __int128 last = range / scaled[2] * scaled[2] + scaled[0];
  // A high that was pulled down before may have been rounded: it stays what it is.
  if (nearest({last + scaled[2], exponent}) == high) return high;
  return nearest({last, exponent});
}

void require(bool good, const std::string& message) {
  if (!good) throw Error(message);
}

constexpr int64_t kExact = int64_t{1} << 53;  // up to here doubles, the internal values, are exact

void check(FloatDistribution& d) {
  require(std::isfinite(d.low) && std::isfinite(d.high),
          fmt::format("bounds must be finite, got [{}, {}]", d.low, d.high));
  require(d.low <= d.high, fmt::format("low must not exceed high, got [{}, {}]", d.low, d.high));
  require(std::isfinite(d.high - d.low),
          fmt::format("bounds are too far apart, got [{}, {}]", d.low, d.high));
  require(!d.log || d.low > 0, fmt::format("log needs low > 0, got {}", d.low));
  require(!d.log || !d.step, "log and step exclude each other for a float");
  if (!d.step) return;
  require(std::isfinite(*d.step) && *d.step > 0,
          fmt::format("step must be positive, got {}", *d.step));
  require((d.high - d.low) / *d.step <= static_cast<double>(kExact),
          fmt::format("step must leave at most 2^53 values in [{}, {}], got {}", d.low, d.high,
                      *d.step));
  d.high = grid_high(d.low, d.high, *d.step);
}

void check(IntDistribution& d) {
  require(d.low >= -kExact && d.high <= kExact,
          fmt::format("bounds must lie within 2^53, got [{}, {}]", d.low, d.high));
  require(d.low <= d.high, fmt::format("low must not exceed high, got [{}, {}]", d.low, d.high));
  require(d.high - d.low <= kExact,
          fmt::format("bounds must be at most 2^53 apart, got [{}, {}]", d.low, d.high));
  require(!d.log || d.low >= 1, fmt::format("log needs low >= 1, got {}", d.low));
  require(!d.log || d.step == 1, "log needs step 1 for an int");
  require(d.step > 0, fmt::format("step must be positive, got {}", d.step));
  d.high = d.low + (d.high - d.low) / d.step * d.step;
}

void check(CategoricalDistribution& d) {
  require(!d.choices.empty(), "there must be a choice");
  std::set<std::string> seen;  // their text tells 1, 1.0, true and "1" apart, as same_choice() does
  for (const Json& choice : d.choices) {
    const std::string text = choice.dump();
    require(choice.is_primitive(), "choices must be null, bools, numbers or strings, got " + text);
    require(seen.insert(text).second, "the choice " + text + " is there twice");
  }
}

double number(const Json& attributes, const char* key) {
  const auto found = attributes.find(key);
  require(found != attributes.end() && found->is_number(),
          fmt::format("the attribute {} must be a number", key));
  return found->get<double>();
}

int64_t integer(const Json& attributes, const char* key, std::optional<int64_t> otherwise = {}) {
  if (otherwise && (!attributes.contains(key) || attributes.at(key).is_null())) return *otherwise;
  const double value = number(attributes, key);
  require(value == std::floor(value) && std::abs(value) < 9.1e18,
          fmt::format("the attribute {} must be an integer, got {}", key, value));
  const Json& json = attributes.at(key);
  return json.is_number_integer() ? json.get<int64_t>() : static_cast<int64_t>(value);
}

bool flag(const Json& attributes, const char* key) {
  const auto found = attributes.find(key);
  if (found == attributes.end()) return false;
  require(found->is_boolean(), fmt::format("the attribute {} must be true or false", key));
  return found->get<bool>();
}

std::optional<double> step_of(const Json& attributes, const char* key) {
  if (!attributes.contains(key) || attributes.at(key).is_null()) return std::nullopt;
  return number(attributes, key);
}

Distribution from_json(const std::string& name, const Json& a) {
  if (name == "CategoricalDistribution") {
    require(a.contains("choices") && a.at("choices").is_array(), "choices must be a list");
    return CategoricalDistribution{a.at("choices").get<std::vector<Json>>()};
  }
  if (name == "FloatDistribution") {
    return FloatDistribution{number(a, "low"), number(a, "high"), flag(a, "log"),
                             step_of(a, "step")};
  }
  if (name == "UniformDistribution") return FloatDistribution{number(a, "low"), number(a, "high")};
  if (name == "LogUniformDistribution") {
    return FloatDistribution{number(a, "low"), number(a, "high"), true};
  }
  if (name == "DiscreteUniformDistribution") {
    return FloatDistribution{number(a, "low"), number(a, "high"), false, number(a, "q")};
  }
  const bool log = name == "IntLogUniformDistribution";
  require(log || name == "IntDistribution" || name == "IntUniformDistribution",
          "there is no distribution " + name);
  return IntDistribution{integer(a, "low"), integer(a, "high"), log || flag(a, "log"),
                         integer(a, "step", 1)};
}

}  // namespace

bool CategoricalDistribution::operator==(const CategoricalDistribution& other) const {
  return std::equal(choices.begin(), choices.end(), other.choices.begin(), other.choices.end(),
                    same_choice);
}

Distribution validated(Distribution distribution) {
  std::visit([](auto& d) { check(d); }, distribution);
  return distribution;
}

std::string distribution_text(const Distribution& distribution) {
  const Json json = std::visit(
      Overloaded{[](const FloatDistribution& d) {
                   return Json{{"name", "FloatDistribution"},
                               {"attributes",
                                {{"step", d.step ? Json(*d.step) : Json(nullptr)},
                                 {"low", d.low},
                                 {"high", d.high},
                                 {"log", d.log}}}};
                 },
                 [](const IntDistribution& d) {
                   return Json{
                       {"name", "IntDistribution"},
                       {"attributes",
                        {{"log", d.log}, {"step", d.step}, {"low", d.low}, {"high", d.high}}}};
                 },
                 [](const CategoricalDistribution& d) {
                   return Json{{"name", "CategoricalDistribution"},
                               {"attributes", {{"choices", Json(d.choices)}}}};
                 }},
      distribution);
  return json.dump(-1, ' ', true);
}

Distribution parse_distribution(std::string_view text) {
  const Json json = parse_json(text, "distribution");
  require(json.is_object() && json.contains("name") && json.at("name").is_string() &&
              json.contains("attributes") && json.at("attributes").is_object(),
          "a distribution must be an object with name and attributes, got " + json.dump());
  return validated(from_json(json.at("name").get<std::string>(), json.at("attributes")));
}

bool contains(const Distribution& distribution, double value) {
  return std::visit(
      Overloaded{[&](const FloatDistribution& d) { return d.low <= value && value <= d.high; },
                 [&](const IntDistribution& d) {
                   return static_cast<double>(d.low) <= value &&
                          value <= static_cast<double>(d.high) && value == std::floor(value) &&
                          (static_cast<int64_t>(value) - d.low) % d.step == 0;
                 },
                 [&](const CategoricalDistribution& d) {
                   return value >= 0 && value < static_cast<double>(d.choices.size()) &&
                          value == std::floor(value);
                 }},
      distribution);
}

std::optional<int64_t> cardinality(const Distribution& distribution) {
  return std::visit(Overloaded{[](const FloatDistribution& d) -> std::optional<int64_t> {
                                 if (d.low == d.high) return 1;
                                 if (!d.step) return std::nullopt;
                                 return std::llround((d.high - d.low) / *d.step) + 1;
                               },
                               [](const IntDistribution& d) -> std::optional<int64_t> {
                                 return (d.high - d.low) / d.step + 1;
                               },
                               [](const CategoricalDistribution& d) -> std::optional<int64_t> {
                                 return static_cast<int64_t>(d.choices.size());
                               }},
                    distribution);
}

double value_at(const Distribution& distribution, int64_t k) {
  return std::visit(
      Overloaded{[&](const FloatDistribution& d) {
                   return std::min(d.high, d.low + static_cast<double>(k) * d.step.value_or(0));
                 },
                 [&](const IntDistribution& d) { return static_cast<double>(d.low + k * d.step); },
                 [&](const CategoricalDistribution&) { return static_cast<double>(k); }},
      distribution);
}

bool single(const Distribution& distribution) { return cardinality(distribution) == 1; }

bool compatible(const Distribution& a, const Distribution& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      Overloaded{
          [&](const FloatDistribution& d) { return d.log == std::get<FloatDistribution>(b).log; },
          [&](const IntDistribution& d) { return d.log == std::get<IntDistribution>(b).log; },
          [&](const CategoricalDistribution& d) {
            return d == std::get<CategoricalDistribution>(b);
          }},
      a);
}

std::string describe(const Distribution& distribution) {
  // The shortest text that reads back, its exponent without padding.
  const auto number = [](double value) {
    std::string text = fmt::format("{}", value);
    if (const size_t e = text.find('e'); e != std::string::npos && text[e + 2] == '0') {
      text.erase(e + 2, 1);
    }
    return text;
  };
  const auto range = [&](double low, double high, const char* kind, bool log, double step) {
    std::string text = number(low);
    if (low != high) text += " .. " + number(high);
    text += kind;
    if (log) text += ", log";
    if (step > 0) text += ", in steps of " + number(step);
    return text;
  };
  const auto choices = [](const CategoricalDistribution& d) {
    std::string text;
    for (const Json& choice : d.choices) {
      text += (text.empty() ? "" : ", ") +
              (choice.is_string() ? choice.get<std::string>() : choice.dump());
    }
    return text;
  };
  return std::visit(Overloaded{[&](const FloatDistribution& d) {
                                 return range(d.low, d.high, "", d.log, d.step.value_or(0));
                               },
                               [&](const IntDistribution& d) {
                                 return range(static_cast<double>(d.low),
                                              static_cast<double>(d.high), ", integer", d.log,
                                              d.step > 1 ? static_cast<double>(d.step) : 0);
                               },
                               choices},
                    distribution);
}

Json external_value(const Distribution& distribution, double internal) {
  if (std::holds_alternative<IntDistribution>(distribution)) {
    return static_cast<int64_t>(std::llround(internal));
  }
  const auto* categorical = std::get_if<CategoricalDistribution>(&distribution);
  return categorical ? categorical->choices.at(static_cast<size_t>(internal)) : Json(internal);
}

double internal_value(const Distribution& distribution, const Json& value) {
  const auto outside = [&] { return Error(value.dump() + " is not in " + describe(distribution)); };
  if (const auto* categorical = std::get_if<CategoricalDistribution>(&distribution)) {
    for (size_t i = 0; i < categorical->choices.size(); ++i) {
      if (same_choice(categorical->choices[i], value)) return static_cast<double>(i);
    }
    throw outside();
  }
  if (!value.is_number() || !contains(distribution, value.get<double>())) throw outside();
  return value.get<double>();
}

}  // namespace hone::tune
