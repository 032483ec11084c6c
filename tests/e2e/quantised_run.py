"""Runs on a base whose projections are FP8 with scales of blocks, and what they write:

    quantised_run.py HONE_DOMAIN HONE_MERGE

The base is quantised by plain torch here, with float32 scales and with ue8m0.
1. An adapter on q_proj, worked in: only q_proj's tensors differ from the base's, all others are the
   bytes that came; transformers reads the folder, and its numbers are those of plain torch.
2. hone-merge writes the same bytes.
3. save.dtype bfloat16 leaves no trace of codes; transformers reads the same numbers.
4. Full tuning, resumed half-way, ends in the same bits.
5. Missing scales and a quantization_config that is not supported are refused with all problems.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from model_files import make_base, recipe, refused
from support import run

BLOCK = 16
PROJECTION = "_proj.weight"


def spread(scales):
    return scales.float().repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)


def quantise(weight, ue8m0):
    rows, columns = weight.shape
    blocks = weight.float().view(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
    scales = blocks.abs().amax((1, 3)) / 448
    if ue8m0:
        scales = torch.exp2(torch.ceil(torch.log2(scales))).to(torch.float8_e8m0fnu)
    return (weight.float() / spread(scales)).to(torch.float8_e4m3fn), scales


def dequantise(tensors, name):
    scales = tensors.get(name + "_scale_inv")
    return tensors[name].float() * (1 if scales is None else spread(scales))


def make_quantised(plain, folder, ue8m0):
    shutil.copytree(plain, folder)
    tensors = {}
    for name, tensor in load_file(plain / "model.safetensors").items():
        tensors[name] = tensor
        if name.endswith(PROJECTION):
            tensors[name], tensors[name + "_scale_inv"] = quantise(tensor, ue8m0)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                                     "weight_block_size": [BLOCK, BLOCK]}
    if ue8m0:
        config["quantization_config"]["scale_fmt"] = "ue8m0"
    (folder / "config.json").write_text(json.dumps(config, indent=2))


def tensors_of(folder):
    return load_file(folder / "model.safetensors")


def bits(tensor):
    return tensor.contiguous().view(torch.uint8)


def check_reads(folder, tensors):
    """transformers' numbers of the folder are those of plain torch."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, dequantise(tensors, name).to(torch.bfloat16)), name


def an_adapter_changes_what_it_is_on(hone, merge, work, base):
    before = tensors_of(base)
    config = recipe(work, base, tuning="lora", lora={"rank": 2, "alpha": 64, "targets": ["q_proj"]},
                    train={"steps": 4, "lr": 1e-2})
    plan = subprocess.run([hone, "--config", write(work, config), "--plan"], capture_output=True, text=True)
    assert "as the base came" in plan.stdout, plan.stdout + plan.stderr
    report = run(hone, config, work / f"{base.name}-lora")
    assert set(report["saved_as"].split(" and ")) == {"fp8", "bfloat16"}, report["saved_as"]
    out = work / f"{base.name}-lora"
    after = tensors_of(out / "model")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(bits(before[name]), bits(after[name]))}
    assert changed and all(".q_proj.weight" in name for name in changed), changed
    assert {after[name].dtype for name in changed} == {before[name].dtype for name in changed}
    check_reads(out / "model", after)

    adapter = load_file(out / "adapter/adapter_model.safetensors")
    for name in (name for name in changed if name.endswith(PROJECTION)):
        a, b = (adapter["base_model.model." + name.replace("weight", f"lora_{part}.weight")] for part in "AB")
        wanted = dequantise(before, name) + 64 / 2 * b.float() @ a.float()
        error = (dequantise(after, name) - wanted).abs()
        assert (error <= (wanted.abs() * 2**-4).maximum(spread(after[name + "_scale_inv"]) * 2**-10) * 1.01).all()

    merged = work / f"{base.name}-merged"
    subprocess.run([merge, "--adapter", out / "adapter", "--out", merged], check=True, capture_output=True)
    assert (merged / "model.safetensors").read_bytes() == (out / "model/model.safetensors").read_bytes()
    assert json.loads((merged / "config.json").read_text()) == json.loads((base / "config.json").read_text())


def write(work, config):
    path = work / "plan.json"
    path.write_text(json.dumps(config))
    return path


def numbers_leave_no_codes(hone, work, base):
    out = work / "numbers"
    report = run(hone, recipe(work, base, train={"steps": 1, "lr": 0}, save={"dtype": "bfloat16"}), out)
    assert report["saved_as"] == "bfloat16"
    assert "quantization_config" not in json.loads((out / "model/config.json").read_text())
    before, after = tensors_of(base), tensors_of(out / "model")
    assert after.keys() == {name for name in before if not name.endswith("_scale_inv")}
    for name, tensor in after.items():
        assert torch.equal(tensor, dequantise(before, name).to(torch.bfloat16)), name
    check_reads(out / "model", after)


def full_tuning_resumes(hone, work, base):
    config = recipe(work, base, train={"steps": 4, "lr": 1e-2, "save_every": 2})
    run(hone, config, work / "full")
    resumed = work / "resumed"
    shutil.copytree(work / "full", resumed)
    for name in ("model", "checkpoints/checkpoint-4"):
        shutil.rmtree(resumed / name)
    for name in ("report.json", "report.html"):
        (resumed / name).unlink()
    run(hone, config, resumed, "--resume")
    whole = tensors_of(work / "full/model")
    assert (resumed / "model/model.safetensors").read_bytes() == (work / "full/model/model.safetensors").read_bytes()
    assert {name: tensor.dtype for name, tensor in whole.items()} == {
        name: tensor.dtype for name, tensor in tensors_of(base).items()}
    check_reads(work / "full/model", whole)


def what_does_not_fit_is_refused(hone, work, base):
    broken = work / "broken"
    shutil.copytree(base, broken)
    tensors = tensors_of(base)
    names = [f"model.layers.{i}.mlp.up_proj.weight_scale_inv" for i in range(2)]
    del tensors[names[0]]
    tensors[names[1]] = tensors[names[1]][:1]
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    message = refused(hone, recipe(work, broken), work / "broken-run")
    assert names[0] in message and "are missing" in message, message
    assert f"tensor {names[1]} must be [4, 2]" in message and "got [1, 2]" in message, message

    config = json.loads((broken / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (broken / "config.json").write_text(json.dumps(config))
    message = refused(hone, recipe(work, broken), work / "gptq-run")
    assert '/quantization_config/quant_method: "gptq" is not supported; supported: fp8' in message, message
    assert "/quantization_config/bits: is not supported" in message, message


def main():
    hone, merge = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        make_base(work / "plain")
        for base in ("fp8", "ue8m0"):
            make_quantised(work / "plain", work / base, base == "ue8m0")
            an_adapter_changes_what_it_is_on(hone, merge, work, work / base)
        numbers_leave_no_codes(hone, work, work / "fp8")
        full_tuning_resumes(hone, work, work / "fp8")
        what_does_not_fit_is_refused(hone, work, work / "fp8")


if __name__ == "__main__":
    main()
