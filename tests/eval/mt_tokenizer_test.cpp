#include "hone/eval/detail/mt_tokenizer.h"

#include <catch2/catch.hpp>

#include "failures.h"
#include "hone/unicode/python_text.h"

namespace hone::eval {
namespace {

std::string joined(const std::string& text, BleuTokenizer tokenizer) {
  const std::string tokens = detail::mt_tokenize(text, tokenizer);
  std::string out;
  for (const std::string_view token : unicode::py::words(tokens)) {
    out += (out.empty() ? "" : "|") + std::string(token);
  }
  return out;
}

TEST_CASE("BLEU tokenizers") {
  CHECK(joined("Hi, \"1,000.5\" &amp; 5-6 a.b. x-\ny<skipped>z", eval::BleuTokenizer::k13a) ==
        "Hi|,|\"|1,000.5|\"|&|5|-|6|a|.|b|.|xyz");
  // Where a text begins or ends, mteval-v14 leaves a mark with the number beside it.
  CHECK(joined("“1,5”, x²€ «3» (½)", BleuTokenizer::kIntl) == "“1,5|”|,|x²|€|«|3|»|(|½)");
  CHECK(joined("aé 好", BleuTokenizer::kChar) == "a|é|好");
  // The range that is written for rare ideographs holds dashes and quotes instead (2001..2A6D).
  CHECK(joined("中文abc—d.𠀀𠀁", BleuTokenizer::kZh) == "中|文|abc|—|d|.|𠀀𠀁");
  CHECK(joined("a,b\u00a0c\x1f d", eval::BleuTokenizer::kNone) == "a,b|c|d");
}

TEST_CASE("TER's tokenizer") {
  const auto tokens = [](const std::string& text, const TerOptions& options) {
    return unicode::py::squeeze_spaces(detail::ter_tokenize(text, options));
  };
  CHECK(tokens("(a's b), 1,5.", {.normalized = true}) == "( a 's b ) , 1,5 .");
  CHECK(tokens("x\n-y &quot;", {.normalized = true}) == "xy \"");
  CHECK(tokens("中a、かな", {.normalized = true, .asian_support = true}) == "中 a 、 かな");
  CHECK(tokens("(a), b。", {.no_punct = true}) == "a b。");
  CHECK(tokens("(a), b。", {.no_punct = true, .asian_support = true}) == "a b");
  CHECK(problems(TerOptions{.asian_support = true}, "/asian_support") ==
        "/asian_support: has no effect without normalized or no_punct; remove it\n");
  CHECK(problems(TerOptions{.no_punct = true, .asian_support = true}, "/asian_support") == "");
}

}  // namespace
}  // namespace hone::eval
