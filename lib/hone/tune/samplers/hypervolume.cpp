#include "hone/tune/samplers/hypervolume.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "hone/core/error.h"
#include "hone/tune/detail/front.h"
#include "hone/tune/detail/order.h"

namespace hone::tune {
namespace {

using detail::FlatRows;
using Point = std::vector<double>;

void check(const Losses& losses, const Point& reference) {
  for (const Point& row : losses) {
    if (row.size() != reference.size() ||
        !std::equal(row.begin(), row.end(), reference.begin(), std::less_equal<>())) {
      throw Error(fmt::format("no loss may exceed the reference point: [{}] against [{}]",
                              fmt::join(row, ", "), fmt::join(reference, ", ")));
    }
  }
}

bool finite(const Point& point) {
  return std::all_of(point.begin(), point.end(), [](double x) { return std::isfinite(x); });
}

/// Volume of the box from a row to the reference point.
double box(const double* row, const Point& reference) {
  double volume = 1;
  for (size_t k = 0; k < reference.size(); ++k) volume *= reference[k] - row[k];
  return volume;
}

/// Rows [begin, end) moved back to where `row` dominates them.
FlatRows limited(const FlatRows& rows, size_t begin, size_t end, const double* row) {
  FlatRows result{rows.width};
  for (size_t i = begin; i < end; ++i) {
    for (size_t k = 0; k < rows.width; ++k) result.data.push_back(std::max(rows[i][k], row[k]));
  }
  return result;
}

double volume_2d(const FlatRows& front, const Point& reference) {
  double volume = 0, top = reference[1];
  for (size_t i = 0; i < front.size(); ++i) {
    volume += (reference[0] - front[i][0]) * (top - front[i][1]);
    top = front[i][1];
  }
  return volume;
}

/// Sums, between one row's first column and the next one's, the area that the rows so far cover.
double volume_3d(const FlatRows& rows, const Point& reference) {
  const size_t n = rows.size();
  const std::vector<size_t> by_second =
      detail::sorted_order(n, [&](size_t a, size_t b) { return rows[a][1] < rows[b][1]; });
  std::vector<size_t> place(n);
  std::vector<double> widths(n), depths(n, 0.0);
  for (size_t j = 0; j < n; ++j) {
    place[by_second[j]] = j;
    widths[j] = (j + 1 < n ? rows[by_second[j + 1]][1] : reference[1]) - rows[by_second[j]][1];
  }
  double volume = 0;
  for (size_t i = 0; i < n; ++i) {
    const double depth = reference[2] - rows[i][2];
    for (size_t j = place[i]; j < n; ++j) depths[j] = std::max(depths[j], depth);
    const double area = std::inner_product(depths.begin(), depths.end(), widths.begin(), 0.0);
    volume += area * ((i + 1 < n ? rows[i + 1][0] : reference[0]) - rows[i][0]);
  }
  return volume;
}

double volume_wfg(const FlatRows& rows, const Point& reference) {
  const size_t n = rows.size();
  if (n == 1) return box(rows[0], reference);
  if (n == 2) {
    return box(rows[0], reference) + box(rows[1], reference) -
           box(limited(rows, 1, 2, rows[0])[0], reference);
  }
  double sum = 0;
  for (size_t i = 0; i + 1 < n; ++i) {
    FlatRows others = limited(rows, i + 1, n, rows[i]);
    if (others.size() > 3) others = detail::marked(others, detail::front_of_sorted(others));
    sum += box(rows[i], reference) - volume_wfg(others, reference);
  }
  return box(rows[n - 1], reference) + sum;
}

/// Of rows that ascend by their first column; two columns need a front.
double volume(const FlatRows& rows, const Point& reference) {
  const double result = rows.width == 2   ? volume_2d(rows, reference)
                        : rows.width == 3 ? volume_3d(rows, reference)
                                          : volume_wfg(rows, reference);
  return std::isfinite(result) ? result : INFINITY;
}

double volume(const Losses& losses, const Point& reference) {
  const FlatRows rows = detail::sort_rows(losses, reference.size()).rows;
  return volume(detail::marked(rows, detail::front_of_sorted(rows)), reference);
}

FlatRows by_first_column(const Losses& losses) {
  FlatRows rows{losses[0].size()};
  for (const size_t i : detail::sorted_order(
           losses.size(), [&](size_t a, size_t b) { return losses[a][0] < losses[b][0]; })) {
    rows.push(losses[i].data());
  }
  return rows;
}

/// The first of the largest; a NaN, from a row at infinity on the reference point's edge, is.
size_t argmax(const std::vector<double>& values) {
  size_t best = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) return i;
    if (values[i] > values[best]) best = i;
  }
  return best;
}

template <class T>
void erase_at(std::vector<T>& values, size_t i) {
  values.erase(values.begin() + static_cast<std::ptrdiff_t>(i));
}

/// Of distinct rows in lexicographic order. Along a two-dimensional front a chosen row only cuts
/// the boxes before it in the first column and those after it in the second.
std::vector<size_t> choose_2d(FlatRows rows, size_t count, const Point& reference) {
  std::vector<size_t> indices(rows.size()), chosen;
  std::iota(indices.begin(), indices.end(), size_t{0});
  std::vector<Point> corners(rows.size(), reference);
  while (chosen.size() < count) {
    std::vector<double> gains;
    for (size_t i = 0; i < corners.size(); ++i) gains.push_back(box(rows[i], corners[i]));
    const size_t best = argmax(gains);
    const double x = rows[best][0], y = rows[best][1];
    chosen.push_back(indices[best]);
    erase_at(indices, best);
    erase_at(corners, best);
    erase_at(rows.data, 2 * best);
    erase_at(rows.data, 2 * best);
    for (size_t i = 0; i < corners.size(); ++i) {
      double& edge = corners[i][i < best ? 0 : 1];
      edge = std::min(edge, i < best ? x : y);
    }
  }
  return chosen;
}

