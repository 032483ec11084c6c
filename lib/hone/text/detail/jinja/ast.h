/// The parsed form of a template.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hone/text/detail/jinja/runtime.h"

namespace hone::text::jinja {

/// Where a variable lives: `hops` scopes outwards, slot `slot` there.
struct Ref {
  int hops = 0, slot = 0;
};

/// How a slot is filled when its scope is entered.
struct Load {
  enum Kind { kUndefined, kResolve, kAlias, kParameter } kind = kUndefined;
  Ref outer{};  ///< kAlias: the variable it copies; hops count from the scope's own
};

/// The variables of one scope: the template, a loop body, a macro, ... Jinja decides at compile
/// time which scope a name belongs to; so does resolve_scopes().
struct Scope {
  std::vector<std::string> names;  ///< by slot
  std::vector<Load> loads;         ///< by slot
  bool makes_closures = false;     ///< a macro is defined in it or below
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;
using Keyword = std::pair<std::string, ExprPtr>;

struct Expr {
  enum Kind {
    kConst,         // value
    kName,          // name, ref
    kList,          // args
    kTuple,         // args
    kDict,          // args: key, value, key, value, ...
    kAttribute,     // args[0].name
    kItem,          // args[0][args[1]]
    kSlice,         // args[0][args[1]:args[2]:args[3]], null where left out
    kCall,          // args[0](args[1...], named, *spread, **spread_named)
    kFilter,        // args[0]|name(args[1...], ...); args[0] null: the text of a block
    kTest,          // args[0] is name(args[1...], ...)
    kNot,           // args[0]
    kNegate,        // -args[0]
    kPlus,          // +args[0]
    kAnd,           // args[0], args[1]
    kOr,            // args[0], args[1]
    kArithmetic,    // op
    kConcat,        // args joined as text
    kCompare,       // args[0] compares[0] args[1] compares[1] args[2] ...
    kCondition,     // args[0] if args[1] else args[2] (null: undefined)
    kNamespaceRef,  // name.attribute as a target
  };
  enum class Compare : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

  Kind kind = kConst;
  int line = 0;
  int height = 1;  ///< levels of the tree below and with this one
  Op op = Op::kAdd;
  Filter filter = nullptr;
  Test test = nullptr;
  Ref ref;
  Value value;
  std::string name, attribute;
  std::vector<ExprPtr> args;
  std::vector<Keyword> named;
  ExprPtr spread, spread_named;
  std::vector<Compare> compares;
};

struct Stmt;
using Body = std::vector<Stmt>;

/// A macro's parameters, or a call block's.
struct Signature {
  std::vector<std::string> names;
  std::vector<ExprPtr> defaults;  ///< of the last parameters
  std::vector<Ref> refs;          ///< slots in the macro's scope
  bool takes_varargs = false, takes_kwargs = false, takes_caller = false;
  Ref varargs, kwargs, caller;
};

struct Stmt {
  enum Kind {
    kText,         // text
    kPrint,        // expr
    kIf,           // expr, body, other
    kFor,          // target in expr if test: body, other
    kSet,          // target = expr
    kSetBlock,     // target = body, filtered by expr (or null)
    kWith,         // targets = values: body
    kMacro,        // name, signature, body
    kCallBlock,    // expr is the call, with signature and body as caller
    kGeneration,   // body
    kFilterBlock,  // expr, body
    kBreak,
    kContinue,
  };
  Kind kind = kText;
  int line = 0;
  std::string text;  ///< kText; kMacro: its name
  ExprPtr target, expr, test;
  Ref ref;  ///< kMacro: where it is stored
  Body body, other;
  std::vector<ExprPtr> targets, values;
  Signature signature;
  std::unique_ptr<Scope> scope, test_scope, other_scope;  ///< of body, of test, of other
  Ref loop;                                               ///< kFor: the loop variable
};

struct Template {
  Body body;
  Scope scope;
  bool has_generation = false;
};

/// Throws: SyntaxFault.
Template parse(const std::string& source, size_t max_depth);
/// Fills in every Ref and Scope, with the rules of jinja2's compiler. Throws: SyntaxFault.
void resolve_scopes(Template& parsed);

/// Refuses unknown filters and tests where jinja2's compiler does; others fail when reached.
/// Throws: SyntaxFault.
void check_names(const Template& parsed);

/// What is wrong with a template's text, and where.
class SyntaxFault : public Fault {
 public:
  SyntaxFault(int line, const std::string& reason) : Fault(reason), line(line) {}
  int line;
};

}  // namespace hone::text::jinja
