"""Folders of integers travel between hone, transformers and the compressed-tensors package: equal
results under that package's arithmetic (inputs divided by 127.5), its numbers from our files, ours
from its, and bytes that stay as they are.
Where inputs are rounded, equal layers are compared on equal inputs: the largest of each row lies on
the border between two codes (-127.5), so that an input that differs in its last bit changes them.
Usage: model_quantised.py <quantised_tool>"""
import copy
import json
import pathlib
import sys
import tempfile

import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import (QuantizationArgs, QuantizationConfig,
                                             QuantizationScheme, apply_quantization_config)
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "parity"))
from support import Checks, logits_of, make_batch, make_model, run_tool

LOGITS = 1e-5  # fp32 sums in another order, relative to the largest
BORDER = 2e-2  # of logits whose rows have such borders
DIVISOR = 127.5
LENGTHS, VOCAB = [21, 30, 5], 97

MODELS = {"llama": ("llama", dict(attention_bias=True, mlp_bias=True)),
          "llama-tied": ("llama", dict(tie_word_embeddings=True)),
          "qwen2": ("qwen2", {}), "qwen3": ("qwen3", dict(attention_bias=True))}
SCHEMES = {"w8a8": dict(inputs=True), "w8a16": dict(packed=True),
           "w8a16-groups": dict(packed=True, group=16),
           "w4a16": dict(bits=4, packed=True, group=16), "w4a16-rows": dict(bits=4, packed=True)}
IGNORE = ["model.layers.0.mlp.down_proj", "re:.*layers\\.1\\.self_attn\\.o_"]


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                attn_implementation="eager").eval()


def layers_of(model, batch):
    """What each linear layer of the blocks was given and made of it, by its name."""
    inputs, outputs, hooks = {}, {}, []

    def keep(name):
        def hook(_, given, made):
            inputs[name], outputs[name] = given[0][0].clone(), made[0]
        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            hooks.append(module.register_forward_hook(keep(name)))
    model(batch["ids"][None, :batch["offsets"][1]])
    for hook in hooks:
        hook.remove()
    return inputs, outputs


def check_layers(checks, tool, root, name, batch):
    """w8a8's layers against transformers'."""
    inputs, outputs = layers_of(load(root / name), batch)
    save_file(inputs, root / "inputs.safetensors")
    [ours] = run_tool(tool, root, [dict(model=str(root / name), divisor=DIVISOR, batch="",
                                        inputs=str(root / "inputs.safetensors"),
                                        out=str(root / "outputs.safetensors"))])
    for layer, wanted in outputs.items():
        checks.close(f"{name}: {layer}", ours[layer], wanted, 1e-6)


def same_bytes(one, other):
    one, other = (load_file(folder / "model.safetensors") for folder in (one, other))
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and
        torch.equal(one[name].view(torch.uint8), other[name].view(torch.uint8)) for name in one)


