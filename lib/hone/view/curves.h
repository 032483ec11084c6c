/// Plots of a run from the rows of its metrics.jsonl and decisions.jsonl.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "hone/core/json.h"

namespace hone::view {

/// Collects rows and draws them as HTML with inline SVG for a page of render_page(). Its memory and
/// its drawing are bounded however many rows come: of long lines the lowest and the highest point
/// of every stretch stay, of decisions the latest 1000, of lines in all the first 512.
///
/// Over the rows' "step" it draws "loss" (with the decisions as marks), "lr", "grad_norm",
/// "tokens_per_second", the perplexity of each set of "evaluation", and by their own names
///   {"shares": {"law": 0.3, ...}}              objects of numbers: a line a name
///   {"heads_alive": {"0": 8, "1": 6}}          such whose name ends in "_alive": a heat map
///   {"head_importance": {"0": [0.1, ...]}}     objects of lists of numbers: the latest as a heat
///   map
///   {"signals": {"a": 3, "b/0": 1, "b/1": 2}}  a small plot each with a scale of its own, those of
///   one family (b) as its lines; none of a family that is a heat map
/// Decisions are told in words (knob_text), bookkeeping is not. Names are data and escaped.
class Curves {
 public:
  Curves();
  ~Curves();
  Curves(Curves&&) noexcept;
  Curves& operator=(Curves&&) noexcept;

  /// A row of metrics.jsonl; one without a "step" is passed over.
  void add_row(const Json& row);
  /// A row of decisions.jsonl; one that is no decision is passed over.
  void add_decision(const Json& row);

  /// Of the last row; nullopt before the first.
  std::optional<double> last_step() const;

  /// Figures and the table of decisions, with headings; "" if there is nothing to draw.
  std::string render() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hone::view
