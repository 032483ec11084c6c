/// A page that shows a run while it runs.
#pragma once
#include <memory>
#include <string>

namespace hone::serve {

/// Serves the run folder's plots to this machine's users, from construction to destruction:
///
///   serve::LiveView view("runs/a", 8080);   // then open view.url()
///
/// The run does nothing for it: the server's thread, of the lowest priority, follows metrics.jsonl
/// and decisions.jsonl, and only while somebody looks, at most twice a second whatever the number
/// of clients. Its memory is bounded (view::Curves). A resumed run that rewinds its files is drawn
/// anew. The plots are those of report.html.
///
///   /                   the page, which asks every second for what is new
///   /data?from=VERSION  JSON: {"version", "state", "ended", "step", "behind", "html"}, or only
///                       {"version"} if nothing has changed since
///   /healthz            "ok"
///
/// HttpServer says what clients may do.
class LiveView {
 public:
  /// `folder` may be empty yet; port 0 takes any that is free. Throws: as HttpServer.
  LiveView(const std::string& folder, int port);
  ~LiveView();
  LiveView(LiveView&&) noexcept;
  LiveView& operator=(LiveView&&) noexcept;

  int port() const;
  /// "http://127.0.0.1:8080/"
  std::string url() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hone::serve
