// Which scope every name belongs to, decided before anything runs, as jinja2's compiler does it.
//
// A scope (template, loop body, macro, ...) knows the names that it reads or assigns. An assigned
// name is the scope's own; on entry it holds what the enclosing scope's variable of that name
// holds, if there is one. Otherwise it starts undefined, even if the caller passed a variable of
// that name, unless it is read first or assigned only under an {% if %}: then it starts with that
// variable.
#include <algorithm>
#include <string>
#include <unordered_map>

#include "hone/text/detail/jinja/ast.h"

namespace hone::text::jinja {
namespace {

bool reads(const Expr& expr, const std::string& name);
bool reads(const ExprPtr& expr, const std::string& name) { return expr && reads(*expr, name); }

bool reads(const Expr& expr, const std::string& name) {
  const auto child = [&](const ExprPtr& e) { return reads(e, name); };
  return (expr.kind == Expr::kName && expr.name == name) ||
         std::any_of(expr.args.begin(), expr.args.end(), child) ||
         std::any_of(expr.named.begin(), expr.named.end(),
                     [&](const Keyword& keyword) { return child(keyword.second); }) ||
         child(expr.spread) || child(expr.spread_named);
}

bool reads(const Body& body, const std::string& name) {
  const auto child = [&](const ExprPtr& e) { return reads(e, name); };
  return std::any_of(body.begin(), body.end(), [&](const Stmt& stmt) {
    return child(stmt.expr) || child(stmt.test) || reads(stmt.body, name) ||
           reads(stmt.other, name) || std::any_of(stmt.values.begin(), stmt.values.end(), child) ||
           std::any_of(stmt.signature.defaults.begin(), stmt.signature.defaults.end(), child);
  });
}

struct Frame {
  Scope* scope;
  Frame* parent;
  std::unordered_map<std::string, int> slots;
  int conditions = 0;  ///< {% if %}s around the statement that is looked at

  const int* find(const std::string& name) const {
    const auto found = slots.find(name);
    return found == slots.end() ? nullptr : &found->second;
  }
  /// The variable of an enclosing scope.
  bool find_outer(const std::string& name, Ref& ref) const {
    ref.hops = 1;
    for (const Frame* frame = parent; frame; frame = frame->parent, ++ref.hops) {
      if (const int* slot = frame->find(name)) {
        ref.slot = *slot;
        return true;
      }
    }
    return false;
  }

  int define(const std::string& name, const Load& load) {
    const int slot = static_cast<int>(scope->names.size());
    slots.emplace(name, slot);
    scope->names.push_back(name);
    scope->loads.push_back(load);
    return slot;
  }

  void load(const std::string& name) {
    Ref outer;
    if (!find(name) && !find_outer(name, outer)) define(name, {Load::kResolve});
  }
  void store(const std::string& name) {
    if (find(name)) return;
    Ref outer;
    if (find_outer(name, outer)) {
      define(name, {Load::kAlias, outer});
    } else {
      define(name, {conditions ? Load::kResolve : Load::kUndefined});
    }
  }
  Ref parameter(const std::string& name) {
    if (const int* slot = find(name)) {
      scope->loads[static_cast<size_t>(*slot)] = {Load::kParameter};
      return {0, *slot};
    }
    return {0, define(name, {Load::kParameter})};
  }
};

/// Collects the names of one scope, without those of the scopes inside.
class Collector {
 public:
  explicit Collector(Frame& frame) : frame_(frame) {}

  void visit(const ExprPtr& expr) {
    if (!expr) return;
    if (expr->kind == Expr::kName || expr->kind == Expr::kNamespaceRef) frame_.load(expr->name);
    for (const ExprPtr& arg : expr->args) visit(arg);
    for (const Keyword& keyword : expr->named) visit(keyword.second);
    visit(expr->spread);
    visit(expr->spread_named);
  }

  void store(const ExprPtr& target) {
    if (target->kind == Expr::kTuple) {
      for (const ExprPtr& part : target->args) store(part);
    } else if (target->kind == Expr::kNamespaceRef) {
      frame_.load(target->name);
    } else {
      frame_.store(target->name);
    }
  }

  void visit(const Body& body) {
    for (const Stmt& stmt : body) visit(stmt);
  }

 private:
  void visit(const Stmt& stmt) {
    switch (stmt.kind) {
      case Stmt::kIf:
        visit(stmt.expr);
        ++frame_.conditions;
        visit(stmt.body);
        visit(stmt.other);
        --frame_.conditions;
        break;
      case Stmt::kSet:
        visit(stmt.expr);
        store(stmt.target);
        break;
      case Stmt::kSetBlock:
        store(stmt.target);
        break;
      case Stmt::kMacro:
        frame_.store(stmt.text);
        break;
      case Stmt::kWith:
        for (const ExprPtr& value : stmt.values) visit(value);
        break;
      default:
        visit(stmt.expr);  // loops, calls, filters, prints
    }
  }

  Frame& frame_;
};

void declare(Frame& frame, const ExprPtr& target) {
  if (target->kind == Expr::kTuple) {
    for (const ExprPtr& part : target->args) declare(frame, part);
  } else {
    frame.parameter(target->name);
  }
}

/// Fails where a target below a loop is named `loop`, as jinja2 does.
void forbid_loop(const ExprPtr& target) {
  if (!target) return;
  if (target->kind == Expr::kName && target->name == "loop") {
    throw SyntaxFault(target->line, "cannot assign to the special variable loop");
  }
  for (const ExprPtr& part : target->args) forbid_loop(part);
}

class Resolver {
 public:
  void run(Template& parsed) {
    Frame root{&parsed.scope, nullptr, {}};
    Collector(root).visit(parsed.body);
    resolve(root, parsed.body);
  }

