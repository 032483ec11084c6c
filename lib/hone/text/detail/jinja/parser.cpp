// Statements: the tags that chat templates may use.
#include "hone/text/detail/jinja/parser.h"

namespace hone::text::jinja {
namespace {

class Parser : ExpressionParser {
 public:
  Parser(const std::string& source, size_t max_depth) : ExpressionParser(source, max_depth) {}

  Template run() {
    Template result;
    result.body = parse_body({});
    result.has_generation = has_generation_;
    return result;
  }

 private:
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

  int loops_ = 0;  ///< loops that a break could leave
  bool has_generation_ = false;
};

}  // namespace

Template parse(const std::string& source, size_t max_depth) {
  Template parsed = Parser(source, max_depth).run();
  check_names(parsed);
  resolve_scopes(parsed);
  return parsed;
}

}  // namespace hone::text::jinja
