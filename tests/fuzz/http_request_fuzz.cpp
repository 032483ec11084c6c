// Headers of HTTP requests: Boost.Beast's parser with the server's limits, our rules for what is
// taken, and our reading of the query.
#include <boost/asio/buffer.hpp>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hone/serve/detail/http_request.h"

using namespace hone::serve;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  detail::RequestParser parser;
  parser.header_limit(8192);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(data, size), error);
  if (!parser.is_header_done()) return 0;
  if (detail::refusal_of(parser, 8080)) return 0;
  const HttpRequest request = detail::request_of(parser);
  // What is taken names a path, has no body, and is meant for this server.
  const auto host = parser.get()[boost::beast::http::field::host];
  if (!request.path.starts_with('/') || request.path.find('?') != std::string::npos) std::abort();
  if (parser.chunked() || parser.content_length().value_or(0) > 0) std::abort();
  if (!host.ends_with(":8080")) std::abort();
  const std::string_view query = request.query;
  const auto value = request.parameter("from");
  if (value && query.find("from") == std::string_view::npos) std::abort();
  if (value && (value->size() > query.size() || value->find('&') != std::string_view::npos)) {
    std::abort();
  }
  return 0;
}
