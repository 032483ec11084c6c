#include "hone/io/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hone/core/file.h"
#include "hone/core/page.h"
#include "hone/io/atomic.h"
#include "hone/io/detail/plot.h"
#include "hone/io/files.h"
#include "hone/io/metrics.h"
#include "hone/io/run_folder.h"

namespace hone::io {
namespace {

using detail::render_plot;
using detail::Series;

double number_or_nan(const Json& row, const std::string& key) {
  return row.contains(key) && row[key].is_number() ? row[key].get<double>() : NAN;
}

/// Lines by name, in the order of their first point.
class SeriesSet {
 public:
  void add(const std::string& name, double x, double y) {
    auto found = std::find_if(series_.begin(), series_.end(),
                              [&name](const Series& line) { return line.name == name; });
    if (found == series_.end()) found = series_.insert(series_.end(), Series{name, {}});
    found->points.emplace_back(x, y);
  }
  const std::vector<Series>& series() const { return series_; }

 private:
  std::vector<Series> series_;
};

/// What the rows hold, sorted into plots.
struct Curves {
  Series loss{"loss", {}, true}, lr{"learning rate", {}}, grad{"gradient norm", {}, true},
      speed{"tokens per second", {}, true};
  SeriesSet perplexity;
  std::vector<std::pair<std::string, SeriesSet>> objects;

  SeriesSet& object(const std::string& key) {
    for (auto& [name, set] : objects) {
      if (name == key) return set;
    }
    return objects.emplace_back(key, SeriesSet{}).second;
  }
};

void add_evaluation(Curves& curves, double step, const Json& sets) {
  for (const Json& set : sets) {
    if (!set.is_object() || !set.contains("name") || !set["name"].is_string()) continue;
    curves.perplexity.add(set["name"].get<std::string>(), step, number_or_nan(set, "perplexity"));
  }
}

Curves curves_of(const std::vector<Json>& rows) {
  Curves curves;
  for (const Json& row : rows) {
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number()) continue;
    const auto step = row["step"].get<double>();
    const auto add = [&](Series& line, const char* key) {
      if (row.contains(key)) line.points.emplace_back(step, number_or_nan(row, key));
    };
    add(curves.loss, "loss");
    add(curves.lr, "lr");
    add(curves.grad, "grad_norm");
    add(curves.speed, "tokens_per_second");
    for (const auto& [key, value] : row.items()) {
      if (key == "evaluation" && value.is_array()) add_evaluation(curves, step, value);
      if (!value.is_object()) continue;
      for (const auto& [name, inner] : value.items()) {
        if (inner.is_number()) curves.object(key).add(name, step, inner.get<double>());
      }
    }
  }
  return curves;
}

std::string spaced(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

/// "peak_memory" for "peak_memory_bytes": the value shows its unit.
std::string without_unit(const std::string& key) {
  return key.ends_with("_bytes") ? key.substr(0, key.size() - 6) : key;
}

std::string render_plots(const std::vector<Json>& rows) {
  const Curves curves = curves_of(rows);
  const auto with_smooth = [](const std::string& title, const Series& raw) {
    return render_plot(title, {raw, detail::smoothed(raw, raw.name + ", smoothed")});
  };
  std::string html = with_smooth("Training loss", curves.loss);
  html += render_plot("Held-out perplexity", curves.perplexity.series());
  for (const auto& [name, set] : curves.objects) html += render_plot(spaced(name), set.series());
  html += render_plot("Learning rate", {curves.lr}, detail::Scale::kLinear);
  html += with_smooth("Gradient norm before clipping", curves.grad);
  html += with_smooth("Tokens per second", curves.speed);
  return html.empty() ? "" : "<h2>Over the steps</h2><div class=\"plots\">" + html + "</div>\n";
}

/// A scalar for people: sizes and times by the last word of their key.
std::string render_scalar(const std::string& key, const Json& value) {
  if (value.is_string()) return escape_html(value.get<std::string>());
  if (value.is_null()) return "–";
  if (!value.is_number()) return value.dump();
  const auto number = value.get<double>();
  if (key.ends_with("bytes")) return fmt::format("{:.1f} MiB", number / (1 << 20));
  if (key.ends_with("seconds") && number >= 60) {
    return fmt::format("{:.0f} min {:02.0f} s", std::floor(number / 60), std::fmod(number, 60));
  }
  return format_number(number);
}

bool is_flat_table(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& row) {
           return row.is_object() && !row.empty() &&
                  std::all_of(row.begin(), row.end(),
                              [](const Json& v) { return v.is_primitive(); });
         });
}

std::string render_value(const std::string& key, const Json& value);

std::string render_table(const Json& rows) {
  std::string html = "<table><tr>";
  for (const auto& [key, value] : rows[0].items()) {
    html += fmt::format("<th{}>{}</th>", value.is_number() ? " class=\"number\"" : "",
                        escape_html(spaced(key)));
  }
  html += "</tr>";
  for (const Json& row : rows) {
    html += "<tr>";
    for (const auto& [key, first] : rows[0].items()) {
      const Json value = row.value(key, Json());
      html += fmt::format("<td{}>{}</td>", first.is_number() ? " class=\"number\"" : "",
                          render_scalar(key, value));
    }
    html += "</tr>";
  }
  return html + "</table>";
}

