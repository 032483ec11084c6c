#include "hone/data/detail/columns.h"

#include <catch2/catch.hpp>

#include "hone/core/error.h"

namespace hone::data::detail {
namespace {

TEST_CASE("mapped columns come under our names, what else has those is gone, others stay") {
  const ColumnMap map({{"prompt", "question"}, {"system", "rules"}});
  CHECK(map.maps("prompt"));
  CHECK_FALSE(map.maps("question"));
  CHECK(map.rename({{"question", "q"}, {"prompt", "old"}, {"id", 7}, {"rules", "r"}}) ==
        Json{{"prompt", "q"}, {"system", "r"}, {"id", 7}});
  CHECK(map.rename({{"question", "q"}, {"system", "theirs"}}) == Json{{"prompt", "q"}});
  // Names that change places.
  CHECK(
      ColumnMap({{"input", "output"}, {"output", "input"}}).rename({{"input", 1}, {"output", 2}}) ==
      Json{{"input", 2}, {"output", 1}});
}

TEST_CASE("a column that is needed must be there; the row's own are named") {
  const ColumnMap map({{"prompt", "question"}});
  CHECK_THROWS_WITH(map.rename({{"qestion", "q"}, {"id", 1}}),
                    "has no column \"question\", which columns.prompt names; its columns are "
                    "\"qestion\", \"id\"; did you mean qestion?");
  CHECK_THROWS_WITH(map.rename(Json::object()), Catch::EndsWith("its columns are none"));
}

TEST_CASE("a column that no row has is told at the end, one that some have is not") {
  const ColumnMap map({{"prompt", "question"}, {"system", "rules"}});
  CHECK_NOTHROW(map.check_used());  // no row could be read
  map.rename({{"question", "q"}});
  CHECK_THROWS_WITH(map.check_used(),
                    "columns.system names \"rules\", which no row has; the "
                    "columns are \"question\"");
  map.rename({{"question", "q"}, {"rules", "r"}});
  map.rename({{"question", "q"}});
  CHECK_NOTHROW(map.check_used());
}

TEST_CASE("of many keys the first few are shown") {
  Json row = Json::object();
  for (int i = 0; i < 500; ++i) row["key" + std::to_string(i)] = i;
  const std::string shown = shown_keys(row);
  CHECK(shown.starts_with("\"key0\", \"key1\""));
  CHECK(shown.ends_with(", ..."));
  CHECK(shown.size() < 450);
  CHECK(shown_keys({{std::string(100, 'x'), 1}}).size() < 50);
}

TEST_CASE("the columns that rows may lack are among those that formats know") {
  int64_t optional = 0;
  for (const std::string& name : column_names()) optional += is_optional_column(name);
  CHECK(optional == 6);
  CHECK(is_optional_column("system"));
  CHECK_FALSE(is_optional_column("prompt"));
  CHECK_FALSE(is_optional_column("other"));
}

}  // namespace
}  // namespace hone::data::detail
