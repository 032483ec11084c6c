"""Pruned decoders travel to transformers, and their adapters to PEFT, with equal logits: heads,
channels and layers, alike over the layers (said by the config) and unlike (filled with zeros), and
as many experts of each layer.
Usage: model_pruned.py <model_tool>"""
import copy
import json
import pathlib
import sys
import tempfile

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "parity"))
from support import Checks, logits_of, make_batch, make_model, run_tool

LOGITS = 1e-5  # fp32 sums in another order, relative to the largest
LENGTHS, VOCAB, HEADS, CHANNELS = [21, 30, 5], 97, 8, 80

# Width 96 is a multiple of 6 heads and of 4; 64 is not of 6, which transformers refuses of a llama.
MODELS = {"llama": ("llama", dict(attention_bias=True, mlp_bias=True)),
          "llama-64": ("llama", dict(hidden_size=64)),
          "llama-mha-tied": ("llama", dict(num_key_value_heads=8, tie_word_embeddings=True)),
          "qwen2": ("qwen2", {}),
          "qwen3": ("qwen3", dict(attention_bias=True, layer_types=["full_attention"] * 4))}


def channels(step, offset=0):
    return [c for c in range(CHANNELS) if c % step != offset]


def layers(*changes):
    """hone_pruned of four layers; None drops one."""
    return {"layers": [dict({"index": i}, **change) for i, change in enumerate(changes)
                       if change is not None]}


THREE_OF_FOUR = [[0, 1, 2, 4, 5, 6], [1, 2, 3, 4, 5, 7], [0, 2, 3, 4, 6, 7], [0, 1, 3, 5, 6, 7]]
# name: what is left, and whether a config can say it (for the models of 8 heads in 2 groups)
SHAPES = {
    "heads": (layers(*[{"heads": h} for h in THREE_OF_FOUR]), True),
    "group": (layers(*[{"heads": [0, 1, 2, 3]}, {"heads": [4, 5, 6, 7]}] * 2), True),
    "channels": (layers(*[{"channels": channels(4, i)} for i in range(4)]), True),
    "layers": (layers({}, None, {}, None), True),
    "all": (layers(None, *[{"heads": THREE_OF_FOUR[i], "channels": channels(5, i)}
                           for i in (1, 2)], None), True),
    "uneven-heads": (layers({}, {"heads": [0, 1, 2, 3, 6]}, {"heads": [5]}, {"heads": [0, 4]}),
                     False),
    "uneven-channels": (layers({}, {"channels": channels(2)}, {"channels": [79]}, {}), False),
    "uneven": (layers({"heads": [1, 4, 6], "channels": channels(3)}, {"heads": [0, 2, 3]}, None,
                      {"heads": [2, 3, 7], "channels": channels(2)}), False),
}


