#!/usr/bin/env python3
"""What cannot work is said before weights are loaded and scored: early_errors.py <hone-domain> <hone-dynamic>

The folder of such a run is free again for the same command, mended; that of a run which trained is not.
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import tiny_run  # noqa: E402

DOMAIN = DYNAMIC = None


class EarlyErrors(tiny_run.DataTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        recipe = tiny_run.base_recipe(cls.folder, steps=2, save_every=0)
        for key in ("about", "guard", "weights"):  # none is needed
            del recipe[key]
        recipe["train"].update(eval_every=0)
        cls.from_nothing = recipe
        code, errors = tiny_run.Run(DOMAIN, recipe, cls.folder / "base").finish()
        if code != 0:
            raise AssertionError(errors)

    def recipe(self, **changes):
        """Goes on with the base."""
        recipe = {key: value for key, value in self.from_nothing.items() if key not in ("architecture", "tokenizer")}
        return recipe | {"model": str(self.folder / "base/model")} | changes

    def refused(self, name, recipe, *parts, app=None):
        """Ends before the base is scored, says why, and leaves its folder to a run that works."""
        run = tiny_run.Run(app or DOMAIN, recipe, self.folder / name)
        code, errors = run.finish()
        self.assertEqual(code, 1, errors)
        for part in parts:
            self.assertIn(part, errors)
        self.assertNotIn("perplexity", errors)
        self.assertEqual((run.out / "metrics.jsonl").read_text(), "")
        code, errors = tiny_run.Run(DOMAIN, self.recipe(), run.out).finish()
        self.assertEqual(code, 0, errors)
        self.assertTrue((run.out / "model/config.json").exists())

    def test_a_batch_beyond_memory_is_refused_with_the_plan(self):
        data = self.from_nothing["data"] | {"tokens_per_batch": 1000000000}
        for name, app in (("domain", DOMAIN), ("dynamic", DYNAMIC)):
            self.refused(f"large-{name}", self.recipe(data=data), "the run does not fit", "GiB", "data set", "--force",
                         app=app)

    def test_force_begins_although_the_plan_does_not_fit(self):
        """Scoring holds no more than there is text, whatever the plan says of such a batch."""
        data = {"held_out": self.from_nothing["data"]["held_out"], "tokens_per_batch": 1000000000}
        recipe = self.recipe(data=data, train={"steps": 0})
        code, errors = tiny_run.Run(DOMAIN, recipe, self.folder / "scored").finish()
        self.assertEqual(code, 1, errors)
        code, errors = tiny_run.Run(DOMAIN, recipe, self.folder / "scored", "--force").finish()
        self.assertEqual(code, 0, errors)
        self.assertIn("--force: the run begins although it does not fit", errors)

    def test_a_target_that_the_model_lacks(self):
        self.refused("target", self.recipe(tuning="lora", lora={"targets": ["q_prj"]}),
                     "target q_prj matches no linear layer")

    def test_a_broken_row(self):
        data = json.loads(json.dumps(self.from_nothing["data"]))
        broken = self.folder / "broken.jsonl"
        broken.write_text('{"text": "fever nerve"}\n{"text": oops}\n')
        data["train"][1]["files"] = [str(broken)]
        self.refused("row", self.recipe(data=data), "broken.jsonl:2: ")

    def test_a_run_that_trained_is_not_overwritten(self):
        run = tiny_run.Run(DOMAIN, self.recipe(), self.folder / "base")
        before = (run.out / "report.json").read_bytes()
        code, errors = run.finish()
        self.assertEqual(code, 1, errors)
        self.assertIn("holds a run; go on with it by --resume", errors)
        self.assertEqual((run.out / "report.json").read_bytes(), before)

    def test_threads_are_those_of_the_environment(self):
        recipe = self.recipe(train={"steps": 0}, data={"held_out": self.from_nothing["data"]["held_out"]})
        del recipe["threads"]
        run = tiny_run.Run(DOMAIN, recipe, self.folder / "threads")
        for flags in ([], ["--plan"]):
            done = subprocess.run(run.command() + flags, capture_output=True, text=True, check=True,
                                  env=os.environ | {"OMP_NUM_THREADS": "1"})
            self.assertIn("1 CPU thread (OMP_NUM_THREADS)", done.stdout + done.stderr)


if __name__ == "__main__":
    DYNAMIC = pathlib.Path(sys.argv.pop(2)).resolve()
    DOMAIN = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
