"""Logits, loss, every gradient and ten AdamW steps of hone's decoders equal transformers'; what
hone saves, transformers loads with equal logits. Usage: model_parity.py <model_tool>"""
import json
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

from support import (Checks, load_saved, logits_of, loss_of, make_batch, make_model, run_tool,
                     save_model, train)

# fp32 sums in another order: measured below 1e-6 for logits and 5e-6 for gradients.
LOGITS, GRADIENTS, TRACE = 1e-5, 2e-5, 1e-5
# Norms behind streams leave little of the gradients of what weighs these: differences of larger
# numbers, measured below 1e-4.
STREAMS = 3e-4
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)


def rope(theta=10000.0, **scaling):
    return dict(rope_parameters=dict({"rope_type": "default", "rope_theta": theta}, **scaling))


CASES = {
    "llama": ("llama", {}),
    "llama-mha-tied": ("llama", dict(num_key_value_heads=4, tie_word_embeddings=True)),
    "llama-one-kv-head": ("llama", dict(num_key_value_heads=1, num_hidden_layers=3)),
    "llama-head-dim": ("llama", dict(head_dim=20)),
    "llama-biases": ("llama", dict(attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5)),
    "llama-linear": ("llama", rope(rope_type="linear", factor=4.0, theta=1e5)),
    "llama-dynamic": ("llama", dict(rope(rope_type="dynamic", factor=2.0),
                                    max_position_embeddings=16)),
    "llama-llama3": ("llama", rope(theta=5e5, **LLAMA3)),
    "llama-yarn": ("llama", rope(**YARN)),
    "llama-yarn-mscale": ("llama", rope(**YARN, mscale=1.0, mscale_all_dim=0.707)),
    "llama-yarn-no-truncate": ("llama", rope(**YARN, truncate=False, beta_fast=16.0)),
    "qwen2": ("qwen2", {}),
    "qwen2-tied": ("qwen2", dict(tie_word_embeddings=True, num_key_value_heads=1)),
    "qwen2-head-dim": ("qwen2", dict(head_dim=16)),
    "qwen2-yarn-factor": ("qwen2", rope(theta=1e6, **YARN, attention_factor=0.9)),
    "qwen3": ("qwen3", {}),
    "qwen3-tied-bias": ("qwen3", dict(tie_word_embeddings=True, attention_bias=True)),
    "qwen3-yarn-attn-factor": ("qwen3", rope(theta=1e6, **YARN, attn_factor=0.8782488562869419)),
    "qwen3-moe": ("qwen3_moe", {}),
    "qwen3-moe-mixed": ("qwen3_moe", dict(norm_topk_prob=True, mlp_only_layers=[1],
                                          num_hidden_layers=3, attention_bias=True)),
    "moe-16b": ("deepseek", {}),
    "v2": ("deepseek_v2", rope(**YARN, mscale=0.707, mscale_all_dim=0.707)),
    "v2-plain-query": ("deepseek_v2", dict(q_lora_rank=None, n_shared_experts=1,
                                           routed_scaling_factor=1.5)),
    "v2-groups": ("deepseek_v2", dict(topk_method="group_limited_greedy", n_group=4, topk_group=2,
                                      routed_scaling_factor=16.0, attention_bias=True,
                                      mlp_bias=True)),
    "v2-no-shared": ("deepseek_v2", dict(n_shared_experts=0, first_k_dense_replace=0,
                                         tie_word_embeddings=True)),
    "v3": ("deepseek_v3", rope(**YARN, mscale=1.0, mscale_all_dim=1.0)),
    "v3-plain-query": ("deepseek_v3", dict(q_lora_rank=None, norm_topk_prob=False, n_group=1,
                                           topk_group=1, v_head_dim=28)),
    "v3-halves": ("deepseek_v3", dict(rope_interleave=False, attention_bias=True,
                                      n_shared_experts=2, first_k_dense_replace=2)),
    "v32": ("deepseek_v32", rope(**YARN, mscale=1.0, mscale_all_dim=1.0)),
    "v32-all-rotated": ("deepseek_v32", dict(index_head_dim=8, index_topk=3, v_head_dim=28,
                                             attention_bias=True)),
    "v32-some-dense": ("deepseek_v32", dict(index_topk=38, index_n_heads=20, n_group=1, topk_group=1,
                                            first_k_dense_replace=2)),
    "v4-released": ("deepseek_v4", rope(**YARN)),
    "v4": ("deepseek_v4", dict(rope(**YARN), swiglu_limit=10.0)),
    "v4-streams": ("deepseek_v4", dict(hc_mult=2, hc_sinkhorn_iters=3, o_groups=4, sliding_window=64,
                                       num_attention_heads=8, tie_word_embeddings=True)),
    "v4-plain": ("deepseek_v4", dict(layer_types=["sliding_attention"] * 4, hc_mult=3,
                                     mlp_layer_types=["moe"] * 4, routed_scaling_factor=2.5)),
}
# Packed with lengths alike (one grid), unlike (one by one), and one document alone, all beyond the
# original lengths of the scaled cases.
BATCHES = {"alike": [40, 37, 33], "unlike": [5, 48, 1, 2], "alone": [45]}


