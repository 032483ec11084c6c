"""A tiny sweep of hone-static for the end-to-end and the fault tests: recipe, processes, what the study holds."""
import json
import os
import pathlib
import sqlite3
import subprocess

import tiny_run

STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
FINISHED = ("COMPLETE", "PRUNED")
# One thread a trial: two processes that spin for the same cores would only wait for each other.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def base_recipe(folder, steps=6):
    """One trial: 0.1 s, evaluated every second step."""
    recipe = tiny_run.base_recipe(folder, steps, save_every=0)
    recipe["architecture"].update(hidden_size=16, intermediate_size=32, num_hidden_layers=1)
    recipe["train"].update(eval_every=2, accumulation=1)
    del recipe["guard"], recipe["weights"]
    return recipe


def recipe(folder, trials=6, **changes):
    """A sweep over rate and width by random draws, nothing pruned."""
    return {
        "about": "test",
        "base": base_recipe(folder),
        "space": {"/train/lr": {"low": 1e-4, "high": 1e-1, "log": True},
                  "/architecture/hidden_size": {"type": "int", "low": 8, "high": 32, "step": 8}},
        "sampler": {"kind": "random"},
        "pruner": {"kind": "none"},
        "budget": {"trials": trials},
        **changes,
    }


def trials(database):
    """The trials of the only study of an SQLite file, by number, as dicts; none before it has tables."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60, isolation_level=None)
    try:
        rows = {}
        connection.execute("BEGIN")  # one moment for all tables
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return []
        for trial_id, number, state in connection.execute("SELECT trial_id, number, state FROM trials ORDER BY number"):
            rows[trial_id] = {"number": number, "state": state, "params": {}, "values": {}, "intermediate": {},
                              "user": {}, "system": {}}
        for field, table, key, value in (("params", "trial_params", "param_name", "param_value"),
                                         ("values", "trial_values", "objective", "value"),
                                         ("intermediate", "trial_intermediate_values", "step", "intermediate_value"),
                                         ("user", "trial_user_attributes", "key", "value_json"),
                                         ("system", "trial_system_attributes", "key", "value_json")):
            for trial_id, name, content in connection.execute(f"SELECT trial_id, {key}, {value} FROM {table}"):
                rows[trial_id][field][name] = json.loads(content) if value == "value_json" else content
        return list(rows.values())
    finally:
        connection.close()


def counted(rows):
    """How many trials are in each state; refused points, which never ran, apart."""
    states = ["REFUSED" if "hone:refused" in row["user"] else row["state"] for row in rows]
    return {state: states.count(state) for state in sorted(set(states))}


class Sweep:
    """One search, its folder, and the processes that work on it."""

    def __init__(self, app, config, out):
        self.app, self.out = app, pathlib.Path(out)
        self.database = self.out / "study.db"
        self.recipe = self.out.parent / f"{self.out.name}.json"
        self.change(config)

    def change(self, config):
        self.recipe.write_text(json.dumps(config))

    def command(self, *more):
        return [str(self.app), "--config", str(self.recipe), "--out", str(self.out), *more]

    def start(self, *more):
        return subprocess.Popen(self.command(*more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                env=ENVIRONMENT)

    def finish(self, *more):
        """Runs to the end; the completed process."""
        return subprocess.run(self.command(*more), capture_output=True, text=True, timeout=tiny_run.DEADLINE,
                              check=False, env=ENVIRONMENT)

    def trials(self):
        return trials(self.database) if self.database.exists() else []

    def finished(self):
        return [row for row in self.trials() if row["state"] in FINISHED and "hone:refused" not in row["user"]]

    def report(self):
        return json.loads((self.out / "report.json").read_text())

    def log(self):
        path = self.out / "workers.log"
        return path.read_text() if path.exists() else ""
