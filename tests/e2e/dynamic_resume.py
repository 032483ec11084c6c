"""What a resumed run keeps, and how one becomes longer: dynamic_resume.py <hone-dynamic> [unittest arguments]

Runs that were killed are made of whole ones, by taking away the report and the later checkpoints, so that
nothing depends on when a signal comes.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import tiny_run  # noqa: E402
from tiny_run import DEADLINE, Run, read_rows  # noqa: E402

DYNAMIC = None
UNREPEATABLE = ("memory_headroom", "step_seconds", "tokens_per_second")
EMBEDDING_STEPS, STEPS = 6, 12


def recipe(folder):
    """Embeddings first; then heads go by their gradients, and a weight follows the domains' losses."""
    terms = folder / "terms.txt"
    terms.write_text("cardiology\nhemoglobin\n")
    config = tiny_run.base_recipe(folder, steps=STEPS, save_every=2)
    del config["guard"]
    config["architecture"] |= {"num_attention_heads": 4, "num_key_value_heads": 4}
    config["train"] |= {"lr": 0.01, "eval_every": 6, "keep_checkpoints": 100}
    return config | {
        "vocabulary": {"new_tokens": 8, "terms_file": str(terms), "embedding_steps": EMBEDDING_STEPS},
        "signals": {"every": 2},
        "controllers": {
            "domain_weights": {"enabled": True, "every": 2},
            "pruning": {"enabled": True, "heads": {"target": 0.4, "start": 2, "end": 10, "every": 2,
                                                   "importance": "gate_gradient"}},
        },
    }


class Result:
    """What a resumed run must give again."""

    def __init__(self, out):
        self.report = json.loads((out / "report.json").read_text())
        self.weights = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.glob("model*/*.safetensors"))}
        self.decisions = read_rows(out / "decisions.jsonl")[1:]
        self.rows = []
        for row in read_rows(out / "metrics.jsonl"):
            signals = {key: value for key, value in row.get("signals", {}).items() if key not in UNREPEATABLE}
            self.rows.append({key: value for key, value in row.items() if key not in UNREPEATABLE} | {"signals": signals})


