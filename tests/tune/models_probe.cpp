// Computes what tests/interop/tune_models.py compares with cmaes and Optuna.
#include "hone/tune/samplers/detail/acquisition.h"
#include "hone/tune/samplers/detail/cma_es.h"
#include "probe.h"

using namespace hone;
using namespace hone::tune;
using namespace hone::tune::detail;

namespace {

Eigen::VectorXd vector(const Json& json) {
  const std::vector<double> values = probe::numbers(json);
  return Eigen::Map<const Eigen::VectorXd>(values.data(), values.size());
}

Eigen::MatrixXd matrix(const Json& json) {
  Eigen::MatrixXd rows(json.size(), json.at(0).size());
  for (Eigen::Index i = 0; i < rows.rows(); ++i) rows.row(i) = vector(json.at(i));
  return rows;
}

Json numbers(const Eigen::VectorXd& values) {
  return probe::numbers(std::vector<double>(values.begin(), values.end()));
}

Json rows(const Eigen::MatrixXd& values) {
  Json json = Json::array();
  for (Eigen::Index i = 0; i < values.rows(); ++i) json.push_back(numbers(values.row(i)));
  return json;
}

/// {"mean", "sigma", "generations": [[[x, value], ...], ...]} -> the state after each.
Json cma_es(const Json& ask) {
  CmaEs search(vector(ask.at("mean")), ask.at("sigma").get<double>());
  Json states = Json::array();
  for (const Json& generation : ask.at("generations")) {
    std::vector<CmaEs::Solution> solutions;
    for (const Json& s : generation) solutions.push_back({vector(s.at(0)), probe::number(s.at(1))});
    search.update(solutions);
    states.push_back({{"mean", numbers(search.mean())},
                      {"sigma", search.sigma()},
                      {"covariance", rows(search.covariance())},
                      {"sigma_path", numbers(search.sigma_path())},
                      {"covariance_path", numbers(search.covariance_path())}});
  }
  return states;
}

GaussianProcess process(const Json& json) {
  GaussianProcess process(matrix(json.at("x")), vector(json.at("y")),
                          json.at("categorical").get<std::vector<bool>>());
  if (json.contains("lengths")) {
    process.set({vector(json.at("lengths")), json.at("scale").get<double>(),
                 json.at("noise").get<double>()});
  }
  return process;
}

/// {"process", "raw", "points"} -> loss and gradient at raw, posterior at the points, MAP fit.
Json gaussian(const Json& ask) {
  GaussianProcess model = process(ask.at("process"));
  const Eigen::MatrixXd points = matrix(ask.at("points"));
  Eigen::VectorXd gradient, mean, variance;
  const double loss = model.loss(vector(ask.at("raw")), gradient);
  model.predict(points, mean, variance);
  const Eigen::MatrixXd covariance = model.covariance(points);
  model.fit();
  const KernelParams& fit = model.params();
  return {{"loss", loss},
          {"gradient", numbers(gradient)},
          {"mean", numbers(mean)},
          {"variance", numbers(variance)},
          {"covariance", rows(covariance)},
          {"lengths", numbers(fit.inverse_squared_lengths)},
          {"scale", fit.scale},
          {"noise", fit.noise}};
}

/// {"objective": {"process", "threshold"}, "constraints": [...], "points"} -> values, gradients.
Json improvement(const Json& ask) {
  std::vector<GaussianProcess> models = {process(ask.at("objective").at("process"))};
  for (const Json& c : ask.at("constraints")) models.push_back(process(c.at("process")));
  std::vector<Target> constraints;
  for (size_t i = 1; i < models.size(); ++i) {
    constraints.push_back(
        {&models[i], probe::number(ask.at("constraints").at(i - 1).at("threshold"))});
  }
  const LogImprovement acquisition({&models[0], probe::number(ask.at("objective").at("threshold"))},
                                   constraints);
  const Eigen::MatrixXd points = matrix(ask.at("points"));
  Json gradients = Json::array();
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    Eigen::VectorXd gradient;
    acquisition.value(points.row(i), &gradient);
    gradients.push_back(numbers(gradient));
  }
  return {{"values", numbers(acquisition.values(points))}, {"gradients", gradients}};
}

Json answer(const Json& ask) {
  const std::string what = ask.at("ask").get<std::string>();
  if (what == "cma_es") return cma_es(ask);
  if (what == "gaussian") return gaussian(ask);
  if (what == "improvement") return improvement(ask);
  throw Error("cannot answer " + what);
}

}  // namespace

int main() { return probe::serve(answer); }