def numbers_of(tensors, name, bits, columns):
    """What the codes of a weight say, by this test's own reading of the format."""
    scale = tensors[name + "_scale"].float()
    if name in tensors:
        codes = tensors[name]
    else:
        words, each = tensors[name + "_packed"], 32 // bits
        codes = torch.stack([(words >> (bits * i)) & (2 ** bits - 1) for i in range(each)], -1)
        codes = codes.flatten(1)[:, :columns] - 2 ** (bits - 1)
    return codes.float() * scale.repeat_interleave(columns // scale.shape[1], 1)


def write_theirs(model, folder, scheme):
    """The folder that the package itself makes of a model."""
    bits, group = scheme.get("bits", 8), scheme.get("group", 0)
    weights = QuantizationArgs(num_bits=bits, symmetric=True, group_size=group or None,
                               strategy="group" if group else "channel")
    inputs = QuantizationArgs(num_bits=8, symmetric=True, strategy="token", dynamic=True)
    apply_quantization_config(model, QuantizationConfig(
        config_groups={"group_0": QuantizationScheme(
            targets=["Linear"], weights=weights,
            input_activations=inputs if scheme.get("inputs") else None)},
        ignore=["lm_head"] + IGNORE))
    for module in model.modules():
        if not hasattr(module, "quantization_scheme"):
            continue
        rows = module.weight.detach().unflatten(1, (-1, group or module.weight.shape[1]))
        scale, _ = calculate_qparams(rows.amin(-1), rows.amax(-1), weights)
        module.weight_scale.data.copy_(scale)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(folder)


def check_ours(checks, root, name, scheme, batch, ours, again, plain):
    folder = root / name
    checks.close(f"{name}: transformers", logits_of(load(folder), batch), ours["logits"],
                 BORDER if scheme.get("inputs") else LOGITS)
    checks.true(f"{name}: the bytes stay", same_bytes(folder, root / f"{name}.again"))
    checks.close(f"{name}: loaded again", again["logits"], ours["logits"], 0)
    tensors = load_file(folder / "model.safetensors")
    numbers = load_file(root / f"{name}.numbers/model.safetensors")
    quantised = {key.removesuffix("_scale") for key in tensors if key.endswith("_scale")}
    ignored = json.loads((folder / "config.json").read_text())["quantization_config"]["ignore"]
    floats = {key.removesuffix(".weight") for key in tensors if key.endswith("proj.weight")
              and key not in quantised}
    checks.true(f"{name}: the ignored are named", floats == set(ignored) - {"lm_head"} and floats)
    for key in sorted(quantised):
        wanted = numbers_of(tensors, key, scheme.get("bits", 8), numbers[key].shape[1])
        checks.close(f"{name}: {key}", numbers[key], wanted, 0)
    if not scheme.get("inputs"):
        checks.close(f"{name}: as numbers", plain["logits"], ours["logits"], LOGITS)


def main():
    tool, checks = sys.argv[1], Checks()
    with torch.no_grad(), tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        batch = make_batch(LENGTHS, VOCAB, seed=1)
        save_file(batch, root / "batch.safetensors")
        cases, jobs = [], []

        def job(model, name, **more):
            jobs.append(dict(model=str(root / model), batch=str(root / "batch.safetensors"),
                             out=str(root / f"{name}.out"), **more))

        for number, (base, (family, changes)) in enumerate(MODELS.items()):
            model = make_model(family, number, **changes)
            for dtype in (torch.float32, torch.bfloat16) if base == "qwen2" else (torch.float32,):
                stem = base if dtype == torch.float32 else f"{base}-bf16"
                copy.deepcopy(model).to(dtype).save_pretrained(root / stem)
                for scheme, values in SCHEMES.items():
                    name = f"{stem}.{scheme}"
                    divisor = {"divisor": DIVISOR} if values.get("inputs") else {}
                    cases.append((name, values))
                    job(stem, name, save=str(root / name), scheme=dict(values, ignore=IGNORE),
                        **divisor)
                    job(name, f"{name}.again", save=str(root / f"{name}.again"), **divisor)
                    job(name, f"{name}.numbers", save=str(root / f"{name}.numbers"),
                        as_numbers=True)
            for scheme, values in SCHEMES.items():
                write_theirs(copy.deepcopy(model), root / f"{base}.{scheme}.theirs", values)
        results = iter(run_tool(tool, root, jobs))
        for name, scheme in cases:
            check_ours(checks, root, name, scheme, batch, *[next(results) for _ in range(3)])
            if scheme.get("inputs"):
                check_layers(checks, tool, root, name, batch)

        jobs = []
        theirs = [f"{base}.{scheme}.theirs" for base in MODELS for scheme in SCHEMES]
        for name in theirs:
            job(name, f"{name}.ours", save=str(root / f"{name}.ours"),
                **({"divisor": DIVISOR} if ".w8a8" in name else {}))
        for name, ours in zip(theirs, run_tool(tool, root, jobs)):
            checks.close(f"{name}", ours["logits"], logits_of(load(root / name), batch),
                         BORDER if ".w8a8" in name else LOGITS)
            checks.true(f"{name}: the bytes stay", same_bytes(root / name, root / f"{name}.ours"))
    checks.finish()


main()
