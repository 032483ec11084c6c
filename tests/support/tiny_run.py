"""A tiny run of hone-domain for fault and sweep tests: data, recipes, starting, watching and comparing."""
import hashlib
import json
import pathlib
import random
import re
import subprocess
import tempfile
import time
import unittest

WORDS = ("fever", "nerve", "court", "judge", "clause", "writ", "lung", "graft", "bone", "river", "stone",
         "cardiology", "jurisprudence", "hemoglobin", "plaintiff")
DEADLINE = 300  # seconds for anything that a test waits for


def write_rows(path, seed, count):
    """Sentences of random words: enough to train on, nothing to learn from."""
    rng = random.Random(seed)
    rows = [{"text": " ".join(rng.choices(WORDS, k=rng.randint(4, 12)))} for _ in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_data(folder):
    for seed, name in enumerate(("general", "medicine", "held_out")):
        write_rows(folder / f"{name}.jsonl", seed, 20 if name == "held_out" else 200)


def base_recipe(folder, steps=48, save_every=4):
    """Full tuning from nothing on a mix of two sets, guarded."""
    return {
        "about": "fault test",
        "architecture": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                         "num_attention_heads": 2, "max_position_embeddings": 128},
        "tokenizer": {"vocab_size": 320},
        "device": "cpu",
        "threads": 1,
        "data": {
            "train": [{"name": name, "domain": name, "files": [str(folder / f"{name}.jsonl")]}
                      for name in ("general", "medicine")],
            "held_out": [{"name": "held_out", "domain": "general",
                          "files": [str(folder / "held_out.jsonl")]}],
            "tokens_per_batch": 128,
        },
        "weights": {"domains": {"medicine": 2.0}},
        "guard": {"domain": "general", "max_ratio": 1.0, "action": "rebalance"},
        "train": {"steps": steps, "lr": 1e-3, "accumulation": 2, "save_every": save_every,
                  "eval_every": 12, "log_every": 10},
    }


def lora_recipe(folder, model):
    """An adapter with dropout on a base with a grown vocabulary, embeddings trained first."""
    recipe = base_recipe(folder)
    del recipe["architecture"], recipe["tokenizer"], recipe["guard"]
    terms = folder / "terms.txt"
    terms.write_text("cardiology\nhemoglobin\n")
    return recipe | {
        "model": str(model), "tuning": "lora", "lora": {"rank": 4, "alpha": 8, "dropout": 0.2},
        "vocabulary": {"new_tokens": 8, "terms_file": str(terms), "embedding_steps": 6},
    }


def wait_until(condition):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"did not happen in {DEADLINE} s")
        time.sleep(0.002)


def catches(pid, number):
    """Whether the process has a handler for the signal."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    caught = int(re.search(r"(?m)^SigCgt:\s*([0-9a-f]+)", status)[1], 16)
    return bool(caught >> (number - 1) & 1)


class DataTest(unittest.TestCase):
    """Tests in a folder of their own, `folder`, that holds make_data's data."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        make_data(cls.folder)


class Run:
    """One run folder and the processes that work on it; `flags` are added to each command."""

    def __init__(self, app, recipe, out, *flags):
        self.app, self.out, self.flags = app, pathlib.Path(out), flags
        self.recipe = self.out.parent / f"{self.out.name}.json"
        self.recipe.write_text(json.dumps(recipe))

    def command(self, resume=False):
        return [str(self.app), "--config", str(self.recipe), "--out", str(self.out),
                *(["--resume"] if resume else []), *self.flags]

    def start(self, resume=False):
        return subprocess.Popen(self.command(resume), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True)

    def finish(self, resume=False):
        """Runs to the end; (exit code, stderr)."""
        result = subprocess.run(self.command(resume), capture_output=True, text=True, timeout=DEADLINE,
                                check=False)
        return result.returncode, result.stderr

    def step(self):
        """The last step in metrics.jsonl, 0 before the first."""
        path = self.out / "metrics.jsonl"
        if not path.exists():
            return 0
        return max([int(row.get("step", 0)) for row in read_rows(path)], default=0)

    def newest_checkpoint(self):
        """The newest one that was committed, whatever its files hold."""
        folders = [path for path in (self.out / "checkpoints").iterdir() if re.fullmatch(r"checkpoint-\d+", path.name)]
        return max(folders, key=lambda path: int(path.name.split("-")[1]))

    def wait_for_step(self, process, step):
        """Waits until the run has done `step` steps; False if the process ended first."""
        wait_until(lambda: self.step() >= step or process.poll() is not None)
        return process.poll() is None

    def result(self):
        """What a repeated run must give again: weights by file, and metrics but for speed and time."""
        files = sorted(path for folder in ("model", "adapter") for path in (self.out / folder).glob("*"))
        weights = {str(path.relative_to(self.out)): hashlib.sha256(path.read_bytes()).hexdigest()
                   for path in files if path.suffix == ".safetensors"}
        rows = [{key: value for key, value in row.items()
                 if key not in ("tokens_per_second", "time", "wall_time")}
                for row in read_rows(self.out / "metrics.jsonl")]
        return weights, rows


def read_rows(path):
    """Complete rows; a last line that is still being written is left out."""
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]
