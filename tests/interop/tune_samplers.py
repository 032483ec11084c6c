#!/usr/bin/env python3
"""hone's samplers against Optuna's with the same seed on the same history.

Usage: tune_samplers.py <sampler_probe>

Optuna runs its study; whenever it asks its sampler, hone is shown the same trials and asked the same,
and every value is compared: choices and integers exactly, reals to 1e-9 of their size.
"""
import math
import sys

import numpy as np
import optuna
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import (CategoricalDistribution, FloatDistribution, IntDistribution,
                                  distribution_to_json)
from optuna.samplers._tpe import parzen_estimator
from scipy.stats import qmc

import tune_probe

RELATIVE = 1e-9


class Probe(tune_probe.Probe):
    """One sampler of hone."""

    def __init__(self, program, sampler, seed, directions=("minimize",), **options):
        super().__init__(program)
        self.told = set()
        self.ask(op="new", sampler=sampler, seed=seed, directions=list(directions), options=options)

    def ask(self, **request):
        answer = self(request)
        if "error" in answer:
            raise RuntimeError(f"{request}: {answer['error']}")
        return answer

    def tell(self, study):
        """Shows what changed."""
        for trial in study.get_trials(deepcopy=False):
            if trial.number not in self.told:
                self.ask(op="trial", **tune_probe.trial_json(trial))
            if trial.state.is_finished():
                self.told.add(trial.number)

    def relative(self, number):
        return self.ask(op="relative", number=number)

    def independent(self, number, name, distribution):
        return float(self.ask(op="independent", number=number, name=name,
                              distribution=distribution_to_json(distribution))["value"])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Report:
    def __init__(self):
        self.failures = 0

    def check(self, name, good, text):
        print(f"{'ok  ' if good else 'FAIL'} {name}: {text}", flush=True)
        self.failures += not good


KINDS = {
    "real": FloatDistribution(-5, 10), "log real": FloatDistribution(1e-6, 1e-1, log=True),
    "stepped real": FloatDistribution(0, 0.5, step=0.05), "int": IntDistribution(-3, 1000),
    "stepped int": IntDistribution(4, 128, step=4), "log int": IntDistribution(1, 256, log=True),
    "categorical": CategoricalDistribution(["const", "linear", None, 7, 2.5, True]),
}


def random_sampler(program, report):
    """1,000 draws of each kind of distribution, one stream."""
    for seed in (0, 12345, 2**32 - 1):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
        ours = Probe(program, "random", seed)
        different = 0
        for name, distribution in KINDS.items():
            for _ in range(1000):
                expected = study.sampler.sample_independent(study, None, name, distribution)
                got = ours.independent(0, name, distribution)
                different += got != distribution.to_internal_repr(expected)
        ours.close()
        report.check(f"random, seed {seed}", different == 0,
                     f"{different} of {1000 * len(KINDS)} draws differ")


def grid_sampler(program, report):
    """A grid begun behind an enqueued trial: points, their ids and the end."""
    grid = {"opt": ["sgd", None, True], "lr": [1e-3, 0.01, 1.0], "n": [2, 4]}
    ours = Probe(program, "grid", 5, **grid)
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(grid, seed=5))
    study.enqueue_trial({"opt": None, "lr": 0.01, "n": 4})
    different = [0]

    def objective(trial):
        space = {"lr": FloatDistribution(1e-4, 1, log=True), "n": IntDistribution(1, 8),
                 "opt": CategoricalDistribution(["adamw", "sgd", None, True])}
        values = {name: trial._suggest(name, d) for name, d in space.items()}
        if trial.number > 0:
            for other in study.get_trials(deepcopy=False)[:-1]:
                if other.number not in ours.told:
                    ours.ask(op="trial", **tune_probe.trial_json(other))
                    ours.told.add(other.number)
            attributes = study.get_trials(deepcopy=False)[-1].system_attrs
            different[0] += ours.relative(trial.number)["attrs"] != attributes
            different[0] += any(ours.independent(trial.number, name, d) != d.to_internal_repr(values[name])
                                for name, d in space.items())
        return 1

    study.optimize(objective, n_trials=50)
    ours.ask(op="trial", **tune_probe.trial_json(study.trials[-1]))
    report.check("grid", different[0] == 0 and len(study.trials) == 19 and ours.ask(op="exhausted")["value"],
                 f"{different[0]} of {len(study.trials) - 1} points differ")
    ours.close()


