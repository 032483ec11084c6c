#!/usr/bin/env python3
"""What is scored and what is drawn: held_out.py HONE_DOMAIN HONE_DYNAMIC.

1. Identical models score the same text, whatever tokens_per_batch, documents over a batch included.
2. After growth the same text is scored: perplexities and their ratio equal transformers' on texts that
   this script cuts by the base's tokenizer, whether long documents are truncated or left out.
3. Of a domain of weight 0 nothing is drawn, and the run ends as others do; a rule that gives it a weight
   has its text drawn, and one that takes every weight of a batch passes that batch over.
4. A file both trained on and held out, and documents beyond the model's positions, are refused.
"""
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from support import run

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from tiny_run import WORDS  # noqa: E402

LENGTH = 60


def write(path, seed, count, words):
    rng = random.Random(seed)
    texts = ["the " + " ".join(rng.choices(WORDS, k=rng.randint(*words))) for _ in range(count)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return texts


def score(report, when):
    return report[when]["sets"][0]


def reference(model_folder, tokenizer_file, texts):
    """The summed nll of texts, each with whether its end was cut off, and their number of targets."""
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    eos = model.config.eos_token_id
    nll = count = 0
    for text, cut in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids + ([] if cut else [eos])
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1].double()
        nll += torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum").item()
        count += len(ids) - 1
    return nll, count


def cut_texts(tokenizer_file, texts, policy):
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    kept = []
    for text in texts:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        if len(encoding.ids) + 1 <= LENGTH:
            kept.append((text, False))
        elif policy == "truncate":
            kept.append((text[:encoding.offsets[LENGTH - 1][1]], True))
    return kept


def close(ours, theirs, what, tolerance=1e-5):
    error = abs(ours - theirs) / abs(theirs)
    print(f"{what}: {ours:.7f} and {theirs:.7f}, relative {error:.1e}")
    assert error < tolerance, what


def refused(hone, recipe, work, *expected):
    path = work / "refused.json"
    path.write_text(json.dumps(recipe))
    done = subprocess.run([hone, "--config", path, "--out", work / "refused"], capture_output=True, text=True)
    assert done.returncode == 2, (done.returncode, done.stderr)
    for text in expected:
        assert text in done.stderr, done.stderr


def main():
    hone, dynamic = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        write(work / "general.jsonl", 1, 150, (4, 12))
        write(work / "medicine.jsonl", 2, 80, (4, 12))
        texts = write(work / "held.jsonl", 3, 40, (4, 40))
        sets = {"train": [{"domain": d, "files": [str(work / f"{d}.jsonl")]} for d in ("general", "medicine")],
                "held_out": [{"name": "held", "files": [str(work / "held.jsonl")]}]}
        # float32, as on every machine; the base learns enough for scores to differ between texts.
        run(hone, {"about": "base", "device": "cpu", "data": sets | {"tokens_per_batch": 128},
                   "architecture": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                                    "num_attention_heads": 2, "max_position_embeddings": 512},
                   "tokenizer": {"vocab_size": 300}, "train": {"steps": 30, "lr": 5e-3}}, work / "base")
        model = str(work / "base/model")

        score_recipe = {"about": "score", "model": model, "device": "cpu", "train": {"steps": 0}}
        held = {"held_out": sets["held_out"], "eval_length": LENGTH}
        scores = {n: score(run(hone, score_recipe | {"data": held | {"tokens_per_batch": n}}, work / f"s{n}"), "after")
                  for n in (16, 100, 4096)}
        for n in (16, 100):
            assert scores[n]["tokens"] == scores[4096]["tokens"]
            close(scores[n]["perplexity"], scores[4096]["perplexity"], f"batches of {n} and of 4096 tokens", 1e-6)

        (work / "terms.txt").write_text("cardiology\njurisprudence\nhemoglobin\nplaintiff\n")
        base_tokenizer = work / "base/model/tokenizer.json"
        for policy in ("truncate", "drop"):
            data = sets | {"tokens_per_batch": 128, "eval_length": LENGTH,
                           "held_out": [sets["held_out"][0] | {"on_too_long": policy}]}
            report = run(hone, {"about": "grow", "model": model, "device": "cpu", "data": data,
                                "vocabulary": {"new_tokens": 40, "terms_file": str(work / "terms.txt")},
                                "train": {"steps": 4, "lr": 1e-3}}, work / policy)
            kept = cut_texts(base_tokenizer, texts, policy)
            assert any(cut for _, cut in kept) == (policy == "truncate") and len(kept) < 40 + (policy == "truncate")
            before, base_tokens = reference(model, base_tokenizer, kept)
            grown = work / policy / "model"
            after, tokens = reference(grown, grown / "tokenizer.json", kept)
            assert tokens < base_tokens, "the grown vocabulary is used"
            assert score(report, "before")["tokens"] == score(report, "after")["base_tokens"] == base_tokens
            assert score(report, "after")["tokens"] == tokens
            close(score(report, "before")["perplexity"], math.exp(before / base_tokens), f"{policy}, before")
            close(score(report, "after")["perplexity"], math.exp(after / base_tokens), f"{policy}, after growth")

        left_out = run(hone, {"about": "weight 0", "model": model, "device": "cpu", "data": sets | {"tokens_per_batch": 64},
                              "weights": {"domains": {"medicine": 0}}, "train": {"steps": 20, "lr": 1e-3}}, work / "zero")
        assert left_out["ending"] == "done" and left_out["skipped_steps"] == 0
        rows = [json.loads(line) for line in (work / "zero/metrics.jsonl").read_text().splitlines()]
        assert all(row["shares"]["medicine"] == 0 for row in rows if "shares" in row)

        rules = [{"when": "loss > 0", "for": 5, "set": "domain_weights", "to": {"medicine": 1}},
                 {"when": "loss > 0", "for": 12, "set": "domain_weights", "to": {"general": 0}}]
        recipe = {"about": "rules", "model": model, "device": "cpu", "data": sets | {"tokens_per_batch": 64},
                  "weights": {"domains": {"medicine": 0}}, "train": {"steps": 20, "lr": 1e-3},
                  "controllers": {"rules": rules}}
        ruled = run(dynamic, recipe, work / "ruled")
        assert ruled["ending"] == "done" and ruled["skipped_steps"] == 0
        rows = [json.loads(line) for line in (work / "ruled/metrics.jsonl").read_text().splitlines()]
        shares = [row["shares"]["medicine"] for row in rows if "shares" in row]
        assert shares[0] == 0 and shares[-1] > 0, shares

        recipe = {"about": "x", "model": model, "train": {"steps": 2}}
        refused(hone, recipe | {"data": {"train": sets["train"], "held_out": sets["train"][:1]}}, work,
                "/data/held_out/0/files", "is trained on as data set")
        refused(hone, recipe | {"data": {"train": [sets["train"][0] | {"max_length": 600}], "tokens_per_batch": 1024}},
                work, "/data/train/0/max_length: 600 is over the model's 512 positions")


if __name__ == "__main__":
    main()
