#include "hone/serve/http_server.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/write.hpp>
#include <list>
#include <thread>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "hone/serve/detail/http_request.h"

namespace hone::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using ErrorCode = boost::system::error_code;

/// Operations give their error back instead of throwing it.
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
/// How long and for how many bytes a refused client is listened to, so that it reads the refusal
/// before its connection is reset.
constexpr std::chrono::seconds kLinger{1};
constexpr size_t kLingerBytes = 64 << 10;
/// For a machine that is out of file descriptors.
constexpr std::chrono::milliseconds kAcceptPause{100};

HttpResponse header_too_large() { return text_response(431, "the header is too large"); }

HttpResponse refusal_of_error(const ErrorCode& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return header_too_large();
  }
  if (error == http::error::body_limit) return detail::body_refused();
  if (error == http::error::bad_version) {
    return text_response(505, "only HTTP 1.0 and 1.1 are spoken here");
  }
  return text_response(400, "not HTTP: " + error.message());
}

bool is_broken_http(const ErrorCode& error) {
  return error.category() == make_error_code(http::error::bad_method).category() &&
         error != http::error::end_of_stream && error != http::error::partial_message;
}

using Message = http::response<http::span_body<const char>>;

/// `response` must outlive the message.
Message message_of(const HttpResponse& response, unsigned version, bool keep_alive) {
  Message message(static_cast<http::status>(response.status), version);
  message.set(http::field::content_type, response.content_type);
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  message.set("Content-Security-Policy", response.content_security_policy);
  message.set("Cross-Origin-Resource-Policy", "same-origin");
  message.set("Referrer-Policy", "no-referrer");
  if (response.status == 405) message.set(http::field::allow, "GET, HEAD");
  if (response.status == 503) message.set(http::field::retry_after, "1");
  if (response.body) message.body() = {response.body->data(), response.body->size()};
  message.prepare_payload();
  message.keep_alive(keep_alive);
  return message;
}

