#!/usr/bin/env python3
"""What hone-static does when it is interrupted, killed or given what cannot run: static_behaviour.py <hone-static>

Graces of an hour show that nothing is waited for: a test that waited would not end.
"""
import json
import os
import pathlib
import signal
import sqlite3
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import sweeps  # noqa: E402
import tiny_run  # noqa: E402

APP = None
HOUR = {"heartbeat_seconds": 0.2, "grace_seconds": 3600}


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class StaticBehaviour(tiny_run.DataTest):
    def sweep(self, name, **changes):
        config = sweeps.recipe(self.folder, **changes)
        del config["about"], config["base"]["about"]  # none is needed
        return sweeps.Sweep(APP, config, self.folder / name)

    def command(self, name):
        """An objective whose command says that it has begun and then takes for ever; the file that it makes."""
        begun = self.folder / f"{name}.begun"
        return [{"metric": "command", "direction": "minimize",
                 "command": f"touch {begun}; sleep 3600; echo 1"}], begun

    def test_an_interrupt_ends_a_search_whose_objectives_command_runs(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            objectives, begun = self.command(number.name)
            sweep = self.sweep(number.name.lower(), objectives=objectives, budget={"trials": 4})
            process = sweep.start()
            tiny_run.wait_until(lambda begun=begun, process=process: begun.exists() or process.poll() is not None)
            process.send_signal(number)
            errors = process.communicate(timeout=tiny_run.DEADLINE)[1]
            self.assertEqual(process.returncode, code, errors + sweep.log())
            counts = sweep.report()["trials"]
            self.assertEqual((counts["failed"], counts["interrupted"], counts["waiting"]), (0, 1, 4), errors)
            self.assertIn("trial 0 interrupted; trial 4 tries its point again", errors)
            self.assertEqual(list(sweep.out.glob("trials/*/model")), [], "no model is left behind")

    def kill_all(self, sweep, begun):
        process = sweep.start()
        tiny_run.wait_until(lambda: begun.exists() or process.poll() is not None)
        for pid in (process.pid, *children(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        self.assertEqual([row["state"] for row in sweep.trials()].count("RUNNING"), 1)

    def test_trials_of_killed_processes_of_this_machine_are_tried_again_at_once(self):
        objectives, begun = self.command("killed")
        sweep = self.sweep("killed", objectives=objectives, budget={"trials": 1}, study=HOUR)
        self.kill_all(sweep, begun)
        begun.unlink()
        process = sweep.start()
        tiny_run.wait_until(lambda: begun.exists() or process.poll() is not None)
        process.terminate()
        errors = process.communicate(timeout=tiny_run.DEADLINE)[1]
        self.assertRegex(errors, r"trial 0 was run by \S+:\d+, which has ended; it is tried again")
        self.assertEqual(sweeps.counted(sweep.trials()), {"FAIL": 2, "WAITING": 1})

    def test_a_search_says_at_once_whom_it_waits_for(self):
        objectives, begun = self.command("elsewhere")
        sweep = self.sweep("elsewhere", objectives=objectives, budget={"trials": 1},
                           study={"heartbeat_seconds": 0.2, "grace_seconds": 2})
        self.kill_all(sweep, begun)
        connection = sqlite3.connect(sweep.database)
        with connection:  # as if on another machine: its end cannot be seen
            connection.execute("UPDATE trial_user_attributes SET value_json = '\"another machine 1 1\"' "
                               "WHERE key = 'hone:process'")
            connection.execute("UPDATE trial_heartbeats SET heartbeat = datetime('now')")
        connection.close()
        begun.unlink()
        process = sweep.start()
        tiny_run.wait_until(lambda: begun.exists() or process.poll() is not None)
        process.terminate()
        errors = process.communicate(timeout=tiny_run.DEADLINE)[1]
        self.assertRegex(errors, r"trial 0 is run by \S+:\d+, last heard of [\d.]+ s ago; it is waited for until it ends, "
                                 r"or is silent for 2\.0 s")

    def test_a_search_that_cannot_run_makes_no_trials_and_leaves_its_folder_to_another(self):
        sweep = self.sweep("unfit", budget={"trials": 3, "max_parameters": 10})
        done = sweep.finish()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("no feasible point", done.stderr)
        self.assertEqual(sweep.trials(), [])
        sweep.change(sweeps.recipe(self.folder, budget={"trials": 1},
                                   space={"/train/lr": {"low": 1e-3, "high": 1e-2}}))
        done = sweep.finish()
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_preset_that_adds_nothing_is_refused(self):
        done = self.sweep("preset", presets=["learning_rate"]).finish()
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("/presets/0: adds nothing: the space has its parameters already", done.stderr)

    def test_the_plan_is_for_people(self):
        rows = self.folder / "rows.jsonl"
        rows.write_text(json.dumps({"prompt": "fever nerve", "reference": "court"}) + "\n")
        sweep = self.sweep("plan", pruner={"kind": "median"}, objectives=[
            {"metric": "perplexity"},
            {"metric": "bleu", "file": str(rows), "generation": {"max_new_tokens": 4}},
            {"metric": "command", "direction": "minimize", "command": "echo 1"}])
        done = sweep.finish("--plan")
        self.assertEqual(done.returncode, 0, done.stderr)
        for part in (r"/train/lr +0\.0001 \.\. 0\.1, log\n", r"/architecture/hidden_size +8 \.\. 32, integer, in steps of 8\n",
                     r"pruner median: ", r"objective perplexity, minimize: ", r"objective bleu, maximize: .*1 text",
                     r"objective command, minimize: .*not run by a plan", r"1 CPU thread \(threads\)"):
            self.assertRegex(done.stdout, part)
        self.assertNotIn("Distribution", done.stdout)
        self.assertFalse(sweep.out.exists(), "a plan writes nothing")


if __name__ == "__main__":
    APP = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
