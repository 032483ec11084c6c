"""Fronts, domination ranks, hypervolumes, subsets and crowding distances against Optuna's own.

    tune_pareto.py <tune_analysis_probe>
"""
import sys

import numpy as np
from optuna import create_study, create_trial
from optuna._hypervolume import compute_hypervolume
from optuna._hypervolume.hssp import _solve_hssp
from optuna.samplers._tpe.sampler import _get_reference_point
from optuna.samplers._tpe.sampler import _split_complete_trials_multi_objective
from optuna.samplers.nsgaii._elite_population_selection_strategy import _calc_crowding_distance
from optuna.study._multi_objective import _fast_non_domination_rank

from tune_probe import Probe, plain, same

CASES = 150


def random_rows(rng):
    """Rows with ties, repeats, fronts and, now and then, infinities."""
    width, n = int(rng.integers(1, 6)), int(rng.integers(1, 45))
    kind = rng.integers(5)
    rows = rng.normal(size=(n, width))
    if kind == 0:
        rows = rng.integers(0, 4, size=(n, width)).astype(float)
    elif kind == 1:  # a front
        rows = rng.random((n, width))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    elif kind == 2:
        rows = rows[rng.integers(0, n, size=n)]
    elif kind == 3:
        rows[rng.random(rows.shape) < 0.1] = rng.choice([np.inf, -np.inf])
    return rows


def study_of(rows, directions):
    study = create_study(directions=directions)
    study.add_trials([create_trial(values=row.tolist()) for row in rows])
    return study


def check_front(probe, rng, rows):
    directions = [str(rng.choice(["minimize", "maximize"])) for _ in range(rows.shape[1])]
    constraints = [rng.integers(-2, 3, size=2).tolist() if rng.random() < 0.5 else [] for _ in rows]
    study = create_study(directions=directions)
    for row, c in zip(rows, constraints):
        study.add_trial(create_trial(values=row.tolist(),
                                     system_attrs={"constraints": c} if c else {}))
    if len(directions) == 1:
        return
    trials = [{"number": i, "state": "complete", "values": plain(row),
               "system_attrs": {"constraints": c} if c else {}}
              for i, (row, c) in enumerate(zip(rows, constraints))]
    ours = probe({"ask": "front",
                  "study": {"name": "s", "directions": directions, "trials": trials}})
    assert ours == [t.number for t in study.best_trials], (rows, directions, constraints)


def check_ranks(probe, rng, rows):
    at_least = int(rng.integers(1, len(rows) + 1))
    theirs = _fast_non_domination_rank(rows, n_below=at_least).tolist()
    assert probe({"ask": "ranks", "rows": plain(rows), "at_least": at_least}) == theirs, rows
    violations = np.maximum(0, rng.integers(-2, 3, size=len(rows))).astype(float)
    theirs = _fast_non_domination_rank(rows, penalty=violations, n_below=at_least).tolist()
    ours = probe({"ask": "constrained_ranks", "rows": plain(rows), "at_least": at_least,
                  "violations": plain(violations)})
    assert ours == theirs, (rows, violations, at_least)


def check_volume(probe, rng, rows):
    reference = _get_reference_point(rows)
    same(probe({"ask": "reference", "rows": plain(rows)}), reference, 1e-15)
    theirs = compute_hypervolume(rows, reference)
    ours = probe({"ask": "volume", "rows": plain(rows), "reference": plain(reference)})
    same(ours, theirs, 1e-12)
    count = int(rng.integers(1, len(rows) + 1))
    theirs = _solve_hssp(rows, np.arange(len(rows)), count, reference).tolist()
    ours = probe({"ask": "subset", "rows": plain(rows), "reference": plain(reference),
                  "count": count})
    if ours != theirs:  # gains that are equal but for rounding, which BLAS does in another order
        k = next(i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b)
        same(*(compute_hypervolume(rows[chosen[:k + 1]], reference) for chosen in (ours, theirs)),
             1e-12)
        return 1
    return 0


def check_best(probe, rng, rows):
    if rows.shape[1] == 1:
        return
    rows = rows + 1e-3 * rng.normal(size=rows.shape)  # no gains that differ by rounding only
    study = study_of(rows, ["minimize"] * rows.shape[1])
    count = int(rng.integers(0, len(rows) + 1))
    theirs, _ = _split_complete_trials_multi_objective(study.trials, study, count)
    ours = probe({"ask": "best", "rows": plain(rows), "count": count})
    assert ours == [t.number for t in theirs], (rows, count)


def check_crowding(probe, rng, rows):
    trials = study_of(rows, ["minimize"] * rows.shape[1]).trials
    theirs = _calc_crowding_distance(list(trials))
    ours = probe({"ask": "crowding", "rows": plain(rows)})
    same(ours, [theirs[i] for i in range(len(rows))], 1e-12)


def main():
    np.seterr(all="ignore")
    probe = Probe(sys.argv[1])
    rng = np.random.default_rng(4)
    ties = 0
    for _ in range(CASES):
        rows = random_rows(rng)
        ties += check_volume(probe, rng, rows)
        for check in (check_front, check_ranks, check_best, check_crowding):
            check(probe, rng, rows)
    assert ties <= CASES // 10, ties
    print(f"{CASES} sets of rows: fronts, ranks, subsets equal but for {ties} ties; "
          "hypervolumes to 1e-12")


if __name__ == "__main__":
    main()
