// Tokens to tree: jinja2's grammar, with the tags that chat templates may use.
#include <algorithm>
#include <initializer_list>

#include "hone/text/detail/jinja_ast.h"
#include "hone/text/detail/jinja_lexer.h"

namespace hone::text::jinja {
namespace {

std::string describe(const Token& token) {
  switch (token.type) {
    case Tok::kData: return "text";
    case Tok::kVariableBegin: return "'{{'";
    case Tok::kVariableEnd: return "'}}'";
    case Tok::kBlockBegin: return "'{%'";
    case Tok::kBlockEnd: return "'%}'";
    case Tok::kString: return "a string";
    case Tok::kInteger:
    case Tok::kFloat: return "a number";
    case Tok::kEnd: return "the end of the template";
    default: return "'" + token.text + "'";
  }
}

class Parser {
 public:
  Parser(const std::string& source, size_t max_depth)
      : tokens_(tokenize(source)), max_depth_(max_depth) {}

  Template run() {
    Template result;
    result.body = parse_body({});
    result.has_generation = has_generation_;
    return result;
  }

 private:
  using Words = std::initializer_list<const char*>;

  /// Bounds the recursion of the parser.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > parser_.max_depth_) parser_.fail("the template is nested too deep");
    }
    ~Level() { --parser_.depth_; }

   private:
    Parser& parser_;
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

  // --- statements

  /// Statements up to one of the `ends` tags, whose name is then the current token.
  Body parse_body(Words ends) {
    const Level level(*this);
    Body body;
    while (!is(Tok::kEnd)) {
      if (is(Tok::kData)) {
        Stmt stmt = statement(Stmt::kText);
        stmt.text = next().text;
        body.push_back(std::move(stmt));
      } else if (is(Tok::kVariableBegin)) {
        Stmt stmt = statement(Stmt::kPrint);
        next();
        stmt.expr = parse_tuple();
        expect(Tok::kVariableEnd, "'}}'");
        body.push_back(std::move(stmt));
      } else {
        next();
        if (word_of(ends)) return body;
        parse_statement(body);
        expect(Tok::kBlockEnd, "'%}'");
      }
    }
    if (ends.size() > 0) fail(std::string("missing {% ") + *(ends.end() - 1) + " %}");
    return body;
  }

  /// The body of a tag that ends with one of `ends`.
  Body parse_tag_body(Words ends) {
    skip_op(":");
    expect(Tok::kBlockEnd, "'%}'");
    return parse_body(ends);
  }
  Body parse_closed_body(const char* end) {
    Body body = parse_tag_body({end});
    next();
    return body;
  }

  Stmt statement(Stmt::Kind kind) const {
    Stmt stmt;
    stmt.kind = kind;
    stmt.line = current().line;
    return stmt;
  }

  void parse_statement(Body& body) {
    if (!is(Tok::kName)) fail("expected a tag name, got " + describe(current()));
    const std::string tag = current().text;
    if (tag == "if") return body.push_back(parse_if());
    if (tag == "for") return body.push_back(parse_for());
    if (tag == "set") return body.push_back(parse_set());
    if (tag == "macro") return body.push_back(parse_macro());
    if (tag == "call") return body.push_back(parse_call_block());
    if (tag == "with") return body.push_back(parse_with());
    if (tag == "filter") return body.push_back(parse_filter_block());
    if (tag == "print") return parse_print(body);
    if (tag == "generation") {
      Stmt stmt = statement(Stmt::kGeneration);
      next();
      stmt.body = apart([this] { return parse_closed_body("endgeneration"); });
      has_generation_ = true;
      return body.push_back(std::move(stmt));
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) fail("{% " + tag + " %} outside of a loop");
      Stmt stmt = statement(tag == "break" ? Stmt::kBreak : Stmt::kContinue);
      next();
      return body.push_back(std::move(stmt));
    }
    fail("unknown tag {% " + tag + " %}");
  }

  Stmt parse_if() {
    const Level level(*this);
    Stmt stmt = statement(Stmt::kIf);
    next();
    stmt.expr = parse_tuple(false);
    stmt.body = parse_tag_body({"elif", "else", "endif"});
    if (word("elif")) {
      stmt.other.push_back(parse_if());
    } else if (skip_word("else")) {
      stmt.other = parse_closed_body("endif");
    } else {
      next();
    }
    return stmt;
  }

  Stmt parse_for() {
    Stmt stmt = statement(Stmt::kFor);
    next();
    stmt.target = parse_target("in");
    if (!skip_word("in")) fail("expected 'in', got " + describe(current()));
    stmt.expr = parse_tuple(false, "recursive");
    if (skip_word("if")) stmt.test = parse_expression();
    if (word("recursive")) fail("recursive loops are not supported");
    ++loops_;
    stmt.body = parse_tag_body({"else", "endfor"});
    --loops_;
    if (skip_word("else")) {
      stmt.other = parse_closed_body("endfor");
    } else {
      next();
    }
    return stmt;
  }