def reference(model, left):
    """The whole model in which nothing reads what was pruned."""
    model = copy.deepcopy(model)
    kept = {layer["index"]: layer for layer in left["layers"]}
    with torch.no_grad():
        for index, block in enumerate(model.model.layers):
            o, down = block.self_attn.o_proj, block.mlp.down_proj
            layer = kept.get(index, {"heads": [], "channels": []})
            heads, mlp = torch.zeros(HEADS), torch.zeros(CHANNELS)
            heads[layer.get("heads", range(HEADS))] = 1
            mlp[layer.get("channels", range(CHANNELS))] = 1
            o.weight.mul_(heads.repeat_interleave(o.in_features // HEADS))
            down.weight.mul_(mlp)
            for linear in (o, down):
                if index not in kept and linear.bias is not None:
                    linear.bias.zero_()
    return model


def load(folder):
    model, info = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager",
                                                       output_loading_info=True)
    if any(info.values()):
        raise SystemExit(f"{folder}: {info}")
    return model.float().eval()


def weight_bytes(folder):
    return sum(f.stat().st_size for f in pathlib.Path(folder).glob("*.safetensors"))


def jobs_of(root, base, name, left):
    """The pruned model; an adapter on it, and one pruned with its base; both loaded again."""
    shared = {"batch": str(root / "batch.safetensors")}
    kept = [layer["index"] for layer in left["layers"]]
    ranked = "|".join(str(index) for index in kept if index in (0, 3)) or str(kept[-1])
    export, compact = root / f"{name}.export", root / f"{name}.compact"
    lora = {"lora": {"rank": 3, "alpha": 5.0, "modules_to_save": ["3.mlp.down_proj"] if 3 in kept else [],
                     "rank_pattern": {rf"layers\.({ranked})\..*": 2}, "alpha_pattern": {"v_proj": 2}},
            "steps": 3, "lr": 1e-2}
    prune = {"prune": json.dumps(left)}

    def job(kind, **values):
        return dict(shared, out=str(root / f"{name}.{kind}.safetensors"), **values)

    def adapter(kind, **values):
        return job(kind, model=str(root / base), export_to=str(root / f"{name}.{kind}.export"),
                   export_adapter=str(root / f"{name}.{kind}.theirs"),
                   save_adapter=str(root / f"{name}.{kind}.ours"), **prune, **lora, **values)

    def again(kind, model, which):
        return job(f"{kind}.{which}", model=str(model),
                   adapter=str(root / f"{name}.{kind}.{which}"))

    return [job("pruned", model=str(root / base), save=str(compact), export_to=str(export),
                cached=True, **prune),
            job("compact", model=str(compact), cached=True), job("export", model=str(export)),
            adapter("first"), again("first", compact, "ours"), again("first", export, "theirs"),
            adapter("last", prune_last=True), again("last", compact, "ours"),
            again("last", export, "theirs")]


def check(checks, root, base, name, model, left, direct, got, batch):
    pruned, compact, export = got[:3]
    folder = root / f"{name}.export"
    with torch.no_grad():
        wanted = logits_of(reference(model, left), batch)
        checks.true(f"{name}: pruning changes the logits",
                    (wanted - logits_of(model, batch)).abs().max() > 1e-2 * wanted.abs().max())
        checks.close(f"{name}: pruned", pruned["logits"], wanted, LOGITS)
        checks.close(f"{name}: the compact form", compact["logits"], pruned["logits"], 0)
        checks.close(f"{name}: the export in hone", export["logits"], wanted, LOGITS)
        theirs = load(folder)
        checks.close(f"{name}: the export", logits_of(theirs, batch), pruned["logits"], LOGITS)
        first = batch["offsets"][1]
        for kind, result in (("pruned", pruned), ("compact", compact)):
            checks.close(f"{name}: cached, {kind}", result["logits_cached"],
                         result["logits"][:first], LOGITS)
        config = theirs.config
        checks.true(f"{name}: layers", config.num_hidden_layers == len(left["layers"]))
        checks.true(f"{name}: key unknown to transformers", not hasattr(config, "hone_pruned"))
        checks.true(f"{name}: the form", direct != (root / f"{name}.export-compact").exists())
        whole, ours, filled = (weight_bytes(f) for f in (
            root / base, root / f"{name}.compact", folder))
        checks.true(f"{name}: sizes {ours} {filled} {whole}", ours < whole and filled <= whole and
                    (abs(filled - ours) < 1000) == direct)
        for kind, number in (("first", 3), ("last", 6)):
            trained, in_compact, in_export = got[number:number + 3]
            label = f"{name}: adapter, {kind}"
            after = trained["logits_after"]
            checks.true(f"{label}: trained", (after - trained["logits"]).abs().max() > 1e-3)
            checks.close(f"{label}: ours", in_compact["logits"], after, LOGITS)
            checks.close(f"{label}: the export's in hone", in_export["logits"], after, LOGITS)
            peft = PeftModel.from_pretrained(load(root / f"{name}.{kind}.export"),
                                             root / f"{name}.{kind}.theirs").eval()
            checks.close(f"{label}: PEFT", logits_of(peft, batch), after, LOGITS)


# Experts left of the layers that have any: two of each group of four of eight, or six of eight.
EXPERTS = {"v3": ("deepseek_v3", dict(n_group=2, topk_group=1, num_experts_per_tok=2),
                  {1: [0, 3, 5, 6], 2: [1, 2, 4, 7]}),
           "v2": ("deepseek_v2", {}, {1: [0, 2, 3, 5, 6, 7], 2: [0, 1, 2, 3, 4, 7]}),
           "qwen3-moe": ("qwen3_moe", {}, {0: [0, 1, 4, 5, 6, 7], 1: [1, 2, 3, 4, 5, 6]})}


def without_experts(model, keep):
    """transformers' model with these experts alone."""
    count = len(next(iter(keep.values())))
    config = copy.deepcopy(model.config)
    key = "num_experts" if hasattr(config, "num_experts") else "n_routed_experts"
    setattr(config, key, count)
    state = model.state_dict()
    for layer, experts in keep.items():
        for name in ("gate.weight", "gate.e_score_correction_bias", "experts.gate_up_proj",
                     "experts.down_proj"):
            name = f"model.layers.{layer}.mlp.{name}"
            if name in state:
                state[name] = state[name][experts]
    smaller = AutoModelForCausalLM.from_config(config).float().eval()
    smaller.load_state_dict(state)
    return smaller


def check_experts(checks, tool, root, batch):
    for number, (name, (family, changes, keep)) in enumerate(EXPERTS.items()):
        model = make_model(family, 10 + number, **changes)
        model.save_pretrained(root / name)
        left = {"layers": [dict({"index": i}, **({"experts": keep[i]} if i in keep else {}))
                           for i in range(model.config.num_hidden_layers)]}
        jobs = [dict({"model": str(root / name), "batch": str(root / "batch.safetensors"),
                      "out": str(root / f"{name}.{kind}.safetensors")}, **values)
                for kind, values in {
                    "pruned": {"prune": json.dumps(left), "save": str(root / f"{name}.compact"),
                               "export_to": str(root / f"{name}.export"), "cached": True},
                    "compact": {"model": str(root / f"{name}.compact")},
                    "adapted": {"prune": json.dumps(left), "prune_last": True,
                                "lora": {"rank": 2, "targets": ["o_proj"],
                                         "target_parameters": ["gate_up_proj", "down_proj"]},
                                "steps": 3, "lr": 1e-2,
                                "export_to": str(root / f"{name}.adapted.export"),
                                "export_adapter": str(root / f"{name}.adapter")}}.items()]
        pruned, compact, adapted = run_tool(tool, root, jobs)
        with torch.no_grad():
            wanted = logits_of(without_experts(model, keep), batch)
            checks.true(f"{name}: pruning changes the logits",
                        (wanted - logits_of(model, batch)).abs().max() > 1e-2 * wanted.abs().max())
            checks.close(f"{name}: pruned", pruned["logits"], wanted, LOGITS)
            checks.close(f"{name}: the compact form", compact["logits"], pruned["logits"], 0)
            checks.close(f"{name}: the export", logits_of(load(root / f"{name}.export"), batch),
                         pruned["logits"], LOGITS)
            checks.close(f"{name}: cached", pruned["logits_cached"],
                         pruned["logits"][:batch["offsets"][1]], LOGITS)
            checks.true(f"{name}: no compact folder",
                        not (root / f"{name}.export-compact").exists())
            after = adapted["logits_after"]
            checks.true(f"{name}: trained", (after - adapted["logits"]).abs().max() > 1e-3)
            peft = PeftModel.from_pretrained(load(root / f"{name}.adapted.export"),
                                             root / f"{name}.adapter").eval()
            checks.close(f"{name}: PEFT", logits_of(peft, batch), after, LOGITS)


def main():
    tool, checks = sys.argv[1], Checks()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        batch = make_batch(LENGTHS, VOCAB, seed=1)
        save_file(batch, root / "batch.safetensors")
        cases, jobs = [], []
        for number, (base, (family, changes)) in enumerate(MODELS.items()):
            sizes = dict(dict(hidden_size=96, head_dim=8, num_attention_heads=HEADS,
                              num_hidden_layers=4), **changes)
            model = make_model(family, number, **sizes)
            model.save_pretrained(root / base)
            for shape, (left, direct) in SHAPES.items():
                if base == "llama-64" and shape in ("heads", "all"):
                    direct = False
                cases.append((base, f"{base}.{shape}", model, left, direct))
                jobs.append(jobs_of(root, base, f"{base}.{shape}", left))
        results = iter(run_tool(tool, root, [job for some in jobs for job in some]))
        for case, some in zip(cases, jobs):
            check(checks, root, *case, [next(results) for _ in some], batch)
        check_experts(checks, tool, root, batch)
    checks.finish()


main()
