#include "hone/serve/http_server.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "hone/core/error.h"
#include "hone/core/log.h"
#include "serve/http_client.h"
#include "support/catch.h"

namespace hone::serve {
namespace {

using namespace std::chrono_literals;
using test::body_of;
using test::fetch;
using test::get;
using test::RawClient;

/// "/" says hello, "/big" answers with a lot, "/query" repeats `from`, "/fails" throws.
std::map<std::string, HttpHandler> routes() {
  const auto big = std::make_shared<const std::string>(std::string(64 << 20, 'x'));
  return {{"/", [](const HttpRequest&) { return text_response(200, "hello"); }},
          {"/big", [big](const HttpRequest&) { return HttpResponse{.body = big}; }},
          {"/query",
           [](const HttpRequest& request) {
             const auto from = request.parameter("from");
             return text_response(200, from ? "from is '" + std::string(*from) + "'" : "no from");
           }},
          {"/fails", [](const HttpRequest&) -> HttpResponse { throw Error("out of paper"); }}};
}

/// For tests that are not about pace.
HttpServerOptions fast() { return {.requests_per_second = 100'000}; }

bool is(const std::string& answer, int status) {
  return answer.starts_with("HTTP/1.1 " + std::to_string(status)) ||
         answer.starts_with("HTTP/1.0 " + std::to_string(status));
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
  return found;
}

TEST_CASE("GET, HEAD, queries, unknown paths, and handlers that throw") {
  std::string warned;
  set_log_sink([&warned](LogLevel, std::string_view message) { warned = message; });
  const HttpServer server(fast(), routes());
  const int port = server.port();
  CHECK(port > 0);
  const std::string answer = fetch(port, "/");
  CHECK(is(answer, 200));
  CHECK(body_of(answer) == "hello\n");
  for (const char* header :
       {"Content-Length: 6\r\n", "Cache-Control: no-store", "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'", "Connection: close"}) {
    INFO(header);
    CHECK(count(answer, header) == 1);
  }
  CHECK(count(answer, "Access-Control") == 0);

  const std::string host = "Host: 127.0.0.1:" + std::to_string(port) + "\r\n";
  const std::string head =
      RawClient(port).send("HEAD / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n").read_all();
  CHECK(is(head, 200));
  CHECK(count(head, "Content-Length: 6\r\n") == 1);
  CHECK(body_of(head).empty());
  CHECK(is(RawClient(port).send("GET / HTTP/1.0\r\n" + host + "\r\n").read_all(), 200));

  CHECK(body_of(fetch(port, "/query")) == "no from\n");
  CHECK(body_of(fetch(port, "/query?from=12")) == "from is '12'\n");
  CHECK(body_of(fetch(port, "/query?xfrom=1&from=&from=3")) == "from is ''\n");
  CHECK(body_of(fetch(port, "/query?a&from")) == "from is ''\n");
  CHECK(body_of(fetch(port, "/query?from=a=b")) == "from is 'a=b'\n");
  CHECK(is(fetch(port, "/nothing"), 404));
  CHECK(is(fetch(port, "/../etc/passwd"), 404));
  CHECK(warned.empty());
  CHECK(is(fetch(port, "/fails"), 500));
  CHECK(warned == "HttpServer: /fails: out of paper");
  set_log_sink({});
}

TEST_CASE("what is not a request for this server is refused, and the connection closed") {
  const HttpServer server(fast(), routes());
  const int port = server.port();
  const std::string number = std::to_string(port);
  const std::string host = "Host: localhost:" + number + "\r\n";
  const struct {
    std::string request;
    int status;
  } rows[] = {
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: evil.example:" + number + "\r\n\r\n", 403},
      {"GET / HTTP/1.1\r\nHost: localhost.evil.example:" + number + "\r\n\r\n", 403},
      {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 403},
      {"GET / HTTP/1.1\r\nHost: localhost:1\r\n\r\n", 403},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 403},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", 405},
      {"DELETE / HTTP/1.1\r\n" + host + "\r\n", 405},
      {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 405},
      {"CONNECT localhost:1 HTTP/1.1\r\n" + host + "\r\n", 405},
      {"BREW / HTTP/1.1\r\n" + host + "\r\n", 405},
      {"GET / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", 413},
      {"GET / HTTP/1.1\r\n" + host + "Content-Length: 99999999999\r\n\r\n", 413},
      {"GET / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
       400},
      {"GET http://localhost:" + number + "/ HTTP/1.1\r\n" + host + "\r\n", 400},
      {"GET / HTTP/2.0\r\n" + host + "\r\n", 505},
      {"GET / HTTP/1.2\r\n" + host + "\r\n", 505},
      {"GET /\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n" + host + "No colon\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n" + host + " folded: x\r\n\r\n", 403},
      {"GET / HTTP/1.1\n" + host + "\n", 505},
      {"GET /\x01 HTTP/1.1\r\n" + host + "\r\n", 400},
      {std::string("GET /\0 HTTP/1.1\r\n", 17) + host + "\r\n", 400},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n", 400},
      {"hello\r\n\r\n", 400},
  };
  for (const auto& row : rows) {
    INFO(row.request);
    const std::string answer = RawClient(port).send(row.request).finish().read_all();
    INFO(answer);
    CHECK(is(answer, row.status));
    CHECK(count(answer, "HTTP/1.") == 1);
    CHECK(count(answer, "Connection: close") == 1);
    CHECK(count(answer, "Allow: GET, HEAD") == (row.status == 405));
  }
  CHECK(is(RawClient(port)
               .send("GET / HTTP/1.1\r\nHost: [::1]:" + number + "\r\nConnection: close\r\n\r\n")
               .read_all(),
           200));
  CHECK(RawClient(port).finish().read_all().empty());
  CHECK(RawClient(port).send("GET / HT").finish().read_all().empty());
  CHECK(is(fetch(port, "/"), 200));
}

TEST_CASE("a header of max_header_bytes is taken, one byte more is not") {
  for (size_t limit : {size_t{300}, size_t{8192}}) {
    HttpServerOptions options = fast();
    options.max_header_bytes = limit;
    const HttpServer server(options, routes());
    const int port = server.port();
    const auto ask = [&](size_t bytes) {
      const std::string shortest = get(port, "/", "Connection: close\r\nX: \r\n");
      const std::string filling(bytes - shortest.size(), 'x');
      return RawClient(port)
          .send(get(port, "/", "Connection: close\r\nX: " + filling + "\r\n"))
          .read_all();
    };
    CHECK(is(ask(limit - 1), 200));
    CHECK(is(ask(limit), 200));
    CHECK(is(ask(limit + 1), 431));
    CHECK(is(ask(limit + 20'000), 431));
    CHECK(is(RawClient(port).send(get(port, "/" + std::string(limit, 'a'))).read_all(), 431));
  }
}

TEST_CASE("connections are kept, and pipelined requests answered in their order") {
  const HttpServer server(fast(), routes());
  const int port = server.port();
  RawClient client(port);
  CHECK(is(client.send(get(port, "/")).read_until("hello"), 200));
  CHECK(is(client.send(get(port, "/query")).read_until("no from"), 200));
  std::string flood;
  for (int i = 0; i < 2000; ++i) flood += get(port, "/query?from=" + std::to_string(i));
  std::string answers;
  std::thread sender([&] { client.send(flood); });
  answers = client.read_until("from is", 2000);
  sender.join();
  size_t at = 0;
  for (int i = 0; i < 2000; ++i) {
    at = answers.find("from is '" + std::to_string(i) + "'", at);
    REQUIRE(at != std::string::npos);
  }
}

TEST_CASE("a client gets requests_per_second requests at once, and then has to wait") {
  HttpServerOptions options;
  options.requests_per_second = 10;
  const HttpServer server(options, routes());
  const int port = server.port();
  const auto seconds_for = [&](int requests) {
    const auto begin = std::chrono::steady_clock::now();
    RawClient client(port);
    for (int i = 0; i < requests; ++i) client.send(get(port, "/"));
    CHECK(count(client.read_until("hello", requests), "hello") == static_cast<size_t>(requests));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  CHECK(seconds_for(14) >= 0.35);  // the last four wait a tenth of a second each
}

TEST_CASE("deadlines: slow headers, idle connections, and clients that do not read are closed") {
  HttpServerOptions options = fast();
  SECTION("a header that drips, however steadily") {
    options.header_deadline = 200ms;
    const HttpServer server(options, routes());
    RawClient client(server.port());
    client.send("GET / HTTP/1.1\r\n");
    std::atomic<bool> closed = false;
    std::thread dripping([&] {
      for (int i = 0; !closed && i < 1000; ++i) {
        client.send("x: y\r\n");
        std::this_thread::sleep_for(20ms);
      }
    });
    CHECK(client.read_all().empty());
    closed = true;
    dripping.join();
  }
  SECTION("nothing at all") {
    options.header_deadline = 100ms;
    const HttpServer server(options, routes());
    CHECK(RawClient(server.port()).read_all().empty());
  }
  SECTION("idle after an answer; a second header that drips") {
    options.idle_deadline = 100ms;
    options.header_deadline = 200ms;
    const HttpServer server(options, routes());
    const int port = server.port();
    RawClient idle(port), slow(port);
    CHECK(count(idle.send(get(port, "/")).read_all(), "hello") == 1);
    CHECK(count(slow.send(get(port, "/") + "GET / HTTP").read_all(), "hello") == 1);
  }
  SECTION("an answer that is not read") {
    options.write_deadline = 100ms;
    const HttpServer server(options, routes());
    const int port = server.port();
    RawClient client(port);
    client.send(get(port, "/big"));
    std::this_thread::sleep_for(500ms);
    CHECK(client.read_all().size() < size_t{64} << 20);
  }
}

TEST_CASE("at a cap who has waited longest makes room; nobody is closed within protected_for") {
  HttpServerOptions options = fast();
  options.max_connections = 6;
  options.max_connections_per_address = 4;
  const auto open = [](int port, const char* address, int clients, std::vector<RawClient>& all) {
    for (int i = 0; i < clients; ++i) {
      all.emplace_back(port, address);
      REQUIRE(is(all.back().send(get(port, "/")).read_until("hello"), 200));
    }
  };
  const auto alive = [](RawClient& client, int port) {
    return is(client.send(get(port, "/")).read_until("hello"), 200);
  };
  SECTION("of one address") {
    options.protected_for = 0ms;
    const HttpServer server(options, routes());
    const int port = server.port();
    std::vector<RawClient> clients;
    open(port, "127.0.0.1", 3, clients);  // one below the cap, and at it
    CHECK(alive(clients[0], port));
    open(port, "127.0.0.1", 1, clients);
    for (RawClient& client : clients) CHECK(alive(client, port));
    open(port, "127.0.0.2", 1, clients);  // another address has its own
    for (RawClient& client : clients) CHECK(alive(client, port));
    CHECK(alive(clients[0], port));  // so that 1 has waited longest
    open(port, "127.0.0.1", 1, clients);
    CHECK_FALSE(alive(clients[1], port));
    for (int i : {0, 2, 3, 4, 5}) CHECK(alive(clients[i], port));
  }
  SECTION("in total") {
    options.protected_for = 0ms;
    const HttpServer server(options, routes());
    const int port = server.port();
    std::vector<RawClient> clients;
    open(port, "127.0.0.1", 3, clients);
    open(port, "127.0.0.2", 3, clients);
    for (RawClient& client : clients) CHECK(alive(client, port));
    open(port, "127.0.0.3", 1, clients);
    CHECK_FALSE(alive(clients[0], port));
    for (int i = 1; i < 7; ++i) CHECK(alive(clients[i], port));
  }
  SECTION("the new one is refused") {
    options.protected_for = 1h;
    const HttpServer server(options, routes());
    const int port = server.port();
    std::vector<RawClient> clients;
    open(port, "127.0.0.1", 4, clients);
    const std::string refusal = RawClient(port).send(get(port, "/")).read_all();
    CHECK((refusal.empty() || is(refusal, 503)));  // the reset may be faster than the answer
    const std::string unasked = RawClient(port).read_all();
    CHECK(is(unasked, 503));
    CHECK(count(unasked, "Retry-After: 1") == 1);
    for (RawClient& client : clients) CHECK(alive(client, port));
    clients.pop_back();
    // The server learns of the closed connection in its own time.
    bool taken = false;
    for (int i = 0; i < 200 && !taken; ++i) {
      taken = is(RawClient(port).send(get(port, "/")).read_until("\r\n\r\n"), 200);
      if (!taken) std::this_thread::sleep_for(10ms);
    }
    CHECK(taken);
  }
}

TEST_CASE("the server ends while clients hang, and its port is free again") {
  auto server = std::make_unique<HttpServer>(fast(), routes());
  const int port = server->port();
  std::vector<RawClient> clients;
  for (int i = 0; i < 20; ++i) clients.emplace_back(port);
  for (int i = 0; i < 10; ++i) clients[i].send("GET / HTTP/1.1\r\n");
  for (int i = 5; i < 10; ++i)
    clients[i].send("Host: localhost:" + std::to_string(port) + "\r\n\r\n");
  clients[10].send(get(port, "/big"));  // stuck in the answer
  CHECK(is(fetch(port, "/"), 200));
  server.reset();  // a server that waits for its clients would hang here
  for (RawClient& client : clients) client.read_all();
  const HttpServer again({.port = port}, routes());
  CHECK(is(fetch(port, "/"), 200));
}

TEST_CASE("ports that cannot be had are said so") {
  const HttpServer server({}, routes());
  const std::string place = "127.0.0.1:" + std::to_string(server.port());
  CHECK_THROWS_WITH(HttpServer({.port = server.port()}, routes()),
                    place +
                        ": cannot listen: Address already in use; choose another port, or 0 "
                        "for any that is free");
  CHECK_THROWS_WITH(HttpServer({.port = 70'000}, routes()),
                    "HttpServer: port must be in [0, 65535], got 70000");
  CHECK_THROWS_AS(HttpServer({.port = -1}, routes()), Error);
}

}  // namespace
}  // namespace hone::serve
