#include "hone/text/detail/jinja/interpreter.h"

#include <algorithm>

namespace hone::text::jinja {

class Interpreter::Entered {
 public:
  Entered(Interpreter& interpreter, const Scope& scope, Env& parent)
      : local_(scope, &parent), env_(&local_) {
    interpreter.runtime_.charge(1 + scope.names.size() / 4);
    if (scope.makes_closures) env_ = interpreter.runtime_.make<Env>(scope, &parent);
    interpreter.enter(*env_);
  }
  Env& operator*() const { return *env_; }

 private:
  Env local_;
  Env* env_;
};

std::string Interpreter::run() {
  std::string text;
  out_ = &text;
  Env root(template_.scope, nullptr);
  enter(root);
  run_body(template_.body, root);
  return text;
}

void Interpreter::enter(Env& env) {
  for (size_t i = 0; i < env.slots.size(); ++i) {
    const Load& load = env.scope.loads[i];
    switch (load.kind) {
      case Load::kUndefined:
      case Load::kParameter:
        env.slots[i] = Value();
        break;
      case Load::kResolve:
        env.slots[i] = resolve(env.scope.names[i]);
        break;
      case Load::kAlias:
        env.slots[i] = env.at(load.outer);
        break;
    }
  }
}

Value Interpreter::resolve(const std::string& name) const {
  const auto found = variables_.find(name);
  if (found != variables_.end()) return found->second;
  return find_global(name).value_or(Value());
}

void Interpreter::print(std::string_view text) {
  if (text.size() > max_output_ - std::min(max_output_, out_->size())) {
    throw Fault("the text grows over " + std::to_string(max_output_) + " bytes");
  }
  runtime_.charge_text(text.size());
  *out_ += text;
}

std::string Interpreter::capture(const Body& body, Env& env, Flow& flow) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  const bool at_root = std::exchange(at_root_, false);
  flow = run_body(body, env);
  out_ = outer;
  at_root_ = at_root;
  return text;
}

// --- statements

