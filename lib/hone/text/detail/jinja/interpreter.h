/// Runs a parsed template.
#pragma once
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "hone/text/detail/jinja/ast.h"

namespace hone::text::jinja {

/// The `loop` variable.
struct LoopObject : Object {
  Value iterable;
  IteratorObject* items = nullptr;
  Value current, before, after;
  bool has_after = false, finished = false;
  int64_t index0 = -1, size = -1;  ///< size -1: not asked for yet
  bool has_changed_value = false;
  Value changed_value;

  /// Moves on; false at the end.
  bool advance(Runtime& runtime);
  /// Reads the next item ahead; false if this is the last.
  bool peek(Runtime& runtime);
  int64_t length(Runtime& runtime);
};

struct Env : Object {
  Env(const Scope& scope, Env* parent) : scope(scope), parent(parent), slots(scope.names.size()) {}
  Env& up(int hops) {
    Env* env = this;
    while (hops-- > 0) env = env->parent;
    return *env;
  }
  Value& at(const Ref& ref) { return up(ref.hops).slots[static_cast<size_t>(ref.slot)]; }

  const Scope& scope;
  Env* parent;
  std::vector<Value> slots;  ///< undefined without a message: not set
};

class Interpreter {
 public:
  using Variables = std::unordered_map<std::string, Value>;

  Interpreter(const Template& parsed, const ChatLimits& limits, Variables variables)
      : template_(parsed),
        runtime_(limits),
        max_output_(limits.max_output),
        variables_(std::move(variables)) {}

  /// Throws: Fault; line() then tells where.
  std::string run();
  /// The bytes of the text that `{% generation %}` blocks made.
  const std::vector<std::pair<size_t, size_t>>& generated() const { return generated_; }
  int line() const { return line_; }
  Runtime& runtime() { return runtime_; }

 private:
  enum class Flow { kNormal, kBreak, kContinue };
  /// A scope's variables for as long as it runs, or longer where a macro may come back to them.
  class Entered;

  void enter(Env& env);
  Value resolve(const std::string& name) const;

  Flow run_body(const Body& body, Env& env);
  Flow run_statement(const Stmt& stmt, Env& env);
  Flow run_for(const Stmt& stmt, Env& env);
  bool run_iterations(const Stmt& stmt, LoopObject& loop, Env& body);
  Flow run_set_block(const Stmt& stmt, Env& env);
  Flow run_filter_block(const Stmt& stmt, Env& env);
  Flow run_with(const Stmt& stmt, Env& env);
  void run_call_block(const Stmt& stmt, Env& env);
  void run_generation(const Stmt& stmt, Env& env);

  /// Runs a body into a text of its own.
  std::string capture(const Body& body, Env& env, Flow& flow);
  void print(std::string_view text);
  void assign(const Expr& target, Value value, Env& env);
  Value make_macro(const Stmt& stmt, Env& env);
  Value invoke(const Stmt& stmt, Env& env, Args& args);
  void bind(const Stmt& stmt, Env& body, Args& args);

  Value eval(const Expr& expr, Env& env);
  Value eval_kind(const Expr& expr, Env& env);
  Value eval_name(const Expr& expr, Env& env);
  Value eval_compare(const Expr& expr, Env& env);
  Value eval_concat(const Expr& expr, Env& env);
  Value eval_dict(const Expr& expr, Env& env);
  Value eval_slice(const Expr& expr, Env& env);
  Value eval_call(const Expr& expr, Env& env);
  /// args[0] of a filter or test, or the text of a block.
  Value apply_filter(const Expr& expr, const Value* block_text, Env& env);
  bool apply_test(const Expr& expr, Env& env);
  std::vector<Value> eval_all(const Expr& expr, size_t first, Env& env);
  Args eval_arguments(const Expr& expr, Env& env);

  const Template& template_;
  Runtime runtime_;
  const size_t max_output_;
  const Variables variables_;
  std::string* out_ = nullptr;
  bool at_root_ = true;  ///< out_ is the rendered text, not a captured one
  std::vector<std::pair<size_t, size_t>> generated_;
  int line_ = 1;
};

}  // namespace hone::text::jinja
