"""What goes into a run and comes out of it is what transformers and PEFT write and read:

    model_files.py HONE_DOMAIN

On one small base in bfloat16, made by transformers with a tokenizer that has no length limit:
1. A model is saved in the types in which it came, or in that of save.dtype, and config.json says so.
2. Weights that are integers are refused by name before anything is trained.
3. A run begins with PEFT's adapter: trained on, or worked into the base; resumed, it ends in the same
   bits; an adapter of another base is refused with the shapes that differ.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from support import check_close, run

TEXTS = [f"the {a} {b} a {c}." for a in ("patient", "judge", "river", "tree")
         for b in ("needs", "sees", "follows") for c in ("dose", "law", "bridge", "leaf", "road")]
CHAT = ("{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}")
CONFIG = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=128)


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.chat_template = CHAT
    return fast


def make_base(folder, seed=0, **changes):
    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(**{**CONFIG, "vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1,
                            **changes})
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # transformers' "no limit", which no 64 bits hold.
    assert "1000000000000000019884624838656" in (folder / "tokenizer_config.json").read_text()


def make_adapter(base, folder, seed=1, **options):
    """An adapter of PEFT that is not neutral."""
    torch.manual_seed(seed)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base).float(),
                           LoraConfig(task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.eval().save_pretrained(folder)
    return model


def recipe(work, base, **changes):
    parts = {"texts": TEXTS[10:], "held": TEXTS[:10]}
    for name, texts in parts.items():
        (work / f"{name}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    sets, held_out = ([{"name": name, "files": [str(work / f"{name}.jsonl")]}] for name in parts)
    return {"about": "x", "model": str(base), "device": "cpu", "threads": 1,
            "data": {"tokens_per_batch": 128, "train": sets, "held_out": held_out},
            "train": {"steps": 4, "lr": 1e-3}, **changes}


def types(folder, name="model.safetensors"):
    return {name: tensor.dtype for name, tensor in load_file(folder / name).items()}


def config_type(folder):
    config = json.loads((folder / "config.json").read_text())
    return config.get("dtype", config.get("torch_dtype"))


def refused(hone, config, out, code=1):
    recipe_file = out.with_suffix(".json")
    recipe_file.write_text(json.dumps(config))
    done = subprocess.run([hone, "--config", recipe_file, "--out", out], capture_output=True, text=True)
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stderr


def a_model_comes_out_in_the_type_it_came_in(hone, work, base):
    mixed = work / "mixed"
    shutil.copytree(base, mixed)
    tensors = load_file(mixed / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"].float()
    save_file(tensors, mixed / "model.safetensors", {"format": "pt"})
    config = recipe(work, mixed)
    report = run(hone, config, work / "full")
    assert report["saved_as"] == "bfloat16 and float32", report["saved_as"]
    assert types(work / "full/model") == types(mixed)
    assert config_type(work / "full/model") == "bfloat16"
    tuned = AutoModelForCausalLM.from_pretrained(work / "full/model", dtype="auto")
    assert tuned.dtype == torch.bfloat16
    assert not torch.equal(tuned.lm_head.weight, tensors["lm_head.weight"])

    plan = subprocess.run([hone, "--config", work / "full.json", "--plan"], capture_output=True, text=True)
    assert "saved as   bfloat16 and others, as the base came" in plan.stdout, plan.stdout + plan.stderr

    wide = run(hone, {**config, "save": {"dtype": "float32"}}, work / "wide")
    assert wide["saved_as"] == config_type(work / "wide/model") == "float32"
    exact, rounded = (load_file(work / f"{name}/model/model.safetensors") for name in ("wide", "full"))
    assert all(torch.equal(tensor.to(rounded[name].dtype), rounded[name]) for name, tensor in exact.items())


def integers_are_no_weights(hone, work, base):
    broken = work / "int8"
    shutil.copytree(base, broken)
    tensors = load_file(broken / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name] = (tensors[name] * 100).to(torch.int8)
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    message = refused(hone, recipe(work, broken), work / "int8-run")
    assert f"tensor {name} is I8, but weights must be F64, F32, F16 or BF16" in message, message


def a_run_begins_with_an_adapter(hone, work, base):
    options = dict(r=3, lora_alpha=6, target_modules=["q_proj", "down_proj"], lora_dropout=0.1)
    theirs = make_adapter(base, work / "theirs", **options)
    config = recipe(work, base, tuning="lora", train={"steps": 4, "lr": 1e-3, "save_every": 2})
    config["lora"] = {"from": str(work / "theirs")}
    on = run(hone, config, work / "on")
    saved = json.loads((work / "on/adapter/adapter_config.json").read_text())
    for key, value in options.items():
        assert sorted(saved[key]) == sorted(value) if key == "target_modules" else saved[key] == value
    # The run begins where PEFT's model stands, and its adapter loads there.
    merged = theirs.merge_and_unload()
    merged.save_pretrained(work / "merged")
    shutil.copy(base / "tokenizer.json", work / "merged")
    shutil.copy(base / "tokenizer_config.json", work / "merged")
    scoring = recipe(work, work / "merged", train={"steps": 0})
    del scoring["data"]["train"]
    scored = run(hone, scoring, work / "scored")
    check_close(on["before"]["sets"][0]["nll"], scored["before"]["sets"][0]["nll"], "where the run begins")
    assert on["after"]["sets"][0]["nll"] < on["before"]["sets"][0]["nll"]
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), work / "on/adapter")

    resumed = work / "resumed"
    shutil.copytree(work / "on", resumed)
    for name in ("report.json", "report.html"):
        (resumed / name).unlink()
    for name in ("model", "adapter", "checkpoints/checkpoint-4"):
        shutil.rmtree(resumed / name, ignore_errors=True)
    run(hone, config, resumed, "--resume")
    for name in ("adapter/adapter_model.safetensors", "model/model.safetensors"):
        assert (resumed / name).read_bytes() == (work / "on" / name).read_bytes(), name

    config["lora"] = {"from": str(work / "theirs"), "merge_first": True, "rank": 2, "targets": ["v_proj"]}
    new = run(hone, config, work / "new")
    check_close(new["before"]["sets"][0]["nll"], scored["before"]["sets"][0]["nll"], "a merged beginning")
    own = AutoModelForCausalLM.from_pretrained(work / "new/base").float()
    for name, tensor in own.state_dict().items():
        assert torch.equal(tensor, merged.state_dict()[name].to(torch.bfloat16).float()), name

    full = run(hone, recipe(work, base, lora={"from": str(work / "theirs"), "merge_first": True}), work / "whole")
    check_close(full["before"]["sets"][0]["nll"], scored["before"]["sets"][0]["nll"], "all weights, merged")

    make_base(work / "wider", hidden_size=48)
    config = recipe(work, work / "wider", tuning="lora", lora={"from": str(work / "theirs")})
    message = refused(hone, config, work / "mismatch")
    for part in ("does not fit the model", "must be [3, 48], got [3, 32]", str(base)):
        assert part in message, message
    message = refused(hone, {**config, "lora": {"from": str(work / "theirs"), "rank": 4}}, work / "rank", 2)
    assert "/lora/rank: has no effect with from, whose adapter has options of its own" in message, message


def main():
    hone = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        base = work / "base"
        make_base(base)
        a_model_comes_out_in_the_type_it_came_in(hone, work, base)
        integers_are_no_weights(hone, work, base)
        a_run_begins_with_an_adapter(hone, work, base)


if __name__ == "__main__":
    main()
