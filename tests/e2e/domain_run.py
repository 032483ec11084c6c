"""hone-domain from nothing to a model that transformers and PEFT load: domain_run.py HONE_DOMAIN.

1. A small Llama is trained from an architecture; transformers loads the folder, and its summed nll on
   the held-out text equals report.json's.
2. That base is adapted in full with a grown vocabulary: the same equality, fewer tokens for the same
   text, rows of old tokens untouched in meaning (the tokenizer of the folder is the one scored with).
3. The base is adapted by LoRA with a grown vocabulary: PEFT loads adapter/ onto base/, and its nll
   equals that of the merged model/ and report.json's; so does that of the adapter alone, loaded from
   another folder than the run was begun in.
4. steps 0 scores the saved model: the same figures as the run's own last evaluation.
"""
import math
import os
import pathlib
import sys
import tempfile

import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from support import check_close, data_sets, small_base, run


def summed_nll(model, tokenizer, texts):
    """nll of every token but a document's first, eos included: what hone scores for text rows."""
    total = 0.0
    with torch.no_grad():
        for text in texts:
            ids = tokenizer(text).input_ids + [tokenizer.eos_token_id]
            logits = model(torch.tensor([ids])).logits[0, :-1].double()
            total -= logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None]).sum().item()
    return total


def main():
    hone = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        data, texts = data_sets(work)

        def check(report, model, tokenizer, what):
            for score in report["after"]["sets"]:
                theirs = summed_nll(model, tokenizer, texts[score["name"], "held_out"])
                check_close(score["nll"], theirs, f"{what}, nll of {score['name']}")
                assert math.isclose(score["perplexity"], math.exp(score["nll"] / score["base_tokens"]))

        base = run(hone, small_base(data), work / "base")
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
        grown = full["vocabulary"]
        assert 0 < grown["terms"] == len(grown["tokens"]) < grown["new_ids"] <= 60
        assert grown["terms"] + grown["intermediate_ids"] == grown["new_ids"]
        folder = str(work / "full/model")
        model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        assert model.config.vocab_size == model.get_input_embeddings().num_embeddings >= len(tokenizer)
        check(full, model, tokenizer, "full tuning")

        os.chdir(work)
        lora = run(hone, {
            "about": "lora", "model": base_folder, "data": data, "vocabulary": vocabulary, "tuning": "lora",
            "lora": {"rank": 8, "rslora": True, "dropout": 0.1},
            "train": {"steps": 30, "lr": 5e-3}}, pathlib.Path("lora"))
        tokenizer = AutoTokenizer.from_pretrained(str(work / "lora/model"))
        check(lora, AutoModelForCausalLM.from_pretrained(str(work / "lora/model")), tokenizer, "merged adapter")
        adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(str(work / "lora/base")),
                                            str(work / "lora/adapter")).eval()
        check(lora, adapted, tokenizer, "adapter in PEFT")
        # From any folder: the adapter's configuration names its base by its whole path.
        os.chdir("/")
        check(lora, AutoPeftModelForCausalLM.from_pretrained(str(work / "lora/adapter")).eval(), tokenizer,
              "adapter by itself in PEFT")

        scored = run(hone, {"about": "score", "model": folder, "data": {"held_out": data["held_out"]},
                            "train": {"steps": 0}}, work / "scored")
        for ours, then in zip(scored["after"]["sets"], full["after"]["sets"]):
            check_close(ours["nll"], then["nll"], f"scored with steps 0, {ours['name']}")
            assert ours["tokens"] == then["tokens"]


if __name__ == "__main__":
    main()
