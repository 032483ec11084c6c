#include "hone/view/page.h"

#include <cmath>

#include "support/catch.h"

using namespace hone;

TEST_CASE("text is escaped, and pages hold what they are given") {
  CHECK(view::escape_html("<a href=\"x\">'&'") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;");
  const std::string page = view::render_page("T", "<h1>B</h1>", "p{}", "f()");
  CHECK(page.find("<title>T</title>") != std::string::npos);
  CHECK(page.find("p{}</style>") != std::string::npos);
  CHECK(page.find("<main><h1>B</h1></main><script>f()</script>") != std::string::npos);
  CHECK(view::render_page("T", "B").find("<script>") == std::string::npos);
}
