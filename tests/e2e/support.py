"""What the end-to-end tests share: small data sets, a small base, and a run of hone-domain."""
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(hone, config, out, *more, code=0):
    """The report of a run with this recipe; its exit code must be `code`."""
    recipe = out.with_suffix(".json")
    recipe.write_text(json.dumps(config))
    done = subprocess.run([hone, "--config", recipe, "--out", out, *more], capture_output=True, text=True)
    assert done.returncode == code, f"{out.name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads((out / "report.json").read_text())


def data_sets(work):
    """WordNet's glosses, general and medicine, as the recipe's "data", and their texts."""
    subprocess.run([sys.executable, ROOT / "scripts/demo_data", "--out", work / "data"], check=True,
                   stdout=subprocess.DEVNULL)
    texts, data = {}, {"tokens_per_batch": 1024}
    for part, rows in {"train": {"general": 3000, "medicine": 1500},
                       "held_out": {"general": 60, "medicine": 60}}.items():
        data[part] = []
        for domain, count in rows.items():
            lines = (work / f"data/{domain}.{part}.jsonl").read_text().splitlines()[:count]
            path = work / f"{domain}.{part}.jsonl"
            path.write_text("\n".join(lines) + "\n")
            texts[domain, part] = [json.loads(line)["text"] for line in lines]
            data[part].append({"name": domain, "domain": domain, "files": [str(path)]})
    return data, texts


def small_base(data):
    """A recipe that trains a small Llama from nothing on the general set."""
    return {"about": "base", "data": {**data, "train": data["train"][:1]},
            "architecture": {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2,
                             "num_attention_heads": 4, "num_key_value_heads": 2},
            "tokenizer": {"vocab_size": 1500}, "train": {"steps": 60, "lr": 5e-3}}


def check_close(ours, theirs, what):
    error = abs(ours - theirs) / abs(theirs)
    print(f"{what}: {ours:.6f} and {theirs:.6f}, relative {error:.1e}")
    assert error < 1e-5, what
