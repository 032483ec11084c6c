"""The models of hone's samplers against their originals: CMA-ES's state against the package cmaes,
Gaussian processes and acquisition functions against Optuna's.

    tune_models.py <tune_models_probe>
"""
import math
import sys

import cmaes
import numpy as np
import torch
from optuna._gp import acqf, gp, prior
from optuna._gp.search_space import SearchSpace
from optuna.distributions import CategoricalDistribution, FloatDistribution

from tune_probe import Probe, plain

torch.set_num_threads(1)
LEAST_NOISE = prior.DEFAULT_MINIMUM_NOISE_VAR


def rosenbrock(x):
    return float((100 * (x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2).sum())


def check_cma_es(probe):
    for dimensions, seed in [(2, 0), (5, 1), (10, 2)]:
        search = cmaes.CMA(mean=np.full(dimensions, 0.5), sigma=1 / 6, seed=seed)
        generations, states = [], []
        for number in range(20):
            points = [search.ask() for _ in range(search.population_size)]
            # One generation of equals, which rank in their order.
            solutions = [(x, 1.0 if number == 10 else rosenbrock(4 * x - 2)) for x in points]
            generations.append([[x.tolist(), value] for x, value in solutions])
            search.tell(solutions)
            search._eigen_decomposition()
            states.append({"mean": search.mean.copy(), "sigma": search._sigma,
                           "covariance": search._C, "sigma_path": search._p_sigma,
                           "covariance_path": search._pc})
        ours = probe({"ask": "cma_es", "mean": [0.5] * dimensions, "sigma": 1 / 6,
                      "generations": generations})
        for our, their in zip(ours, states, strict=True):
            for key in their:
                np.testing.assert_allclose(our[key], their[key], rtol=1e-10, atol=1e-12)


def random_process(rng, n):
    """Observations at two continuous axes and one of three choices, and a model of them."""
    x = np.column_stack([rng.random((n, 2)), rng.integers(0, 3, n)])
    y = np.sin(5 * x[:, 0]) + 0.4 * x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=n)
    if n > 10:
        x[1] = x[0]  # a repeated point
    y = (y - y.mean()) / max(y.std(), 1e-10)
    lengths, scale = np.exp(rng.normal(size=3)), math.exp(rng.normal())
    noise = LEAST_NOISE + math.exp(rng.normal() - 4)
    json = {"x": x.tolist(), "y": y.tolist(), "categorical": [False, False, True],
            "lengths": lengths.tolist(), "scale": scale, "noise": noise}
    model = gp.GPRegressor(torch.tensor([False, False, True]), torch.from_numpy(x),
                           torch.from_numpy(y), torch.from_numpy(lengths), torch.tensor(scale,
                           dtype=torch.float64), torch.tensor(noise, dtype=torch.float64))
    model._cache_matrix()
    return json, model


def loss_of(model, raw):
    """Optuna's objective of a fit at raw parameters, and its gradient."""
    raw = torch.tensor(raw, dtype=torch.float64, requires_grad=True)
    model.inverse_squared_lengthscales = raw[:-2].exp()
    model.kernel_scale, model.noise_var = raw[-2].exp(), raw[-1].exp() + LEAST_NOISE
    loss = -model.marginal_log_likelihood() - prior.default_log_prior(model)
    loss.backward()
    return loss.item(), raw.grad.tolist()


def check_gaussian(probe, rng):
    for n in [1, 3, 12, 40]:
        json, model = random_process(rng, n)
        points = np.column_stack([rng.random((5, 2)), rng.integers(0, 3, 5)])
        raw = (rng.normal(size=5) - 1).tolist()
        ours = probe({"ask": "gaussian", "process": json, "points": points.tolist(), "raw": raw})
        mean, variance = model.posterior(torch.from_numpy(points))
        _, covariance = model.posterior(torch.from_numpy(points), joint=True)
        for key, theirs in [("mean", mean), ("variance", variance), ("covariance", covariance)]:
            np.testing.assert_allclose(ours[key], theirs, rtol=1e-9, atol=1e-9)
        loss, gradient = loss_of(model, raw)
        np.testing.assert_allclose(ours["loss"], loss, rtol=1e-10)
        np.testing.assert_allclose(ours["gradient"], gradient, rtol=1e-8, atol=1e-8)
        # Both fits end where the gradient is below 0.01; ours is at least as good but for that.
        fitted = gp.fit_kernel_params(np.array(json["x"]), np.array(json["y"]),
                                      np.array(json["categorical"]), prior.default_log_prior,
                                      LEAST_NOISE, False)
        found = np.log([*ours["lengths"], ours["scale"], max(ours["noise"] - LEAST_NOISE, 1e-10)])
        theirs = torch.cat([fitted.inverse_squared_lengthscales, fitted.kernel_scale[None],
                            (fitted.noise_var - LEAST_NOISE)[None]]).log().tolist()
        ours_loss, theirs_loss = loss_of(model, found)[0], loss_of(model, theirs)[0]
        assert ours_loss < theirs_loss + 2e-3, (n, ours_loss, theirs_loss, found, theirs)


def check_improvement(probe, rng):
    space = SearchSpace({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1),
                         "c": CategoricalDistribution([1, 2, 3])})
    for threshold, limits in [(0.7, []), (5.0, []), (100.0, []), (0.7, [0.2]),
                              (0.3, [-0.5, 40.0]), (-math.inf, [0.1])]:
        json, model = random_process(rng, 15)
        constraints = [random_process(rng, 12) for _ in limits]
        if limits:
            function = acqf.LogCEI(model, space, threshold, [m for _, m in constraints], limits)
        else:
            function = acqf.LogEI(model, space, threshold)
        points = np.column_stack([rng.random((8, 2)), rng.integers(0, 3, 8)])
        points[0] = json["x"][0]  # known
        tensor = torch.tensor(points, requires_grad=True)
        values = function.eval_acqf(tensor)
        values.sum().backward()
        ours = probe({"ask": "improvement", "points": points.tolist(),
                      "objective": {"process": json, "threshold": plain(threshold)},
                      "constraints": [{"process": j, "threshold": limit} for (j, _), limit in
                                      zip(constraints, limits)]})
        np.testing.assert_allclose(ours["values"], values.detach(), rtol=1e-7)
        gradients, theirs = np.array(ours["gradients"])[:, :2], tensor.grad[:, :2].numpy()
        finite = np.isfinite(theirs)  # Optuna's are NaN where its direct branch takes log(0)
        assert np.isfinite(gradients).all() and (threshold == 100 or finite.sum() > 8)
        np.testing.assert_allclose(gradients[finite], theirs[finite], rtol=1e-5, atol=1e-7)


def main(path):
    probe = Probe(path)
    rng = np.random.default_rng(0)
    check_cma_es(probe)
    check_gaussian(probe, rng)
    check_improvement(probe, rng)
    print("CMA-ES's state, Gaussian processes and acquisition functions agree")


if __name__ == "__main__":
    main(sys.argv[1])
