#include "hone/serve/detail/http_request.h"

#include <fmt/format.h>

#include <algorithm>

namespace hone::serve {

namespace http = boost::beast::http;

std::optional<std::string_view> HttpRequest::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) != name) continue;
    return pair.substr(std::min(pair.size(), equals + 1));
  }
  return std::nullopt;
}

HttpResponse text_response(int status, const std::string& line) {
  return {.status = status, .body = std::make_shared<const std::string>(line + "\n")};
}

namespace detail {
namespace {

bool is_own_name(std::string_view host, int port) {
  for (const char* name : {"localhost", "127.0.0.1", "[::1]"}) {
    if (host == fmt::format("{}:{}", name, port)) return true;
    if (port == 80 && host == name) return true;
  }
  return false;
}

}  // namespace

HttpResponse body_refused() { return text_response(413, "requests with a body are not taken"); }

std::optional<HttpResponse> refusal_of(const RequestParser& parser, int port) {
  const auto& request = parser.get();
  if (request.count(http::field::transfer_encoding) > 0) {
    return text_response(400, "transfer encodings are not taken");
  }
  if (request.count(http::field::host) != 1) {
    return text_response(400, "one Host header is expected");
  }
  const auto host = request[http::field::host];
  if (!is_own_name({host.data(), host.size()}, port)) {
    return text_response(403, fmt::format("Host must be localhost:{0} or 127.0.0.1:{0}", port));
  }
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    return text_response(405, "GET and HEAD are answered here");
  }
  if (parser.content_length().value_or(0) > 0) return body_refused();
  if (!request.target().starts_with('/')) return text_response(400, "a path is expected");
  return std::nullopt;
}

HttpRequest request_of(const RequestParser& parser) {
  const auto target = parser.get().target();
  const std::string_view text(target.data(), target.size());
  const size_t end = std::min(text.find('?'), text.size());
  return {std::string(text.substr(0, end)),
          std::string(text.substr(std::min(text.size(), end + 1)))};
}

}  // namespace detail
}  // namespace hone::serve
