"""How runs end, and what they say of it: run_endings.py <hone-domain> [unittest arguments]

Guards that go back or rebalance, runs that diverge or are interrupted between their parts, and runs
that are resumed when only their model is left to write.
"""
import fcntl
import json
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import tiny_run  # noqa: E402
from tiny_run import Run, read_rows  # noqa: E402

APP = None
WORDS = {"general": "fever nerve lung graft bone cardiology hemoglobin artery vein organ tissue cell".split(),
         "special": "court judge clause writ plaintiff jurisprudence appeal statute bail jury felony verdict".split()}
STRIDES = {"general": (1, 5), "special": (2, 3)}


def write_chains(path, domain, seed, count):
    """Sentences in which each word follows from the one before: something to learn, and to forget."""
    rng, words, rows = random.Random(seed), WORDS[domain], []
    for _ in range(count):
        at, text = rng.randrange(len(words)), []
        for _ in range(rng.randint(6, 14)):
            text.append(words[at])
            at = (at + rng.choice(STRIDES[domain])) % len(words)
        rows.append(json.dumps({"text": " ".join(text)}))
    path.write_text("\n".join(rows) + "\n")


def spoil(model):
    """Makes every number of the model's first tensor NaN."""
    path = model / "model.safetensors"
    data = bytearray(path.read_bytes())
    header = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8:header])
    begin, end = next(t for name, t in tensors.items() if "embed_tokens" in name)["data_offsets"]
    data[header + begin:header + end] = struct.pack("<f", float("nan")) * ((end - begin) // 4)
    path.write_bytes(data)


class Endings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tiny_run.tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        sets = {}
        for seed, domain in enumerate(WORDS):
            for part, count in (("train", 800), ("held_out", 60)):
                path = cls.folder / f"{domain}.{part}.jsonl"
                write_chains(path, domain, 10 * seed + len(part), count)
                sets[domain, part] = {"name": domain, "domain": domain, "files": [str(path)]}
        cls.sets = sets
        cls.held_out = [sets[domain, "held_out"] for domain in WORDS]
        base = {"about": "base", "device": "cpu",
                "architecture": {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
                                 "num_attention_heads": 2, "max_position_embeddings": 128},
                "tokenizer": {"vocab_size": 400}, "data": cls.data(special=False),
                "train": {"steps": 120, "lr": 5e-3}}
        cls.base = cls.folder / "base/model"
        run = Run(APP, base, cls.folder / "base")
        code, errors = run.finish()
        if code:
            raise AssertionError(errors)

    @classmethod
    def data(cls, general=1.0, special=True):
        train = [cls.sets["general", "train"] | {"weight": general}] if general else []
        return {"train": train + ([cls.sets["special", "train"]] if special else []), "held_out": cls.held_out,
                "tokens_per_batch": 512}

    def recipe(self, general=0.0, guard=None, **train):
        recipe = {"about": "tune", "device": "cpu", "model": str(self.base), "data": self.data(general),
                  "train": {"steps": 60, "lr": 2e-3, "eval_every": 10, **train}}
        return recipe | ({"guard": {"domain": "general", "max_ratio": 1.1, **guard}} if guard else {})

    def run_of(self, name, recipe, code=0, resume=False):
        """A run that ended with this code: what it wrote on stdout and stderr, and its report."""
        run = Run(APP, recipe, self.folder / name)
        done = subprocess.run(run.command(resume), capture_output=True, text=True, timeout=tiny_run.DEADLINE,
                              check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        run.said, run.logged = done.stdout, done.stderr
        report = run.out / "report.json"
        run.report = json.loads(report.read_text()) if report.exists() else None
        return run

    def perplexity(self, report, domain, when="after"):
        return next(score["perplexity"] for score in report[when]["domains"] if score["domain"] == domain)

    def assert_resumes_to_its_model(self, run):
        """Killed while it wrote the model, it has nothing to do again but that."""
        weights, rows = run.result()
        for path in ("model", "report.json", "report.html"):
            target = run.out / path
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        again = self.run_of(run.out.name, json.loads(run.recipe.read_text()), resume=True)
        self.assertEqual(again.result(), (weights, rows))
        for key in ("ending", "steps", "tokens", "loss", "seconds", "mean_tokens_per_second", "before", "after"):
            self.assertEqual(again.report[key], run.report[key], key)
        self.assertEqual(again.report.get("guard"), run.report.get("guard"))

    def test_a_guard_that_stops_goes_back_to_the_last_evaluation_that_passed(self):
        run = self.run_of("stopped", self.recipe(guard={"max_ratio": 1.3}, save_every=4))
        guard, step = run.report["guard"], run.report["guard"]["returned_to"]
        self.assertEqual(run.report["ending"], "stopped by the guard")
        self.assertEqual(step % 10, 0)
        self.assertGreater(guard["last_ratio"], 1.3)
        self.assertEqual(run.report["after"]["step"], step)
        self.assertEqual(guard["verdict"], "held")
        self.assertLessEqual(guard["ratio"], 1.3)
        self.assertIn("guard: held", run.said)
        score = {"about": "score", "device": "cpu", "model": str(run.out / "model"),
                 "data": {"held_out": self.held_out, "tokens_per_batch": 512}, "train": {"steps": 0}}
        scored = self.run_of("scored", score).report
        for domain in WORDS:
            self.assertAlmostEqual(self.perplexity(scored, domain) / self.perplexity(run.report, domain), 1, delta=1e-5)
        self.assert_resumes_to_its_model(run)

    def test_a_run_killed_while_its_model_is_written_loses_nothing(self):
        self.assert_resumes_to_its_model(self.run_of("done", self.recipe(steps=25, save_every=10)))

    def test_a_guard_that_rebalances_holds_where_a_factor_on_the_weight_did_not(self):
        """By multiplying the set's weight this run ended at 2.08."""
        guard, schedule = {"action": "rebalance"}, {"steps": 80, "eval_every": 20}
        run = self.run_of("rebalanced", self.recipe(0.005, guard, **schedule))
        self.assertEqual(run.report["guard"]["verdict"], "held")
        self.assertLessEqual(run.report["guard"]["ratio"], 1.1)
        free = self.run_of("free", self.recipe(0.005, **schedule))
        self.assertGreater(self.perplexity(free.report, "general") / self.perplexity(free.report, "general", "before"), 1.3)
        self.assertLess(self.perplexity(run.report, "special"), self.perplexity(run.report, "special", "before") / 2)

    def test_a_guard_that_was_not_held_is_said_so_everywhere(self):
        """Nothing is evaluated between the first step and the last: there was no time to rebalance."""
        run = self.run_of("violated", self.recipe(0.005, {"action": "rebalance"}, steps=30, eval_every=1000))
        self.assertEqual(run.report["ending"], "done")
        self.assertEqual(run.report["guard"]["verdict"], "violated")
        text = f"guard: violated: perplexity of general is {run.report['guard']['ratio']:.3f} times that of the base, limit 1.1"
        self.assertIn(text, run.said)
        self.assertIn("warning: " + text, run.logged)
        self.assertNotIn("share", run.logged, "no step is left for which it could matter")
        self.assertIn('<b class="bad">violated</b><span>guard</span>', (run.out / "report.html").read_text())

    def test_a_run_of_skipped_steps_alone_has_diverged_and_says_what_it_did_not_measure(self):
        spoilt = self.folder / "spoilt"
        shutil.copytree(self.base, spoilt)
        spoil(spoilt)
        run = self.run_of("nan", self.recipe(steps=3) | {"model": str(spoilt)}, code=3)
        self.assertFalse((run.out / "model").exists())
        self.assertEqual(run.report["ending"], "diverged")
        self.assertEqual(run.report["skipped_steps"], 3)
        self.assertIsNone(run.report["after"])
        self.assertIn("not measured", run.said)
        self.assertIn("holds numbers that are not finite", run.logged)
        page = (run.out / "report.html").read_text()
        self.assertIn("<b>not measured</b>", page)
        self.assertNotIn("+0.0 %", page)

    def test_tokens_per_second_is_the_step_s_own(self):
        run = self.run_of("speed", self.recipe(steps=20))
        rows = [row for row in read_rows(run.out / "metrics.jsonl") if "tokens_per_second" in row]
        seconds = sum(row["tokens"] / row["tokens_per_second"] for row in rows)
        self.assertAlmostEqual(seconds / run.report["seconds"], 1, delta=1e-6)
        self.assertAlmostEqual(sum(row["tokens"] for row in rows) / seconds / run.report["mean_tokens_per_second"], 1,
                               delta=1e-6)

    def test_a_signal_between_the_parts_of_a_run_is_heard_and_the_run_can_be_resumed(self):
        terms = self.folder / "terms.txt"
        terms.write_text("jurisprudence\nplaintiff\n")
        recipe = self.recipe(steps=120, log_every=1) | {
            "vocabulary": {"new_tokens": 8, "terms_file": str(terms), "embedding_steps": 6}}
        reference = self.run_of("uninterrupted", recipe).result()
        for moment, words in enumerate(("", "step 0: held-out", "vocabulary:", "embeddings 6/6", "step 6: held-out")):
            run = Run(APP, recipe, self.folder / f"interrupted-{moment}")
            process = subprocess.Popen(run.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            # So little is taken of what it says that it cannot come to its end unnoticed.
            fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
            if words:
                self.assertTrue(any(words in line for line in process.stderr), words)
            else:
                tiny_run.wait_until(lambda: tiny_run.catches(process.pid, signal.SIGINT))
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=tiny_run.DEADLINE)
            self.assertEqual(process.returncode, 130, f"{words}: {errors}")
            self.assertIn("stopped by a signal", said)
            self.assertFalse((run.out / "model").exists())
            self.assertFalse((run.out / "report.json").exists())
            code, errors = run.finish(resume=True)
            self.assertEqual(code, 0, errors)
            self.assertEqual(run.result(), reference, words)

    def test_an_interrupted_run_does_not_give_the_base_s_scores_as_its_own(self):
        run = Run(APP, self.recipe(steps=100000, eval_every=0), self.folder / "interrupted")
        process = subprocess.Popen(run.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertTrue(run.wait_for_step(process, 3))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=tiny_run.DEADLINE)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(said.count("not measured"), len(WORDS))


if __name__ == "__main__":
    APP = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
