#!/usr/bin/env python3
"""hone-static's sweeps under faults: sweep_faults.py <hone-static> [unittest arguments]

Workers and supervisors killed at random, a locked database, a full disk, a server restarted in mid-sweep: at the end
there are exactly as many trials as asked for. HONE_SWEEP_KILLS sets the number of kills of workers (default 200),
HONE_FAULT_SEED their moments.
"""
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import sweeps  # noqa: E402
import tiny_run  # noqa: E402
from postgres import PostgresServer  # noqa: E402

APP = None
KILLS = int(os.environ.get("HONE_SWEEP_KILLS", "200"))
SEED = int(os.environ.get("HONE_FAULT_SEED", "0"))
STUDY = {"heartbeat_seconds": 0.2, "grace_seconds": 3, "max_retries": 1000}


def children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def complete(sweep):
    return sum(row["state"] == "COMPLETE" for row in sweep.trials())


class SweepFaults(tiny_run.DataTest):
    def sweep(self, name, trials, **study):
        config = sweeps.recipe(self.folder, budget={"trials": trials, "workers": 2}, study=STUDY | study)
        return sweeps.Sweep(APP, config, self.folder / name)

    def check_whole(self, sweep, budget):
        """Exactly the budget has ended, each trial whole; each lost one was enqueued once more, and only once."""
        rows = sweep.trials()
        self.assertEqual([row["number"] for row in rows], list(range(len(rows))))
        counts = sweeps.counted(rows)
        failed = [row["number"] for row in rows if row["state"] == "FAIL"]
        self.assertEqual(counts, {"COMPLETE": budget} | ({"FAIL": len(failed)} if failed else {}))
        self.assertEqual(sorted(row["system"]["retry_history"][-1] for row in rows if "retry_history" in row["system"]),
                         failed)
        for row in rows:
            if row["state"] == "COMPLETE":
                self.assertEqual(list(row["intermediate"]), [2, 4, 6], row)
                self.assertEqual(row["values"][0], row["intermediate"][6])
                self.assertEqual(len(row["params"]), 2)
        lost = {row["params"].get("/train/lr") for row in rows if row["state"] == "FAIL" and len(row["params"]) == 2}
        done = {row["params"]["/train/lr"] for row in rows if row["state"] == "COMPLETE"}
        self.assertLessEqual(lost, done, "a point that was lost is tried again")
        return failed

    def test_workers_and_supervisors_killed_at_random(self):
        rng = random.Random(SEED)
        kills = supervisors = round_ = lost = 0
        while kills < KILLS:
            sweep = self.sweep(f"killed-{round_}", 30)
            round_ += 1
            process = sweep.start()
            ended = in_a_row = 0
            while process.poll() is None and kills < KILLS:
                time.sleep(rng.uniform(0.02, 0.4))
                # Five deaths without a finished trial between would rightly end the sweep.
                if in_a_row >= 3:
                    tiny_run.wait_until(lambda: complete(sweep) > ended or process.poll() is not None)
                before, ended = ended, complete(sweep)
                in_a_row = in_a_row + 1 if ended == before else 1
                workers = children(process.pid)
                if not workers:
                    continue
                victim = rng.choice(workers)
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                kills += 1
                # A slow supervisor would see deaths on both sides of a finished trial as deaths in a row.
                tiny_run.wait_until(lambda: victim not in children(process.pid) or process.poll() is not None)
                if rng.random() < 0.03:
                    process.kill()
                    process.communicate()
                    supervisors += 1
                    process = self.restart(sweep)
            errors = process.communicate(timeout=tiny_run.DEADLINE)[1]
            self.assertEqual(process.returncode, 0, errors + sweep.log()[-2000:])
            lost += len(self.check_whole(sweep, 30))
        print(f"{kills} kills of workers and {supervisors} of supervisors in {round_} sweeps; {lost} trials lost and "
              "tried again")
        self.assertGreater(lost, 0, "no worker was killed at work")

    def restart(self, sweep):
        """Starts again; workers that outlive their supervisor give their trials back first."""
        while True:
            process = sweep.start()
            tiny_run.wait_until(lambda: children(process.pid) or process.poll() is not None)
            if process.poll() in (None, 0):
                return process
            self.assertIn("is used by", process.communicate()[1])

    def test_a_sweep_whose_processes_all_died_goes_on(self):
        sweep = self.sweep("all", 8)
        process = sweep.start()
        tiny_run.wait_until(lambda: len(sweep.finished()) >= 2 or process.poll() is not None)
        workers = children(process.pid)
        for pid in (process.pid, *workers):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        done = sweep.finish()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_whole(sweep, 8)

    def test_a_locked_database_is_waited_for(self):
        sweep = self.sweep("locked", 8)
        process = sweep.start()
        tiny_run.wait_until(lambda: len(sweep.finished()) >= 2 or process.poll() is not None)
        connection = sqlite3.connect(sweep.database, timeout=60, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(5)  # longer than the grace: heartbeats fall silent too, but the lock tells nobody
        connection.execute("ROLLBACK")
        connection.close()
        errors = process.communicate(timeout=tiny_run.DEADLINE)[1]
        self.assertEqual(process.returncode, 0, errors + sweep.log())
        self.check_whole(sweep, 8)

    def test_a_full_disk_stops_the_sweep_and_loses_nothing(self):
        """On a small tmpfs of its own mount namespace; then the disk grows and the sweep goes on."""
        probe = subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True, check=False)
        if probe.returncode != 0:
            self.skipTest("no mount namespaces here: " + probe.stderr.decode())
        disk = self.folder / "disk"
        disk.mkdir()
        sweep = self.sweep("disk", 10)
        sweep.out = disk / "run"
        command = " ".join(sweep.command())
        script = f"""
          mount -t tmpfs -o size=600k tmpfs {disk}
          {command} 2>{self.folder}/full.log; echo "full $?"
          mount -o remount,size=100m {disk}
          {command} 2>{self.folder}/grown.log; echo "grown $?"
          cp -r {disk}/run {self.folder}/after
        """
        result = subprocess.run(["unshare", "--map-root-user", "--mount", "bash", "-c", script], capture_output=True,
                                text=True, timeout=tiny_run.DEADLINE, check=False, env=sweeps.ENVIRONMENT)
        full = (self.folder / "full.log").read_text()
        self.assertIn("full 1\n", result.stdout, full)
        self.assertRegex(full.splitlines()[-1], "(?i)no space|disk is full|full|could not be written")
        self.assertIn("grown 0\n", result.stdout, (self.folder / "grown.log").read_text())
        rows = sweeps.trials(self.folder / "after/study.db")
        self.assertEqual(sweeps.counted(rows)["COMPLETE"], 10)
        self.assertLessEqual(set(sweeps.counted(rows)), {"COMPLETE", "FAIL"})

    def test_a_server_restarted_in_mid_sweep(self):
        try:
            server = PostgresServer()
        except RuntimeError as error:
            self.skipTest(str(error))
        with server:
            sweep = self.sweep("server", 10, storage=server.create("sweeps"))

            def count(condition):
                if server.sql("SELECT to_regclass('trials') IS NULL", "sweeps") == "t":
                    return 0
                return int(server.sql(f"SELECT COUNT(*) FROM trials WHERE {condition}", "sweeps"))

            process = sweep.start()
            for how, least in ((signal.SIGINT, 2), (signal.SIGQUIT, 5)):  # a clean stop and a crash
                tiny_run.wait_until(lambda least=least: count("state = 'COMPLETE'") >= least or process.poll() is not None)
                server.stop(how)
                time.sleep(0.5)
                server.start()
            errors = process.communicate(timeout=tiny_run.DEADLINE)[1]
            self.assertEqual(process.returncode, 0, errors + sweep.log())
            self.assertEqual(count("state = 'COMPLETE'"), 10)
            self.assertEqual(count("state IN ('RUNNING', 'WAITING')"), 0)


if __name__ == "__main__":
    APP = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
