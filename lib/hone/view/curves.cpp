#include "hone/view/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>
#include <vector>

#include "hone/core/utf8.h"
#include "hone/view/format.h"
#include "hone/view/knob_text.h"
#include "hone/view/page.h"
#include "hone/view/plot.h"
#include "hone/view/row.h"

namespace hone::view {
namespace {

constexpr size_t kMaxPoints = 8192;
constexpr size_t kMaxSeries = 512;
constexpr size_t kMaxDecisions = 1000, kMaxDecisionsShown = 100;
constexpr size_t kMaxRows = 256, kMaxCells = 4096;
constexpr size_t kMaxText = 160;

/// A string as it is, anything else as JSON, cut to a length that a table bears.
std::string short_text(const Json& value) {
  return shortened(value.is_string() ? value.get<std::string>()
                                     : value.dump(-1, ' ', false, Json::error_handler_t::replace),
                   kMaxText, "…");
}

/// Every two points by their mean; one that is not finite does not count.
Points halved(const Points& points) {
  Points means;
  for (size_t i = 0; i + 1 < points.size(); i += 2) {
    const auto [x, a] = points[i];
    const double b = points[i + 1].second;
    means.emplace_back(x, std::isfinite(a) && std::isfinite(b) ? (a + b) / 2
                          : std::isfinite(a)                   ? a
                                                               : b);
  }
  return means;
}

void add_point(Series& line, double x, double y) {
  line.points.emplace_back(x, y);
  if (line.points.size() >= kMaxPoints) line.points = thinned(line.points, kMaxPoints / 4);
}

/// A noisy quantity: its extremes to draw, and its means to smooth.
struct Noisy {
  Series raw, means;

  explicit Noisy(std::string name) : raw{std::move(name), {}, true}, means{"", {}} {}
  void add(double x, double y) {
    add_point(raw, x, y);
    means.points.emplace_back(x, y);
    if (means.points.size() >= kMaxPoints) means.points = halved(means.points);
  }
  std::string render(const std::string& title, const std::vector<Mark>& marks = {}) const {
    return render_plot(title, {raw, smoothed(means, raw.name + ", smoothed")}, {.marks = marks});
  }
};

/// The entry of that name, made if there is none; null if there are too many.
template <class Entry>
Entry* entry_of(std::vector<std::pair<std::string, Entry>>& entries, const std::string& name) {
  for (auto& [key, entry] : entries) {
    if (key == name) return &entry;
  }
  return entries.size() < kMaxSeries ? &entries.emplace_back(name, Entry{}).second : nullptr;
}

/// What a signal is drawn in: how much of it is one, and what the title adds.
std::pair<double, const char*> unit_of(const std::string& signal) {
  if (signal.ends_with("_bytes") || signal == "memory_headroom") return {1 << 30, ", GiB"};
  return {1, ""};
}

struct Decision {
  double step;
  bool applied;
  std::string controller, rule, knob, before, after, signals;
};

/// "old → ", or nothing for knobs that hold no value.
std::string change_from(const std::string& before) { return before.empty() ? "" : before + " → "; }

std::string signals_text(const Json& signals) {
  std::string text;
  if (!signals.is_object()) return text;
  for (const auto& [name, value] : signals.items()) {
    if (!value.is_number() || text.size() > kMaxText) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", short_text(name),
                        format_number(value.get<double>()));
  }
  return text;
}

bool is_object_of(const Json& value, bool (*wanted)(const Json&)) {
  return value.is_object() && !value.empty() && std::all_of(value.begin(), value.end(), wanted);
}

bool is_number_list(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_number(); });
}

/// Rows by the list's places.
HeatMap grid_of(const std::string& title, double step, const Json& lists) {
  HeatMap map{.title = title, .note = fmt::format("at step {}", format_number(step))};
  for (const auto& [name, list] : lists.items()) {
    if (map.rows.size() >= kMaxRows) break;
    HeatRow row{short_text(name), {}};
    for (size_t i = 0; i < std::min(list.size(), kMaxCells); ++i) {
      row.cells.emplace_back(static_cast<double>(i), list[i].get<double>());
    }
    map.end = std::max(map.end, static_cast<double>(row.cells.size()));
    map.rows.push_back(std::move(row));
  }
  return map;
}

}  // namespace

