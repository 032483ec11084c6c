// Filters and tests that are not there: which of them jinja2 refuses when it compiles a template,
// and which only when they are reached. Its compiler lets those pass that stand in an {% if %} or
// in an inline if, but not in what is a function of its own there (a loop's or macro's body, a
// block that is captured), and it never sees what a constant in front of "and" or "or" decides.
#include <algorithm>
#include <optional>

#include "hone/text/detail/jinja/ast.h"

namespace hone::text::jinja {
namespace {

/// Whether a constant is true; nothing for what is none.
std::optional<bool> constant_truth(const Expr& expr) {
  const auto all_constant = [&] {
    return std::all_of(expr.args.begin(), expr.args.end(),
                       [](const ExprPtr& part) { return constant_truth(*part).has_value(); });
  };
  switch (expr.kind) {
    case Expr::kConst:
      return truth(expr.value);
    case Expr::kList:
    case Expr::kTuple:
    case Expr::kDict:
      return all_constant() ? std::optional(!expr.args.empty()) : std::nullopt;
    case Expr::kNot: {
      const auto value = constant_truth(*expr.args[0]);
      return value ? std::optional(!*value) : std::nullopt;
    }
    case Expr::kAnd:
    case Expr::kOr: {
      const auto left = constant_truth(*expr.args[0]);
      if (!left || *left == (expr.kind == Expr::kOr)) return left;
      return constant_truth(*expr.args[1]);
    }
    default:
      return std::nullopt;
  }
}

void check(const Expr& expr, bool lenient);

void check(const ExprPtr& expr, bool lenient) {
  if (expr) check(*expr, lenient);
}

void check(const Expr& expr, bool lenient) {
  if ((expr.kind == Expr::kAnd || expr.kind == Expr::kOr) && constant_truth(expr)) return;
  if (!lenient && expr.kind == Expr::kFilter && !names_filter(expr.name)) {
    throw SyntaxFault(expr.line, "unknown filter '" + expr.name + "'");
  }
  if (!lenient && expr.kind == Expr::kTest && !expr.test) {
    throw SyntaxFault(expr.line, "unknown test '" + expr.name + "'");
  }
  const bool inner = lenient || expr.kind == Expr::kCondition;
  for (const ExprPtr& part : expr.args) check(part, inner);
  for (const auto& [name, value] : expr.named) check(value, inner);
  check(expr.spread, inner);
  check(expr.spread_named, inner);
}

void check(const Body& body, bool lenient);

void check(const Stmt& stmt, bool lenient) {
  const bool captures = stmt.kind == Stmt::kSetBlock || stmt.kind == Stmt::kFilterBlock;
  check(stmt.expr, stmt.kind == Stmt::kIf || (lenient && !captures));
  check(stmt.test, false);
  for (const ExprPtr& value : stmt.values) check(value, lenient);
  for (const ExprPtr& value : stmt.signature.defaults) check(value, false);
  check(stmt.body, stmt.kind == Stmt::kIf);
  check(stmt.other, stmt.kind == Stmt::kIf);
}

void check(const Body& body, bool lenient) {
  for (const Stmt& stmt : body) check(stmt, lenient);
}

}  // namespace

void check_names(const Template& parsed) { check(parsed.body, false); }

}  // namespace hone::text::jinja