/// A thread with every signal blocked: they are for the program's own threads.
std::thread start_without_signals(std::function<void()> run) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(run));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpServerOptions& options, std::map<std::string, HttpHandler> routes)
      : options_(options), routes_(std::move(routes)) {
    listen();
    asio::co_spawn(io_, accept_all(), asio::detached);
    thread_ = start_without_signals([this] { run(); });
  }

  ~Impl() {
    io_.stop();
    thread_.join();
  }

  int port() const { return port_; }

 private:
  /// One client; lives in the frame of its coroutine and stands in open_ until it is closed.
  struct Connection {
    Connection(Impl& server, tcp::socket socket)
        : stream(std::move(socket)), open(server.open_), timer(server.io_) {
      address = stream.socket().remote_endpoint(error).address();
      place = open.insert(open.end(), this);
    }
    ~Connection() {
      if (!evicted) open.erase(place);
    }
    /// The client has this long for what comes next.
    void wait_for_client(std::chrono::milliseconds deadline) {
      stream.expires_after(deadline);
      since = Clock::now();
      if (!evicted) open.splice(open.end(), open, place);
    }
    void evict() {
      open.erase(place);
      evicted = true;
      stream.close();
    }

    beast::tcp_stream stream;
    std::list<Connection*>& open;
    std::list<Connection*>::iterator place;
    asio::steady_timer timer;
    ErrorCode error;
    asio::ip::address address;
    Clock::time_point since = Clock::now();  // when it began to wait for the client
    Clock::time_point paid_until{};          // see pace()
    beast::flat_buffer buffer;
    bool evicted = false;
  };

  void listen() {
    if (options_.port < 0 || options_.port > 65535) {
      throw Error(fmt::format("HttpServer: port must be in [0, 65535], got {}", options_.port));
    }
    const tcp::endpoint endpoint(asio::ip::address_v4::loopback(),
                                 static_cast<unsigned short>(options_.port));
    try {
      acceptor_.open(endpoint.protocol());
      acceptor_.set_option(asio::socket_base::reuse_address(true));
      acceptor_.bind(endpoint);
      acceptor_.listen();
      port_ = acceptor_.local_endpoint().port();
    } catch (const boost::system::system_error& error) {
      throw IoError(fmt::format("127.0.0.1:{}", options_.port),
                    "cannot listen: " + error.code().message() +
                        "; choose another port, or 0 for any that is free");
    }
  }

  void run() {
    pthread_setname_np(pthread_self(), "hone-http");
    // On Linux a thread has its own priority.
    if (options_.background) ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
    io_.run();
  }

  asio::awaitable<void> accept_all() {
    asio::steady_timer pause(io_);
    for (;;) {
      auto [error, socket] = co_await acceptor_.async_accept(kAwait);
      if (!error) {
        asio::co_spawn(io_, serve(std::move(socket)), asio::detached);
        continue;
      }
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kAwait);
    }
  }

  /// Requests of one connection, one after the other.
  asio::awaitable<void> serve(tcp::socket socket) {
    Connection client(*this, std::move(socket));
    if (!make_room_for(client)) {
      refuse_at_once(client);
      co_return;
    }
    client.buffer.max_size(options_.max_header_bytes + 1);
    for (bool first = true; !client.evicted; first = false) {
      client.wait_for_client(first ? options_.header_deadline : options_.idle_deadline);
      if (client.buffer.size() == 0) {
        const auto [error, size] = co_await client.stream.async_read_some(
            client.buffer.prepare(std::min<size_t>(2048, client.buffer.max_size())), kAwait);
        if (error) co_return;
        client.buffer.commit(size);
      }
      if (!first) client.wait_for_client(options_.header_deadline);
      if (!co_await answer_one(client)) co_return;
    }
  }

  /// Whether the connection goes on.
  asio::awaitable<bool> answer_one(Connection& client) {
    detail::RequestParser parser;
    parser.header_limit(static_cast<uint32_t>(options_.max_header_bytes));
    const auto [error, size] =
        co_await http::async_read_header(client.stream, client.buffer, parser, kAwait);
    if (is_broken_http(error)) {
      co_await send(client, refusal_of_error(error), 11, false, false);
      co_await linger(client);
    }
    if (error) co_return false;
    const unsigned version = parser.get().version() == 10 ? 10 : 11;
    const bool head = parser.get().method() == http::verb::head;
    // Beast's own limit is some bytes off.
    const std::optional<HttpResponse> refusal =
        size > options_.max_header_bytes ? header_too_large() : detail::refusal_of(parser, port_);
    if (refusal) {
      co_await send(client, *refusal, version, head, false);
      co_await linger(client);
      co_return false;
    }
    co_await pace(client);
    const bool keep_alive = parser.keep_alive();
    const bool sent =
        co_await send(client, answer(detail::request_of(parser)), version, head, keep_alive);
    co_return sent&& keep_alive;
  }

  HttpResponse answer(const HttpRequest& request) const {
    const auto route = routes_.find(request.path);
    if (route == routes_.end()) return text_response(404, "nothing is here");
    try {
      return route->second(request);
    } catch (const std::exception& error) {
      log_warning(fmt::format("HttpServer: {}: {}", route->first, error.what()));
      return text_response(500, "the server failed to answer");
    }
  }

  asio::awaitable<bool> send(Connection& client, const HttpResponse& response, unsigned version,
                             bool head, bool keep_alive) {
    Message message = message_of(response, version, keep_alive);
    http::response_serializer<http::span_body<const char>> serializer(message);
    client.wait_for_client(options_.write_deadline);
    const auto [error, size] =
        head ? co_await http::async_write_header(client.stream, serializer, kAwait)
             : co_await http::async_write(client.stream, serializer, kAwait);
    co_return !error;
  }

  /// Ends our side and lets the client read what it was sent: closing at once while it still sends
  /// would reset the connection.
  asio::awaitable<void> linger(Connection& client) {
    ErrorCode ignored;
    client.stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    client.wait_for_client(kLinger);
    std::array<char, 4096> waste;
    for (size_t taken = 0; taken < kLingerBytes;) {
      const auto [error, size] =
          co_await client.stream.async_read_some(asio::buffer(waste), kAwait);
      if (error) co_return;
      taken += size;
    }
  }

  /// Holds a client that asks too fast: each request costs 1 / requests_per_second of its time, and
  /// it may be a second behind.
  asio::awaitable<void> pace(Connection& client) {
    const auto now = Clock::now();
    client.paid_until =
        std::max(client.paid_until, now) +
        std::chrono::nanoseconds(std::chrono::seconds(1)) / options_.requests_per_second;
    if (client.paid_until <= now + std::chrono::seconds(1)) co_return;
    client.wait_for_client(options_.idle_deadline);
    client.timer.expires_at(client.paid_until - std::chrono::seconds(1));
    co_await client.timer.async_wait(kAwait);
  }

  /// Keeps both caps with `client` counted; false if nobody may be closed for it.
  bool make_room_for(const Connection& client) {
    size_t of_address = 0;
    for (const Connection* other : open_) of_address += other->address == client.address;
    const bool address_full = of_address > options_.max_connections_per_address;
    if (!address_full && open_.size() <= options_.max_connections) return true;
    const auto latest = Clock::now() - options_.protected_for;
    for (Connection* other : open_) {  // who has waited longest comes first
      if (other == &client || other->since > latest) continue;
      if (address_full && other->address != client.address) continue;
      other->evict();
      return true;
    }
    return false;
  }

  /// A 503 that costs no waiting; what does not fit into the socket's buffer is lost.
  void refuse_at_once(Connection& client) {
    const HttpResponse response = text_response(503, "too many connections");
    Message message = message_of(response, 11, false);
    ErrorCode ignored;
    std::array<char, 4096> waste;
    client.stream.socket().non_blocking(true, ignored);
    client.stream.socket().read_some(asio::buffer(waste), ignored);
    http::write(client.stream.socket(), message, ignored);
    client.stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  const HttpServerOptions options_;
  const std::map<std::string, HttpHandler> routes_;
  int port_ = 0;
  std::list<Connection*> open_;  // by how long each waits for its client; outlives io_'s frames
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  std::thread thread_;
};

HttpServer::HttpServer(const HttpServerOptions& options, std::map<std::string, HttpHandler> routes)
    : impl_(std::make_unique<Impl>(options, std::move(routes))) {}

HttpServer::~HttpServer() = default;

int HttpServer::port() const { return impl_->port(); }

}  // namespace hone::serve