/// Greedy choice among distinct rows. What a row adds only falls as more are chosen, so that rows
/// whose last known gain is below the best new one need no update.
class GreedyChoice {
 public:
  GreedyChoice(const FlatRows& rows, const Point& reference) : reference_(reference) {
    for (size_t i = 0; i < rows.size(); ++i) {
      left_.emplace_back(rows[i], rows[i] + rows.width);
      indices_.push_back(i);
      gains_.push_back(box(rows[i], reference));
    }
  }

  std::vector<size_t> choose(size_t count) {
    std::vector<size_t> chosen;
    while (true) {
      const size_t best = argmax(gains_);
      volume_ += gains_[best];
      chosen.push_back(indices_[best]);
      chosen_.push_back(left_[best]);
      erase_at(left_, best);
      erase_at(indices_, best);
      erase_at(gains_, best);
      if (chosen.size() == count) return chosen;
      update();
    }
  }

 private:
  void update() {
    if (std::isinf(volume_)) {
      std::fill(gains_.begin(), gains_.end(), INFINITY);
      return;
    }
    std::vector<double> boxes;
    for (size_t i = 0; i < left_.size(); ++i) {
      Point common(left_[i].size());
      std::transform(left_[i].begin(), left_[i].end(), chosen_.back().begin(), common.begin(),
                     [](double a, double b) { return std::max(a, b); });
      boxes.push_back(box(left_[i].data(), reference_));
      gains_[i] = std::min(gains_[i], boxes[i] - box(common.data(), reference_));
    }
    double best = 0;
    for (const size_t i : detail::sorted_order(
             left_.size(), [last = gains_](size_t a, size_t b) { return last[a] > last[b]; })) {
      if (std::isinf(boxes[i])) {
        best = gains_[i] = INFINITY;
      } else if (!(gains_[i] < best)) {
        gains_[i] = gain(left_[i], boxes[i]);
        best = std::max(best, gains_[i]);
      }
    }
  }

  double gain(const Point& row, double row_box) const {
    Losses rows = chosen_;
    if (row.size() <= 3) {
      rows.push_back(row);
      return volume(by_first_column(rows), reference_) - volume_;
    }
    for (Point& other : rows) {
      for (size_t k = 0; k < row.size(); ++k) other[k] = std::max(other[k], row[k]);
    }
    return row_box - volume(rows, reference_);
  }

  const Point& reference_;
  Losses left_, chosen_;
  std::vector<size_t> indices_;
  std::vector<double> gains_;
  double volume_ = 0;
};

}  // namespace

double hypervolume(const Losses& losses, const std::vector<double>& reference) {
  check(losses, reference);
  if (!finite(reference)) return INFINITY;
  return losses.empty() ? 0 : volume(losses, reference);
}

std::vector<double> reference_point(const Losses& losses) {
  constexpr double kNotZero = 1e-12;
  Point point;
  for (size_t k = 0; !losses.empty() && k < losses[0].size(); ++k) {
    double worst = -INFINITY;
    for (const Point& row : losses) worst = std::max(worst, row.at(k));
    const double beyond = std::max(1.1 * worst, 0.9 * worst);
    point.push_back(beyond == 0 ? kNotZero : beyond);
  }
  return point;
}

std::vector<size_t> hypervolume_subset(const Losses& losses, size_t count,
                                       const std::vector<double>& reference) {
  check(losses, reference);
  if (count > losses.size()) {
    throw Error(fmt::format("cannot choose {} of {} trials", count, losses.size()));
  }
  std::vector<size_t> chosen(losses.size());
  std::iota(chosen.begin(), chosen.end(), size_t{0});
  if (count == losses.size() || count == 0) {
    chosen.resize(count);
    return chosen;
  }
  const detail::SortedRows sorted = detail::sort_rows(losses, reference.size());
  const size_t distinct = sorted.first.size();
  if (distinct < count) {
    size_t repeats = count - distinct;
    std::erase_if(chosen, [&](size_t i) {
      if (sorted.first[sorted.place[i]] == i) return false;
      if (repeats == 0) return true;
      --repeats;
      return false;
    });
    return chosen;
  }
  if (!finite(reference) || distinct == count) {
    chosen.resize(count);
    std::iota(chosen.begin(), chosen.end(), size_t{0});
  } else if (reference.size() == 2) {
    chosen = choose_2d(sorted.rows, count, reference);
  } else {
    chosen = GreedyChoice(sorted.rows, reference).choose(count);
  }
  for (size_t& i : chosen) i = sorted.first[i];
  return chosen;
}

std::vector<size_t> best_rows(const Losses& losses, size_t count) {
  std::vector<size_t> chosen(losses.size());
  std::iota(chosen.begin(), chosen.end(), size_t{0});
  if (count >= losses.size()) return chosen;
  if (count == 0) return {};
  const std::vector<int64_t> ranks = domination_ranks(losses, count);
  chosen.clear();
  for (int64_t rank = 0; chosen.size() < count; ++rank) {
    std::vector<size_t> members;
    Losses rows;
    for (size_t i = 0; i < losses.size(); ++i) {
      if (ranks[i] != rank) continue;
      members.push_back(i);
      rows.push_back(losses[i]);
    }
    const size_t wanted = std::min(count - chosen.size(), members.size());
    for (const size_t i : hypervolume_subset(rows, wanted, reference_point(rows))) {
      chosen.push_back(members[i]);
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace hone::tune
