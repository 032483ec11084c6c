#include "hone/serve/live_view.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "hone/core/json.h"
#include "hone/serve/detail/run_tail.h"
#include "hone/serve/http_server.h"
#include "hone/view/page.h"

namespace hone::serve {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kRefreshEvery{500};

constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

constexpr const char* kStyle = R"(
#state::before{content:"";display:inline-block;width:9px;height:9px;border-radius:9px;
margin-right:8px;background:var(--soft)}
#state.running::before{background:var(--good)}
#state.gone::before{background:var(--bad)}
)";

// The plots come as HTML from the server, which has escaped every name in them. They are parsed in
// a document that runs no scripts, and the page's policy allows none but this file.
constexpr const char* kScript = R"(
const state=document.getElementById('state'),view=document.getElementById('view'),name=document.title;
let version=0,answered=new Date();
function show(text,kind){
  if(state.textContent!==text)state.textContent=text;
  if(state.className!=='sub '+kind)state.className='sub '+kind;
}
function draw(data){
  version=data.version;
  if(data.html===undefined)return;
  const page=new DOMParser().parseFromString(data.html,'text/html');
  view.replaceChildren(...page.body.childNodes);
  const step=data.step===null?'':'step '+data.step.toLocaleString('en');
  document.title=(step?step+' · ':'')+name;
  shown=[data.state+(step?' · '+step:''),data.ended?'ended':'running'];
}
let shown=['waiting for the run',''];
async function ask(){
  let pause=1000;
  try{
    const answer=await fetch('/data?from='+version,{signal:AbortSignal.timeout(20000)});
    if(!answer.ok)throw new Error(answer.status);
    const data=await answer.json();
    answered=new Date();
    draw(data);
    show(...shown);
    if(data.behind)pause=20;
  }catch(error){
    show('no answer since '+answered.toLocaleTimeString()+': the run has ended or was stopped. '+
      'What it measured lies in its folder.','gone');
  }
  setTimeout(ask,pause);
}
ask();
)";

HttpResponse page(const std::string& content_type, std::string text) {
  return {.content_type = content_type + "; charset=utf-8",
          .body = std::make_shared<const std::string>(std::move(text)),
          .content_security_policy = kPolicy};
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

/// All but the constructor runs on the server's thread.
class LiveView::Impl {
 public:
  Impl(const std::string& folder, int port)
      : run_(folder),
        script_(page("text/javascript", kScript)),
        server_({.port = port, .background = true},
                {{"/", [this](const HttpRequest&) { return render_live_page(); }},
                 {"/live.js", [this](const HttpRequest&) { return script_; }},
                 {"/data", [this](const HttpRequest& request) { return answer_data(request); }},
                 {"/healthz", [](const HttpRequest&) { return text_response(200, "ok"); }}}) {}

  int port() const { return server_.port(); }

 private:
  HttpResponse render_live_page() const {
    const std::string about = run_.title();
    return page("text/html",
                view::render_page(view::escape_html(view::first_sentence(about)),
                                  view::render_heading(about) +
                                      "<p id=\"state\" class=\"sub\">waiting for the run</p>"
                                      "<div id=\"view\"></div><script src=\"/live.js\"></script>",
                                  kStyle));
  }

  HttpResponse answer_data(const HttpRequest& request) {
    const std::string_view from = request.parameter("from").value_or("0");
    uint64_t version = 0;
    const auto [end, error] = std::from_chars(from.data(), from.data() + from.size(), version);
    if (error != std::errc() || end != from.data() + from.size()) {
      return text_response(400, "from must be a version that this server gave");
    }
    refresh();
    return version == version_ ? unchanged_ : changed_;
  }

  void refresh() {
    const auto now = Clock::now();
    if (refreshed_ && !run_.behind() && now < *refreshed_ + kRefreshEvery) return;
    const bool first = !refreshed_;
    refreshed_ = now;
    if (!run_.refresh() && !first) return;
    ++version_;
    const auto step = run_.curves().last_step();
    Json data = {{"version", version_},     {"state", run_.state()},
                 {"ended", run_.ended()},   {"step", step ? Json(*step) : Json()},
                 {"behind", run_.behind()}, {"html", run_.curves().render()}};
    changed_ = page("application/json", dump(data));
    unchanged_ = page("application/json", dump({{"version", version_}, {"behind", run_.behind()}}));
  }

  detail::RunTail run_;
  HttpResponse script_, changed_, unchanged_;
  std::optional<Clock::time_point> refreshed_;
  /// Grows with every change, and from one server of a port to the next. JavaScript holds it
  /// exactly.
  uint64_t version_ = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                std::chrono::system_clock::now().time_since_epoch())
                                                .count());
  HttpServer server_;  // ends first
};

LiveView::LiveView(const std::string& folder, int port)
    : impl_(std::make_unique<Impl>(folder, port)) {}
LiveView::~LiveView() = default;
LiveView::LiveView(LiveView&&) noexcept = default;
LiveView& LiveView::operator=(LiveView&&) noexcept = default;

int LiveView::port() const { return impl_->port(); }

std::string LiveView::url() const { return "http://127.0.0.1:" + std::to_string(port()) + "/"; }

}  // namespace hone::serve
