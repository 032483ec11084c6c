"""Optuna's simple regret on the standard functions, into tests/interop/tune_regret.json, which
tests/interop/tune_regret.py compares hone with. Takes about half an hour on one core:
  OMP_NUM_THREADS=1 <oracle python> scripts/bench/optuna_regret.py [<sampler> [<function>...]]
Samplers and functions that are not named keep their results."""
import datetime
import json
import pathlib
import sys

import cmaes
import optuna
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))
from tune_functions import FUNCTIONS

FIXTURE = ROOT / "tests/interop/tune_regret.json"
# Trials and seeds of each sampler.
SAMPLERS = {"gp": (optuna.samplers.GPSampler, 50, 20),
            "cma_es": (optuna.samplers.CmaEsSampler, 200, 20)}


def regret(sampler, function, seed, trials):
    study = optuna.create_study(sampler=sampler(seed=seed, warn_independent_sampling=False))
    study.optimize(lambda trial: function.call(
        **{name: trial._suggest(name, d) for name, d in function.space.items()}), n_trials=trials)
    return study.best_value - function.least


def main(names, functions):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(1)
    for name in names:
        sampler, trials, seeds = SAMPLERS[name]
        for function in functions:
            values = [regret(sampler, FUNCTIONS[function], seed, trials) for seed in range(seeds)]
            fixture = json.loads(FIXTURE.read_text()) if FIXTURE.exists() else {}
            fixture.setdefault(name, {"trials": trials})[function] = {
                "optuna": optuna.__version__, "cmaes": cmaes.__version__,
                "torch": torch.__version__, "date": str(datetime.date.today()), "regret": values}
            FIXTURE.write_text(json.dumps(fixture, indent=1) + "\n")
            print(name, function, sorted(values)[len(values) // 2], flush=True)


if __name__ == "__main__":
    main([sys.argv[1]] if len(sys.argv) > 1 else SAMPLERS, sys.argv[2:] or FUNCTIONS)