class DynamicResume(tiny_run.DataTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.config = recipe(cls.folder)
        cls.live = cls.whole("live", cls.config)

    @classmethod
    def whole(cls, name, config, *flags, code=0):
        run = Run(DYNAMIC, config, cls.folder / name, *flags)
        got, errors = run.finish()
        if got != code:
            raise AssertionError(f"{name}: exit code {got}\n{errors}")
        return Result(run.out)

    def killed(self, whole, name, at):
        """The folder of a run like `whole` that was killed with the checkpoint of step `at` as its newest."""
        out = self.folder / name
        shutil.copytree(self.folder / whole, out)
        for path in [out / "report.json", out / "report.html"]:
            path.unlink()
        for path in [*out.glob("model*"), *(out / "checkpoints").iterdir()]:
            step = int(path.name.split("-")[1]) if path.name.startswith("checkpoint-") else at + 1
            if step > at:
                shutil.rmtree(path)
        return out

    def resume(self, out, *flags, code=0):
        """Resumes without a recipe: the folder has its own."""
        done = subprocess.run([str(DYNAMIC), "--out", str(out), "--resume", *flags], capture_output=True, text=True,
                              timeout=DEADLINE, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def same(self, a, b):
        self.assertTrue(a.weights)
        self.assertEqual(a.weights, b.weights)
        self.assertEqual(a.decisions, b.decisions)
        self.assertEqual(a.rows, b.rows)

    def test_a_run_resumed_in_and_after_the_embedding_phase_equals_the_uninterrupted_one(self):
        """From nothing, from within the phase, from its end, and from the main phase's first checkpoint."""
        self.assertIn("heads", {row["knob"] for row in self.live.decisions})
        self.assertIn("domain_weights", {row["knob"] for row in self.live.decisions})
        for at in (-1, 4, EMBEDDING_STEPS, EMBEDDING_STEPS + 2):
            out = self.killed("live", f"killed-{at}", at)
            self.resume(out)
            self.same(Result(out), self.live)

    def test_the_decisions_of_a_resumed_run_can_be_replayed(self):
        out = self.killed("live", "to-replay", 4)
        self.resume(out)
        again = self.whole("replayed", self.config, "--replay", str(out / "decisions.jsonl"))
        self.assertEqual(again.weights, self.live.weights)
        self.assertEqual(again.decisions, self.live.decisions)

    def test_the_pruning_schedule_counts_the_steps_of_train_steps(self):
        """The embeddings' steps are not counted, and decisions give steps of the run."""
        steps = [row["step"] - EMBEDDING_STEPS for row in self.live.decisions if row["knob"] == "heads"]
        self.assertTrue(steps)
        self.assertLessEqual(set(steps), {2, 4, 6, 8, 10})
        cut = [row["step"] - EMBEDDING_STEPS for row in self.live.decisions if row["knob"] == "cut"]
        self.assertEqual(cut, [10])

    def test_a_dry_run_and_a_replay_stay_so_when_resumed(self):
        dry = self.whole("dry", self.config, "--dry-run")
        out = self.killed("dry", "dry-killed", 8)
        self.assertIn("a dry run, as it was begun", self.resume(out))
        self.same(Result(out), dry)
        self.assertFalse(any(row["applied"] for row in Result(out).decisions))
        record = self.folder / "record.jsonl"
        shutil.copy(self.folder / "live/decisions.jsonl", record)
        quiet = self.config | {"controllers": {}}  # by itself it would decide nothing
        replayed = self.whole("quiet", quiet, "--replay", str(record))
        self.assertEqual(replayed.weights, self.live.weights)
        out = self.killed("quiet", "quiet-killed", 8)
        record.unlink()
        self.resume(out)
        self.assertEqual(Result(out).weights, self.live.weights)

    def test_flags_that_contradict_how_a_run_was_begun_are_refused(self):
        out = self.killed("live", "contradicted", 8)
        self.assertIn("--dry-run: the run was begun without it", self.resume(out, "--dry-run", code=2))
        self.assertIn("--replay: the run was begun without it",
                      self.resume(out, "--replay", str(self.folder / "live/decisions.jsonl"), code=2))
        self.resume(out)
        self.same(Result(out), self.live)

    def test_a_diverged_run_stays_diverged(self):
        config = tiny_run.base_recipe(self.folder, steps=8)
        del config["guard"]
        config["train"] |= {"beta2": 0, "eps": 0, "max_nonfinite": 0}  # rows without a gradient become 0 / 0
        run = Run(DYNAMIC, config, self.folder / "diverged")
        code, errors = run.finish()
        self.assertEqual(code, 3, errors)
        self.assertIn("diverged", self.resume(run.out, code=3))
        self.assertIn("the run cannot become longer: it has ended already (diverged)",
                      self.resume(run.out, "--set", "train.steps=9", code=2))

    def test_other_weights_or_data_than_the_run_was_begun_with_are_refused(self):
        plain = tiny_run.base_recipe(self.folder, steps=2)
        del plain["guard"]
        self.whole("plain", plain)
        base, data = self.folder / "base", self.folder / "own.jsonl"
        shutil.copytree(self.folder / "plain/model", base)
        shutil.copy(self.folder / "medicine.jsonl", data)
        config = tiny_run.base_recipe(self.folder, steps=8, save_every=2)
        for key in ("architecture", "tokenizer", "guard"):
            del config[key]
        config |= {"model": str(base), "tuning": "lora", "lora": {"rank": 2}}
        config["data"]["train"][1]["files"] = [str(data)]
        config["train"]["keep_checkpoints"] = 100
        lora = self.whole("lora", config)
        other = self.whole("other", plain | {"seed": 5})
        self.assertTrue(other.weights)
        weights, texts = base / "model.safetensors", data.read_text()
        before = weights.read_bytes()
        out = self.killed("lora", "lora-killed", 4)
        weights.write_bytes((self.folder / "other/model/model.safetensors").read_bytes())
        errors = self.resume(out, code=2)
        self.assertIn("/model: the weights of the base differ", errors)
        self.assertNotIn("/data", errors)
        weights.write_bytes(before)
        data.write_text(texts + '{"text": "one more"}\n')
        self.assertIn("/data/train/1: the documents of medicine differ", self.resume(out, code=2))
        data.write_text(texts)
        self.resume(out)
        self.same(Result(out), lora)

    def test_a_run_becomes_longer_and_nothing_else(self):
        out = self.folder / "longer"
        shutil.copytree(self.folder / "live", out)
        for change, words in (("train.steps=11", "/train/steps: was 12"), ("train.lr=1", "/train/lr: differs"),
                              ("seed=3", "/seed: differs")):
            self.assertIn(words, self.resume(out, "--set", change, code=2))
        self.assertEqual(Result(out).rows, self.live.rows)
        log = self.resume(out, "--set", "train.steps=20")
        self.assertIn("/train/steps is 20 instead of 12", log)
        result = Result(out)
        self.assertEqual(result.report["steps"], 20)
        steps = [row["step"] for row in result.rows if "lr" in row]
        self.assertEqual(steps, list(range(1, EMBEDDING_STEPS + 20 + 1)))
        # The rates are those of twenty steps from there on: a run of that length has the same.
        whole = self.whole("twenty", self.config | {"train": self.config["train"] | {"steps": 20}})
        rates = {row["step"]: row["lr"] for row in whole.rows if "lr" in row}
        last = {row["step"]: row["lr"] for row in result.rows if "lr" in row}
        for step in range(EMBEDDING_STEPS + 13, EMBEDDING_STEPS + 21):
            self.assertEqual(last[step], rates[step])
        self.assertIn("ended already (done)", self.resume(out))
        self.assertEqual(json.loads((out / "config.json").read_text())["train"]["steps"], 20)
        # Its decisions are of no run that could be begun.
        run = Run(DYNAMIC, self.config | {"train": self.config["train"] | {"steps": 20}}, self.folder / "unrepeatable",
                  "--replay", str(out / "decisions.jsonl"))
        code, errors = run.finish()
        self.assertEqual(code, 2, errors)
        self.assertIn("lengthened", errors)

    def test_a_run_that_was_killed_can_be_resumed_longer(self):
        out = self.killed("live", "killed-longer", 10)
        self.resume(out, "--set", "train.steps=16")
        self.assertEqual(Result(out).report["steps"], 16)
        manifest = json.loads((out / "manifest.json").read_text())
        self.assertEqual([(row["from"], row["to"], row["at_step"]) for row in manifest["lengthened"]], [(12, 16, 10)])

    def test_an_ended_run_without_checkpoints_is_not_begun_anew(self):
        out = self.folder / "no-checkpoint"
        shutil.copytree(self.folder / "live", out)
        shutil.rmtree(out / "checkpoints")
        self.assertIn("it keeps no checkpoint", self.resume(out, "--set", "train.steps=20", code=2))
        self.assertEqual(Result(out).weights, self.live.weights)


if __name__ == "__main__":
    DYNAMIC = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
