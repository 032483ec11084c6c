/// A template's tokens, with jinja2's white space rules (trim_blocks, lstrip_blocks).
#pragma once
#include <string>
#include <vector>

#include "hone/text/detail/jinja/value.h"

namespace hone::text::jinja {

enum class Tok : uint8_t {
  kData,           // text
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kName,           // text
  kString,         // value
  kInteger,        // value
  kFloat,          // value
  kOperator,       // text
  kEnd,
};

struct Token {
  Tok type;
  int line;
  std::string text;
  Value value;
};

/// Throws: SyntaxFault. The last token is kEnd.
std::vector<Token> tokenize(const std::string& source);

}  // namespace hone::text::jinja
