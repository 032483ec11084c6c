#include "hone/tune/samplers/detail/sampled_acquisition.h"

#include "hone/tune/samplers/detail/hypervolume_improvement.h"
#include "hone/tune/samplers/hypervolume.h"
#include "tune/models.h"

namespace hone::tune::detail {
namespace {

Eigen::MatrixXd points(int n, uint64_t seed) {
  Random random(seed);
  Eigen::MatrixXd rows(n, 3);
  for (int i = 0; i < n; ++i) rows.row(i) = random_point(random);
  return rows;
}

TEST_CASE("normal numbers from a Sobol sequence have the moments of the distribution") {
  const Eigen::MatrixXd z = sobol_normals(128, 3, 5);
  for (int c = 0; c < 3; ++c) {
    CHECK(z.col(c).mean() == Approx(0).margin(0.02));
    CHECK(z.col(c).squaredNorm() / 128 == Approx(1).margin(0.05));
  }
  CHECK(z.col(0).dot(z.col(1)) / 128 == Approx(0).margin(0.1));
}

TEST_CASE("without running trials the sampled improvement is the analytic one") {
  const GaussianProcess model = sample_process(12, 1);
  const Eigen::MatrixXd none(0, 3);
  const SampledAcquisition sampled({Fantasies(model, none, sobol_normals(4096, 1, 2))},
                                   log_excess(0.2), {}, {}, true);
  const LogImprovement analytic({&model, 0.2}, {});
  const Eigen::MatrixXd at = points(20, 3);
  int compared = 0;
  for (int i = 0; i < 20; ++i) {
    const double expected = analytic.value(at.row(i), nullptr);
    if (expected < -4) continue;  // too rare for samples
    CHECK(sampled.value(at.row(i), nullptr) == Approx(expected).margin(0.05));
    ++compared;
  }
  CHECK(compared > 3);
}

TEST_CASE("the sampled acquisitions' gradients are their derivatives") {
  const GaussianProcess a = sample_process(12, 1), b = sample_process(12, 2);
  const Eigen::MatrixXd running = points(3, 4);
  const Eigen::MatrixXd z = sobol_normals(64, 8, 6);
  const auto of = [&](const GaussianProcess& model, int first) {
    return Fantasies(model, running, z.middleCols(first * 4, 4));
  };
  const SampledAcquisition improvement({of(a, 0)}, log_excess(0.3), {of(b, 1)}, {0.1}, true);
  const auto boxes = open_boxes({{0.3, -0.5}, {-0.2, 0.4}}, {1, 1.5});
  const SampledAcquisition volume({of(a, 0), of(b, 1)}, log_hypervolume_improvement({boxes}), {},
                                  {}, false);
  Random random(7);
  for (int repeat = 0; repeat < 5; ++repeat) {
    const Eigen::VectorXd point = random_point(random);
    check_gradient(improvement, point);
    check_gradient(volume, point);
  }
}

TEST_CASE("open boxes hold exactly what a point adds to the hypervolume") {
  Random random(11);
  for (const size_t dims : {2, 3, 4}) {
    for (int repeat = 0; repeat < 10; ++repeat) {
      Losses rows(1 + random.below(8));
      for (auto& row : rows) {
        for (size_t k = 0; k < dims; ++k) row.push_back(std::floor(8 * random.uniform()) / 8);
      }
      const std::vector<double> reference(dims, 1.0);
      const LogUtility gain = log_hypervolume_improvement({open_boxes(rows, reference)});
      Eigen::VectorXd y(dims);
      std::vector<double> added;
      for (size_t k = 0; k < dims; ++k) {
        added.push_back(random.uniform());
        y[k] = -added.back();
      }
      Losses more = rows;
      more.push_back(added);
      const double expected = hypervolume(more, reference) - hypervolume(rows, reference);
      CHECK(std::exp(gain(0, y, nullptr)) == Approx(expected).margin(1e-9));
    }
  }
}

}  // namespace
}  // namespace hone::tune::detail
