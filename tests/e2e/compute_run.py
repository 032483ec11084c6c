#!/usr/bin/env python3
"""The recipe's key `compute` from plan to report: compute_run.py HONE_DOMAIN HONE_STATIC"""
import json
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import tiny_run  # noqa: E402

BFLOAT16 = "bfloat16_products"


class ComputeTest(tiny_run.DataTest):
    def recipe(self, **changes):
        return tiny_run.base_recipe(self.folder) | changes

    def run_of(self, name, *flags, **changes):
        return tiny_run.Run(sys.argv[1], self.recipe(**changes), self.folder / name, *flags)

    def finished(self, name, **changes):
        run = self.run_of(name, **changes)
        code, log = run.finish()
        self.assertEqual(code, 0, log)
        return run, log

    def kept(self, run, file):
        return json.loads((run.out / f"{file}.json").read_text())

    def test_it_is_said_and_changes_the_loss_a_little(self):
        half, log = self.finished("half", compute=BFLOAT16)
        wide, wide_log = self.finished("wide", compute="float32")
        self.assertIn("products in bfloat16 (compute)", log)
        self.assertIn("products in float32 (compute)", wide_log)
        for file in ("manifest", "report", "config"):
            self.assertEqual(self.kept(half, file)["compute"], BFLOAT16)
        losses = [self.kept(run, "report")["loss"] for run in (half, wide)]
        self.assertNotEqual(*losses)
        self.assertAlmostEqual(losses[0] / losses[1], 1, delta=0.01)  # 2^-9 an operand

    def test_auto_is_decided_and_kept(self):
        run, log = self.finished("auto")
        self.assertIn("products in float32 (too small to gain by bfloat16)", log)
        self.assertEqual(self.kept(run, "config")["compute"], "auto")
        self.assertEqual(self.kept(run, "report")["compute"], "float32")

    def test_the_plan_says_it(self):
        run = self.run_of("plan", "--plan", compute=BFLOAT16)
        done = subprocess.run(run.command(), capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.count("products in bfloat16 (compute)"), 1, done.stdout)

    def interrupted(self, name, **changes):
        run = self.run_of(name, **changes)
        process = run.start()
        self.assertTrue(run.wait_for_step(process, 8))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=tiny_run.DEADLINE)
        self.assertEqual(process.returncode, 128 + signal.SIGINT)
        return run

    def test_a_resumed_run_repeats_the_whole_one(self):
        whole, _ = self.finished("whole", compute=BFLOAT16)
        half = self.interrupted("part", compute=BFLOAT16)
        half.recipe.write_text(json.dumps(self.recipe(compute="float32")))
        code, log = half.finish(resume=True)
        self.assertEqual(code, 2, log)
        self.assertIn("/compute: differs from the run that is resumed", log)
        half.recipe.write_text(json.dumps(self.recipe(compute=BFLOAT16)))
        code, log = half.finish(resume=True)
        self.assertEqual(code, 0, log)
        self.assertIn("products in bfloat16 (as the run began)", log)
        self.assertEqual(half.result(), whole.result())

    def test_auto_keeps_the_manifests_choice(self):
        run = self.interrupted("moved")
        manifest = self.kept(run, "manifest") | {"compute": BFLOAT16}  # as begun on a faster machine
        (run.out / "manifest.json").write_text(json.dumps(manifest))
        code, log = run.finish(resume=True)
        self.assertEqual(code, 0, log)
        self.assertEqual(self.kept(run, "report")["compute"], BFLOAT16)

    def test_a_run_of_a_version_without_the_key_goes_on_in_float32(self):
        run = self.interrupted("old")
        for file in ("config", "manifest"):
            value = self.kept(run, file)
            del value["compute"]
            (run.out / f"{file}.json").write_text(json.dumps(value))
        code, log = run.finish(resume=True)
        self.assertEqual(code, 0, log)
        self.assertEqual(self.kept(run, "manifest")["compute"], "float32")

    def test_a_search_decides_once(self):
        base = self.recipe()
        base["train"] |= {"steps": 4, "eval_every": 4, "save_every": 0}
        del base["guard"]
        search = {"about": "one choice", "base": base, "budget": {"trials": 2},
                  "space": {"/train/lr": {"low": 1e-3, "high": 1e-2, "log": True}}}
        run = tiny_run.Run(sys.argv[2], search, self.folder / "search")
        code, log = run.finish()
        self.assertEqual(code, 0, log)
        self.assertEqual(log.count("products in float32 (too small"), 1, log)
        manifests = [*(run.out / "trials").glob("*/config.json")]
        self.assertEqual(len(manifests), 2)
        for path in manifests:
            self.assertEqual(json.loads(path.read_text())["compute"], "float32")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
