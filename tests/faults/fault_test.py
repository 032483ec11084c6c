#!/usr/bin/env python3
"""hone-domain under faults: fault_test.py <hone-domain> [unittest arguments]

Killed at random steps, stopped by signals, out of disk, started twice. HONE_FAULT_KILLS sets the
number of kills of the resume test (default 20), HONE_FAULT_SEED its random steps.
"""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import tiny_run  # noqa: E402

APP = None
KILLS = int(os.environ.get("HONE_FAULT_KILLS", "20"))
SEED = int(os.environ.get("HONE_FAULT_SEED", "0"))


class Faults(tiny_run.DataTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.recipe = tiny_run.base_recipe(cls.folder)
        cls.reference = tiny_run.Run(APP, cls.recipe, cls.folder / "reference")
        code, errors = cls.reference.finish()
        if code != 0:
            raise AssertionError(f"the reference run failed: {errors}")

    def run_in(self, name, recipe=None):
        return tiny_run.Run(APP, recipe or self.recipe, self.folder / name)

    def assert_same(self, run, reference):
        weights, rows = run.result()
        expected_weights, expected_rows = reference.result()
        self.assertTrue(expected_weights)
        self.assertEqual(weights, expected_weights)
        self.assertEqual(rows, expected_rows)

    def kill_and_resume(self, name, recipe, kills, rng):
        """Runs of the recipe, killed at random steps and resumed, until `kills` kills are done."""
        done = 0
        while done < kills:
            run = self.run_in(f"{name}-{done}", recipe)
            process = run.start()
            while done < kills and run.wait_for_step(process, run.step() + rng.randint(1, 12)):
                process.send_signal(signal.SIGKILL)
                process.communicate()
                done += 1
                process = run.start(resume=True)
            _, errors = process.communicate(timeout=tiny_run.DEADLINE)
            self.assertEqual(process.returncode, 0, errors)
            yield run

    def test_killed_runs_resume_to_the_same_result(self):
        rng = random.Random(SEED)
        for run in self.kill_and_resume("killed", self.recipe, KILLS // 2, rng):
            self.assert_same(run, self.reference)
        recipe = tiny_run.lora_recipe(self.folder, self.reference.out / "model")
        reference = self.run_in("lora-reference", recipe)
        code, errors = reference.finish()
        self.assertEqual(code, 0, errors)
        for run in self.kill_and_resume("killed-lora", recipe, KILLS - KILLS // 2, rng):
            self.assert_same(run, reference)

    def test_signals_save_and_leave(self):
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            run = self.run_in(f"signal-{code}")
            process = run.start()
            self.assertTrue(run.wait_for_step(process, 7))
            process.send_signal(number)
            _, errors = process.communicate(timeout=tiny_run.DEADLINE)
            self.assertEqual(process.returncode, code, errors)
            self.assertEqual(run.newest_checkpoint().name, f"checkpoint-{run.step()}",
                             "the step that was interrupted is saved")
            self.assertFalse((run.out / "model").exists(), "an interrupted run leaves no model")
            self.assertEqual(run.finish(resume=True)[0], 0)
            self.assert_same(run, self.reference)

    def test_a_second_signal_ends_at_once(self):
        recipe = tiny_run.base_recipe(self.folder)
        recipe["train"]["accumulation"] = 1000000  # a step that does not end before the test does
        run = self.run_in("two-signals", recipe)
        process = run.start()
        tiny_run.wait_until(lambda: tiny_run.catches(process.pid, signal.SIGTERM))
        process.send_signal(signal.SIGTERM)
        tiny_run.wait_until(lambda: not tiny_run.catches(process.pid, signal.SIGTERM))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=tiny_run.DEADLINE)
        self.assertEqual(process.returncode, -signal.SIGINT)

    def test_a_second_run_in_the_folder_is_refused(self):
        run = self.run_in("twice", tiny_run.base_recipe(self.folder, steps=100000))
        process = run.start()
        try:
            self.assertTrue(run.wait_for_step(process, 1))
            for resume in (False, True):
                code, errors = run.finish(resume)
                self.assertEqual(code, 1, errors)
                self.assertIn(str(process.pid), errors, "the holder is named")
        finally:
            process.kill()
            process.communicate()
        # The lock of a dead holder is free: without --resume the run in the folder stops a new one.
        code, errors = run.finish()
        self.assertEqual(code, 1)
        self.assertIn("--resume", errors)

    def test_resume_is_refused_on_another_config_and_without_a_run(self):
        code, errors = self.run_in("nothing").finish(resume=True)
        self.assertEqual(code, 1, errors)
        self.assertIn("nothing", errors)
        run = self.run_in("changed")
        process = run.start()
        self.assertTrue(run.wait_for_step(process, 5))
        process.kill()
        process.communicate()
        changed = self.run_in("changed", self.recipe | {"seed": 1})
        code, errors = changed.finish(resume=True)
        self.assertEqual(code, 2, errors)
        self.assertIn("/seed", errors)

    def test_a_broken_newest_checkpoint_is_passed_over(self):
        run = self.run_in("torn")
        process = run.start()
        self.assertTrue(run.wait_for_step(process, 20))
        process.kill()
        process.communicate()
        newest = run.newest_checkpoint()
        weights = max(newest.glob("*.safetensors"), key=lambda path: path.stat().st_size)
        with weights.open("r+b") as file:
            file.truncate(weights.stat().st_size // 2)
        code, errors = run.finish(resume=True)
        self.assertEqual(code, 0, errors)
        self.assertIn(newest.name, errors)
        self.assert_same(run, self.reference)

    def in_namespace(self, code):
        """Runs Python code that may mount; its output."""
        unshare = ["unshare", "--map-root-user", "--mount"]
        probe = subprocess.run([*unshare, "true"], capture_output=True, check=False)
        if probe.returncode != 0:
            self.skipTest("no mount namespaces here: " + probe.stderr.decode())
        result = subprocess.run([*unshare, sys.executable, "-c", code], capture_output=True, text=True,
                                timeout=tiny_run.DEADLINE, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def run_on(self, disk, recipe):
        """A run whose folder lies on the disk, its recipe elsewhere."""
        disk.mkdir()
        run = tiny_run.Run(APP, recipe, self.folder / disk.name / "run")
        shutil.move(run.recipe, self.folder / f"{disk.name}.json")
        run.recipe = self.folder / f"{disk.name}.json"
        return run

    def test_a_full_disk_stops_the_run_and_loses_nothing(self):
        """On a small tmpfs of its own mount namespace; then there is room again and the run goes on."""
        # It says more than a pipe of 4096 bytes holds, so that it cannot come to its end unread.
        recipe = tiny_run.base_recipe(self.folder, steps=200)
        recipe["train"]["log_every"] = 1
        reference = self.run_in("log-reference", recipe)
        self.assertEqual(reference.finish()[0], 0)
        disk = self.folder / "disk"
        run = self.run_on(disk, recipe)
        out = self.in_namespace(f"""
import errno, fcntl, os, subprocess
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", "{disk}"], check=True)
process = subprocess.Popen({run.command()!r}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
assert any(line.startswith("step 9/") for line in process.stderr)
filler = os.open("{disk}/filler", os.O_WRONLY | os.O_CREAT)
try:
    while True:
        os.write(filler, bytes(4096))
except OSError as error:
    assert error.errno == errno.ENOSPC
rest = process.stderr.read()
print("full", process.wait(), rest.splitlines()[-1])
print(os.listdir("{disk}/run/checkpoints"))
os.close(filler)
os.unlink("{disk}/filler")
done = subprocess.run({run.command(resume=True)!r}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
print("with room", done.returncode, done.stderr)
subprocess.run(["cp", "-r", "{disk}/run", "{self.folder}/after"], check=True)
""")
        self.assertRegex(out, f"^full 1 .*{disk}.*([Nn]o space|free|bytes)")
        self.assertIn("with room 0", out)
        self.assertNotIn(".tmp-", out.splitlines()[1], "what was half written is removed")
        run.out = self.folder / "after"
        self.assert_same(run, reference)

    def test_a_disk_too_small_for_the_run_is_found_before_training(self):
        disk = self.folder / "small-disk"
        run = self.run_on(disk, self.recipe)
        checkpoint = sum(path.stat().st_size for path in self.reference.newest_checkpoint().iterdir())
        out = self.in_namespace(f"""
import subprocess
subprocess.run(["mount", "-t", "tmpfs", "-o", "size={2 * checkpoint}", "tmpfs", "{disk}"], check=True)
for flags in ([], ["--plan"]):
    done = subprocess.run({run.command()!r} + flags, capture_output=True, text=True)
    print("exit", done.returncode, done.stdout, done.stderr)
subprocess.run(["mount", "-o", "remount,size=64m", "{disk}"], check=True)
done = subprocess.run({run.command()!r}, capture_output=True, text=True)
print(done.stderr)
print("with room", done.returncode)
""")
        self.assertEqual(out.count("exit 1 "), 2, out)
        _, refused, plan = out.split("exit 1 ")
        room = out.splitlines()[-1]
        self.assertRegex(refused, r"the run needs \d+ bytes .* for 3 checkpoints of .* and the model of .*; the disk has \d+ bytes")
        self.assertNotIn("step 1/", refused)
        self.assertRegex(plan, r"(?m)^disk +\S+ \S+  3 checkpoints of .* and the model of")
        self.assertRegex(plan, r"the disk of .* has .* free: the run does not fit")
        self.assertEqual(room, "with room 0", out)


if __name__ == "__main__":
    APP = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
