// Expressions: jinja2's grammar, from the weakest operator to the strongest.
#include "hone/text/detail/jinja/parser.h"

namespace hone::text::jinja {

std::string describe(const Token& token) {
  switch (token.type) {
    case Tok::kData:
      return "text";
    case Tok::kVariableBegin:
      return "'{{'";
    case Tok::kVariableEnd:
      return "'}}'";
    case Tok::kBlockBegin:
      return "'{%'";
    case Tok::kBlockEnd:
      return "'%}'";
    case Tok::kString:
      return "a string";
    case Tok::kInteger:
    case Tok::kFloat:
      return "a number";
    case Tok::kEnd:
      return "the end of the template";
    default:
      return "'" + token.text + "'";
  }
}

ExprPtr ExpressionParser::parse_tuple(bool with_condition, const char* end) {
  const int line = current().line;
  ExprPtr tuple = make(Expr::kTuple, line);
  bool is_tuple = false;
  while (true) {
    if (op(")") || is(Tok::kVariableEnd) || is(Tok::kBlockEnd) || (end && word(end))) break;
    add(*tuple, with_condition ? parse_expression() : parse_or());
    if (!skip_op(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return tuple;
  if (tuple->args.empty()) fail("expected an expression, got " + describe(current()));
  return std::move(tuple->args[0]);
}

ExprPtr ExpressionParser::parse_expression() {
  const Level level(*this);
  ExprPtr expr = parse_or();
  while (word("if")) {
    const int line = next().line;
    ExprPtr condition = parse_or();
    ExprPtr other = skip_word("else") ? parse_expression() : nullptr;
    expr = make(Expr::kCondition, line, std::move(expr), std::move(condition), std::move(other));
  }
  return expr;
}

ExprPtr ExpressionParser::parse_or() {
  ExprPtr expr = parse_and();
  while (word("or")) {
    const int line = next().line;
    expr = make(Expr::kOr, line, std::move(expr), parse_and());
  }
  return expr;
}

ExprPtr ExpressionParser::parse_and() {
  ExprPtr expr = parse_not();
  while (word("and")) {
    const int line = next().line;
    expr = make(Expr::kAnd, line, std::move(expr), parse_not());
  }
  return expr;
}

ExprPtr ExpressionParser::parse_not() {
  if (!word("not")) return parse_compare();
  const Level level(*this);
  const int line = next().line;
  return make(Expr::kNot, line, parse_not());
}

bool ExpressionParser::read_comparison(Expr::Compare& compare) {
  using C = Expr::Compare;
  static constexpr std::pair<const char*, C> signs[] = {
      {"==", C::kEq}, {"!=", C::kNe}, {"<", C::kLt}, {"<=", C::kLe}, {">", C::kGt}, {">=", C::kGe}};
  for (const auto& [text, sign] : signs) {
    if (skip_op(text)) return compare = sign, true;
  }
  if (skip_word("in")) return compare = C::kIn, true;
  if (word("not") && is_word(ahead(), "in")) {
    next();
    next();
    return compare = C::kNotIn, true;
  }
  return false;
}

ExprPtr ExpressionParser::parse_compare() {
  const int line = current().line;
  ExprPtr first = parse_sum();
  Expr::Compare compare{};
  if (!read_comparison(compare)) return first;
  ExprPtr expr = make(Expr::kCompare, line, std::move(first));
  do {
    expr->compares.push_back(compare);
    add(*expr, parse_sum());
  } while (read_comparison(compare));
  return expr;
}

ExprPtr ExpressionParser::binary(Op op, int line, ExprPtr left, ExprPtr right) const {
  ExprPtr expr = make(Expr::kArithmetic, line, std::move(left), std::move(right));
  expr->op = op;
  return expr;
}

ExprPtr ExpressionParser::parse_sum() {
  ExprPtr expr = parse_concat();
  while (op("+") || op("-")) {
    const Token& sign = next();
    expr =
        binary(sign.text == "+" ? Op::kAdd : Op::kSub, sign.line, std::move(expr), parse_concat());
  }
  return expr;
}

ExprPtr ExpressionParser::parse_concat() {
  ExprPtr first = parse_product();
  if (!op("~")) return first;
  ExprPtr expr = make(Expr::kConcat, current().line, std::move(first));
  while (skip_op("~")) add(*expr, parse_product());
  return expr;
}

ExprPtr ExpressionParser::parse_product() {
  ExprPtr expr = parse_power();
  while (op("*") || op("/") || op("//") || op("%")) {
    const Token& sign = next();
    const Op operation = sign.text == "*"    ? Op::kMul
                         : sign.text == "/"  ? Op::kDiv
                         : sign.text == "//" ? Op::kFloorDiv
                                             : Op::kMod;
    expr = binary(operation, sign.line, std::move(expr), parse_power());
  }
  return expr;
}

ExprPtr ExpressionParser::parse_power() {
  ExprPtr expr = parse_unary();
  while (op("**")) {
    const int line = next().line;
    expr = binary(Op::kPow, line, std::move(expr), parse_unary());
  }
  return expr;
}

ExprPtr ExpressionParser::parse_unary(bool with_filters) {
  const Level level(*this);
  ExprPtr expr;
  if (op("-") || op("+")) {
    const Token& sign = next();
    expr = make(sign.text == "-" ? Expr::kNegate : Expr::kPlus, sign.line, parse_unary(false));
  } else {
    expr = parse_primary();
  }
  expr = parse_postfix(std::move(expr));
  return with_filters ? parse_filter_chain(std::move(expr)) : std::move(expr);
}

ExprPtr ExpressionParser::constant(Value value) {
  ExprPtr expr = make(Expr::kConst, current().line);
  expr->value = std::move(value);
  return expr;
}

ExprPtr ExpressionParser::parse_primary() {
  switch (current().type) {
    case Tok::kName:
      return parse_name();
    case Tok::kInteger:
    case Tok::kFloat: {
      ExprPtr expr = constant(current().value);
      next();
      return expr;
    }
    case Tok::kString: {
      std::string text;
      ExprPtr expr = constant({});
      while (is(Tok::kString)) text += next().value.text();
      expr->value = Value::string(std::move(text));
      return expr;
    }
    default:
      break;
  }
  if (skip_op("(")) {
    if (op(")")) {
      next();
      return make(Expr::kTuple, current().line);
    }
    ExprPtr expr = parse_tuple();
    expect_op(")");
    return expr;
  }
  if (op("[")) return parse_list();
  if (op("{")) return parse_dict();
  fail("unexpected " + describe(current()));
}

ExprPtr ExpressionParser::parse_name() {
  const std::string& name = current().text;
  ExprPtr expr;
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    expr = constant(Value::boolean(name == "true" || name == "True"));
  } else if (name == "none" || name == "None") {
    expr = constant(Value::none());
  } else {
    expr = make(Expr::kName, current().line);
    expr->name = name;
  }
  next();
  return expr;
}

ExprPtr ExpressionParser::parse_list() {
  ExprPtr list = make(Expr::kList, next().line);
  while (!op("]")) {
    if (!list->args.empty()) expect_op(",");
    if (op("]")) break;
    add(*list, parse_expression());
  }
  next();
  return list;
}

ExprPtr ExpressionParser::parse_dict() {
  ExprPtr dict = make(Expr::kDict, next().line);
  while (!op("}")) {
    if (!dict->args.empty()) expect_op(",");
    if (op("}")) break;
    add(*dict, parse_expression());
    expect_op(":");
    add(*dict, parse_expression());
  }
  next();
  return dict;
}

ExprPtr ExpressionParser::parse_postfix(ExprPtr expr) {
  while (true) {
    if (op(".") || op("[")) {
      expr = parse_subscript(std::move(expr));
    } else if (op("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::parse_filter_chain(ExprPtr expr) {
  while (true) {
    if (op("|")) {
      expr = parse_filters(std::move(expr));
    } else if (word("is")) {
      expr = parse_test(std::move(expr));
    } else if (op("(")) {
      expr = parse_call(std::move(expr));
    } else {
      return expr;
    }
  }
}

ExprPtr ExpressionParser::parse_subscript(ExprPtr object) {
  const Token& token = next();
  if (token.text == ".") {
    if (is(Tok::kInteger)) {
      ExprPtr index = constant(current().value);
      next();
      return make(Expr::kItem, token.line, std::move(object), std::move(index));
    }
    ExprPtr expr = make(Expr::kAttribute, token.line, std::move(object));
    expr->name = expect_name();
    return expr;
  }
  ExprPtr expr = parse_index(std::move(object), token.line);
  if (op(",")) fail("subscripts of several parts are not supported");
  expect_op("]");
  return expr;
}

ExprPtr ExpressionParser::parse_index(ExprPtr object, int line) {
  const auto ends = [this] { return op("]") || op(",") || op(":"); };
  ExprPtr first = op(":") ? nullptr : parse_expression();
  if (!skip_op(":")) return make(Expr::kItem, line, std::move(object), std::move(first));
  ExprPtr stop = ends() ? nullptr : parse_expression();
  ExprPtr step = skip_op(":") && !ends() ? parse_expression() : nullptr;
  return make(Expr::kSlice, line, std::move(object), std::move(first), std::move(stop),
              std::move(step));
}

ExprPtr ExpressionParser::parse_call(ExprPtr callee) {
  ExprPtr expr = make(Expr::kCall, current().line, std::move(callee));
  parse_arguments(*expr);
  return expr;
}

void ExpressionParser::parse_arguments(Expr& expr) {
  const auto ensure = [this](bool good) {
    if (!good) fail("the arguments of a call are out of order");
  };
  expect_op("(");
  for (bool first = true; !op(")"); first = false) {
    if (!first) {
      expect_op(",");
      if (op(")")) break;
    }
    if (skip_op("*")) {
      ensure(!expr.spread && !expr.spread_named);
      grow(expr, expr.spread = parse_expression());
    } else if (skip_op("**")) {
      ensure(!expr.spread_named);
      grow(expr, expr.spread_named = parse_expression());
    } else if (is(Tok::kName) && is_op(ahead(), "=")) {
      ensure(!expr.spread_named);
      std::string name = next().text;
      next();
      ExprPtr value = parse_expression();
      grow(expr, value);
      expr.named.emplace_back(std::move(name), std::move(value));
    } else {
      ensure(!expr.spread && !expr.spread_named && expr.named.empty());
      add(expr, parse_expression());
    }
  }
  next();
}

std::string ExpressionParser::dotted_name() {
  std::string name = expect_name();
  while (skip_op(".")) name += "." + expect_name();
  return name;
}

ExprPtr ExpressionParser::parse_filters(ExprPtr expr, bool inline_start) {
  while (op("|") || inline_start) {
    if (!inline_start) next();
    inline_start = false;
    ExprPtr filter = make(Expr::kFilter, current().line, std::move(expr));
    filter->name = dotted_name();
    filter->filter = find_filter(filter->name);
    if (op("(")) parse_arguments(*filter);
    expr = std::move(filter);
  }
  return expr;
}

ExprPtr ExpressionParser::parse_test(ExprPtr expr) {
  const int line = next().line;
  const bool negated = skip_word("not");
  ExprPtr test = make(Expr::kTest, line, std::move(expr));
  test->name = dotted_name();
  test->test = find_test(test->name);
  if (op("(")) {
    parse_arguments(*test);
  } else if ((is(Tok::kName) && !word_of({"else", "or", "and"})) || is(Tok::kString) ||
             is(Tok::kInteger) || is(Tok::kFloat) || op("[") || op("{")) {
    if (word("is")) fail("tests cannot be chained with is");
    const Level level(*this);
    add(*test, parse_postfix(parse_primary()));
  }
  return negated ? make(Expr::kNot, line, std::move(test)) : std::move(test);
}

}  // namespace hone::text::jinja