  Stmt parse_set() {
    Stmt stmt = statement(Stmt::kSet);
    next();
    stmt.target = parse_target(nullptr, true);
    if (skip_op("=")) {
      stmt.expr = parse_tuple();
      return stmt;
    }
    stmt.kind = Stmt::kSetBlock;
    if (op("|")) stmt.expr = parse_filters(nullptr);
    stmt.body = parse_closed_body("endset");
    return stmt;
  }

  Stmt parse_with() {
    Stmt stmt = statement(Stmt::kWith);
    next();
    while (!is(Tok::kBlockEnd)) {
      if (!stmt.targets.empty()) expect_op(",");
      stmt.targets.push_back(parse_target(nullptr));
      expect_op("=");
      stmt.values.push_back(parse_expression());
    }
    stmt.body = parse_closed_body("endwith");
    return stmt;
  }

  /// Reads a body that is a function of its own: break and continue do not reach out.
  template <class Read>
  Body apart(Read read) {
    const int loops = std::exchange(loops_, 0);
    Body body = read();
    loops_ = loops;
    return body;
  }

  Signature parse_signature() {
    Signature signature;
    expect_op("(");
    while (!op(")")) {
      if (!signature.names.empty()) expect_op(",");
      signature.names.push_back(expect_name());
      if (skip_op("=")) {
        signature.defaults.push_back(parse_expression());
      } else if (!signature.defaults.empty()) {
        fail("a parameter without default follows one with default");
      }
    }
    next();
    return signature;
  }

  Stmt parse_macro() {
    Stmt stmt = statement(Stmt::kMacro);
    next();
    stmt.text = expect_name();
    stmt.signature = parse_signature();
    stmt.body = apart([this] { return parse_closed_body("endmacro"); });
    return stmt;
  }

  Stmt parse_call_block() {
    Stmt stmt = statement(Stmt::kCallBlock);
    next();
    if (op("(")) stmt.signature = parse_signature();
    stmt.expr = parse_expression();
    if (stmt.expr->kind != Expr::kCall) fail("{% call %} needs a call");
    stmt.body = apart([this] { return parse_closed_body("endcall"); });
    return stmt;
  }

  Stmt parse_filter_block() {
    Stmt stmt = statement(Stmt::kFilterBlock);
    next();
    stmt.expr = parse_filters(nullptr, true);
    stmt.body = parse_closed_body("endfilter");
    return stmt;
  }

  void parse_print(Body& body) {
    next();
    for (bool first = true; !is(Tok::kBlockEnd); first = false) {
      if (!first) expect_op(",");
      Stmt stmt = statement(Stmt::kPrint);
      stmt.expr = parse_expression();
      body.push_back(std::move(stmt));
    }
  }

  /// What can be assigned to: a name, a tuple of them, or (with_namespace) name.attribute.
  ExprPtr parse_target(const char* end, bool with_namespace = false) {
    const int line = current().line;
    std::vector<ExprPtr> targets;
    bool is_tuple = false;
    while (true) {
      if (op(")") || is(Tok::kBlockEnd) || (end && word(end))) break;
      targets.push_back(parse_single_target(with_namespace));
      if (!skip_op(",")) break;
      is_tuple = true;
    }
    if (targets.empty()) fail("expected a name to assign to, got " + describe(current()));
    if (!is_tuple) return std::move(targets[0]);
    ExprPtr tuple = make(Expr::kTuple, line);
    for (ExprPtr& target : targets) add(*tuple, std::move(target));
    return tuple;
  }

  ExprPtr parse_single_target(bool with_namespace) {
    const Level level(*this);
    const int line = current().line;
    if (skip_op("(")) {
      ExprPtr inner = parse_target(nullptr, with_namespace);
      expect_op(")");
      return inner;
    }
    ExprPtr target = make(Expr::kName, line);
    target->name = expect_name();
    if (target->name == "true" || target->name == "false" || target->name == "none" ||
        target->name == "True" || target->name == "False" || target->name == "None") {
      fail("cannot assign to " + target->name);
    }
    if (with_namespace && skip_op(".")) {
      target->kind = Expr::kNamespaceRef;
      target->attribute = expect_name();
    }
    return target;
  }

  // --- expressions

