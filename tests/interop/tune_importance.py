"""Importances against Optuna's PED-ANOVA, and the CSV's columns against its data frame's.

    tune_importance.py <tune_analysis_probe>
"""
import csv
import io
import sys

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study._dataframe import _create_records_and_aggregate_column, _flatten_columns
from optuna.trial import TrialState, create_trial

from tune_probe import Probe, same, study_json

STUDIES = 80

SPACE = {
    "uniform": FloatDistribution(-3, 2.5),
    "log": FloatDistribution(1e-6, 0.1, log=True),
    "grid": FloatDistribution(0, 0.5, step=0.05),
    "fine": FloatDistribution(0, 1, step=0.001),
    "int": IntDistribution(1, 7),
    "wide int": IntDistribution(4, 4096, step=4),
    "log int": IntDistribution(1, 256, log=True),
    "two": IntDistribution(1, 2, log=True),
    "choice": CategoricalDistribution(["a", None, 3, True, 2.5]),
    "single": FloatDistribution(1, 1),
}


def draw(rng, distribution):
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    low, high = distribution.low, distribution.high
    value = np.exp(rng.uniform(np.log(low), np.log(high))) if distribution.log else (
        rng.uniform(low, high))
    if isinstance(distribution, IntDistribution):
        return int(low + (int(round(value)) - low) // distribution.step * distribution.step)
    if distribution.step:
        return float(low + round((value - low) / distribution.step) * distribution.step)
    return float(value)


def random_study(rng):
    directions = ["minimize" if rng.random() < 0.5 else "maximize"
                  for _ in range(rng.choice([1, 1, 2, 3]))]
    study = optuna.create_study(directions=directions)
    names = list(rng.choice(list(SPACE), size=rng.integers(1, len(SPACE) + 1), replace=False))
    conditional = rng.random() < 0.5
    for _ in range(int(rng.integers(0, 90))):
        space = {name: SPACE[name] for name in names}
        if conditional:
            space = {name: d for name, d in space.items() if rng.random() < 0.8}
        if "uniform" in space and conditional and rng.random() < 0.4:
            space["uniform"] = FloatDistribution(-1, 2.5)  # a range that changed
        params = {name: draw(rng, d) for name, d in space.items()}
        base = sum(hash(str(v)) % 7 if isinstance(v, (str, type(None))) else np.log1p(abs(v))
                   for v in params.values())
        values = [float(np.round(base + rng.normal(), 1) * (1 - 2 * (k % 2)))
                  for k in range(len(directions))]
        if rng.random() < 0.05:
            values[0] = np.inf
        state = TrialState.COMPLETE if rng.random() < 0.9 else TrialState.FAIL
        study.add_trial(create_trial(state=state, params=params, distributions=space,
                                     values=values if state == TrialState.COMPLETE else None,
                                     user_attrs={"note, of one": 1}))
    return study


def check_importances(probe, rng, study):
    target, region = [(0.1, 1.0), (0.1, 1.0), (0.25, 0.6), (0.05, 0.999)][rng.integers(4)]
    local = bool(rng.random() < 0.8)
    normalize = bool(rng.random() < 0.5)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=target, region_quantile=region,
                                            evaluate_on_local=local)
    theirs = get_param_importances(study, evaluator=evaluator, normalize=normalize)
    ours = dict(probe({"ask": "importance", "study": study_json(study), "target": target,
                       "region": region, "local": local, "normalize": normalize}))
    assert ours.keys() == theirs.keys(), (ours, theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
    assert list(ours.values()) == sorted(ours.values(), reverse=True)
    return len(theirs)


def check_columns(probe, study):
    if not study.trials:
        return
    attrs = ("number", "values" if len(study.directions) > 1 else "value", "datetime_start",
             "datetime_complete", "duration", "params", "user_attrs", "system_attrs", "state")
    theirs = _flatten_columns(_create_records_and_aggregate_column(study, attrs)[1])
    rows = list(csv.reader(io.StringIO(probe({"ask": "csv", "study": study_json(study)}))))
    assert rows[0] == theirs, (rows[0], theirs)
    assert len(rows) == len(study.trials) + 1
    at = theirs.index(attrs[1] if attrs[1] == "value" else "values_0")
    for trial, row in zip(study.trials, rows[1:]):
        if trial.values:
            same(float(row[at]), trial.values[0], 0)
        assert row[-1] == trial.state.name


def main():
    np.seterr(all="ignore")
    probe = Probe(sys.argv[1])
    rng = np.random.default_rng(11)
    compared = 0
    for _ in range(STUDIES):
        study = random_study(rng)
        compared += check_importances(probe, rng, study)
        check_columns(probe, study)
    assert compared > 200
    print(f"{STUDIES} studies: {compared} importances equal to 1e-9; CSV columns equal")


if __name__ == "__main__":
    main()
