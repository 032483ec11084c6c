#!/usr/bin/env python3
"""What hone-static says of bad searches: static_errors.py <hone-static> [unittest arguments]

Each case gives an exit code (2 the recipe is wrong, 1 the search failed) and what the message must say; nothing that
was there before may have changed.
"""
import json
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import sweeps  # noqa: E402
import tiny_run  # noqa: E402

APP = None
COMMAND = {"metric": "command", "direction": "minimize"}
RANGE = {"low": 0.001, "high": 0.1}

# Name: changes of the recipe, exit code, patterns of the message.
CASES = {
    "low above high": ({"space": {"/train/lr": {"low": 1, "high": 0.1}}}, 2, [r'/space\["/train/lr"\]/low: .*\[1, 0.1\]']),
    "log from zero": ({"space": {"/train/lr": {"low": 0, "high": 1, "log": True}}}, 2, ["log needs low > 0, got 0"]),
    "log and step": ({"space": {"/train/lr": {**RANGE, "log": True, "step": 0.1}}}, 2, ["log and step exclude"]),
    "no upper bound": ({"space": {"/train/lr": {"low": 1}}}, 2, [r'/space\["/train/lr"\]/high: is needed']),
    "bounds of choices": ({"space": {"/train/lr": {"type": "categorical", "choices": [1], "low": 1}}}, 2,
                          [r'/space\["/train/lr"\]/low: has no effect']),
    "equal choices": ({"space": {"/train/lr": {"type": "categorical", "choices": [1, 1]}}}, 2, ["choices"]),
    "no space": ({"space": {}}, 2, ["/space: must hold at least one parameter"]),
    "unknown key": ({"space": {"/train/lrr": RANGE}}, 2, [r'/space\["/train/lrr"\]: .*unknown key; did you mean lr']),
    "unknown room": ({"space": {"/trian/lr": RANGE}}, 2, [r'/space\["/trian/lr"\]: .*did you mean train']),
    "no such data set": ({"space": {"/data/train/7/weight": RANGE}}, 2, [r'/space\["/data/train/7/weight"\]: ']),
    "no pointer": ({"space": {"train/lr": RANGE}}, 2, ["must be a JSON pointer"]),
    "real for an integer": ({"space": {"/train/steps": {"low": 2, "high": 8}}}, 2,
                            [r'/space\["/train/steps"\]: .*expected integer.*give the parameter type int']),
    "out of the key's range": ({"space": {"/train/warmup_ratio": {"low": 0, "high": 3}}}, 2, [r"3\.0 .*\[0, 1\]"]),
    "condition on nothing": ({"space": {"/train/lr": {**RANGE, "when": {"/tuningg": ["full"]}},
                                        "/tuning": {"type": "categorical", "choices": ["full"]}}}, 2,
                             [r'/when\["/tuningg"\]: .*did you mean /tuning']),
    "conditions in a circle": ({"space": {"/train/lr": {**RANGE, "when": {"/train/beta1": [0.5]}},
                                          "/train/beta1": {"low": 0, "high": 0.9, "when": {"/train/lr": [0.01]}}}}, 2,
                               ["must not run in a circle"]),
    "unknown domain": ({"objectives": [{"metric": "perplexity", "domains": ["genral"]}]}, 2, ["did you mean general"]),
    "key without effect": ({"objectives": [{"metric": "perplexity", "command": "x"}]}, 2, ["/objectives/0/command"]),
    "command without direction": ({"objectives": [{"metric": "command", "command": "x"}]}, 2,
                                  ["/objectives/0/direction: is needed"]),
    "threads": ({"space": {"/threads": {"type": "int", "low": 1, "high": 2}}}, 2, ["/threads.*cannot be searched"]),
    "no rows": ({"objectives": [{"metric": "bleu", "file": "/no/rows.jsonl"}]}, 2,
                ["/objectives/0/file: there is no file /no/rows.jsonl"]),
    "pruner that sees nothing": ({"objectives": [{**COMMAND, "command": "echo 1"}], "pruner": {"kind": "median"}}, 2,
                                 ["/pruner: needs perplexity or loss as the first objective"]),
    "nothing is feasible": ({"budget": {"trials": 3, "max_parameters": 10}}, 1,
                            [r"no feasible point .* parameters would be \d+, over the limit of 10"]),
    "no memory for any": ({"budget": {"trials": 3, "memory_share": 0.01},
                           "space": {"/architecture/intermediate_size": {"type": "categorical", "choices": [1000000]}}}, 1,
                          [r"peak memory would be [\d.]+ .iB, over the limit of [\d.]+ .iB"]),
    "no valid recipe": ({"space": {"/architecture/num_attention_heads": {"type": "categorical", "choices": [3, 5]}}}, 1,
                        ["no feasible point.*num_attention_heads: must divide hidden_size 16"]),
    "NaN": ({"objectives": [{**COMMAND, "command": "echo nan"}]}, 1, ["3 trials in a row.*command is not a number"]),
    "no number": ({"objectives": [{**COMMAND, "command": "echo hello"}]}, 1, ['must print a number.*got "hello"']),
    "command that fails": ({"objectives": [{**COMMAND, "command": "echo oops; exit 3"}]}, 1, ["exit code 3.*oops"]),
    "storage of no kind": ({"study": {"storage": "mysql://a/b"}}, 1, ["mysql", "expected sqlite:// or postgresql://"]),
    "storage without a server": ({"study": {"storage": "postgresql://u@/d?host=/no/server"}}, 1, ["/no/server"]),
    "storage without a folder": ({"study": {"storage": "sqlite:////no/folder/x.db"}}, 1, ["/no/folder/x.db"]),
    "storage without a name": ({"study": {"storage": ""}}, 1, ["storage: the URL is empty"]),
}


