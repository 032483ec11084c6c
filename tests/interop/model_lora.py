"""Adapters travel between hone and PEFT with equal logits, gradients and training, and merge into
plain checkpoints. Usage: model_lora.py <model_tool>"""
import pathlib
import sys
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "parity"))
from support import Checks, logits_of, loss_of, make_batch, make_model, run_tool, train

# fp32 sums in another order: measured below 1e-6 for logits and 5e-6 for gradients.
LOGITS, GRADIENTS, TRACE = 1e-5, 2e-5, 1e-5
LENGTHS, VOCAB, STEPS, LR, DECAY = [21, 30, 5], 97, 5, 1e-2, 0.1

MODELS = {"llama": ("llama", {}), "tied": ("qwen2", dict(tie_word_embeddings=True)),
          "qwen3": ("qwen3", dict(attention_bias=True)), "v3": ("deepseek_v3", {}),
          "v2": ("deepseek_v2", dict(q_lora_rank=None)), "moe": ("qwen3_moe", {})}
EXPERTS = ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"]
LATENT = ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
# name: base, hone's options, PEFT's options, trainable rows
CASES = {
    "lora": ("llama", dict(rank=4, alpha=8, targets=["q_proj", "v_proj"]),
             dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]), []),
    "everything": ("qwen3", dict(rank=3, alpha=5.0), dict(r=3, lora_alpha=5,
                   target_modules="all-linear"), []),
    "latent": ("v3", dict(rank=3, alpha=5.0), dict(r=3, lora_alpha=5, target_modules=LATENT), []),
    "latent-dora": ("v2", dict(rank=2, alpha=4, dora=True, targets=["q_proj", "kv_b_proj"]),
                    dict(r=2, lora_alpha=4, use_dora=True,
                         target_modules=["q_proj", "kv_b_proj"]), []),
    "experts": ("v3", dict(rank=3, alpha=5.0, targets=LATENT, target_parameters=EXPERTS),
                dict(r=3, lora_alpha=5, target_modules=LATENT, target_parameters=EXPERTS), []),
    "experts-alone": ("moe", dict(rank=2, alpha=4, rslora=True, target_parameters=EXPERTS,
                                  rank_pattern={r"0\.mlp\.experts\.gate_up_proj": 4}),
                      dict(r=2, lora_alpha=4, use_rslora=True, target_modules=[],
                           target_parameters=EXPERTS,
                           rank_pattern={r"0\.mlp\.experts\.gate_up_proj": 4}), []),
    "experts-gate_up": ("v2", dict(rank=2, alpha=8, targets=["o_proj"],
                                   target_parameters=["gate_up_proj"]),
                        dict(r=2, lora_alpha=8, target_modules=["o_proj"],
                             target_parameters=["gate_up_proj"]), []),
    "rslora": ("tied", dict(rank=4, alpha=4, rslora=True, targets=["mlp.up_proj", "o_proj"]),
               dict(r=4, lora_alpha=4, use_rslora=True,
                    target_modules=["mlp.up_proj", "o_proj"]), []),
    "dora": ("tied", dict(rank=4, alpha=8, dora=True, targets=["q_proj", "down_proj"]),
             dict(r=4, lora_alpha=8, use_dora=True, target_modules=["q_proj", "down_proj"]), []),
    "patterns": ("llama", dict(rank=4, alpha=8, target_regex=r".*\.[01]\..*(q|up)_proj",
                               rank_pattern={r"1\.mlp\..*": 2}, alpha_pattern={"q_proj": 3}),
                 dict(r=4, lora_alpha=8, target_modules=r".*\.[01]\..*(q|up)_proj",
                      rank_pattern={r"1\.mlp\..*": 2}, alpha_pattern={"q_proj": 3}), []),
    "saved": ("llama", dict(rank=2, alpha=8, targets=["k_proj", "gate_proj"],
                            modules_to_save=["lm_head", "0.mlp.gate_proj"]),
              dict(r=2, lora_alpha=8, target_modules=["k_proj", "gate_proj"],
                   modules_to_save=["lm_head", "0.mlp.gate_proj"]), []),
    "rows": ("llama", dict(rank=2, alpha=8, targets=["q_proj"]),
             dict(r=2, lora_alpha=8, target_modules=["q_proj"],
                  trainable_token_indices={"embed_tokens": [5, 96, 3], "lm_head": [5, 96, 3]}),
             [5, 96, 3]),
    "rows-tied": ("tied", dict(rank=2, alpha=8, targets=["q_proj"]),
                  dict(r=2, lora_alpha=8, target_modules=["q_proj"],
                       trainable_token_indices=[5, 96, 3]), [5, 96, 3]),
}


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval()


