#!/usr/bin/env python3
"""scripts/sweep: sweep_test.py <folder of the executables> [unittest arguments]

local and lines run for real; ssh and sbatch are stand-ins that run what they are given on this machine.
"""
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
import sweeps  # noqa: E402
import tiny_run  # noqa: E402
from postgres import PostgresServer  # noqa: E402

BIN = None
SSH = """#!/bin/bash
echo "$1" >> "$HONE_TEST_HOSTS"
exec bash -c "$2"
"""
SBATCH = """#!/bin/bash
cat > "$HONE_TEST_HOSTS.job"
echo "$*" > "$HONE_TEST_HOSTS.options"
for task in 0 1; do SLURM_ARRAY_TASK_ID=$task bash "$HONE_TEST_HOSTS.job" & pids="$pids $!"; done
for pid in $pids; do wait $pid || exit 1; done
"""


class SweepScript(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        tiny_run.make_data(self.folder)
        self.recipe = self.folder / "recipe.json"
        self.write(sweeps.recipe(self.folder, trials=8))
        tools = self.folder / "tools"
        tools.mkdir()
        for name, text in (("ssh", SSH), ("sbatch", SBATCH)):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        self.environment = sweeps.ENVIRONMENT | {
            "PATH": f"{tools}:{sweeps.ENVIRONMENT['PATH']}", "HONE_BIN": str(BIN),
            "HONE_TEST_HOSTS": str(self.folder / "hosts")}

    def write(self, config):
        self.recipe.write_text(json.dumps(config))

    def sweep(self, *arguments, code=0):
        done = subprocess.run([ROOT / "scripts/sweep", *arguments], capture_output=True, text=True, check=False,
                              env=self.environment, cwd=self.folder, timeout=tiny_run.DEADLINE)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def check(self, out, jobs):
        """Every process reports the whole study."""
        for job in jobs:
            report = json.loads((out / job / "report.json").read_text())
            self.assertEqual(report["trials"]["complete"], 8)
            self.assertEqual(report["trials"]["running"] + report["trials"]["waiting"], 0)

    def test_local_processes_share_a_study(self):
        out = self.folder / "local"
        self.sweep("local", "--config", self.recipe, "--out", out, "--jobs", "2")
        rows = sweeps.trials(out / "study.db")
        self.assertEqual(sweeps.counted(rows), {"COMPLETE": 8})
        self.check(out, ["0", "1"])
        self.sweep("local", "--config", self.recipe, "--out", out, "--jobs", "2")
        self.assertEqual(sweeps.trials(out / "study.db"), rows, "a spent budget runs nothing")

    def test_hosts_and_array_jobs_share_a_study(self):
        try:
            server = PostgresServer()
        except RuntimeError as error:
            self.skipTest(str(error))
        with server:
            out = self.folder / "ssh"
            self.sweep("ssh", "--config", self.recipe, "--out", out, "--hosts", "a,b", "--storage",
                       server.create("ssh"))
            self.check(out, ["a", "b"])
            self.assertEqual(sorted((self.folder / "hosts").read_text().split()), ["a", "b"])
            self.assertEqual(server.sql("SELECT COUNT(*) FROM trials", "ssh"), "8")
            out = self.folder / "slurm"
            self.sweep("slurm", "--config", self.recipe, "--out", out, "--jobs", "2", "--sbatch", "--time 1:00:00",
                       "--storage", server.create("slurm"))
            self.check(out, ["0", "1"])
            self.assertEqual(server.sql("SELECT COUNT(*) FROM trials", "slurm"), "8")
            self.assertEqual((self.folder / "hosts.options").read_text().strip(), "--time 1:00:00")

    def test_several_machines_need_a_server(self):
        for mode, hosts in (("ssh", ["--hosts", "a,b"]), ("slurm", [])):
            for storage in ([], ["--storage", "sqlite:///x.db"]):
                done = self.sweep(mode, "--config", self.recipe, "--out", "x", *hosts, *storage, code=2)
                self.assertIn("several machines need --storage postgresql://", done.stderr)
        self.write(sweeps.recipe(self.folder, study={"storage": "postgresql://u@h/d"}))
        self.assertIn("#SBATCH --array=0-3\n", self.sweep("slurm", "--config", self.recipe, "--out", "x", "--jobs", "4",
                                                          "--dry-run").stdout)

    def test_dry_run_prints_and_does_nothing(self):
        printed = self.sweep("local", "--config", self.recipe, "--out", "x", "--jobs", "2", "--dry-run").stdout
        self.assertEqual(len(printed.splitlines()), 2)
        self.assertIn(f"{BIN}/hone-static --config {self.recipe} --out x/1", printed)
        self.assertFalse((self.folder / "x").exists())

    def test_a_failing_process_is_told(self):
        self.write(sweeps.recipe(self.folder, space={"/train/lrr": {"low": 1, "high": 2}}))
        done = self.sweep("local", "--config", self.recipe, "--out", "bad", code=2)
        self.assertIn("did you mean lr", done.stderr)
        self.assertIn("1 of 1 processes failed, with exit codes [2]", done.stderr)

    def test_lines_run_once_and_are_gathered(self):
        self.write(sweeps.recipe(self.folder, space={
            "/train/lr": {"type": "categorical", "choices": [0.01, 0.05]},
            "/architecture/hidden_size": {"type": "int", "low": 16, "high": 32, "step": 16}}))
        grid, out = self.folder / "grid.jsonl", self.folder / "grid"
        subprocess.run([BIN / "hone-static", "--config", self.recipe, "--dump-data", grid], check=True,
                       capture_output=True)
        self.sweep("lines", grid, "--out", out, "--jobs", "2")
        rows = list(csv.DictReader((out / "results.csv").open()))
        self.assertEqual({(row["/train/lr"], row["/architecture/hidden_size"]) for row in rows},
                         {(lr, width) for lr in ("0.01", "0.05") for width in ("16", "32")})
        for row in rows:
            report = json.loads((out / f"{int(row['line']):05}/report.json").read_text())
            self.assertEqual(float(row["perplexity general"]), report["after"]["domains"][0]["perplexity"])
        again = self.sweep("lines", grid, "--out", out, "--dry-run").stdout
        self.assertEqual(again, "", "what has a report is not run again")


if __name__ == "__main__":
    BIN = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