struct Curves::State {
  Noisy loss{"loss"}, grad{"gradient norm"}, speed{"tokens per second"};
  Series lr{"learning rate", {}};
  std::vector<Series> perplexity;
  std::vector<std::pair<std::string, std::vector<Series>>> objects, signals;
  std::vector<std::pair<std::string, HeatMap>> alive, grids;
  size_t series = 0;
  bool left_out = false;  // of more than kMaxSeries
  std::deque<Decision> decisions;
  size_t decided = 0;
  std::optional<double> last_step;

  void add_to(std::vector<Series>& lines, const std::string& name, double x, double y) {
    auto found = std::find_if(lines.begin(), lines.end(),
                              [&name](const Series& line) { return line.name == name; });
    if (found == lines.end()) {
      if (series >= kMaxSeries) {
        left_out = true;
        return;
      }
      ++series;
      found = lines.insert(lines.end(), Series{name, {}});
    }
    add_point(*found, x, y);
  }

  void add_evaluation(double step, const Json& sets) {
    for (const Json& set : sets) {
      if (!set.is_object() || !set.contains("name") || !set["name"].is_string()) continue;
      add_to(perplexity, short_text(set["name"]), step, number_or_nan(set, "perplexity"));
    }
  }

  void add_alive(HeatMap& map, double step, const Json& counts) {
    map.end = step;
    for (const auto& [key, value] : counts.items()) {
      const std::string name = short_text(key);
      auto found = std::find_if(map.rows.begin(), map.rows.end(),
                                [&name](const HeatRow& row) { return row.name == name; });
      if (found == map.rows.end()) {
        if (map.rows.size() >= kMaxRows) continue;
        found = map.rows.insert(map.rows.end(), HeatRow{name, {}});
      }
      const auto count = value.get<double>();
      if (found->cells.empty() || found->cells.back().second != count) {
        found->cells.emplace_back(step, count);
      }
      if (found->cells.size() >= kMaxCells) {
        found->cells.erase(found->cells.begin(), found->cells.begin() + kMaxCells / 2);
      }
    }
  }

  /// "update_ratio/3" is the line 3 of the plot update_ratio, "loss_mean" the one line of its own.
  void add_signals(double step, const Json& values) {
    for (const auto& [name, value] : values.items()) {
      if (!value.is_number()) continue;
      const std::string family = name.substr(0, name.find('/'));
      auto* lines = entry_of(signals, family);
      const std::string member = name.substr(std::min(name.size(), family.size() + 1));
      if (!lines) continue;
      add_to(*lines, short_text(member.empty() ? name : member), step,
             value.get<double>() / unit_of(family).first);
    }
  }

  void add_object(double step, const std::string& key, const Json& value) {
    if (key == "signals") {
      add_signals(step, value);
    } else if (is_object_of(value, is_number_list)) {
      if (HeatMap* grid = entry_of(grids, key)) {
        *grid = grid_of(spaced(short_text(key)), step, value);
      }
    } else if (key.ends_with("_alive") &&
               is_object_of(value, [](const Json& v) { return v.is_number(); })) {
      if (HeatMap* map = entry_of(alive, key)) {
        map->title = spaced(short_text(key));
        add_alive(*map, step, value);
      }
    } else if (auto* lines = entry_of(objects, key)) {
      for (const auto& [name, inner] : value.items()) {
        if (inner.is_number()) add_to(*lines, short_text(name), step, inner.get<double>());
      }
    }
  }

  /// Controllers, in the order in which they first decided.
  std::vector<std::string> controllers() const {
    std::vector<std::string> names;
    for (const Decision& decision : decisions) {
      if (std::find(names.begin(), names.end(), decision.controller) == names.end()) {
        names.push_back(decision.controller);
      }
    }
    return names;
  }

  std::vector<Mark> marks() const {
    const std::vector<std::string> names = controllers();
    std::vector<Mark> marks;
    for (const Decision& decision : decisions) {
      const auto at = std::find(names.begin(), names.end(), decision.controller) - names.begin();
      marks.push_back({decision.step, static_cast<size_t>(at) + 1, decision.controller,
                       fmt::format("step {}: {} {}{}", format_number(decision.step), decision.knob,
                                   change_from(decision.before), decision.after)});
    }
    return marks;
  }

  std::string render_signals() const;
  std::string render_decisions() const;
};