def quasi_random_sampler(program, report):
    """SciPy's scrambled points, as Optuna maps them to parameters."""
    plain = {name: FloatDistribution(0, len(d.choices)) if isinstance(d, CategoricalDistribution) else d
             for name, d in sorted(KINDS.items())}
    transform = _SearchSpaceTransform(plain, transform_0_1=True)
    points = qmc.Sobol(len(KINDS), scramble=True, seed=77).random(256)
    ours = Probe(program, "quasi_random", 77)
    ours.ask(op="trial", number=0, state="complete", values=[1.0],
             params=[[name, 1 if d is KINDS["categorical"] else d.low, distribution_to_json(d)]
                     for name, d in KINDS.items()])
    different = 0
    for number in range(1, 256):
        got = ours.relative(number)["values"]
        for name, value in transform.untransform(points[number]).items():
            value = math.floor(value) if name == "categorical" else value
            different += not math.isclose(got[name], value, rel_tol=1e-14)
    ours.close()
    report.check("quasi-random", different == 0, f"{different} of {255 * len(KINDS)} values differ")


def beside(sampler, ours):
    """The Optuna sampler, which now has `ours` do the same. Returns the differences that it will
    collect, as (trial, parameter, Optuna's, hone's), and the counted values in a list of one."""
    differences, counted = [], [0]
    relative, independent = sampler.sample_relative, sampler.sample_independent

    def compare(number, name, distribution, value, got):
        counted[0] += 1
        value = distribution.to_internal_repr(value)
        exact = not isinstance(distribution, FloatDistribution)
        if got is None or not math.isclose(got, value, rel_tol=0 if exact else RELATIVE):
            differences.append((number, name, value, got))

    def sample_relative(study, trial, space):
        ours.tell(study)
        got = ours.relative(trial.number)["values"]
        values = relative(study, trial, space)
        for name in values.keys() | got.keys():
            if name not in values:
                differences.append((trial.number, name, None, got[name]))
            else:
                compare(trial.number, name, space[name], values[name], got.get(name))
        return values

    def sample_independent(study, trial, name, distribution):
        ours.tell(study)
        got = ours.independent(trial.number, name, distribution)
        value = independent(study, trial, name, distribution)
        compare(trial.number, name, distribution, value, got)
        return value

    sampler.sample_relative, sampler.sample_independent = sample_relative, sample_independent
    return differences, counted


