#include "hone/view/page.h"

#include <fmt/format.h>

namespace hone::view {
namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1a2230;--soft:#647084;--rule:#e3e7ed;
--good:#12805c;--bad:#c0392b;--s0:#2f6fde;--s1:#e2672a;--s2:#149d79;--s3:#b64fc8;--s4:#c79a0a;
--s5:#d43d63;--s6:#4f5bd5;--s7:#6b7a8f}
@media(prefers-color-scheme:dark){:root{--page:#11151c;--card:#1a202a;--ink:#e6eaf0;--soft:#93a0b4;
--rule:#2c3440;--good:#3ecf9a;--bad:#ff7a6b;--s0:#6ba3ff;--s1:#ff9560;--s2:#3fd0a8;--s3:#dc8cec;
--s4:#edc54a;--s5:#ff7d9d;--s6:#98a0ff;--s7:#a9b5c6}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1240px;margin:0 auto;padding:36px 20px 60px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;font-weight:650}
h2{font-size:17px;margin:36px 0 12px;font-weight:650}
.sub,small,figcaption small{color:var(--soft);font-weight:400}
.tiles,.plots,.multiples{display:grid;gap:14px}
.tiles{grid-template-columns:repeat(auto-fit,minmax(150px,1fr));margin-top:24px}
.plots{grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr))}
.multiples{grid-template-columns:repeat(auto-fill,minmax(min(100%,272px),1fr))}
.tiles div,figure,.card{background:var(--card);border:1px solid var(--rule);border-radius:12px}
.tiles div{padding:12px 16px}
.tiles b{display:block;font-size:20px;font-weight:650;overflow-wrap:anywhere}
.tiles span{color:var(--soft);font-size:13px}
figure{margin:0;padding:14px 16px 8px}
figcaption{font-weight:650}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--soft);min-height:22px}
.legend b{color:var(--ink);font-weight:600}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--soft);font-size:12px}
svg .name{fill:var(--ink)}
svg .grid{stroke:var(--rule)}
svg .axis{stroke:var(--soft);stroke-opacity:.6}
svg .line{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
svg .mark{stroke:var(--c);stroke-width:1.2;stroke-opacity:.55;fill:none}
svg .mark .head{fill:var(--c);stroke:none}
svg .mark:hover{stroke-opacity:1;stroke-width:2.4}
.legend i.mark{border-radius:0;clip-path:polygon(0 0,100% 0,50% 100%)}
svg .heat{fill:var(--s0);stroke:var(--card);stroke-width:.6}
.legend i.ramp{width:74px;margin:0 7px;background:linear-gradient(90deg,transparent,var(--s0))}
svg .faint{stroke-width:1.2;stroke-opacity:.3}
.card{padding:6px 16px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:8px 16px 8px 0;border-bottom:1px solid var(--rule);vertical-align:top}
tr:last-child>td,tr:last-child>th{border-bottom:0}
th{color:var(--soft);font-weight:500}
.number{text-align:right}
.good{color:var(--good)}.bad{color:var(--bad)}
svg.change{width:260px;height:20px;stroke:currentColor;stroke-width:3;fill:currentColor}
svg.change circle{stroke-width:2}
svg.change .from{fill:var(--card)}
svg.change .track{stroke:var(--rule);stroke-width:1}
details{margin-top:14px}
summary{cursor:pointer;padding:8px 0;font-weight:650}
pre{margin:0 0 8px;overflow-x:auto;font:13px/1.45 ui-monospace,monospace}
)";

}  // namespace

std::string escape_html(std::string_view text) {
  std::string html;
  for (char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

std::string first_sentence(const std::string& about) {
  const size_t end = about.find(". ");
  return end == std::string::npos ? about : about.substr(0, end + 1);
}

std::string render_heading(const std::string& about) {
  const std::string first = first_sentence(about);
  std::string html = "<h1>" + escape_html(first) + "</h1>";
  if (first.size() == about.size()) return html;
  return html + "<p class=\"sub\">" + escape_html(about.substr(first.size() + 1)) + "</p>";
}

std::string render_page(const std::string& title, const std::string& body, const std::string& style,
                        const std::string& script) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{}</title>"
      "<style>{}{}</style></head>\n<body><main>{}</main>{}</body></html>\n",
      title, kStyle, style, body, script.empty() ? "" : "<script>" + script + "</script>");
}

}  // namespace hone::view
