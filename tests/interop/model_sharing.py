"""Decoders whose layers share q_proj and k_proj travel to transformers, which has no such model: it
loads the copies that lie under each layer's names, with equal logits. Tied there by hand, it trains
to the same losses.
Usage: model_sharing.py <model_tool>"""
import json
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "parity"))
from support import Checks, logits_of, make_batch, make_model, run_tool, train

LOGITS = 1e-5  # fp32 sums in another order, relative to the largest
LOSSES = 1e-5  # the same after five steps
GRADIENTS = 1e-4  # sums over tokens and two layers
GROUPS = [[1, 2], [3, 4]]
MODELS = {"llama": ("llama", dict(attention_bias=True)),
          "llama-tied": ("llama", dict(tie_word_embeddings=True)),
          "qwen2": ("qwen2", {}),
          "qwen3": ("qwen3", dict(layer_types=["full_attention"] * 5))}
TRAINING = dict(steps=5, lr=1e-3, weight_decay=0.1)


def load(folder):
    model, info = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager",
                                                       output_loading_info=True)
    if any(info.values()):
        raise SystemExit(f"{folder}: {info}")
    return model.float().eval()


def tie(model):
    for first, *others in GROUPS:
        of = [layer.self_attn for layer in model.model.layers]
        for other in others:
            of[other].q_proj, of[other].k_proj = of[first].q_proj, of[first].k_proj
    return model


def check(checks, name, root, got, batch):
    made, trained, again = got
    shared = load(root / f"{name}.shared")
    checks.true(f"{name}: hone_sharing", json.loads((root / f"{name}.shared/config.json").read_text())
                ["hone_sharing"] == {"what": "weights", "layers": GROUPS})
    with torch.no_grad():
        wanted = logits_of(shared, batch)
    checks.close(f"{name}: logits", made["logits"], wanted, LOGITS)
    checks.true(f"{name}: loaded again", torch.equal(made["logits"], trained["logits"]))
    length = batch["offsets"][1]
    checks.close(f"{name}: with a cache", trained["logits_cached"], trained["logits_after"][:length],
                 LOGITS)
    tie(shared)
    loss = torch.nn.functional.cross_entropy(logits_of(shared, batch), batch["targets"])
    loss.backward()
    names = dict(shared.named_parameters())
    for module in ("q_proj", "k_proj"):
        key = f"model.layers.1.self_attn.{module}.weight"
        checks.close(f"{name}: gradient of {key}", trained[f"grad.{key}"], names[key].grad, GRADIENTS)
        checks.true(f"{name}: one gradient", f"grad.{key.replace('1', '2')}" not in trained)
    losses = train(shared, batch, **TRAINING)
    checks.close(f"{name}: losses", trained["losses"], torch.tensor(losses), LOSSES)
    with torch.no_grad():
        after = logits_of(load(root / f"{name}.trained"), batch)
    checks.close(f"{name}: trained", trained["logits_after"], after, LOGITS)
    checks.true(f"{name}: trained, again", torch.equal(trained["logits_after"], again["logits"]))


def main(tool):
    checks = Checks()
    with tempfile.TemporaryDirectory() as work:
        root = pathlib.Path(work)
        batch = make_batch([21, 30, 5], 97, 1)
        save_file(batch, root / "batch.safetensors")
        for seed, (name, (family, changes)) in enumerate(MODELS.items()):
            make_model(family, seed, num_hidden_layers=5, **changes).save_pretrained(root / name)
            jobs = [{"model": name, "share": GROUPS, "save": f"{name}.shared"},
                    {"model": f"{name}.shared", "save": f"{name}.trained", "cached": True, **TRAINING},
                    {"model": f"{name}.trained"}]
            for number, job in enumerate(jobs):
                for key in ("model", "save"):
                    if key in job:
                        job[key] = str(root / job[key])
                job.update(batch=str(root / "batch.safetensors"), out=str(root / f"{name}.{number}"))
            check(checks, name, root, run_tool(tool, root, jobs), batch)
    checks.finish()


if __name__ == "__main__":
    main(sys.argv[1])
