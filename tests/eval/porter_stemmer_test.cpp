#include "hone/eval/detail/porter_stemmer.h"

#include <catch2/catch.hpp>

namespace hone::eval {
namespace {

TEST_CASE("Stems of nltk's Porter stemmer") {
  const std::pair<const char*, const char*> table[] = {
      {"dies", "die"},       {"flies", "fli"},          {"died", "die"},
      {"spied", "spi"},      {"agreed", "agre"},        {"feed", "feed"},
      {"hopping", "hop"},    {"falling", "fall"},       {"filing", "file"},
      {"enjoy", "enjoy"},    {"happy", "happi"},        {"by", "by"},
      {"skies", "sky"},      {"radically", "radic"},    {"geology", "geolog"},
      {"adoption", "adopt"}, {"replacement", "replac"}, {"controlling", "control"},
      {"oed", "o"},          {"yyyy", "yyyi"}};
  for (const auto& [word, stem] : table) CHECK(hone::eval::detail::porter_stem(word) == stem);
}

}  // namespace
}  // namespace hone::eval
