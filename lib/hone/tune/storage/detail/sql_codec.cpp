#include "hone/tune/storage/detail/sql_codec.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>
#include <limits>

#include "hone/core/utf8.h"

namespace hone::tune::detail {
namespace {

using std::chrono::microseconds;
using std::chrono::sys_days;
using std::chrono::sys_time;

/// By value of TrialState.
constexpr std::array<const char*, 5> kStates = {"RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"};
constexpr std::array<const char*, 2> kDirections = {"MINIMIZE", "MAXIMIZE"};

template <class E, size_t N>
E enum_at(const std::array<const char*, N>& names, const Rows& rows, size_t row, size_t column) {
  const std::string& text = rows.text(row, column);
  for (size_t i = 0; i < N; ++i) {
    if (text == names[i]) return static_cast<E>(i);
  }
  rows.broken(row, column, fmt::format("one of {} is expected", fmt::join(names, ", ")));
}

/// Reads `digits` digits; -1 if there are fewer.
int take_digits(std::string_view& text, size_t digits) {
  if (text.size() < digits) return -1;
  int value = 0;
  for (size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<Time> parse_time(std::string_view text) {
  const int year = take_digits(text, 4);
  if (!take(text, '-')) return std::nullopt;
  const int month = take_digits(text, 2);
  if (!take(text, '-')) return std::nullopt;
  const int day = take_digits(text, 2);
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (year < 1 || month < 1 || day < 1 || !date.ok()) return std::nullopt;
  if (!take(text, ' ') && !take(text, 'T')) return std::nullopt;
  const int hour = take_digits(text, 2);
  if (!take(text, ':')) return std::nullopt;
  const int minute = take_digits(text, 2);
  if (!take(text, ':')) return std::nullopt;
  const int second = take_digits(text, 2);
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) {
    return std::nullopt;
  }
  int64_t fraction = 0;
  if (take(text, '.')) {
    if (text.empty() || text.size() > 6) return std::nullopt;
    std::string padded(text);
    padded.resize(6, '0');
    std::string_view digits = padded;
    fraction = take_digits(digits, 6);
    if (fraction < 0) return std::nullopt;
    text = {};
  }
  if (!text.empty()) return std::nullopt;
  const int64_t days = sys_days(date).time_since_epoch().count();
  return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1'000'000 + fraction;
}

/// Puts quotes around the bare words NaN, Infinity and -Infinity outside strings. "" if brackets
/// are nested deeper than core's reader allows: values that deep overflow the stack when copied.
std::string quote_python_numbers(std::string_view text) {
  std::string result;
  bool in_string = false;
  size_t depth = 0;
  for (size_t i = 0; i < text.size();) {
    if (in_string) {
      const size_t size = text[i] == '\\' ? 2 : 1;
      in_string = text[i] != '"';
      result += text.substr(i, size);
      i += size;
      continue;
    }
    bool found = false;
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (!text.substr(i).starts_with(word)) continue;
      result += fmt::format("\"{}\"", word);
      i += word.size();
      found = true;
      break;
    }
    if (found) continue;
    in_string = text[i] == '"';
    if (text[i] == '[' || text[i] == '{') ++depth;
    if ((text[i] == ']' || text[i] == '}') && depth > 0) --depth;
    if (depth > JsonLimits().max_depth) return "";
    result += text[i++];
  }
  return result;
}

}  // namespace

Time now() {
  return std::chrono::duration_cast<microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string time_text(Time time) {
  const sys_time<microseconds> point{microseconds(time)};
  const auto day = std::chrono::floor<std::chrono::days>(point);
  const std::chrono::year_month_day date(day);
  const int year = static_cast<int>(date.year());
  if (year < 1 || year > 9999) throw Error(fmt::format("no study lives at {} us", time));
  const std::chrono::hh_mm_ss clock(point - day);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}", year,
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::optional<Time> time_at(const Rows& rows, size_t row, size_t column) {
  if (rows.null(row, column)) return std::nullopt;
  const std::optional<Time> time = parse_time(rows.text(row, column));
  if (!time) rows.broken(row, column, "a time YYYY-MM-DD HH:MM:SS.ffffff is expected");
  return time;
}

std::string state_name(TrialState state) { return kStates.at(static_cast<size_t>(state)); }

TrialState state_at(const Rows& rows, size_t row, size_t column) {
  return enum_at<TrialState>(kStates, rows, row, column);
}

std::string direction_name(Direction direction) {
  return kDirections.at(static_cast<size_t>(direction));
}

Direction direction_at(const Rows& rows, size_t row, size_t column) {
  return enum_at<Direction>(kDirections, rows, row, column);
}

Number number_cells(double value) {
  if (std::isnan(value)) return {{}, "NAN"};
  if (std::isinf(value)) return {{}, value > 0 ? "INF_POS" : "INF_NEG"};
  return {value, "FINITE"};
}

double number_at(const Rows& rows, size_t row, size_t value_column) {
  using Limits = std::numeric_limits<double>;
  const std::string& type = rows.text(row, value_column + 1);
  if (type == "FINITE") return rows.real(row, value_column);
  if (type == "INF_POS") return Limits::infinity();
  if (type == "INF_NEG") return -Limits::infinity();
  if (type == "NAN") return Limits::quiet_NaN();
  rows.broken(row, value_column + 1, "one of FINITE, INF_POS, INF_NEG, NAN is expected");
}

std::string attribute_text(const Json& value) {
  try {
    return value.dump(-1, ' ', true);
  } catch (const Json::exception& error) {
    throw Error(std::string("an attribute cannot be stored: ") + error.what());
  }
}

Json attribute_at(const Rows& rows, size_t row, size_t column) {
  if (rows.null(row, column)) return nullptr;
  const std::string& text = rows.text(row, column);
  try {
    return parse_json(text, "attribute");
  } catch (const Error&) {
    Json value = Json::parse(quote_python_numbers(text), nullptr, false);
    if (value.is_discarded()) rows.broken(row, column, "JSON is expected");
    return value;
  }
}

Distribution distribution_at(const Rows& rows, size_t row, size_t column) {
  try {
    return parse_distribution(rows.text(row, column));
  } catch (const IoError&) {
    rows.broken(row, column, "a distribution in JSON is expected");
  } catch (const Error& error) {
    rows.broken(row, column, error.what());
  }
}

void require_name(const char* what, std::string_view name) {
  constexpr size_t kMost = 512;
  const auto refuse = [&](const std::string& why) {
    throw Error(fmt::format("the {} '{}' {}", what, name.substr(0, 80), why));
  };
  if (name.find('\0') != std::string_view::npos) refuse("holds a NUL character");
  if (!is_utf8(name)) throw Error(fmt::format("the {} is not UTF-8", what));
  if (count_characters(name) > kMost) refuse(fmt::format("is longer than {} characters", kMost));
}

}  // namespace hone::tune::detail