class StableNumpy:
    """NumPy with a stable argsort."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def argsort(values):
        return np.argsort(values, kind="stable")


# Objectives. The last line of each says how it ends: with values or by being pruned.

def rosenbrock5(trial):
    x = np.array([trial.suggest_float(f"x{i}", -5, 10) for i in range(5)])
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def logs(trial):
    x = [math.log10(trial.suggest_float(f"x{i}", 10.0 ** -(4 + i), 1, log=True)) for i in range(4)]
    return sum((v + 1 + i) ** 2 for i, v in enumerate(x)) + abs(x[0] - x[1])


def mixed7(trial):
    lr = math.log10(trial.suggest_float("lr", 1e-6, 1e-1, log=True))
    wd = math.log10(trial.suggest_float("wd", 1e-6, 1e-1, log=True))
    bs = math.log2(trial.suggest_int("bs", 1, 256, log=True))
    rank = math.log2(trial.suggest_int("rank", 4, 128, step=4))
    sched = trial.suggest_categorical("sched", ["const", "linear", "cosine", "wsd"])
    opt = trial.suggest_categorical("opt", ["sgd", "adamw", "lion"])
    drop = trial.suggest_float("drop", 0, 0.5, step=0.05)
    best = -3.2 + {"sgd": 1.5, "adamw": 0, "lion": -0.6}[opt] + 0.25 * (bs - 4)
    return ((lr - best) ** 2 + 0.1 * (wd + 2.5) ** 2 + 0.05 * (bs - 5) ** 2 + 0.15 * (rank - 5) ** 2
            + {"const": 0.4, "linear": 0.1, "cosine": 0, "wsd": 0.05}[sched]
            + {"sgd": 0.5, "adamw": 0, "lion": 0.08}[opt] + 4 * (drop - 0.1) ** 2)


def conditional(trial):
    kind = trial.suggest_categorical("kind", ["tree", "net", "line"])
    x = trial.suggest_float("x", 0, 1)
    if kind == "tree":
        return (trial.suggest_int("depth", 1, 12) - 7) ** 2 / 10 + x
    if kind == "net":
        width = trial.suggest_int("width", 1, 64, log=True)
        rate = trial.suggest_float("rate", 1e-4, 1, log=True)
        return abs(math.log2(width) - 4) + abs(math.log10(rate) + 2) + x
    return 2 + x - trial.suggest_float("slope", -1, 1)


def two_objectives(trial):
    f = mixed7(trial)
    return f, trial.params["rank"] / 128 + 0.1 * math.log2(trial.params["bs"])


def three_objectives(trial):
    x = [trial.suggest_float(f"x{i}", 0, 1) for i in range(4)]
    return x[0], x[1] * (1 + x[3]), -((x[0] - 0.5) ** 2 + x[1] + x[2] ** 2)


def pruned_and_constrained(trial):
    f = rosenbrock5(trial)
    for step in range(1 + trial.number % 4):
        trial.report(-f * (4 - step), step)
    if trial.number % 11 == 3:
        trial.report(math.nan, 7)
    x = trial.params
    trial.set_constraint("sum", x["x0"] + x["x1"] - 9)
    trial.set_constraint("other", x["x2"] - 8)
    if f > 60000 or trial.number % 11 == 3:
        raise optuna.TrialPruned
    if trial.number % 17 == 5:
        raise ArithmeticError
    return math.inf * -1 if trial.number == 20 else -f


def moving_range(trial):
    x = trial.suggest_float("x", -3, 3)
    y = trial.suggest_float("y", 0, 2 + trial.number % 5)
    z = trial.suggest_int("z", 0, 10)
    return x * x + (y - 1) ** 2 + abs(z - 4) * 0.3


MIN = ("minimize",)
CASES = [  # name, objective, seed, directions, trials, batch, options
    ("continuous", rosenbrock5, 0, MIN, 200, 1, {}),
    ("continuous, seed 12345", rosenbrock5, 12345, MIN, 60, 1, {}),
    ("continuous, univariate", rosenbrock5, 1, MIN, 60, 1, {"multivariate": False}),
    ("log", logs, 2, MIN, 200, 1, {}),
    ("mixed", mixed7, 0, MIN, 200, 1, {}),
    ("mixed, univariate", mixed7, 3, MIN, 60, 1, {"multivariate": False}),
    ("conditional groups", conditional, 4, MIN, 200, 1, {"group": True}),
    ("conditional, no groups", conditional, 5, MIN, 60, 1, {}),
    ("two objectives", two_objectives, 6, ("minimize", "minimize"), 60, 1, {}),
    ("three objectives, joint", three_objectives, 7, ("minimize", "minimize", "maximize"), 200, 1,
     {"multivariate": True}),
    ("pruned, failed, constrained", pruned_and_constrained, 8, ("maximize",), 200, 1, {}),
    ("parallel", mixed7, 9, MIN, 200, 8, {}),
    ("parallel, no liar", rosenbrock5, 10, MIN, 80, 8, {"constant_liar": False}),
    ("moving range", moving_range, 11, MIN, 80, 1, {}),
]
TIES = "mixed"  # the case in which NumPy's own order of ties is looked at


def run(study, objective, trials, batch):
    """`batch` trials at a time, of which none ends before all began."""
    if batch == 1:
        study.optimize(objective, n_trials=trials, catch=ArithmeticError)
        return
    for _ in range(trials // batch):
        begun = [study.ask() for _ in range(batch)]
        values = [objective(trial) for trial in begun]
        for trial, value in reversed(list(zip(begun, values))):
            study.tell(trial, value)


def tpe_case(program, objective, seed, directions, trials, batch, options):
    """(differences, trials that differ, values)"""
    theirs = optuna.samplers.TPESampler(seed=seed, **options)
    ours = Probe(program, "tpe", seed, directions, choice_prior_weight=1, **options)
    differences, counted = beside(theirs, ours)
    run(optuna.create_study(directions=directions, sampler=theirs), objective, trials, batch)
    ours.close()
    return differences, len({number for number, *_ in differences}), counted[0]


def tpe(program, report):
    parzen_estimator.np = StableNumpy()
    for name, *case in CASES:
        differences, _, values = tpe_case(program, *case)
        report.check(f"TPE, {name}", not differences,
                     f"{len(differences)} of {values} values differ {differences[:2]}")
    parzen_estimator.np = np
    case = next(case for name, *case in CASES if name == TIES)
    _, trials, _ = tpe_case(program, *case)
    print(f"     {TIES}, where NumPy orders ties its own way: {trials} of {case[3]} trials differ")


def main(program):
    report = Report()
    random_sampler(program, report)
    grid_sampler(program, report)
    quasi_random_sampler(program, report)
    tpe(program, report)
    sys.exit(report.failures > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
