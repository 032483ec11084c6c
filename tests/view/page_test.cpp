#include "hone/view/page.h"

#include <cmath>

#include "support/catch.h"

using namespace hone;

TEST_CASE("numbers are short") {
  CHECK(view::format_number(1234567) == "1,234,567");
  CHECK(view::format_number(-1000) == "-1,000");
  CHECK(view::format_number(0.000012) == "1.2e-05");
  CHECK(view::format_number(3.14159) == "3.142");
  CHECK(view::format_number(NAN) == "–");
}

TEST_CASE("durations have two units at most, and carry where they are rounded") {
  CHECK(view::format_duration(3.21) == "3.2 s");
  CHECK(view::format_duration(59.96) == "1 min 00 s");
  CHECK(view::format_duration(239.99) == "4 min 00 s");
  CHECK(view::format_duration(7625) == "2 h 07 min");
  CHECK(view::format_duration(273600) == "3 d 04 h");
  CHECK(view::format_duration(NAN) == "–");
}

TEST_CASE("text is escaped, and pages hold what they are given") {
  CHECK(view::escape_html("<a href=\"x\">'&'") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;");
  const std::string page = view::render_page("T", "<h1>B</h1>", "p{}", "f()");
  CHECK(page.find("<title>T</title>") != std::string::npos);
  CHECK(page.find("p{}</style>") != std::string::npos);
  CHECK(page.find("<main><h1>B</h1></main><script>f()</script>") != std::string::npos);
  CHECK(view::render_page("T", "B").find("<script>") == std::string::npos);
}
