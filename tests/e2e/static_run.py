"""hone-static's studies: static_run.py <hone-static> <hone-domain> [unittest arguments]

What a search leaves is what hone-domain repeats and Optuna opens and goes on with; what stops, is started again,
shared by two workers or begun by Optuna comes to the same trials.
"""
import json
import pathlib
import signal
import subprocess
import sys
import unittest

import optuna

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import support  # noqa: E402
import sweeps  # noqa: E402
import tiny_run  # noqa: E402

STATIC = DOMAIN = None
optuna.logging.set_verbosity(optuna.logging.ERROR)


class StaticRun(tiny_run.DataTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        support.run(DOMAIN, sweeps.base_recipe(cls.folder), cls.folder / "base")

    def sweep(self, name, config):
        return sweeps.Sweep(STATIC, config, self.folder / name)

    def done(self, name, config):
        """A sweep that has run to its end."""
        sweep = self.sweep(name, config)
        self.finish(sweep)
        return sweep

    def finish(self, sweep, *more, code=0):
        done = sweep.finish(*more)
        self.assertEqual(done.returncode, code, done.stderr + sweep.log())
        return done

    def perplexity(self, recipe, out):
        """Of the held-out set, as hone-domain comes to it by a recipe's file."""
        report = support.run(DOMAIN, json.loads(recipe.read_text()), self.folder / out)
        return report["after"]["domains"][0]["perplexity"]

    def optuna_study(self, sweep):
        return optuna.load_study(study_name="hone-static", storage=f"sqlite:///{sweep.database}")

    def test_hone_domain_repeats_the_best_trial(self):
        sweep = self.done("best", sweeps.recipe(self.folder, trials=6))
        rows = sweep.trials()
        self.assertEqual([row["state"] for row in rows], ["COMPLETE"] * 6)
        best = min(rows, key=lambda row: row["values"][0])
        report = sweep.report()
        self.assertEqual(report["best"], {"number": best["number"], "values": [best["values"][0]],
                                          "params": best["params"]})
        self.assertEqual(report["trials"]["complete"], 6)
        self.assertEqual(self.perplexity(sweep.out / "best.json", "best-again"), best["values"][0])
        for row in rows:
            metrics = json.loads((sweep.out / f"trials/{row['number']:05}/report.json").read_text())
            self.assertEqual(metrics["after"]["domains"][0]["perplexity"], row["values"][0])

    def test_a_frozen_base_is_the_same_for_every_adapter(self):
        """Adapters are trained one after another on one base in memory; each must find it as on disk."""
        base = sweeps.base_recipe(self.folder) | {
            "model": str(self.folder / "base/model"), "tuning": "lora", "lora": {"dropout": 0.1}}
        del base["architecture"], base["tokenizer"]
        space = {"/train/lr": {"low": 1e-3, "high": 1e-1, "log": True},
                 "/lora/rank": {"type": "int", "low": 2, "high": 8}}
        sweep = self.done("adapters", sweeps.recipe(self.folder, trials=4, base=base, space=space))
        rows = sweep.trials()
        self.assertEqual(len({row["values"][0] for row in rows}), 4)
        for row in rows:
            recipe = json.loads((sweep.out / "best.json").read_text())
            recipe["train"]["lr"], recipe["lora"]["rank"] = row["params"]["/train/lr"], int(row["params"]["/lora/rank"])
            path = self.folder / f"adapter-{row['number']}.recipe"
            path.write_text(json.dumps(recipe))
            self.assertEqual(self.perplexity(path, f"adapter-{row['number']}"), row["values"][0])

    def test_optuna_goes_on_with_a_study_and_hone_after_it(self):
        sweep = self.done("onward", sweeps.recipe(self.folder, trials=4))
        study = self.optuna_study(sweep)
        rows = sweep.trials()
        self.assertEqual(study.best_value, min(row["values"][0] for row in rows))
        for trial, row in zip(study.trials, rows, strict=True):
            self.assertEqual(trial.state.name, row["state"])
            self.assertEqual(trial.params, row["params"])
            self.assertEqual(trial.intermediate_values, row["intermediate"])
            self.assertLess(trial.datetime_start, trial.datetime_complete)
        study.optimize(optunas_objective, n_trials=3)
        self.assertEqual(len(study.trials), 7)
        self.finish_with_budget(sweep, 9)
        states = [trial.state.name for trial in self.optuna_study(sweep).trials]
        self.assertEqual(states, ["COMPLETE"] * 9)
        best = min(sweep.trials(), key=lambda row: row["values"][0])
        self.assertEqual(sweep.report()["best"]["number"], best["number"])

    def finish_with_budget(self, sweep, trials):
        sweep.change(json.loads(sweep.recipe.read_text()) | {"budget": {"trials": trials}})
        self.finish(sweep)

    def test_hone_goes_on_with_optunas_study(self):
        database = self.folder / "theirs.db"
        sweep = self.sweep("theirs", sweeps.recipe(self.folder, trials=5, study={"storage": f"sqlite:///{database}"}))
        sweep.database = database
        study = optuna.create_study(study_name="hone-static", storage=f"sqlite:///{sweep.database}")
        study.optimize(optunas_objective, n_trials=3)
        study.enqueue_trial({"/train/lr": 0.0125, "/architecture/hidden_size": 16})
        self.finish(sweep)
        rows = sweep.trials()
        self.assertEqual([row["state"] for row in rows], ["COMPLETE"] * 5)
        self.assertEqual(rows[3]["params"], {"/train/lr": 0.0125, "/architecture/hidden_size": 16})
        self.assertEqual([row["number"] for row in rows if "hone:worker" in row["user"]], [3, 4])

    def test_a_study_of_other_parameters_is_reported_and_its_best_recipe_says_what_it_lacks(self):
        sweep = self.sweep("foreign", sweeps.recipe(self.folder, trials=4))
        study = optuna.create_study(study_name="hone-static", storage=f"sqlite:///{self.folder / 'foreign.db'}")
        study.optimize(lambda trial: trial.suggest_float("momentum", 0, 1) - 1000, n_trials=2)
        study.enqueue_trial({"/train/lr": 5.0})
        study.enqueue_trial({"momentum": 0.5})
        sweep.database = self.folder / "foreign.db"
        sweep.change(json.loads(sweep.recipe.read_text()) | {"study": {"storage": f"sqlite:///{sweep.database}"},
                                                             "budget": {"trials": 6}})
        done = self.finish(sweep)
        self.assertEqual(sweeps.counted(sweep.trials()), {"COMPLETE": 4, "FAIL": 2})
        report = sweep.report()
        self.assertEqual(report["trials"]["failed"], 2)
        self.assertEqual(list(report["best"]["params"]), ["momentum"])
        self.assertRegex(report["notes"][0], "is not of this search: best.json is without .*: momentum")
        self.assertIn(report["notes"][0], done.stdout)
        for part in ("it was enqueued with /train/lr: 5.0 is not in 0.0001 .. 0.1, log",
                     "it was enqueued with the parameter momentum, which this search has not"):
            self.assertIn(part, done.stderr)
        self.assertGreater(self.perplexity(sweep.out / "best.json", "foreign-again"), 1)

    def test_a_study_that_keeps_a_parameter_otherwise_is_refused_before_trials_wait(self):
        database = self.folder / "otherwise.db"
        study = optuna.create_study(study_name="hone-static", storage=f"sqlite:///{database}")
        study.optimize(lambda trial: trial.suggest_float("/train/lr", 0.1, 0.2), n_trials=1)
        sweep = self.sweep("otherwise", sweeps.recipe(self.folder, study={"storage": f"sqlite:///{database}"}))
        sweep.database = database
        done = self.finish(sweep, code=2)
        self.assertIn('/space["/train/lr"]: is 0.0001 .. 0.1, log here and 0.1 .. 0.2 in the study', done.stderr)
        self.assertEqual(len(sweep.trials()), 1)

    def test_an_interrupted_sweep_goes_on_where_it_stopped(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(signal=number.name):
                config = sweeps.recipe(self.folder, budget={"trials": 60, "workers": 2})
                sweep = self.sweep(f"interrupted-{number.name}", config)
                process = sweep.start()
                tiny_run.wait_until(lambda: len(sweep.finished()) >= 3 or process.poll() is not None)
                process.send_signal(number)
                errors = process.communicate(timeout=tiny_run.DEADLINE)[1]
                self.assertEqual(process.returncode, code, errors)
                counts = sweeps.counted(sweep.trials())
                self.assertNotIn("RUNNING", counts, "what ran is given back")
                self.assertGreater(counts.get("WAITING", 0), 0)
                self.finish(sweep)
                counts = sweeps.counted(sweep.trials())
                counts.pop("FAIL", None)  # what was interrupted, and enqueued again
                self.assertEqual(counts, {"COMPLETE": 60})

    def test_a_larger_budget_goes_on(self):
        sweep = self.done("larger", sweeps.recipe(self.folder, trials=3))
        before = sweep.trials()
        self.finish(sweep)
        self.assertEqual(sweep.trials(), before, "a budget that is spent runs nothing")
        self.finish_with_budget(sweep, 5)
        after = sweep.trials()
        self.assertEqual(len(after), 5)
        self.assertEqual(after[:3], before)

    def test_a_seed_repeats_a_search(self):
        def figures(name, seed):
            config = sweeps.recipe(self.folder, trials=4, sampler={"kind": "auto", "seed": seed})
            keys = ("params", "values", "intermediate", "state")
            return [{key: row[key] for key in keys} for row in self.done(name, config).trials()]
        first = figures("seed-a", 1)
        self.assertEqual(figures("seed-b", 1), first)
        self.assertNotEqual(figures("seed-c", 2), first)

    def test_two_workers_share_a_study(self):
        config = sweeps.recipe(self.folder, budget={"trials": 16, "workers": 2})
        config["base"]["train"]["steps"] = 12
        rows = self.done("two", config).trials()
        self.assertEqual([row["state"] for row in rows], ["COMPLETE"] * 16)
        self.assertEqual(len({row["user"]["hone:worker"] for row in rows}), 2)
        self.assertEqual(len({row["params"]["/train/lr"] for row in rows}), 16, "no point is drawn twice")

    def test_a_pruned_trial_stops_at_once(self):
        config = sweeps.recipe(
            self.folder, trials=8, pruner={"kind": "threshold", "threshold": {"upper": 200}},
            space={"/train/lr": {"type": "categorical", "choices": [1e-9, 0.1]}})
        sweep = self.done("pruned", config)
        for row in sweep.trials():
            with self.subTest(number=row["number"]):
                bad = row["params"]["/train/lr"] == 0
                self.assertEqual(row["state"], "PRUNED" if bad else "COMPLETE")
                self.assertEqual(list(row["intermediate"]), [2] if bad else [2, 4, 6])
                report = json.loads((sweep.out / f"trials/{row['number']:05}/report.json").read_text())
                self.assertEqual(report["steps"], 2 if bad else 6)
        self.assertEqual(set(sweeps.counted(sweep.trials())), {"COMPLETE", "PRUNED"})

    def test_conditions_leave_parameters_out(self):
        base = sweeps.base_recipe(self.folder) | {"model": str(self.folder / "base/model")}
        del base["architecture"], base["tokenizer"]
        config = sweeps.recipe(self.folder, trials=8, base=base, space={
            "/tuning": {"type": "categorical", "choices": ["full", "lora"]},
            "/lora/rank": {"type": "int", "low": 2, "high": 8, "when": {"/tuning": ["lora"]}},
            "/train/lr": {"low": 1e-4, "high": 1e-2, "log": True}})
        sweep = self.done("conditional", config)
        rows = sweep.trials()
        self.assertEqual({row["params"]["/tuning"] for row in rows}, {0, 1})
        for row in rows:
            self.assertEqual(row["state"], "COMPLETE", row)
            self.assertEqual("/lora/rank" in row["params"], row["params"]["/tuning"] == 1)
            adapter = json.loads((sweep.out / f"trials/{row['number']:05}/config.json").read_text())
            self.assertEqual(adapter["tuning"], ["full", "lora"][int(row["params"]["/tuning"])])

    def test_several_objectives_leave_a_front_of_recipes(self):
        config = sweeps.recipe(self.folder, trials=10, objectives=[{"metric": "perplexity"}, {"metric": "parameters"}])
        sweep = self.done("front", config)
        front = {trial.number for trial in self.optuna_study(sweep).best_trials}
        self.assertGreater(len(front), 1)
        self.assertEqual({trial["number"] for trial in sweep.report()["pareto"]}, front)
        self.assertEqual({path.name for path in sweep.out.glob("pareto-*.json")},
                         {f"pareto-{number}.json" for number in front})
        for row in sweep.trials():
            self.assertEqual(row["values"][1], row["user"]["hone:parameters"], "counted equals predicted")
            if row["number"] in front:
                again = self.perplexity(sweep.out / f"pareto-{row['number']}.json", f"front-{row['number']}")
                self.assertEqual(again, row["values"][0])

    def test_a_broken_guard_is_a_constraint(self):
        """Training on medicine hurts the general set; a rate that does nothing does not."""
        base = sweeps.base_recipe(self.folder, steps=40) | {
            "model": str(self.folder / "base/model"), "guard": {"domain": "general", "max_ratio": 1.02}}
        del base["architecture"], base["tokenizer"]
        other = self.folder / "other.jsonl"
        other.write_text('{"text": "zzz zzz zzz zzz qqq qqq qqq"}\n' * 50)
        base["data"]["train"] = [{"name": "other", "domain": "other", "files": [str(other)]}]
        config = sweeps.recipe(self.folder, trials=6, base=base,
                               space={"/train/lr": {"type": "categorical", "choices": [1e-9, 0.1]}})
        rows = self.done("guard", config).trials()
        self.assertEqual({row["params"]["/train/lr"] for row in rows}, {0, 1})
        for row in rows:
            broken = row["params"]["/train/lr"] == 1
            self.assertEqual(row["state"], "PRUNED" if broken else "COMPLETE")
            self.assertEqual(max(row["system"]["constraints"]) > 0, broken, row["system"])

    def test_plan_says_what_would_be_done_and_writes_nothing(self):
        sweep = self.sweep("plan", sweeps.recipe(self.folder, budget={"trials": 7, "workers": 2}))
        plan = self.finish(sweep, "--plan").stdout
        for text in ("sampler random", "feasible: 100 %", "/train/lr", "7 trials"):
            self.assertIn(text, plan)
        sweep.change(sweeps.recipe(self.folder, budget={"trials": 7, "max_parameters": 100}))
        plan = self.finish(sweep, "--plan", code=1).stdout
        self.assertIn("feasible: 0 %", plan)
        self.assertRegex(plan, r"parameters would be \d+, over the limit of 100")
        self.assertFalse(sweep.out.exists())

    def test_the_grid_is_a_recipe_a_line(self):
        config = sweeps.recipe(self.folder, space={
            "/architecture/num_attention_heads": {"type": "categorical", "choices": [2, 3]},
            "/architecture/hidden_size": {"type": "int", "low": 16, "high": 24, "step": 4},
            "/train/lr": {"type": "categorical", "choices": [0.01, 0.02]}})
        sweep = self.sweep("grid", config)
        path = self.folder / "grid.jsonl"
        subprocess.run([STATIC, "--config", sweep.recipe, "--dump-data", path], check=True, capture_output=True)
        recipes = [json.loads(line) for line in path.read_text().splitlines()]
        points = [(r["architecture"]["num_attention_heads"], r["architecture"]["hidden_size"], r["train"]["lr"])
                  for r in recipes]
        # Heads must divide the width, into even head widths.
        self.assertEqual(sorted(points), [(heads, width, lr) for heads, width in ((2, 16), (2, 20), (2, 24), (3, 24))
                                          for lr in (0.01, 0.02)])
        support.run(DOMAIN, recipes[0], self.folder / "grid-0")


def optunas_objective(trial):
    trial.suggest_float("/train/lr", 1e-4, 1e-1, log=True)
    trial.suggest_int("/architecture/hidden_size", 8, 32, step=8)
    return 1000.0 + trial.number


if __name__ == "__main__":
    STATIC, DOMAIN = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
    unittest.main(verbosity=2)
