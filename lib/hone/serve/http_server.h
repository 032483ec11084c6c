/// A small HTTP/1.1 server for this machine's own users: read-only, on the loopback address alone.
///
/// Not a web server: GET and HEAD of a table of paths, no bodies, no files, no TLS, no other hosts.
/// Whatever a client does costs a bounded amount of memory and time:
///
///   header not complete in time      connection closed
///   header too large                 431         body, or a transfer encoding    413, 400
///   no Host, or more than one        400         Host is not this server         403
///   method other than GET and HEAD   405         path not in the table           404
///   too many connections             the one that has waited longest for its client is closed, 503
///                                    for the new one if none has for `protected_for`
///   many requests at once            answered one after the other, `requests_per_second` of them
///
/// The check of Host keeps out web pages that had their name point here (DNS rebinding), and no
/// CORS header lets another page read an answer.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hone::serve {

struct HttpServerOptions {
  int port = 0;                                       ///< 0 takes any that is free
  std::chrono::milliseconds header_deadline{10'000};  ///< from a header's first byte to its last
  std::chrono::milliseconds idle_deadline{60'000};    ///< between two requests of a connection
  std::chrono::milliseconds write_deadline{30'000};   ///< for the client to take one answer
  size_t max_header_bytes = 8192;
  size_t max_connections = 128;
  size_t max_connections_per_address = 64;
  std::chrono::milliseconds protected_for{1000};  ///< see above
  int requests_per_second = 20;                   ///< of one connection, after as many at once
  bool background = false;  ///< the server's thread gets the lowest priority (nice 19)
};

/// GET or HEAD, which get the same answer; the server leaves HEAD's body out.
struct HttpRequest {
  std::string path;   ///< "/data", as sent: nothing is decoded
  std::string query;  ///< "from=12&to=13": what follows the first '?'

  /// The value of `name` in the query, as sent; nullopt if it is not there.
  std::optional<std::string_view> parameter(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::shared_ptr<const std::string> body;  ///< shared, so that many clients cost one copy
  std::string content_security_policy = "default-src 'none'; frame-ancestors 'none'";
};

/// An answer of one line of text.
HttpResponse text_response(int status, const std::string& line);

/// Called on the server's thread, one at a time. What it throws becomes a 500 and a warning.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

/// Serves from construction to destruction, on a thread of its own that takes no signals.
class HttpServer {
 public:
  /// `routes`: path to handler. Throws: Error for a port outside [0, 65535], IoError naming the
  /// address if it cannot listen there.
  HttpServer(const HttpServerOptions& options, std::map<std::string, HttpHandler> routes);
  /// Ends at once, whatever clients are doing; a handler that runs is waited for.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hone::serve