def our_name(name):
    """hone's name of a trained parameter of PEFT."""
    name = name.removeprefix("base_model.model.").replace(".modules_to_save.default.", ".")
    if name.endswith("lora_magnitude_vector.default.weight"):
        return name.removesuffix(".default.weight")
    return name.replace(".default", "")


def check_ours_in_peft(checks, name, root, base, got, batch):
    """PEFT computes with hone's adapter what hone computed; so does the merged folder."""
    with torch.no_grad():
        loaded = PeftModel.from_pretrained(load(base), root / f"{name}.ours").eval()
        checks.close(f"{name}: ours in PEFT", logits_of(loaded, batch), got["logits_after"], LOGITS)
        checks.close(f"{name}: merged", got["logits_merged"], got["logits_after"], LOGITS)
        checks.close(f"{name}: merged folder", logits_of(load(root / f"{name}.merged"), batch),
                     got["logits_merged"], LOGITS)
        changed = (got["logits_after"] - got["logits"]).abs().max() / got["logits"].abs().max()
        checks.true(f"{name}: training changed the logits", changed > 1e-3)


def check_peft_in_ours(checks, name, model, got, batch):
    """hone computes with PEFT's adapter what PEFT computes, gradients and training included."""
    loss = loss_of(model, batch)
    loss.backward()
    checks.close(f"{name}: PEFT's in ours", got["logits"], logits_of(model, batch), LOGITS)
    checks.close(f"{name}: loss", got["loss"], loss, LOGITS)
    wanted = {f"grad.{our_name(n)}": p.grad for n, p in model.named_parameters() if p.requires_grad}
    checks.true(f"{name}: names", {k for k in got if k.startswith("grad.")} == set(wanted))
    for key, gradient in wanted.items():
        if key in got:
            checks.close(f"{name}: {key}", got[key], gradient, GRADIENTS)
    losses = train(model, batch, STEPS, LR, DECAY)
    checks.close(f"{name}: trace", got["losses"], torch.tensor(losses), TRACE)
    checks.close(f"{name}: trained", got["logits_after"], logits_of(model, batch), 1e-4)


def check_growth(checks, tool, root, batch_path):
    """A grown vocabulary: new rows are their pieces' means, and train under LoRA."""
    grow = {"rows": 104, "ids": [97, 98, 96], "pieces": [[1, 2], [3, 4, 5], [6]]}
    for base in ("llama", "tied"):
        grown = str(root / f"{base}.grown")
        job = {"model": str(root / base), "batch": str(batch_path),
               "out": str(root / "grow.safetensors")}
        run_tool(tool, root, [job | {"grow": grow, "save": grown}])
        before, after = load(root / base), load(grown)
        for part in ("get_input_embeddings", "get_output_embeddings"):
            old, new = getattr(before, part)().weight, getattr(after, part)().weight
            wanted = torch.cat([old, old.mean(0).expand(7, -1)])
            for row, pieces in zip(grow["ids"], grow["pieces"]):
                wanted[row] = old[pieces].mean(0)
            checks.close(f"growth {base}: {part}", new, wanted, 1e-6)
        batch = make_batch(LENGTHS, 104, seed=2)
        path = root / "grown_batch.safetensors"
        save_file(batch, path)
        name = f"growth-{base}"
        got, again = run_tool(tool, root, [
            {"model": grown, "batch": str(path), "out": str(root / "a.safetensors"),
             "lora": {"rank": 2, "targets": ["q_proj"]}, "token_rows": [97, 98, 96],
             "steps": STEPS, "lr": LR, "save_adapter": str(root / f"{name}.ours"), "merge": True,
             "save": str(root / f"{name}.merged")},
            {"model": grown, "batch": str(path), "out": str(root / "b.safetensors"),
             "adapter": str(root / f"{name}.ours")}])
        check_ours_in_peft(checks, name, root, grown, got, batch)
        checks.close(f"{name}: loaded again", again["logits"], got["logits_after"], LOGITS)


