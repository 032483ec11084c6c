#include "hone/eval/detail/ter_edits.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <tuple>

#include "hone/core/error.h"

namespace hone::eval::detail {
namespace {

using Words = std::vector<uint32_t>;

constexpr size_t kMaxTableBytes = size_t{1} << 30;
constexpr int32_t kUnreached = 1 << 30;
// Tercom's limits, and sacrebleu's on the number of moves tried.
constexpr int64_t kBeam = 25;
constexpr size_t kMaxLength = 10;
constexpr size_t kMaxDistance = 50;
constexpr int kMaxTries = 1000;

enum class Op : uint8_t { kKeep, kReplace, kDelete, kInsert };

struct Cell {
  int32_t cost = kUnreached;
  Op op = Op::kKeep;
};

/// Edit distances of the first i words of a hypothesis and the first j of the reference, only near
/// the diagonal from corner to corner.
class EditTable {
 public:
  EditTable(const Words& hypothesis, const Words& reference)
      : reference_(reference),
        words_(hypothesis.size()),
        width_(reference.size() + 1),
        ratio_(hypothesis.empty() ? 1.0
                                  : static_cast<double>(reference.size()) /
                                        static_cast<double>(hypothesis.size())),
        beam_(kBeam < ratio_ / 2 ? static_cast<int64_t>(std::ceil(ratio_ / 2 + kBeam)) : kBeam) {
    if (words_ + 1 > kMaxTableBytes / sizeof(Cell) / width_) {
      throw Error("TER of " + std::to_string(words_) + " words against " +
                  std::to_string(reference.size()) +
                  " needs more than 1 GiB; split the texts into segments");
    }
    cells_.resize((words_ + 1) * width_);
    for (size_t j = 0; j < width_; ++j) cells_[j] = {static_cast<int32_t>(j), Op::kInsert};
    set(hypothesis);
  }

  /// Fills the table for a hypothesis of as many words.
  void set(const Words& hypothesis) {
    for (size_t i = 1; i <= words_; ++i) fill(i, hypothesis[i - 1], row(i - 1), row(i));
  }

  int32_t distance() const { return cells_.back().cost; }

  /// The distance of another hypothesis, whose first `same` words are those of the table's.
  int32_t distance_of(const Words& hypothesis, size_t same) {
    above_.assign(row(same), row(same) + width_);
    below_.resize(width_);
    for (size_t i = same + 1; i <= words_; ++i) {
      fill(i, hypothesis[i - 1], above_.data(), below_.data());
      above_.swap(below_);
    }
    return above_.back().cost;
  }

  /// The cheapest way from the beginning to the end. It exists: the beams of two rows overlap.
  std::vector<Op> path() const {
    std::vector<Op> ops;
    for (size_t i = words_, j = width_ - 1; i > 0 || j > 0;) {
      const Op op = cells_[i * width_ + j].op;
      ops.push_back(op);
      if (op != Op::kInsert) --i;
      if (op != Op::kDelete) --j;
    }
    std::reverse(ops.begin(), ops.end());
    return ops;
  }

 private:
  Cell* row(size_t i) { return &cells_[i * width_]; }

  void fill(size_t i, uint32_t word, const Cell* above, Cell* row) const {
    std::fill(row, row + width_, Cell{});
    const auto middle = static_cast<int64_t>(std::floor(static_cast<double>(i) * ratio_));
    const auto width = static_cast<int64_t>(width_);
    const int64_t first = std::max<int64_t>(0, middle - beam_);
    const int64_t last = i == words_ ? width : std::min(width, middle + beam_);
    for (int64_t j = first; j < last; ++j) {
      if (j == 0) {
        row[0] = {above[0].cost + 1, Op::kDelete};
        continue;
      }
      const bool same = word == reference_[static_cast<size_t>(j) - 1];
      // Of equal costs the first stays.
      const auto offer = [&](int32_t cost, Op op) {
        if (cost < row[j].cost) row[j] = {cost, op};
      };
      offer(above[j - 1].cost + (same ? 0 : 1), same ? Op::kKeep : Op::kReplace);
      offer(above[j].cost + 1, Op::kDelete);
      offer(row[j - 1].cost + 1, Op::kInsert);
    }
  }