def with_sql(database, *statements):
    connection = sqlite3.connect(database)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


class StaticErrors(tiny_run.DataTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.study = sweeps.Sweep(APP, cls.recipe(), cls.folder / "study")
        done = cls.study.finish()
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    @classmethod
    def recipe(cls, **changes):
        return sweeps.recipe(cls.folder, **({"trials": 3} | changes if "budget" not in changes else changes))

    def refused(self, sweep, code, *patterns):
        done = sweep.finish()
        self.assertEqual(done.returncode, code, done.stderr)
        message = done.stderr[done.stderr.index("hone-static: "):]
        for pattern in patterns:
            self.assertRegex(message, re.compile(pattern, re.DOTALL))
        self.assertLess(len(message), 2000)
        return message

    def continued(self, name, config):
        """A copy of the finished study, to be gone on with by another recipe."""
        shutil.copytree(self.study.out, self.folder / name)
        return sweeps.Sweep(APP, config, self.folder / name)

    def test_bad_searches_are_refused(self):
        for number, (name, (changes, code, patterns)) in enumerate(CASES.items()):
            with self.subTest(name):
                sweep = sweeps.Sweep(APP, self.recipe(**changes), self.folder / f"case-{number}")
                self.refused(sweep, code, *patterns)
                if code == 2:
                    self.assertFalse((sweep.out / "study.db").exists(), "nothing is begun")

    def test_missing_files_are_named_all_at_once(self):
        config = self.recipe(final={"seeds": 1, "held_out": [{"files": ["/no/test.jsonl"]}]})
        del config["base"]["architecture"], config["base"]["tokenizer"]
        config["base"]["model"] = "/no/model"
        config["base"]["data"]["train"][1]["files"] = ["/no/train.jsonl"]
        self.refused(sweeps.Sweep(APP, config, self.folder / "missing"), 2, "3 problems",
                     "/base/model: .*/no/model/config.json", "/base/data/train/1/files/0: .*/no/train.jsonl",
                     "/final/held_out/0/files/0: .*/no/test.jsonl")

    def test_a_study_goes_on_with_its_own_search_only(self):
        base = sweeps.base_recipe(self.folder, steps=8)
        changed = {
            "base": (self.recipe(base=base), "/base/train/steps: differs"),
            "space": (self.recipe(space={"/train/lr": {"low": 1e-4, "high": 0.5, "log": True}}), "/space"),
            "direction": (self.recipe(objectives=[{"metric": "perplexity", "direction": "maximize"}]),
                          "/objectives: .*other directions"),
            "count": (self.recipe(objectives=[{"metric": "perplexity"}, {"metric": "parameters"}]),
                      "/objectives: .*other directions"),
            "objective": (self.recipe(objectives=[{"metric": "loss"}]), "/objectives/0/metric: differs"),
        }
        for name, (config, pattern) in changed.items():
            with self.subTest(name):
                sweep = self.continued(f"changed-{name}", config)
                before = sweep.trials()
                self.refused(sweep, 2, pattern, "study.name")
                self.assertEqual(sweep.trials(), before)

    def test_a_foreign_or_newer_study_file_is_left_as_it_is(self):
        def text(path):
            path.write_text("not a database\n" * 100)

        def other(path):
            path.unlink()
            with_sql(path, "CREATE TABLE studies (title TEXT)", "INSERT INTO studies VALUES ('mine')")

        def newer(path):
            with_sql(path, "UPDATE alembic_version SET version_num = 'v9.0.0.a'")

        def cut(path):
            path.write_bytes(path.read_bytes()[:5000])

        for make in (text, other, newer, cut):
            with self.subTest(make.__name__):
                sweep = self.continued(make.__name__, self.recipe(budget={"trials": 9}))
                make(sweep.database)
                before = sweep.database.read_bytes()
                self.refused(sweep, 1, "study.db: ")
                self.assertEqual(sweep.database.read_bytes(), before)

    def test_a_folder_that_is_no_run_is_left_as_it_is(self):
        out = self.folder / "mine"
        out.mkdir()
        (out / "thesis.txt").write_text("precious")
        self.refused(sweeps.Sweep(APP, self.recipe(), out), 1, "mine: holds files that are no run of hone")
        self.assertEqual({path.name for path in out.iterdir()} - {".lock"}, {"thesis.txt"})
        self.assertEqual((out / "thesis.txt").read_text(), "precious")

    def test_two_searches_in_one_folder_are_refused(self):
        sweep = sweeps.Sweep(APP, self.recipe(budget={"trials": 1000}), self.folder / "twice")
        process = sweep.start()
        try:
            tiny_run.wait_until(lambda: sweep.finished() or process.poll() is not None)
            self.refused(sweep, 1, str(process.pid))
        finally:
            process.terminate()
            process.communicate()

    def test_a_trial_that_diverges_ends_and_the_search_goes_on(self):
        """Without eps and second moment, rows of the embedding without a gradient become 0 / 0."""
        base = sweeps.base_recipe(self.folder, steps=12)
        base["train"].update(beta2=0, max_nonfinite=1)
        sweep = sweeps.Sweep(APP, self.recipe(base=base, budget={"trials": 8}, space={
            "/train/eps": {"type": "categorical", "choices": [0, 1e-8]}}), self.folder / "diverging")
        done = sweep.finish()
        self.assertEqual(done.returncode, 0, done.stderr + sweep.log())
        rows = sweep.trials()
        self.assertEqual({row["params"]["/train/eps"] for row in rows}, {0, 1})
        for row in rows:
            self.assertEqual(row["state"], "PRUNED" if row["params"]["/train/eps"] == 0 else "COMPLETE")
        self.assertEqual(json.loads((sweep.out / "best.json").read_text())["train"]["eps"], 1e-8)

    def test_a_command_line_that_is_wrong(self):
        for arguments, pattern in ((["--config", self.study.recipe], "--out is needed"),
                                   (["--config", "/no/recipe.json", "--out", "x"], "/no/recipe.json"),
                                   (["--confg", "x"], "did you mean --config")):
            done = subprocess.run([APP, *arguments], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(pattern, done.stderr)


if __name__ == "__main__":
    APP = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
