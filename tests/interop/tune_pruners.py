"""Each decision of each pruner, and the attributes written, against Optuna's on recorded curves.

    tune_pruners.py <tune_pruner_probe>
"""
import collections
import sys

import numpy as np
import optuna
from optuna import pruners
from optuna.trial import TrialState
from scipy import stats

from tune_probe import Probe, plain, same, trial_json

STUDIES = 210


def median(rng):
    options = {"n_startup_trials": int(rng.integers(0, 5)), "n_warmup_steps": int(rng.integers(0, 4)),
               "interval_steps": int(rng.integers(1, 4)), "n_min_trials": int(rng.integers(1, 4))}
    return pruners.MedianPruner(**options), options


def percentile(rng):
    _, options = median(rng)
    options["percentile"] = float(rng.choice([0, 10, 25, 33.3, 60, 75, 100]))
    return pruners.PercentilePruner(**options), options


def successive_halving(rng):
    options = {"reduction_factor": int(rng.integers(2, 5)),
               "min_early_stopping_rate": int(rng.integers(0, 2))}
    if rng.random() < 0.7:
        options["min_resource"] = int(rng.integers(1, 4))
        options["bootstrap_count"] = int(rng.choice([0, 0, 2]))
    return pruners.SuccessiveHalvingPruner(**options), options


def hyperband(rng):
    options = {"min_resource": int(rng.integers(1, 3)), "reduction_factor": int(rng.integers(2, 4))}
    if rng.random() < 0.7:
        options["max_resource"] = int(rng.integers(3, 30))
        options["bootstrap_count"] = int(rng.choice([0, 0, 1]))
    return pruners.HyperbandPruner(**options), options


def wilcoxon(rng):
    options = {"p_threshold": float(rng.choice([0.02, 0.1, 0.125, 0.25, 0.5])),
               "n_startup_steps": int(rng.integers(0, 6))}
    return pruners.WilcoxonPruner(**options), options


def threshold(rng):
    lower, upper = sorted(rng.normal(size=2) * 2)
    options = {"n_warmup_steps": int(rng.integers(0, 4)), "interval_steps": int(rng.integers(1, 4))}
    options |= {"lower": lower} if rng.random() < 0.7 else {}
    options |= {"upper": upper} if rng.random() < 0.7 or "lower" not in options else {}
    return pruners.ThresholdPruner(**options), options


def none(rng):
    return pruners.NopPruner(), {}


KINDS = [median, percentile, successive_halving, hyperband, wilcoxon, threshold, none]


def random_pruner(rng, kind):
    theirs, options = kind(rng)
    ours = {"kind": kind.__name__}
    if kind is not none:
        ours[kind.__name__] = options
    if kind is none or rng.random() < 0.25:
        patient = {"patience": int(rng.integers(0, 4)),
                   "min_delta": float(rng.choice([0, 0.1, 1]))}
        ours["patient"] = patient
        theirs = pruners.PatientPruner(None if kind is none else theirs, **patient)
    return theirs, ours


def random_curve(rng, kind):
    """(step, value) in the order of reporting: noise, ties, gaps, NaN, infinities, any order."""
    n = int(rng.integers(1, 70 if kind is wilcoxon and rng.random() < 0.3 else 14))
    steps = np.arange(n)
    if rng.random() < 0.4:
        steps = np.cumsum(rng.integers(1, 4, size=n))
    if rng.random() < 0.2:
        rng.shuffle(steps)
    values = rng.normal() + np.exp(-steps / 5.0) + 0.3 * rng.normal(size=n)
    if rng.random() < 0.3:
        values = np.round(2 * values) / 2
    if rng.random() < 0.3:
        values[rng.random(n) < 0.2] = rng.choice([np.nan, np.inf, -np.inf])
    if rng.random() < 0.05:
        values[:] = np.nan
    return list(zip(steps.tolist(), values.tolist()))


def finish(study, rng, trial, value):
    """No two trials end equal: which of equals is best depends on Optuna's storage."""
    if rng.random() < 0.1:
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, (0.0 if value is None else value) + 1e-9 * trial.number)


def clamped(attrs):
    """Optuna writes infinities, which JSON has not."""
    most = sys.float_info.max
    return {key: float(np.clip(value, -most, most)) for key, value in attrs.items()}


def play(probe, rng, index, counts):
    kind = KINDS[index % len(KINDS)]
    theirs, options = random_pruner(rng, kind)
    direction = str(rng.choice(["minimize", "maximize"]))
    study = optuna.create_study(study_name=f"study ü {index}", direction=direction, pruner=theirs,
                                sampler=optuna.samplers.RandomSampler(seed=0))
    probe({"begin": {"name": study.study_name, "directions": [direction], "trials": []},
           "pruner": options})

    def now(number):
        return study.get_trials(deepcopy=False)[number]

    def send(number):
        json = trial_json(now(number))
        probe({"trial": json | {"system_attrs": clamped(now(number).system_attrs)}})

    running = []  # side by side, as workers run them
    left = int(rng.integers(8, 22))
    while left or running:
        if left and (not running or (len(running) < 3 and rng.random() < 0.3)):
            running.append((study.ask(), random_curve(rng, kind)))
            left -= 1
            send(running[-1][0].number)
            continue
        i = int(rng.integers(len(running)))
        trial, curve = running[i]
        step, value = curve.pop(0)
        trial.report(value, step)
        send(trial.number)
        prune = trial.should_prune()
        wanted = [prune, clamped(now(trial.number).system_attrs)]
        ours = probe({"prune": trial.number})
        assert ours == wanted, (ours, wanted, index, options, direction, trial.number, step,
                                study.trials)
        counts[kind.__name__, prune] += 1
        if kind is hyperband and "patient" not in options:
            seen = optuna.pruners._filter_study(study, now(trial.number))
            seen = [t.number for t in seen.get_trials(deepcopy=False)]
            assert probe({"view": trial.number}) == seen, (index, options, trial.number)
        if prune and rng.random() < 0.7:
            study.tell(trial, state=TrialState.PRUNED)
        elif not curve:
            finish(study, rng, trial, value if np.isfinite(value) else None)
        if now(trial.number).state != TrialState.RUNNING:
            running.pop(i)
        send(trial.number)


def check_signed_rank(probe, rng):
    for n in range(2, 70):
        for case in range(4):
            d = rng.normal(loc=0.2, size=n)
            if case == 1:
                d[rng.integers(n)] = 0
            if case >= 2:
                d = np.round(d * case) / case  # zeros and ties
            theirs = stats.wilcoxon(d, alternative="greater", zero_method="zsplit").pvalue
            same(probe({"signed_rank": plain(d)}), theirs, 1e-12)


def main():
    np.seterr(all="ignore")
    probe = Probe(sys.argv[1])
    rng = np.random.default_rng(7)
    check_signed_rank(probe, rng)
    counts = collections.Counter()
    for index in range(STUDIES):
        play(probe, rng, index, counts)
    for kind in KINDS:
        stopped, kept = counts[kind.__name__, True], counts[kind.__name__, False]
        assert stopped > 20 and kept > 20, (kind.__name__, stopped, kept)
        print(f"{kind.__name__}: {stopped + kept} decisions equal, {stopped} of them to stop")


if __name__ == "__main__":
    main()
