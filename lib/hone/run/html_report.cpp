#include "hone/run/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <set>
#include <string_view>

#include "hone/core/file.h"
#include "hone/io/atomic.h"
#include "hone/io/files.h"
#include "hone/io/json_lines.h"
#include "hone/io/run_folder.h"
#include "hone/view/curves.h"
#include "hone/view/format.h"
#include "hone/view/page.h"
#include "hone/view/plot.h"
#include "hone/view/row.h"

namespace hone::run {
namespace {

using view::number_or_nan;
using view::spaced;

/// "peak_memory" for "peak_memory_bytes", "time" for "seconds": the value shows its unit.
std::string without_unit(const std::string& key) {
  if (key == "seconds") return "time";
  for (const char* unit : {"_bytes", "_seconds"}) {
    if (key.ends_with(unit)) return key.substr(0, key.size() - std::string_view(unit).size());
  }
  return key;
}

/// A scalar for people: sizes and times by the last word of their key.
std::string render_scalar(const std::string& key, const Json& value) {
  if (value.is_string()) return view::escape_html(value.get<std::string>());
  if (value.is_null()) return "–";
  if (!value.is_number()) return value.dump();
  const auto number = value.get<double>();
  if (key.ends_with("bytes")) return format_bytes(std::llround(number));
  if (key == "seconds" || key.ends_with("_seconds")) return view::format_duration(number);
  return view::format_number(number);
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
                        view::escape_html(spaced(key)));
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

/// Rows with the members of their inner objects beside their own, without those that are 0 in all.
Json flattened(const Json& rows) {
  Json flat = Json::array();
  std::set<std::string> told;
  for (const Json& row : rows) {
    Json& to = flat.emplace_back(Json::object());
    for (const auto& [key, value] : row.items()) {
      value.is_object() ? to.update(value) : to.update({{key, value}});
    }
    for (const auto& [key, value] : to.items()) {
      if (value != 0) told.insert(key);
    }
  }
  for (Json& row : flat) {
    Json kept = Json::object();
    for (const auto& [key, value] : row.items()) {
      if (told.contains(key)) kept[key] = value;
    }
    row = std::move(kept);
  }
  return flat;
}

std::string render_value(const std::string& key, const Json& value) {
  if (is_flat_table(value)) return render_table(value);
  const auto is_object = [](const Json& item) { return item.is_object(); };
  if (value.is_array() && std::all_of(value.begin(), value.end(), is_object)) {
    if (const Json flat = flattened(value); is_flat_table(flat)) return render_table(flat);
  }
  if (value.is_primitive()) return render_scalar(key, value);
  std::string html;
  if (value.is_array()) {
    for (const Json& item : value) {
      html += (html.empty() ? "" : item.is_primitive() ? ", " : "") + render_value(key, item);
    }
    return html;
  }
  for (const auto& [name, inner] : value.items()) {
    html += fmt::format("<tr><th>{}</th><td>{}</td></tr>", view::escape_html(spaced(name)),
                        render_value(name, inner));
  }
  return "<table>" + html + "</table>";
}

/// A domain's score before and after.
struct Change {
  std::string domain;
  double tokens, before, after;
};

/// Whether the report has an "after" and says by null that it was not measured.
bool not_measured(const Json& report) {
  return report.contains("after") && report["after"].is_null();
}

std::vector<Change> changes_of(const Json& report) {
  const auto domains = [&report](const char* when) {
    const Json moment = report.value(when, Json());
    return moment.is_object() ? moment.value("domains", Json::array()) : Json::array();
  };
  std::vector<Change> changes;
  for (const Json& before : domains("before")) {
    if (not_measured(report)) {
      changes.push_back({render_scalar("", before.value("domain", Json())),
                         number_or_nan(before, "tokens"), number_or_nan(before, "perplexity"),
                         std::nan("")});
    }
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
  const bool unknown = not_measured(report);
  for (const Change& change : changes) {
    const bool drawn = positive(change.before) && positive(change.after);
    const double percent = 100 * (change.after / change.before - 1);
    html += fmt::format(
        "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>"
        "<td class=\"number\"><b>{}</b></td><td class=\"number {}\">{}</td><td>{}</td></tr>",
        change.domain, view::format_number(change.tokens), view::format_number(change.before),
        unknown ? "not measured" : view::format_number(change.after),
        unknown || percent == 0 ? ""
        : percent < 0           ? "good"
                                : "bad",
        drawn ? fmt::format("{:+.1f} %", percent) : "–",
        drawn ? view::render_change(change.before, change.after, low, high) : "");
  }
  return html + "</table></div>\n";
}

std::string render_tiles(const Json& report) {
  std::string html;
  for (const auto& [key, value] : report.items()) {
    if (key == "guard" && value.is_object() && value.contains("verdict")) {
      html += fmt::format(
          "<div><b class=\"{}\">{}</b><span>guard</span></div>",
          value["verdict"] == "violated" ? "bad" : "",
          value["verdict"].is_null() ? "not measured" : render_scalar("", value["verdict"]));
    }
    if (!value.is_primitive() || key == "about" || key == "after" || key == "before") continue;
    html += fmt::format("<div><b>{}</b><span>{}</span></div>", render_scalar(key, value),
                        view::escape_html(spaced(without_unit(key))));
  }
  return html.empty() ? "" : "<div class=\"tiles\">" + html + "</div>\n";
}

std::string render_rest(const Json& report) {
  std::string html;
  for (const auto& [key, value] : report.items()) {
    if (value.is_primitive() || value.empty()) continue;
    if ((key == "before" || key == "after") && !changes_of(report).empty()) continue;
    html += fmt::format("<h2>{}</h2><div class=\"card\">{}</div>\n", view::escape_html(spaced(key)),
                        render_value(key, value));
  }
  return html;
}

std::string render_source(const char* title, const Json& json) {
  if (json.is_null()) return "";
  return fmt::format("<details class=\"card\"><summary>{}</summary><pre>{}</pre></details>\n",
                     title,
                     view::escape_html(json.dump(2, ' ', false, Json::error_handler_t::replace)));
}

bool has_about(const Json& report) {
  return report.contains("about") && report["about"].is_string() && report["about"] != "";
}

Json read_if_there(const std::string& path) {
  return io::path_exists(path) ? read_json_file(path) : Json();
}

}  // namespace

std::string render_report(const Json& report, const view::Curves& curves, const Json& config,
                          const Json& manifest) {
  const std::string about =
      has_about(report) ? report["about"].get<std::string>() : "A run of hone";
  return view::render_page(view::escape_html(view::first_sentence(about)),
                           view::render_heading(about) + render_tiles(report) +
                               render_changes(report) + curves.render() + render_rest(report) +
                               render_source("Configuration", config) +
                               render_source("Manifest", manifest));
}

void write_report(const std::string& folder, const Json& report) {
  view::Curves curves;
  const auto each_row = [&folder](const char* name, const std::function<void(const Json&)>& add) {
    const std::string path = folder + "/" + name;
    if (!io::path_exists(path)) return;
    for (const Json& row : io::read_json_lines(path)) add(row);
  };
  each_row(io::kMetricsFile, [&](const Json& row) { curves.add_row(row); });
  each_row(io::kDecisionsFile, [&](const Json& row) { curves.add_decision(row); });
  io::replace_file_atomically(folder + "/" + io::kReportFile,
                              report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  Json shown = report;
  if (!has_about(report)) {
    shown["about"] = "Run " + std::filesystem::path(folder).lexically_normal().filename().string();
  }
  io::replace_file_atomically(
      folder + "/report.html",
      render_report(shown, curves, read_if_there(folder + "/" + io::kConfigFile),
                    read_if_there(folder + "/" + io::kManifestFile)));
}

}  // namespace hone::run