Interpreter::Flow Interpreter::run_body(const Body& body, Env& env) {
  for (const Stmt& stmt : body) {
    if (const Flow flow = run_statement(stmt, env); flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_statement(const Stmt& stmt, Env& env) {
  const Runtime::Nested nested(runtime_);
  runtime_.charge(1);
  line_ = stmt.line;
  switch (stmt.kind) {
    case Stmt::kText:
      print(stmt.text);
      break;
    case Stmt::kPrint: {
      const Value value = eval(*stmt.expr, env);
      value.is_string() ? print(value.text()) : print(to_str(runtime_, value));
      break;
    }
    case Stmt::kIf:
      return run_body(truth(eval(*stmt.expr, env)) ? stmt.body : stmt.other, env);
    case Stmt::kFor:
      return run_for(stmt, env);
    case Stmt::kSet:
      assign(*stmt.target, eval(*stmt.expr, env), env);
      break;
    case Stmt::kSetBlock:
      return run_set_block(stmt, env);
    case Stmt::kWith:
      return run_with(stmt, env);
    case Stmt::kMacro:
      env.at(stmt.ref) = make_macro(stmt, env);
      break;
    case Stmt::kCallBlock:
      run_call_block(stmt, env);
      break;
    case Stmt::kGeneration:
      run_generation(stmt, env);
      break;
    case Stmt::kFilterBlock:
      return run_filter_block(stmt, env);
    case Stmt::kBreak:
      return Flow::kBreak;
    case Stmt::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_for(const Stmt& stmt, Env& env) {
  LoopObject& loop = *runtime_.make<LoopObject>();
  loop.iterable = eval(*stmt.expr, env);
  line_ = stmt.line;
  bool ran = false;
  {
    const Entered body(*this, *stmt.scope, env);
    if (!stmt.test) {
      loop.items = &iterate(runtime_, loop.iterable);
      ran = run_iterations(stmt, loop, *body);
    } else {
      // Lazily, as Python's generator: the test may read what the body sets.
      const Entered test(*this, *stmt.test_scope, env);
      IteratorObject& all = iterate(runtime_, loop.iterable);
      loop.iterable = make_iterator(runtime_, [&](Runtime& runtime, Value& item) {
        while (all.next(runtime, item)) {
          assign(*stmt.target, item, *test);
          if (truth(eval(*stmt.test, *test))) return true;
        }
        return false;
      });
      loop.items = &loop.iterable.object<IteratorObject>();
      ran = run_iterations(stmt, loop, *body);
    }
    loop.finished = true;  // its iterator may refer to variables that end here
  }
  if (ran || stmt.other.empty()) return Flow::kNormal;
  const Entered other(*this, *stmt.other_scope, env);
  return run_body(stmt.other, *other);
}

bool Interpreter::run_iterations(const Stmt& stmt, LoopObject& loop, Env& body) {
  bool ran = false;
  while (loop.advance(runtime_)) {
    runtime_.charge(1 + body.slots.size() / 4);
    enter(body);
    assign(*stmt.target, loop.current, body);
    body.at(stmt.loop) = Value::owned(Kind::kLoop, &loop);
    // As in jinja2, whose mark stands at the end of the body: break and continue leave it unset.
    const Flow flow = run_body(stmt.body, body);
    if (flow == Flow::kNormal) ran = true;
    if (flow == Flow::kBreak) break;
  }
  return ran;
}

Interpreter::Flow Interpreter::run_set_block(const Stmt& stmt, Env& env) {
  const Entered block(*this, *stmt.scope, env);
  Flow flow{};
  Value text = Value::string(capture(stmt.body, *block, flow));
  if (flow != Flow::kNormal) return flow;
  if (stmt.expr) text = apply_filter(*stmt.expr, &text, *block);
  assign(*stmt.target, text, env);
  return flow;
}

Interpreter::Flow Interpreter::run_filter_block(const Stmt& stmt, Env& env) {
  const Entered block(*this, *stmt.scope, env);
  Flow flow{};
  const Value text = Value::string(capture(stmt.body, *block, flow));
  if (flow != Flow::kNormal) return flow;
  print(to_str(runtime_, apply_filter(*stmt.expr, &text, *block)));
  return flow;
}

Interpreter::Flow Interpreter::run_with(const Stmt& stmt, Env& env) {
  const Entered block(*this, *stmt.scope, env);
  for (size_t i = 0; i < stmt.targets.size(); ++i) {
    assign(*stmt.targets[i], eval(*stmt.values[i], env), *block);
  }
  return run_body(stmt.body, *block);
}

void Interpreter::run_call_block(const Stmt& stmt, Env& env) {
  const Expr& call_expr = *stmt.expr;
  const Value callee = eval(*call_expr.args[0], env);
  Args args = eval_arguments(call_expr, env);
  args.named.emplace_back("caller", make_macro(stmt, env));
  print(to_str(runtime_, call(runtime_, callee, args)));
}

void Interpreter::run_generation(const Stmt& stmt, Env& env) {
  Args none;
  const Value text = invoke(stmt, env, none);
  if (at_root_) {
    generated_.emplace_back(out_->size(), out_->size() + text.text().size());
  } else {
    generated_.emplace_back(std::string::npos, std::string::npos);
  }
  print(text.text());
}

// --- variables and macros

void Interpreter::assign(const Expr& target, Value value, Env& env) {
  if (target.kind == Expr::kName) {
    // An undefined value that is assigned stays one that names its own origin.
    env.at(target.ref) = value.is_undefined() && !value.identity()
                             ? Value::undefined(undefined_message(value))
                             : std::move(value);
    return;
  }
  if (target.kind == Expr::kNamespaceRef) {
    const Value& space = env.at(target.ref);
    if (!space.is(Kind::kNamespace)) {
      throw Fault("cannot assign to " + target.name + "." + target.attribute + ": " + target.name +
                  " is no namespace");
    }
    if (target.attribute[0] == '_') throw Fault("a namespace's names cannot start with _");
    auto& object = space.object<NamespaceObject>();
    if (Value* old = object.find(target.attribute)) {
      *old = std::move(value);
    } else {
      runtime_.charge(object.attributes.size() / 8);
      object.attributes.emplace_back(target.attribute, std::move(value));
    }
    return;
  }
  const std::vector<Value> items = to_items(runtime_, value);
  if (items.size() != target.args.size()) {
    throw Fault("cannot unpack " + std::to_string(items.size()) + " values into " +
                std::to_string(target.args.size()) + " names");
  }
  for (size_t i = 0; i < items.size(); ++i) assign(*target.args[i], items[i], env);
}

Value Interpreter::make_macro(const Stmt& stmt, Env& env) {
  runtime_.charge(8);
  return Value::function(
      stmt.text.empty() ? "caller" : stmt.text,
      [this, &stmt, &env](Runtime&, Args& args) { return invoke(stmt, env, args); });
}

Value Interpreter::invoke(const Stmt& stmt, Env& env, Args& args) {
  const Runtime::Nested nested(runtime_);
  const Entered body(*this, *stmt.scope, env);
  bind(stmt, *body, args);
  Flow flow{};
  return Value::string(capture(stmt.body, *body, flow));
}

void Interpreter::bind(const Stmt& stmt, Env& body, Args& args) {
  const Signature& signature = stmt.signature;
  const std::string& name = stmt.text;
  const auto take = [&](const std::string& key) -> std::optional<Value> {
    const auto found = std::find_if(args.named.begin(), args.named.end(),
                                    [&](const auto& keyword) { return keyword.first == key; });
    if (found == args.named.end()) return std::nullopt;
    Value value = std::move(found->second);
    args.named.erase(found);
    return value;
  };
  const size_t count = signature.names.size(), given = std::min(count, args.positional.size());
  std::vector<bool> set(count);
  for (size_t i = 0; i < count; ++i) {
    std::optional<Value> value = i < given ? args.positional[i] : take(signature.names[i]);
    set[i] = value.has_value();
    if (set[i]) body.at(signature.refs[i]) = std::move(*value);
  }
  if (signature.takes_caller) {
    body.at(signature.caller) =
        take("caller").value_or(Value::undefined("no caller is defined here"));
  }
  if (signature.takes_kwargs) {
    Pairs pairs;
    for (auto& [key, value] : args.named) pairs.emplace_back(Value::string(key), value);
    body.at(signature.kwargs) = Value::dict(std::move(pairs));
  } else if (!args.named.empty()) {
    throw Fault("macro '" + name + "' takes no argument '" + args.named[0].first + "'");
  }
  if (signature.takes_varargs) {
    body.at(signature.varargs) = Value::tuple(
        {args.positional.begin() + static_cast<std::ptrdiff_t>(given), args.positional.end()});
  } else if (args.positional.size() > count) {
    throw Fault("macro '" + name + "' takes at most " + std::to_string(count) + " arguments, got " +
                std::to_string(args.positional.size()));
  }
  const size_t first_default = count - signature.defaults.size();
  for (size_t i = 0; i < count; ++i) {
    if (set[i]) continue;
    body.at(signature.refs[i]) =
        i < first_default
            ? Value::undefined("parameter '" + signature.names[i] + "' was not provided")
            : eval(*signature.defaults[i - first_default], body);
  }
}

// --- expressions

namespace {

std::string unknown_filter(const std::string& name) {
  return names_filter(name) ? "the filter '" + name + "' is not supported"
                            : "unknown filter '" + name + "'";
}

}  // namespace

Value Interpreter::eval(const Expr& expr, Env& env) {
  const Runtime::Nested nested(runtime_);
  runtime_.charge(1);
  const int outer_line = std::exchange(line_, expr.line);
  Value value = eval_kind(expr, env);
  line_ = outer_line;  // after a fault, line_ stays at the innermost expression
  return value;
}

Value Interpreter::eval_kind(const Expr& expr, Env& env) {
  const auto arg = [&](size_t i) { return eval(*expr.args[i], env); };
  switch (expr.kind) {
    case Expr::kConst:
      return expr.value;
    case Expr::kName:
      return eval_name(expr, env);
    case Expr::kList:
      return Value::list(eval_all(expr, 0, env));
    case Expr::kTuple:
      return Value::tuple(eval_all(expr, 0, env));
    case Expr::kDict:
      return eval_dict(expr, env);
    case Expr::kAttribute:
      return get_attribute(runtime_, arg(0), expr.name);
    case Expr::kItem: {
      const Value object = arg(0);
      return get_item(runtime_, object, arg(1));
    }
    case Expr::kSlice:
      return eval_slice(expr, env);
    case Expr::kCall:
      return eval_call(expr, env);
    case Expr::kFilter:
      return apply_filter(expr, nullptr, env);
    case Expr::kTest:
      return Value::boolean(apply_test(expr, env));
    case Expr::kNot:
      return Value::boolean(!truth(arg(0)));
    case Expr::kNegate:
      return negate(arg(0));
    case Expr::kPlus:
      return negate(negate(arg(0)));
    case Expr::kAnd: {
      Value left = arg(0);
      return truth(left) ? arg(1) : left;
    }
    case Expr::kOr: {
      Value left = arg(0);
      return truth(left) ? left : arg(1);
    }
    case Expr::kArithmetic: {
      const Value left = arg(0);
      return arithmetic(runtime_, expr.op, left, arg(1));
    }
    case Expr::kConcat:
      return eval_concat(expr, env);
    case Expr::kCompare:
      return eval_compare(expr, env);
    case Expr::kCondition:
      if (truth(arg(1))) return arg(0);
      if (expr.args[2]) return arg(2);
      return Value::undefined("the condition is false and there is no else");
    case Expr::kNamespaceRef:
      break;  // only a target
  }
  throw Fault("internal: not an expression");
}

Value Interpreter::eval_name(const Expr& expr, Env& env) {
  const Value& value = env.at(expr.ref);
  if (value.is_undefined() && !value.identity()) {
    return Value::undefined("'" + expr.name + "' is undefined");
  }
  return value;
}

std::vector<Value> Interpreter::eval_all(const Expr& expr, size_t first, Env& env) {
  std::vector<Value> values;
  values.reserve(expr.args.size() - first);
  for (size_t i = first; i < expr.args.size(); ++i) values.push_back(eval(*expr.args[i], env));
  return values;
}

Value Interpreter::eval_dict(const Expr& expr, Env& env) {
  Pairs pairs;
  for (size_t i = 0; i < expr.args.size(); i += 2) {
    Value key = eval(*expr.args[i], env);
    Value value = eval(*expr.args[i + 1], env);
    put(runtime_, pairs, std::move(key), std::move(value));
  }
  return Value::dict(std::move(pairs));
}

Value Interpreter::eval_slice(const Expr& expr, Env& env) {
  const Value object = eval(*expr.args[0], env);
  const auto part = [&](size_t i) {
    return expr.args[i] ? eval(*expr.args[i], env) : Value::none();
  };
  const Value start = part(1), stop = part(2), step = part(3);
  return get_slice(runtime_, object, start, stop, step);
}

Value Interpreter::eval_call(const Expr& expr, Env& env) {
  const Value callee = eval(*expr.args[0], env);
  Args args = eval_arguments(expr, env);
  return call(runtime_, callee, args);
}

Args Interpreter::eval_arguments(const Expr& expr, Env& env) {
  Args args;
  args.positional = eval_all(expr, 1, env);
  for (const auto& [name, value] : expr.named) args.named.emplace_back(name, eval(*value, env));
  if (expr.spread) {
    for (Value& item : to_items(runtime_, eval(*expr.spread, env))) {
      args.positional.push_back(std::move(item));
    }
  }
  if (expr.spread_named) {
    const Value named = eval(*expr.spread_named, env);
    if (!named.is(Kind::kDict)) throw Fault("** needs a dict, got a " + type_name(named));
    for (const auto& [key, value] : named.pairs()) {
      if (!key.is_string()) throw Fault("** needs a dict with texts as keys");
      args.named.emplace_back(key.text(), value);
    }
  }
  for (size_t i = 0; i < args.named.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (args.named[i].first == args.named[j].first) {
        throw Fault("the argument '" + args.named[i].first + "' is given twice");
      }
    }
    runtime_.charge(i / 8);
  }
  return args;
}

Value Interpreter::apply_filter(const Expr& expr, const Value* block_text, Env& env) {
  Value input;
  if (expr.args[0]) {
    input = block_text && expr.args[0]->kind == Expr::kFilter
                ? apply_filter(*expr.args[0], block_text, env)
                : eval(*expr.args[0], env);
  } else {
    input = *block_text;
  }
  Args args = eval_arguments(expr, env);
  if (!expr.filter) throw Fault(unknown_filter(expr.name));
  return expr.filter(runtime_, input, args);
}

bool Interpreter::apply_test(const Expr& expr, Env& env) {
  const Value input = eval(*expr.args[0], env);
  Args args = eval_arguments(expr, env);
  if (!expr.test) throw Fault("unknown test '" + expr.name + "'");
  return expr.test(runtime_, input, args);
}

Value Interpreter::eval_concat(const Expr& expr, Env& env) {
  std::string text;
  for (const ExprPtr& part : expr.args) {
    const std::string next = to_str(runtime_, eval(*part, env));
    runtime_.charge_text(next.size());
    text += next;
  }
  runtime_.charge_text(text.size());
  return Value::string(std::move(text));
}

Value Interpreter::eval_compare(const Expr& expr, Env& env) {
  Value left = eval(*expr.args[0], env);
  for (size_t i = 0; i < expr.compares.size(); ++i) {
    Value right = eval(*expr.args[i + 1], env);
    bool holds = false;
    switch (expr.compares[i]) {
      case Expr::Compare::kEq:
        holds = equal(runtime_, left, right);
        break;
      case Expr::Compare::kNe:
        holds = !equal(runtime_, left, right);
        break;
      case Expr::Compare::kLt:
        holds = less(runtime_, left, right);
        break;
      case Expr::Compare::kLe:
        holds = less(runtime_, left, right, true);
        break;
      case Expr::Compare::kGt:
        holds = less(runtime_, right, left);
        break;
      case Expr::Compare::kGe:
        holds = less(runtime_, right, left, true);
        break;
      case Expr::Compare::kIn:
        holds = contains(runtime_, right, left);
        break;
      case Expr::Compare::kNotIn:
        holds = !contains(runtime_, right, left);
        break;
    }
    if (!holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

}  // namespace hone::text::jinja