/// Each on a scale of its own: what they measure has nothing in common.
std::string Curves::State::render_signals() const {
  std::string html;
  for (const auto& [family, lines] : signals) {
    const bool is_map = std::any_of(alive.begin(), alive.end(),
                                    [&](const auto& map) { return map.first == family; });
    if (is_map) continue;  // drawn as a heat map
    std::string title = spaced(short_text(family));
    if (lines.size() == 1 && lines[0].name != short_text(family)) title += ", " + lines[0].name;
    html += render_plot(title + unit_of(family).second, lines, {.small = true});
  }
  return html.empty() ? "" : "<h2>Signals</h2><div class=\"multiples\">" + html + "</div>\n";
}

std::string Curves::State::render_decisions() const {
  if (decisions.empty()) return "";
  std::string rows;
  const size_t shown = std::min(decisions.size(), kMaxDecisionsShown);
  for (size_t i = 0; i < shown; ++i) {
    const Decision& decision = decisions[decisions.size() - 1 - i];
    rows += fmt::format(
        "<tr><td class=\"number\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}<b>{}</b>{}</td>"
        "<td>{}</td></tr>",
        format_number(decision.step), escape_html(decision.controller), escape_html(decision.rule),
        escape_html(decision.knob), change_from(escape_html(decision.before)),
        escape_html(decision.after), decision.applied ? "" : " <small>dry run</small>",
        escape_html(decision.signals));
  }
  const std::string note = decided > shown ? fmt::format("the latest {} of {}", shown, decided)
                                           : std::string("latest first");
  return fmt::format(
      "<h2>Decisions <small>{}</small></h2><div class=\"card\"><table class=\"decisions\"><tr>"
      "<th class=\"number\">step</th><th>controller</th><th>rule</th><th>knob</th><th>old → "
      "new</th>"
      "<th>signals</th></tr>{}</table></div>\n",
      note, rows);
}

Curves::Curves() : state_(std::make_unique<State>()) {}
Curves::~Curves() = default;
Curves::Curves(Curves&&) noexcept = default;
Curves& Curves::operator=(Curves&&) noexcept = default;

void Curves::add_row(const Json& row) {
  if (!row.is_object() || !row.contains("step") || !row["step"].is_number()) return;
  const auto step = row["step"].get<double>();
  State& state = *state_;
  state.last_step = step;
  for (const auto& [key, value] : row.items()) {
    const double number = number_or_nan(row, key);
    if (key == "loss") state.loss.add(step, number);
    if (key == "grad_norm") state.grad.add(step, number);
    if (key == "tokens_per_second") state.speed.add(step, number);
    if (key == "lr") add_point(state.lr, step, number);
    if (key == "evaluation" && value.is_array()) state.add_evaluation(step, value);
    if (value.is_object()) state.add_object(step, key, value);
  }
}

void Curves::add_decision(const Json& row) {
  if (!row.is_object() || !row.contains("step") || !row["step"].is_number() ||
      !row.contains("controller") || !row.contains("knob")) {
    return;
  }
  const auto text = [&row](const char* key) { return short_text(row.value(key, Json())); };
  const std::string knob = text("knob");
  const Json before = row.value("old", Json()), after = row.value("new", Json());
  if (is_bookkeeping(knob)) return;
  State& state = *state_;
  ++state.decided;
  state.decisions.push_back({row["step"].get<double>(), row.value("applied", Json()) != false,
                             text("controller"), text("rule"), knob,
                             knob_text(knob, before, kMaxText),
                             changed_knob_text(knob, before, after, kMaxText),
                             signals_text(row.value("signals", Json()))});
  if (state.decisions.size() > kMaxDecisions) state.decisions.pop_front();
}

std::optional<double> Curves::last_step() const { return state_->last_step; }

std::string Curves::render() const {
  const State& state = *state_;
  std::string html = state.loss.render("Training loss", state.marks());
  html += render_plot("Held-out perplexity", state.perplexity);
  for (const auto& [name, map] : state.alive) html += render_heat_map(map);
  for (const auto& [name, map] : state.grids) html += render_heat_map(map);
  for (const auto& [name, lines] : state.objects) {
    html += render_plot(spaced(short_text(name)), lines);
  }
  html += render_plot("Learning rate", {state.lr}, {.scale = Scale::kLinear});
  html += state.grad.render("Gradient norm before clipping");
  html += state.speed.render("Tokens per second");
  const std::string note =
      state.left_out ? fmt::format(" <small>the first {} lines</small>", kMaxSeries) : "";
  if (!html.empty()) {
    html = "<h2>Over the steps" + note + "</h2><div class=\"plots\">" + html + "</div>\n";
  }
  return html + state.render_signals() + state.render_decisions();
}

}  // namespace hone::view