 private:
  static Ref find(const Frame& frame, const std::string& name) {
    if (const int* slot = frame.find(name)) return {0, *slot};
    Ref ref;
    if (!frame.find_outer(name, ref)) throw Fault("internal: no scope knows " + name);
    return ref;
  }

  void resolve(Frame& frame, const ExprPtr& expr) {
    if (!expr) return;
    if (expr->kind == Expr::kName || expr->kind == Expr::kNamespaceRef) {
      expr->ref = find(frame, expr->name);
    }
    for (const ExprPtr& arg : expr->args) resolve(frame, arg);
    for (const Keyword& keyword : expr->named) resolve(frame, keyword.second);
    resolve(frame, expr->spread);
    resolve(frame, expr->spread_named);
  }

  void resolve(Frame& frame, Body& body) {
    for (Stmt& stmt : body) resolve(frame, stmt);
  }

  void resolve(Frame& frame, Stmt& stmt) {
    if (loops_) {
      forbid_loop(stmt.target);
      for (const ExprPtr& target : stmt.targets) forbid_loop(target);
    }
    switch (stmt.kind) {
      case Stmt::kFor:
        return resolve_for(frame, stmt);
      case Stmt::kMacro:
        stmt.ref = find(frame, stmt.text);
        return resolve_function(frame, stmt);
      case Stmt::kCallBlock:
        resolve(frame, stmt.expr);
        return resolve_function(frame, stmt);
      case Stmt::kGeneration:
        return resolve_function(frame, stmt);
      case Stmt::kSetBlock:
        resolve(frame, stmt.target);
        return resolve_block(frame, stmt);
      case Stmt::kFilterBlock:
        return resolve_block(frame, stmt);
      case Stmt::kWith:
        return resolve_with(frame, stmt);
      default:
        resolve(frame, stmt.expr);
        resolve(frame, stmt.target);
        resolve(frame, stmt.body);
        resolve(frame, stmt.other);
    }
  }

  /// A scope inside `frame`.
  static Frame inner(Frame& frame, std::unique_ptr<Scope>& scope) {
    scope = std::make_unique<Scope>();
    return Frame{scope.get(), &frame, {}};
  }

  void resolve_for(Frame& frame, Stmt& stmt) {
    forbid_loop(stmt.target);
    ++loops_;
    resolve(frame, stmt.expr);
    Frame body = inner(frame, stmt.scope);
    declare(body, stmt.target);  // first in both scopes, so that its slots are the same
    stmt.loop = body.parameter("loop");
    Collector(body).visit(stmt.body);
    resolve(body, stmt.target);
    resolve(body, stmt.body);
    if (stmt.test) {
      Frame test = inner(frame, stmt.test_scope);
      declare(test, stmt.target);
      Collector(test).visit(stmt.test);
      resolve(test, stmt.test);
    }
    Frame other = inner(frame, stmt.other_scope);
    Collector(other).visit(stmt.other);
    resolve(other, stmt.other);
    --loops_;
  }

  /// A macro's body, or a call block's.
  void resolve_function(Frame& frame, Stmt& stmt) {
    for (Frame* outer = &frame; outer; outer = outer->parent) outer->scope->makes_closures = true;
    Signature& signature = stmt.signature;
    Frame body = inner(frame, stmt.scope);
    for (const std::string& name : signature.names) signature.refs.push_back(body.parameter(name));
    Collector collector(body);
    for (const ExprPtr& value : signature.defaults) collector.visit(value);
    collector.visit(stmt.body);
    const auto special = [&](const char* name, bool& takes, Ref& ref) {
      const auto& names = signature.names;
      takes = std::find(names.begin(), names.end(), name) == names.end() && reads(stmt.body, name);
      if (takes) ref = body.parameter(name);
    };
    special("caller", signature.takes_caller, signature.caller);
    special("kwargs", signature.takes_kwargs, signature.kwargs);
    special("varargs", signature.takes_varargs, signature.varargs);
    for (const ExprPtr& value : signature.defaults) resolve(body, value);
    resolve(body, stmt.body);
  }

  /// The body of a set or filter block.
  void resolve_block(Frame& frame, Stmt& stmt) {
    Frame body = inner(frame, stmt.scope);
    Collector collector(body);
    collector.visit(stmt.expr);
    collector.visit(stmt.body);
    resolve(body, stmt.expr);
    resolve(body, stmt.body);
  }

  void resolve_with(Frame& frame, Stmt& stmt) {
    for (const ExprPtr& value : stmt.values) resolve(frame, value);
    Frame body = inner(frame, stmt.scope);
    for (const ExprPtr& target : stmt.targets) declare(body, target);
    Collector(body).visit(stmt.body);
    for (const ExprPtr& target : stmt.targets) resolve(body, target);
    resolve(body, stmt.body);
  }

  int loops_ = 0;
};

}  // namespace

void resolve_scopes(Template& parsed) { Resolver().run(parsed); }

}  // namespace hone::text::jinja
