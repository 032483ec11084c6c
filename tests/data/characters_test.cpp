#include "hone/data/detail/characters.h"

#include <catch2/catch.hpp>

namespace hone::data::detail {
namespace {

TEST_CASE("Scripts without boundaries, to their first and last character") {
  for (const char32_t c :
       {U'\u0e00', U'\u0eff', U'\u1100', U'\u3005', U'\u3007', U'\u3040', U'\u4e00', U'\ua4cf',
        U'\uac00', U'\uff10', U'\uff19', U'\U00020000', U'\U0003ffff'}) {
    CHECK(has_no_boundaries(c));
  }
  for (const char32_t c : {U'\u0dff', U'\u0f00', U'\u3004', U'\u3008', U'\ua4d0', U'\uff0f',
                           U'\uff1a', U'\uff20', U'\U0001ffff', U'\U00040000', U'a', U'\u0436'}) {
    CHECK_FALSE(has_no_boundaries(c));
  }
}

TEST_CASE("Letters, marks, numbers and connectors are of words, where scripts have words") {
  for (const char32_t c : {U'a', U'\u00c9', U'\u0436', U'\u0301', U'7', U'\u00bd', U'_'}) {
    CHECK(is_word(c));
  }
  for (const char32_t c : {U'-', U'.', U' ', U'+', U'\u4e2d', U'\u304b'}) CHECK_FALSE(is_word(c));
}

TEST_CASE("Letters of any script are letters; numbers and connectors are none") {
  for (const char32_t c : {U'a', U'\u4e2d', U'\u0301', U'\u01c5'}) CHECK(is_letter(c));
  for (const char32_t c : {U'7', U'\u2160', U'_', U'-'}) CHECK_FALSE(is_letter(c));
}

}  // namespace
}  // namespace hone::data::detail
