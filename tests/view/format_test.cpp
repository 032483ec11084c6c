#include "hone/view/format.h"

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