def packed_logits(model, batch):
    """One row of all documents, under a mask that keeps them apart. [T, V]"""
    lengths = batch["offsets"].diff()
    document = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    seen = (document[:, None] == document) & torch.ones(len(document), len(document)).tril().bool()
    mask = torch.zeros_like(seen, dtype=torch.float).masked_fill(~seen, torch.finfo(torch.float).min)
    return model(batch["ids"][None], position_ids=batch["positions"][None],
                 attention_mask=mask[None, None]).logits[0]


def release_v4(folder, config, scaling):
    """Rewrites a folder of DeepSeek-V4 as DeepSeek has them, but for its rates of compression; gives
    what scales positions."""
    ratios = {"sliding_attention": 0, "compressed_sparse_attention": 4,
              "heavily_compressed_attention": 128}
    config["compress_ratios"] = [ratios[kind] for kind in config.pop("layer_types")] + [0]
    config["num_hash_layers"] = config.pop("mlp_layer_types").count("hash_moe")
    del config["partial_rotary_factor"]
    path = pathlib.Path(folder) / "model.safetensors"
    names = {"model.embed_tokens.weight": "embed.weight"}
    names |= {f"model.hc_head.hc_{part}": f"hc_head_{part}" for part in ("fn", "base", "scale")}
    save_file({names.get(name, name.removeprefix("model.").replace("attn.norm", "attn.kv_norm")):
               tensor for name, tensor in load_file(path).items()}, path)
    scaling = scaling["compress"] | {"rope_theta": scaling["main"]["rope_theta"]}
    for key in ("partial_rotary_factor", "attention_factor", "type"):
        scaling.pop(key, None)
    return scaling


def legacy_config(folder):
    """Rewrites config.json to the form of transformers v4: rope_theta and rope_scaling."""
    path = pathlib.Path(folder) / "config.json"
    config = json.loads(path.read_text())
    scaling = config.pop("rope_parameters")
    if config["model_type"] == "deepseek_v4":
        scaling = release_v4(folder, config, scaling)
    config["rope_theta"] = scaling.pop("rope_theta")
    kind = scaling.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else dict(scaling, type=kind)
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config))


def main():
    tool, checks = sys.argv[1], Checks()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        for name, lengths in BATCHES.items():
            save_file(make_batch(lengths, 97, seed=1), root / f"{name}.safetensors")
        jobs, models = [], {}
        for number, (name, (family, changes)) in enumerate(CASES.items()):
            models[name] = make_model(family, number, **changes)
            save_model(models[name], root / name)
            if number % 2:
                legacy_config(root / name)
            for batch in BATCHES:
                jobs.append({"model": str(root / name), "batch": str(root / f"{batch}.safetensors"),
                             "out": str(root / f"{name}.{batch}.safetensors")})
                if batch == "alone":
                    jobs[-1] |= {"checkpoint_every": 1}
                if batch == "unlike":
                    jobs[-1] |= {"steps": 10, "save": str(root / f"{name}.saved")}
        results, traces = iter(run_tool(tool, root, jobs)), {}
        for name, model in models.items():
            for batch_name, lengths in BATCHES.items():
                batch = make_batch(lengths, 97, seed=1)
                got, label = next(results), f"{name}/{batch_name}"
                model.zero_grad()
                loss = loss_of(model, batch)
                loss.backward()
                with torch.no_grad():
                    checks.close(f"{label} logits", got["logits"], logits_of(model, batch), LOGITS)
                checks.close(f"{label} loss", got["loss"], loss, LOGITS)
                wanted = {f"grad.{n}": p.grad for n, p in model.named_parameters()
                          if p.grad is not None and p.numel() > 0}  # no indexers, no empty MLPs
                checks.true(f"{label} names", {k for k in got if "grad." in k} == set(wanted))
                for key, gradient in wanted.items():
                    tolerance = STREAMS if "_hc." in key or "hc_head" in key else GRADIENTS
                    checks.close(f"{label} {key}", got[key], gradient, tolerance)
                # DeepSeek-V4's entries are made of a whole row, whatever the mask says.
                if batch_name == "alike" and "dynamic" not in name and "v4" not in name:
                    with torch.no_grad():
                        checks.close(f"{label} packed by transformers", got["logits"],
                                     packed_logits(model, batch), LOGITS)
                if batch_name != "unlike":
                    continue
                traces[name] = got["losses"]
                saved = load_saved(model, root / f"{name}.saved")
                with torch.no_grad():
                    checks.close(f"{label} saved", logits_of(saved, batch), got["logits_after"],
                                 LOGITS)
            batch = make_batch(BATCHES["unlike"], 97, seed=1)
            losses = train(model, batch, 10, 1e-3, 0.1)
            checks.close(f"{name} trace", traces[name], torch.tensor(losses), TRACE)
    checks.finish()


main()
