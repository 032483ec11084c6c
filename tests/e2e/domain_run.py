"""hone-domain from nothing to a model that transformers and PEFT load: domain_run.py HONE_DOMAIN.

1. A small Llama is trained from an architecture; transformers loads the folder, and its summed nll on
   the held-out text equals report.json's.
2. That base is adapted in full with a grown vocabulary: the same equality, fewer tokens for the same
   text, rows of old tokens untouched in meaning (the tokenizer of the folder is the one scored with).
3. The base is adapted by LoRA with a grown vocabulary: PEFT loads adapter/ onto base/, and its nll
   equals that of the merged model/ and report.json's.
4. steps 0 scores the saved model: the same figures as the run's own last evaluation.
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(hone, config, out, *more):
    recipe = out.with_suffix(".json")
    recipe.write_text(json.dumps(config))
    done = subprocess.run([hone, "--config", recipe, "--out", out, *more], capture_output=True, text=True)
    assert done.returncode == 0, f"{out.name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads((out / "report.json").read_text())


def summed_nll(model, tokenizer, texts):
    """nll of every token but a document's first, eos included: what hone scores for text rows."""
    total = 0.0
    with torch.no_grad():
        for text in texts:
            ids = tokenizer(text).input_ids + [tokenizer.eos_token_id]
            logits = model(torch.tensor([ids])).logits[0, :-1].double()
            total -= logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None]).sum().item()
    return total


def check_close(ours, theirs, what):
    error = abs(ours - theirs) / abs(theirs)
    print(f"{what}: {ours:.6f} and {theirs:.6f}, relative {error:.1e}")
    assert error < 1e-5, what


def main():
    hone = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        subprocess.run([sys.executable, ROOT / "scripts/demo_data", "--out", work / "data"], check=True,
                       stdout=subprocess.DEVNULL)
        texts = {}
        for domain, rows in {"general": 3000, "medicine": 1500}.items():
            for part, count in {"train": rows, "held_out": 60}.items():
                lines = (work / f"data/{domain}.{part}.jsonl").read_text().splitlines()[:count]
                (work / f"{domain}.{part}.jsonl").write_text("\n".join(lines) + "\n")
                texts[domain, part] = [json.loads(line)["text"] for line in lines]

        def sets(part):
            return [{"name": d, "domain": d, "files": [str(work / f"{d}.{part}.jsonl")]} for d in ("general", "medicine")]

        data = {"train": sets("train"), "held_out": sets("held_out"), "tokens_per_batch": 1024}

        def check(report, model, tokenizer, what):
            for score in report["after"]["sets"]:
                theirs = summed_nll(model, tokenizer, texts[score["name"], "held_out"])
                check_close(score["nll"], theirs, f"{what}, nll of {score['name']}")
                assert math.isclose(score["perplexity"], math.exp(score["nll"] / score["base_tokens"]))

        base = run(hone, {
            "about": "base", "data": {"train": sets("train")[:1], "held_out": data["held_out"], "tokens_per_batch": 1024},
            "architecture": {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4,
                             "num_key_value_heads": 2},
            "tokenizer": {"vocab_size": 1500}, "train": {"steps": 60, "lr": 5e-3}}, work / "base")
        assert all(a["perplexity"] < b["perplexity"] / 4 for a, b in zip(base["after"]["sets"], base["before"]["sets"]))
        base_folder = str(work / "base/model")
        check(base, AutoModelForCausalLM.from_pretrained(base_folder), AutoTokenizer.from_pretrained(base_folder), "base")

        vocabulary = {"new_tokens": 60, "domains": ["medicine"], "embedding_steps": 10, "embedding_lr": 5e-3}
        full = run(hone, {
            "about": "full", "model": base_folder, "data": data, "vocabulary": vocabulary,
            "weights": {"domains": {"medicine": 2.0}}, "memory": {"checkpoint_every": 1},
            "train": {"steps": 30, "lr": 2e-3, "accumulation": 2, "eval_every": 10}}, work / "full")
        before, after = ({s["name"]: s for s in full[when]["sets"]} for when in ("before", "after"))
        check_close(before["medicine"]["nll"], base["after"]["sets"][1]["nll"], "the base scored again")
        assert after["medicine"]["perplexity"] < before["medicine"]["perplexity"]
        assert after["medicine"]["tokens"] < before["medicine"]["tokens"] == after["medicine"]["base_tokens"]
        assert 0 < full["vocabulary"]["added"] <= 60
        folder = str(work / "full/model")
        model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        assert model.config.vocab_size == model.get_input_embeddings().num_embeddings >= len(tokenizer)
        check(full, model, tokenizer, "full tuning")

        lora = run(hone, {
            "about": "lora", "model": base_folder, "data": data, "vocabulary": vocabulary, "tuning": "lora",
            "lora": {"rank": 8, "rslora": True, "dropout": 0.1},
            "train": {"steps": 30, "lr": 5e-3}}, work / "lora")
        tokenizer = AutoTokenizer.from_pretrained(str(work / "lora/model"))
        check(lora, AutoModelForCausalLM.from_pretrained(str(work / "lora/model")), tokenizer, "merged adapter")
        adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(str(work / "lora/base")),
                                            str(work / "lora/adapter")).eval()
        check(lora, adapted, tokenizer, "adapter in PEFT")

        scored = run(hone, {"about": "score", "model": folder, "data": {"held_out": data["held_out"]},
                            "train": {"steps": 0}}, work / "scored")
        for ours, then in zip(scored["after"]["sets"], full["after"]["sets"]):
            check_close(ours["nll"], then["nll"], f"scored with steps 0, {ours['name']}")
            assert ours["tokens"] == then["tokens"]


if __name__ == "__main__":
    main()
