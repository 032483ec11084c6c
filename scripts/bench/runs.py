"""What the benchmarks of whole runs share: making and reading runs, in alternation."""
import collections
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def call(app, recipe, out, *flags):
    """The report of a run with this recipe; it may have diverged."""
    path = pathlib.Path(f"{out}.json")
    path.write_text(json.dumps({"about": "benchmark", "device": "cpu"} | recipe))
    done = subprocess.run([app, "--config", path, "--out", out, *flags], capture_output=True, text=True, check=False,
                          env=os.environ | {"OMP_WAIT_POLICY": "passive"})
    if done.returncode not in (0, 3):
        raise SystemExit(f"{out}: {done.stderr[-2000:]}")
    return json.loads((pathlib.Path(out) / "report.json").read_text())


def cpu():
    """The processor's name, with what it has for products."""
    lines = dict(line.split(":", 1) for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                 if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    known = ("avx512f", "avx512_bf16", "amx_bf16")
    found = [name for name in known if name in fields["flags"].split()]
    return (f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']}; "
            f"{' '.join(found) or 'no AVX-512'})")


def demo_data(work):
    subprocess.run([sys.executable, ROOT / "scripts/demo_data", "--out", work / "data"], check=True,
                   stdout=subprocess.DEVNULL)


def loss_of(report):
    """Nats a token of all held-out text."""
    sets = report["after"]["sets"]
    return sum(row["nll"] for row in sets) / sum(row["base_tokens"] for row in sets)


def unigram_loss(app, work, recipe):
    """Of the held-out ids under the frequencies of the training text, one added to each."""
    counts, scored = collections.Counter(), collections.Counter()
    for found, sets in ((counts, recipe["data"]["train"]), (scored, recipe["data"]["held_out"])):
        path, dump = work / "dump.json", work / "dump.jsonl"
        path.write_text(json.dumps(recipe | {"data": recipe["data"] | {"train": sets, "held_out": []}}))
        subprocess.run([app, "--config", path, "--dump-data", dump], check=True, capture_output=True)
        for line in dump.read_text().splitlines():
            row = json.loads(line)
            found.update(label for label in row["labels"][1:] if label >= 0)
    total, size = sum(counts.values()), 4096
    return -sum(n * math.log((counts[token] + 1) / (total + size)) for token, n in scored.items()) / sum(scored.values())


def long_rows(work):
    """Glosses joined to documents of a real run's length, as the recipe's "data"."""
    demo_data(work)
    lines = (work / "data/general.train.jsonl").read_text().splitlines()[:12000]
    texts = [json.loads(line)["text"] for line in lines]
    rows = [json.dumps({"text": " ".join(texts[i:i + 60])}) for i in range(0, len(texts), 60)]
    (work / "rows.jsonl").write_text("\n".join(rows) + "\n")
    return {"train": [{"name": "rows", "files": [str(work / "rows.jsonl")], "max_length": 512, "on_too_long": "split"}],
            "tokens_per_batch": 2048}


def llama(heads, layers):
    """A model from nothing, 256 wide."""
    return {"architecture": {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": layers,
                             "num_attention_heads": heads, "num_key_value_heads": heads,
                             "max_position_embeddings": 512, "tie_word_embeddings": True},
            "tokenizer": {"vocab_size": 1024}}


def seconds_a_step(report):
    return report["tokens"] / report["mean_tokens_per_second"] / report["steps"]


def spread(values, unit="", scale=1):
    low, middle, high = (scale * f(values) for f in (min, statistics.median, max))
    return f"{middle:.3f}{unit} ({low:.3f} to {high:.3f})"