def check_whole_embeddings(checks, tool, root, batch, batch_path):
    """PEFT adds the embeddings whole where they were resized; they replace the base's."""
    model = get_peft_model(load(root / "llama"), LoraConfig(task_type="CAUSAL_LM", r=2,
                                                             target_modules=["q_proj"])).eval()
    with torch.no_grad():
        for part in (model.get_input_embeddings(), model.get_output_embeddings()):
            part.weight.add_(torch.randn_like(part.weight) * 0.1)
        model.save_pretrained(root / "whole", save_embedding_layers=True)
        got, = run_tool(tool, root, [{"model": str(root / "llama"), "batch": str(batch_path),
                                      "out": str(root / "c.safetensors"),
                                      "adapter": str(root / "whole")}])
        checks.close("whole embeddings", got["logits"], logits_of(model, batch), LOGITS)


def check_single_experts(checks, tool, root, batch, batch_path):
    """The files that PEFT wrote beside transformers 4: an adapter on each expert."""
    names = ["gate_proj", "up_proj", "down_proj"]
    for base in ("v3", "moe"):
        model = load(root / base)
        folder, tensors = root / f"{base}.single", {}
        torch.manual_seed(4)
        for name, module in model.named_modules():
            if name.endswith("mlp.experts"):
                width, hidden = module.down_proj.shape[1:]
                for expert in range(module.down_proj.shape[0]):
                    for target in names:
                        inner, outer = (hidden, width) if target == "down_proj" else (width, hidden)
                        key = f"base_model.model.{name}.{expert}.{target}.lora_"
                        tensors[f"{key}A.weight"] = torch.randn(2, inner) * 0.1
                        tensors[f"{key}B.weight"] = torch.randn(outer, 2) * 0.1
        LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=6, target_modules=names,
                   base_model_name_or_path=str(root / base)).save_pretrained(folder)
        save_file(tensors, folder / "adapter_model.safetensors")
        theirs = PeftModel.from_pretrained(model, folder).eval()
        got, = run_tool(tool, root, [
            {"model": str(root / base), "batch": str(batch_path), "steps": STEPS, "lr": LR,
             "weight_decay": DECAY, "out": str(root / "d.safetensors"), "adapter": str(folder),
             "save_adapter": str(root / f"{base}.single.ours"), "merge": True,
             "save": str(root / f"{base}.single.merged")}])
        for name, parameter in theirs.named_parameters():
            parameter.requires_grad_(".lora_" in name)
        check_ours_in_peft(checks, f"{base}.single", root, root / base, got, batch)
        check_peft_in_ours(checks, f"{base}.single", theirs, got, batch)


def main():
    tool, checks = sys.argv[1], Checks()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        batch, path = make_batch(LENGTHS, VOCAB, seed=1), root / "batch.safetensors"
        save_file(batch, path)
        for number, (name, (family, changes)) in enumerate(MODELS.items()):
            make_model(family, number, **changes).save_pretrained(root / name)
        jobs, models = [], {}
        for name, (base, ours, theirs, rows) in CASES.items():
            torch.manual_seed(3)
            model = get_peft_model(load(root / base), LoraConfig(task_type="CAUSAL_LM", **theirs))
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.requires_grad:
                        parameter.add_(torch.randn_like(parameter) * 0.1)
            model.eval().save_pretrained(root / f"{name}.theirs")
            models[name] = model
            job = {"model": str(root / base), "batch": str(path), "steps": STEPS, "lr": LR,
                   "weight_decay": DECAY}
            jobs += [job | {"out": str(root / f"{name}.a.safetensors"), "lora": ours,
                            "token_rows": rows, "save_adapter": str(root / f"{name}.ours"),
                            "merge": True, "save": str(root / f"{name}.merged")},
                     job | {"out": str(root / f"{name}.b.safetensors"),
                            "adapter": str(root / f"{name}.theirs")}]
        results = iter(run_tool(tool, root, jobs))
        for name, (base, *_) in CASES.items():
            check_ours_in_peft(checks, name, root, root / base, next(results), batch)
            check_peft_in_ours(checks, name, models[name], next(results), batch)
        check_growth(checks, tool, root, path)
        check_whole_embeddings(checks, tool, root, batch, path)
        check_single_experts(checks, tool, root, batch, path)
    checks.finish()


main()
