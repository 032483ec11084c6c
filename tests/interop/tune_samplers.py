#!/usr/bin/env python3
"""hone's samplers against Optuna's with the same seed on the same history.

Usage: tune_samplers.py <sampler_probe>

Optuna runs; before each of its trials hone is shown the trials that Optuna has finished, is asked
what Optuna was asked, and every value is compared.
"""
import json
import math
import subprocess
import sys
import warnings

import numpy as np
import optuna
from optuna.distributions import (CategoricalDistribution, FloatDistribution, IntDistribution,
                                  distribution_to_json)

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")


def plain(value):
    """A number as the probe reads it."""
    value = float(value)
    return value if math.isfinite(value) else "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


class Probe:
    """One sampler of hone."""

    def __init__(self, program, sampler, seed, directions=("minimize",), **options):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask(op="new", sampler=sampler, seed=seed, directions=directions, options=options)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"{request}: {answer['error']}")
        return answer

    def tell(self, trial):
        """Shows a FrozenTrial."""
        params = [[name, d.to_internal_repr(trial.params[name]), distribution_to_json(d)]
                  for name, d in trial.distributions.items()]
        self.ask(op="trial", number=trial.number, state=trial.state.name.lower(), params=params,
                 values=[plain(v) for v in trial.values or []],
                 intermediate={str(k): plain(v) for k, v in trial.intermediate_values.items()},
                 system_attrs={k: v for k, v in trial.system_attrs.items()})

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
        probe = Probe(program, "random", seed)
        different = 0
        for name, distribution in KINDS.items():
            for _ in range(1000):
                expected = study.sampler.sample_independent(study, None, name, distribution)
                got = probe.independent(0, name, distribution)
                different += got != distribution.to_internal_repr(expected)
        probe.close()
        report.check(f"random, seed {seed}", different == 0,
                     f"{different} of {1000 * len(KINDS)} draws differ")


def main(program):
    report = Report()
    random_sampler(program, report)
    sys.exit(report.failures > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