std::string render_value(const std::string& key, const Json& value) {
  if (is_flat_table(value)) return render_table(value);
  if (value.is_primitive()) return render_scalar(key, value);
  std::string html;
  if (value.is_array()) {
    for (const Json& item : value) {
      html += (html.empty() ? "" : item.is_primitive() ? ", " : "") + render_value(key, item);
    }
    return html;
  }
  for (const auto& [name, inner] : value.items()) {
    html += fmt::format("<tr><th>{}</th><td>{}</td></tr>", escape_html(spaced(name)),
                        render_value(name, inner));
  }
  return "<table>" + html + "</table>";
}

/// A domain's score before and after.
struct Change {
  std::string domain;
  double tokens, before, after;
};

std::vector<Change> changes_of(const Json& report) {
  const auto domains = [&report](const char* when) {
    const Json moment = report.value(when, Json());
    return moment.is_object() ? moment.value("domains", Json::array()) : Json::array();
  };
  std::vector<Change> changes;
  for (const Json& before : domains("before")) {
    for (const Json& after : domains("after")) {
      if (before.value("domain", Json()) != after.value("domain", Json())) continue;
      changes.push_back({render_scalar("", after.value("domain", Json())),
                         number_or_nan(after, "tokens"), number_or_nan(before, "perplexity"),
                         number_or_nan(after, "perplexity")});
    }
  }
  return changes;
}

std::string render_changes(const Json& report) {
  const std::vector<Change> changes = changes_of(report);
  if (changes.empty()) return "";
  const auto positive = [](double value) { return std::isfinite(value) && value > 0; };
  double low = INFINITY, high = 0;
  for (const Change& change : changes) {
    for (double value : {change.before, change.after}) {
      if (positive(value)) low = std::min(low, value), high = std::max(high, value);
    }
  }
  std::string html =
      "<h2>Perplexity before and after</h2><div class=\"card\"><table><tr><th>domain</th>"
      "<th class=\"number\">tokens</th><th class=\"number\">before</th><th "
      "class=\"number\">after</th>"
      "<th class=\"number\">change</th><th>lower is better</th></tr>";
  for (const Change& change : changes) {
    const bool drawn = positive(change.before) && positive(change.after);
    const double percent = 100 * (change.after / change.before - 1);
    html += fmt::format(
        "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>"
        "<td class=\"number\"><b>{}</b></td><td class=\"number {}\">{}</td><td>{}</td></tr>",
        change.domain, format_number(change.tokens), format_number(change.before),
        format_number(change.after), percent <= 0 ? "good" : "bad",
        drawn ? fmt::format("{:+.1f} %", percent) : "–",
        drawn ? detail::render_change(change.before, change.after, low, high) : "");
  }
  return html + "</table></div>\n";
}

std::string render_tiles(const Json& report) {
  std::string html;
  for (const auto& [key, value] : report.items()) {
    if (!value.is_primitive() || key == "about") continue;
    html += fmt::format("<div><b>{}</b><span>{}</span></div>", render_scalar(key, value),
                        escape_html(spaced(without_unit(key))));
  }
  return html.empty() ? "" : "<div class=\"tiles\">" + html + "</div>\n";
}

std::string render_rest(const Json& report) {
  std::string html;
  for (const auto& [key, value] : report.items()) {
    if (value.is_primitive() || value.empty()) continue;
    if ((key == "before" || key == "after") && !changes_of(report).empty()) continue;
    html += fmt::format("<h2>{}</h2><div class=\"card\">{}</div>\n", escape_html(spaced(key)),
                        render_value(key, value));
  }
  return html;
}

std::string render_source(const char* title, const Json& json) {
  if (json.is_null()) return "";
  return fmt::format("<details class=\"card\"><summary>{}</summary><pre>{}</pre></details>\n",
                     title, escape_html(json.dump(2, ' ', false, Json::error_handler_t::replace)));
}

Json read_if_there(const std::string& path) {
  return path_exists(path) ? read_json_file(path) : Json();
}

}  // namespace

std::string render_report(const Json& report, const std::vector<Json>& rows, const Json& config,
                          const Json& manifest) {
  const Json about = report.value("about", Json("A run of hone"));
  const std::string title = render_scalar("about", about);
  return render_page(title, "<h1>" + title + "</h1>" + render_tiles(report) +
                                render_changes(report) + render_plots(rows) + render_rest(report) +
                                render_source("Configuration", config) +
                                render_source("Manifest", manifest));
}

void write_report(const std::string& folder, const Json& report) {
  const std::string metrics = folder + "/metrics.jsonl";
  replace_file_atomically(folder + "/" + kReportFile,
                          report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  replace_file_atomically(
      folder + "/report.html",
      render_report(report, path_exists(metrics) ? read_json_lines(metrics) : std::vector<Json>{},
                    read_if_there(folder + "/" + kConfigFile),
                    read_if_there(folder + "/" + kManifestFile)));
}

}  // namespace hone::io
