/// The parser of expressions, which the parser of statements builds on.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hone/text/detail/jinja/ast.h"
#include "hone/text/detail/jinja/lexer.h"

namespace hone::text::jinja {

/// A token as messages name it.
std::string describe(const Token& token);

class ExpressionParser {
 protected:
  ExpressionParser(const std::string& source, size_t max_depth)
      : tokens_(tokenize(source)), max_depth_(max_depth) {}

  using Words = std::initializer_list<const char*>;

  /// Bounds the recursion of the parser.
  class Level {
   public:
    explicit Level(ExpressionParser& parser) : parser_(parser) {
      if (++parser_.depth_ > parser_.max_depth_) parser_.fail("the template is nested too deep");
    }
    ~Level() { --parser_.depth_; }

   private:
    ExpressionParser& parser_;
  };

  // --- tokens

  const Token& current() const { return tokens_[pos_]; }
  const Token& ahead() const { return tokens_[std::min(pos_ + 1, tokens_.size() - 1)]; }
  const Token& next() {
    const Token& token = tokens_[pos_];
    if (pos_ + 1 < tokens_.size()) ++pos_;
    return token;
  }
  [[noreturn]] void fail(const std::string& reason) const {
    throw SyntaxFault(current().line, reason);
  }
  bool is(Tok type) const { return current().type == type; }
  static bool is_op(const Token& token, std::string_view text) {
    return token.type == Tok::kOperator && token.text == text;
  }
  static bool is_word(const Token& token, std::string_view text) {
    return token.type == Tok::kName && token.text == text;
  }
  bool op(std::string_view text) const { return is_op(current(), text); }
  bool word(std::string_view text) const { return is_word(current(), text); }
  bool word_of(Words words) const {
    return std::any_of(words.begin(), words.end(), [this](const char* text) { return word(text); });
  }
  bool skip_op(std::string_view text) { return op(text) && (next(), true); }
  bool skip_word(std::string_view text) { return word(text) && (next(), true); }
  void expect(Tok type, const char* what) {
    if (!is(type)) fail(std::string("expected ") + what + ", got " + describe(current()));
    next();
  }
  void expect_op(const char* text) {
    if (!skip_op(text)) fail(std::string("expected '") + text + "', got " + describe(current()));
  }
  std::string expect_name() {
    if (!is(Tok::kName)) fail("expected a name, got " + describe(current()));
    return next().text;
  }

  // --- trees

  ExprPtr make(Expr::Kind kind, int line) const {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->line = line;
    return expr;
  }
  template <class... Children>
  ExprPtr make(Expr::Kind kind, int line, Children... children) const {
    ExprPtr expr = make(kind, line);
    (add(*expr, std::move(children)), ...);
    return expr;
  }
  /// Evaluating and destroying a tree recurses into it: its height is bounded.
  void add(Expr& parent, ExprPtr child) const {
    grow(parent, child);
    parent.args.push_back(std::move(child));
  }
  void grow(Expr& parent, const ExprPtr& child) const {
    if (!child) return;
    parent.height = std::max(parent.height, child->height + 1);
    if (static_cast<size_t>(parent.height) > max_depth_) {
      throw SyntaxFault(parent.line, "an expression is nested too deep");
    }
  }

  // --- expressions

  ExprPtr parse_tuple(bool with_condition = true, const char* end = nullptr);
  ExprPtr parse_expression();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  bool read_comparison(Expr::Compare& compare);
  ExprPtr parse_compare();
  ExprPtr binary(Op op, int line, ExprPtr left, ExprPtr right) const;
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filters = true);
  ExprPtr constant(Value value);
  ExprPtr parse_primary();
  ExprPtr parse_name();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr expr);
  ExprPtr parse_filter_chain(ExprPtr expr);
  ExprPtr parse_subscript(ExprPtr object);
  ExprPtr parse_index(ExprPtr object, int line);
  ExprPtr parse_call(ExprPtr callee);
  void parse_arguments(Expr& expr);
  std::string dotted_name();
  /// One filter or more; `expr` null stands for a block's text.
  ExprPtr parse_filters(ExprPtr expr, bool inline_start = false);
  ExprPtr parse_test(ExprPtr expr);

 private:
  const std::vector<Token> tokens_;
  const size_t max_depth_;
  size_t pos_ = 0, depth_ = 0;
};

}  // namespace hone::text::jinja