  ExprPtr parse_tuple(bool with_condition = true, const char* end = nullptr) {
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

  ExprPtr parse_expression() {
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

  ExprPtr parse_or() {
    ExprPtr expr = parse_and();
    while (word("or")) {
      const int line = next().line;
      expr = make(Expr::kOr, line, std::move(expr), parse_and());
    }
    return expr;
  }

  ExprPtr parse_and() {
    ExprPtr expr = parse_not();
    while (word("and")) {
      const int line = next().line;
      expr = make(Expr::kAnd, line, std::move(expr), parse_not());
    }
    return expr;
  }

  ExprPtr parse_not() {
    if (!word("not")) return parse_compare();
    const Level level(*this);
    const int line = next().line;
    return make(Expr::kNot, line, parse_not());
  }

  bool read_comparison(Expr::Compare& compare) {
    using C = Expr::Compare;
    static constexpr std::pair<const char*, C> signs[] = {{"==", C::kEq}, {"!=", C::kNe},
                                                          {"<", C::kLt},  {"<=", C::kLe},
                                                          {">", C::kGt},  {">=", C::kGe}};
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

  ExprPtr parse_compare() {
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

  ExprPtr binary(Op op, int line, ExprPtr left, ExprPtr right) const {
    ExprPtr expr = make(Expr::kArithmetic, line, std::move(left), std::move(right));
    expr->op = op;
    return expr;
  }

  ExprPtr parse_sum() {
    ExprPtr expr = parse_concat();
    while (op("+") || op("-")) {
      const Token& sign = next();
      expr = binary(sign.text == "+" ? Op::kAdd : Op::kSub, sign.line, std::move(expr),
                    parse_concat());
    }
    return expr;
  }

  ExprPtr parse_concat() {
    ExprPtr first = parse_product();
    if (!op("~")) return first;
    ExprPtr expr = make(Expr::kConcat, current().line, std::move(first));
    while (skip_op("~")) add(*expr, parse_product());
    return expr;
  }

  ExprPtr parse_product() {
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

  ExprPtr parse_power() {
    ExprPtr expr = parse_unary();
    while (op("**")) {
      const int line = next().line;
      expr = binary(Op::kPow, line, std::move(expr), parse_unary());
    }
    return expr;
  }

  ExprPtr parse_unary(bool with_filters = true) {
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

  ExprPtr constant(Value value) {
    ExprPtr expr = make(Expr::kConst, current().line);
    expr->value = std::move(value);
    return expr;
  }

  ExprPtr parse_primary() {
    switch (current().type) {
      case Tok::kName: return parse_name();
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
      default: break;
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

  ExprPtr parse_name() {
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

  ExprPtr parse_list() {
    ExprPtr list = make(Expr::kList, next().line);
    while (!op("]")) {
      if (!list->args.empty()) expect_op(",");
      if (op("]")) break;
      add(*list, parse_expression());
    }
    next();
    return list;
  }

  ExprPtr parse_dict() {
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

  ExprPtr parse_postfix(ExprPtr expr) {
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

  ExprPtr parse_filter_chain(ExprPtr expr) {
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

  ExprPtr parse_subscript(ExprPtr object) {
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

  ExprPtr parse_index(ExprPtr object, int line) {
    const auto ends = [this] { return op("]") || op(",") || op(":"); };
    ExprPtr first = op(":") ? nullptr : parse_expression();
    if (!skip_op(":")) return make(Expr::kItem, line, std::move(object), std::move(first));
    ExprPtr stop = ends() ? nullptr : parse_expression();
    ExprPtr step = skip_op(":") && !ends() ? parse_expression() : nullptr;
    return make(Expr::kSlice, line, std::move(object), std::move(first), std::move(stop),
                std::move(step));
  }

  ExprPtr parse_call(ExprPtr callee) {
    ExprPtr expr = make(Expr::kCall, current().line, std::move(callee));
    parse_arguments(*expr);
    return expr;
  }

  void parse_arguments(Expr& expr) {
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

  std::string dotted_name() {
    std::string name = expect_name();
    while (skip_op(".")) name += "." + expect_name();
    return name;
  }

  /// One filter or more; `expr` null stands for a block's text.
  ExprPtr parse_filters(ExprPtr expr, bool inline_start = false) {
    while (op("|") || inline_start) {
      if (!inline_start) next();
      inline_start = false;
      ExprPtr filter = make(Expr::kFilter, current().line, std::move(expr));
      filter->name = dotted_name();
      filter->filter = find_filter(filter->name);
      if (!filter->filter) fail("unknown filter '" + filter->name + "'");
      if (op("(")) parse_arguments(*filter);
      expr = std::move(filter);
    }
    return expr;
  }

  ExprPtr parse_test(ExprPtr expr) {
    const int line = next().line;
    const bool negated = skip_word("not");
    ExprPtr test = make(Expr::kTest, line, std::move(expr));
    test->name = dotted_name();
    test->test = find_test(test->name);
    if (!test->test) fail("unknown test '" + test->name + "'");
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

  const std::vector<Token> tokens_;
  const size_t max_depth_;
  size_t pos_ = 0, depth_ = 0;
  int loops_ = 0;  ///< loops that a break could leave
  bool has_generation_ = false;
};

}  // namespace

Template parse(const std::string& source, size_t max_depth) {
  Template parsed = Parser(source, max_depth).run();
  resolve_scopes(parsed);
  return parsed;
}

}  // namespace hone::text::jinja
