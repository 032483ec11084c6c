/// Which requests are taken.
#pragma once
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <optional>

#include "hone/serve/http_server.h"

namespace hone::serve::detail {

using RequestParser = boost::beast::http::request_parser<boost::beast::http::empty_body>;

/// The answer to a request that has a body.
HttpResponse body_refused();

/// The answer to a complete header that is not taken; `port` is the server's own.
std::optional<HttpResponse> refusal_of(const RequestParser& parser, int port);

/// The request of a header that is taken.
HttpRequest request_of(const RequestParser& parser);

}  // namespace hone::serve::detail
