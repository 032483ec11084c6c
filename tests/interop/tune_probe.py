"""What the tests of room tune against Optuna share: the C++ probe, and numbers for its JSON."""
import json
import math
import subprocess
import warnings

import numpy as np
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore")


class Probe:
    """A C++ program that answers a line of JSON with a line of JSON."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def __call__(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the probe died of {json.dumps(question)[:2000]}"
        return json.loads(answer)


def plain(values):
    """Numbers in (nested) lists as JSON: what is not finite as text."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, (list, tuple)):
        return [plain(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return str(values)
    return values


def same(ours, theirs, relative):
    """The probe's number or list of numbers is the other, infinities included."""
    ours = np.asarray(ours, dtype=float)
    np.testing.assert_allclose(ours, np.asarray(theirs, dtype=float), rtol=relative, atol=0)


def trial_json(trial):
    """An Optuna trial as probe.h reads it."""
    result = {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "values": plain(trial.values or []),
        "params": [[name, trial.distributions[name].to_internal_repr(value),
                    optuna.distributions.distribution_to_json(trial.distributions[name])]
                   for name, value in trial.params.items()],
        "intermediate": [[step, plain(value)]
                         for step, value in trial.intermediate_values.items()],
        "user_attrs": trial.user_attrs,
        "system_attrs": {key: plain(value) for key, value in trial.system_attrs.items()},
    }
    for key, time in (("start", trial.datetime_start), ("complete", trial.datetime_complete)):
        if time is not None:
            result[key] = round(time.timestamp() * 1e6)
    return result


def study_json(study):
    """An Optuna study as probe.h reads it."""
    return {"name": study.study_name, "directions": [d.name.lower() for d in study.directions],
            "trials": [trial_json(trial) for trial in study.get_trials(deepcopy=False)]}