  const Words& reference_;
  size_t words_, width_;
  double ratio_;
  int64_t beam_;
  std::vector<Cell> cells_, above_, below_;
};

/// Where a table's path takes the words.
struct Alignment {
  std::vector<size_t> behind;  ///< by word of the reference: words of the hypothesis up to its own
  std::vector<bool> reference_wrong, hypothesis_wrong;
};

Alignment align(const std::vector<Op>& path) {
  Alignment alignment;
  for (const Op op : path) {
    const bool wrong = op != Op::kKeep;
    if (op != Op::kInsert) alignment.hypothesis_wrong.push_back(wrong);
    if (op != Op::kDelete) {
      alignment.reference_wrong.push_back(wrong);
      alignment.behind.push_back(alignment.hypothesis_wrong.size());
    }
  }
  return alignment;
}

/// The words with `length` of them from `start` on moved to stand before the word `target`; a
/// target among or right behind them pushes them on by as much as it lies behind their start.
Words moved(const Words& words, size_t start, size_t length, size_t target) {
  Words result = words;
  const auto at = [&result](size_t i) {
    return result.begin() + static_cast<std::ptrdiff_t>(std::min(i, result.size()));
  };
  if (target < start) {
    std::rotate(at(target), at(start), at(start + length));
  } else {
    std::rotate(at(start), at(start + length),
                at(target > start + length ? target : target + length));
  }
  return result;
}

struct Move {
  int32_t gain;
  size_t length, start, target;
  /// Tercom's order: gain, then the longest, the earliest, to the earliest place.
  auto rank() const {
    return std::tuple(gain, length, -static_cast<int64_t>(start), -static_cast<int64_t>(target));
  }
};

/// The search for the best move within the limit on tries.
class MoveSearch {
 public:
  explicit MoveSearch(const Words& reference) : reference_(reference) {}

  bool exhausted() const { return tries_ >= kMaxTries; }

  /// The best move, unless there is none to try. `table` is the hypothesis's.
  std::optional<Move> best(const Words& hypothesis, EditTable& table) {
    best_.reset();
    alignment_ = align(table.path());
    for (size_t start = 0; start < hypothesis.size(); ++start) {
      const size_t first = start > kMaxDistance ? start - kMaxDistance : 0;
      const size_t last = std::min(reference_.size(), start + kMaxDistance + 1);
      for (size_t other = first; other < last; ++other) {
        for (size_t n = 0;
             n < kMaxLength && start + n < hypothesis.size() && other + n < reference_.size() &&
             hypothesis[start + n] == reference_[other + n];
             ++n) {
          try_moves(hypothesis, start, other, n + 1, table);
          if (exhausted()) return best_;
        }
      }
    }
    return best_;
  }

 private:
  static bool any(const std::vector<bool>& flags, size_t begin, size_t length) {
    const auto first = flags.begin() + static_cast<std::ptrdiff_t>(begin);
    return std::find(first, first + static_cast<std::ptrdiff_t>(length), true) !=
           first + static_cast<std::ptrdiff_t>(length);
  }

  /// Tries the stretch of the hypothesis at each place beside the equal stretch of the reference,
  /// if both lie wrong and not on each other.
  void try_moves(const Words& hypothesis, size_t start, size_t other, size_t length,
                 EditTable& table) {
    const auto& behind = alignment_.behind;
    if (!any(alignment_.hypothesis_wrong, start, length) ||
        !any(alignment_.reference_wrong, other, length) ||
        (behind[other] > start && behind[other] <= start + length)) {
      return;
    }
    std::optional<size_t> before;
    for (size_t i = 0; i <= length; ++i) {
      const size_t target = other + i == 0 ? 0 : behind[other + i - 1];
      if (before == target) continue;
      before = target;
      ++tries_;
      const Words words = moved(hypothesis, start, length, target);
      const int32_t gain = table.distance() - table.distance_of(words, std::min(start, target));
      const Move move{gain, length, start, target};
      if (!best_ || move.rank() > best_->rank()) best_ = move;
    }
  }

  const Words& reference_;
  Alignment alignment_;
  std::optional<Move> best_;
  int tries_ = 0;
};

}  // namespace

int64_t ter_edits(const Words& hypothesis, const Words& reference) {
  if (reference.empty()) return static_cast<int64_t>(hypothesis.size());
  Words words = hypothesis;
  EditTable table(words, reference);
  MoveSearch search(reference);
  int64_t moves = 0;
  while (true) {
    const auto move = search.best(words, table);
    if (search.exhausted() || !move || move->gain <= 0) return moves + table.distance();
    words = moved(words, move->start, move->length, move->target);
    table.set(words);
    ++moves;
  }
}

}  // namespace hone::eval::detail
