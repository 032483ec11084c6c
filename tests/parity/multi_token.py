"""Training with layers for multi-token prediction: losses, every gradient, the main model's too, and
ten AdamW steps equal DeepSeek-V3's formula (section 2.2) over transformers' decoder layers, document
by document; what is saved holds what they became. Usage: multi_token.py <step_tool>"""
import json
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers.models.deepseek_v3 import modeling_deepseek_v3 as v3
from transformers.models.deepseek_v32 import modeling_deepseek_v32 as v32

from support import Checks, adamw, forget_lengths, make_batch, make_model, run_tool

# As model_parity.py has them.
LOSS, GRADIENTS, TRACE = 1e-5, 2e-5, 1e-5
WEIGHT = 0.3
YARN = dict(rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                                 original_max_position_embeddings=16, mscale=1.0,
                                 mscale_all_dim=1.0))
# family, depths, changes of the model, whether the checkpoint has copies of embedding and head
CASES = {
    "v3": ("deepseek_v3", 1, YARN, True),
    "v3-two": ("deepseek_v3", 2, dict(q_lora_rank=None, v_head_dim=14), False),
    "v3-tied-dense": ("deepseek_v3", 1, dict(tie_word_embeddings=True, first_k_dense_replace=9),
                      True),
    "v32": ("deepseek_v32", 1, YARN, True),
}
BATCHES = {"alike": [40, 37, 33], "unlike": [5, 48, 1, 2], "alone": [45]}
COPIES = {"embed_tokens.weight": "model.embed_tokens.weight",
          "shared_head.head.weight": "lm_head.weight"}


def add_layers(model, depths):
    """Behind the model's own layers, where its forward pass does not come."""
    kinds, config = (v32, model.config) if model.config.model_type == "deepseek_v32" else (
        v3, model.config)
    prefix = "DeepseekV32" if kinds is v32 else "DeepseekV3"
    layer_class, norm_class = (getattr(kinds, prefix + name) for name in ("DecoderLayer", "RMSNorm"))
    first = config.num_hidden_layers
    if kinds is v32:  # which looks its layers up by number
        config.mlp_layer_types = config.mlp_layer_types + ["sparse"] * depths
    for depth in range(depths):
        layer = layer_class(config, first + depth)
        layer.enorm, layer.hnorm = norm_class(config.hidden_size), norm_class(config.hidden_size)
        layer.eh_proj = torch.nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        layer.shared_head = torch.nn.Module()
        layer.shared_head.norm = norm_class(config.hidden_size)
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                start = 1.0 if "norm" in name and name.endswith("weight") else 0.0
                parameter.copy_(start + 0.1 * torch.randn_like(parameter))
            for name, buffer in layer.named_buffers():
                if name.endswith("e_score_correction_bias"):
                    buffer.copy_(0.1 * torch.randn_like(buffer))
        model.model.layers.append(layer.float().eval())
    if kinds is v32:
        config.mlp_layer_types = config.mlp_layer_types[:first]


def save_model(model, folder, depths, copies):
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_nextn_predict_layers": depths}))
    tensors = load_file(folder / "model.safetensors")
    for depth in range(depths if copies else 0):
        for copy, table in COPIES.items():
            table = tensors.get(table, tensors["model.embed_tokens.weight"])
            tensors[f"model.layers.{model.config.num_hidden_layers + depth}.{copy}"] = table.clone()
    save_file(tensors, folder / "model.safetensors")


def losses_of(model, batch):
    """{sum, weight} of the model's own loss and of each depth's. [1 + depths, 2]"""
    bounds, first = batch["offsets"].tolist(), model.config.num_hidden_layers
    sums = torch.zeros(1 + len(model.model.layers) - first, 2)
    for begin, end in zip(bounds, bounds[1:]):
        ids, targets, weights = (batch[key][begin:end] for key in ("ids", "targets", "weights"))
        forget_lengths(model)
        hidden = model.model(ids[None]).last_hidden_state
        rows = [add_loss(model, hidden, targets, weights)]
        for depth, layer in enumerate(model.model.layers[first:], start=1):
            if len(ids) <= depth:
                break
            hidden = hidden[:, :-1]
            e = model.model.embed_tokens(ids[None, depth:])
            x = layer.eh_proj(torch.cat([layer.enorm(e), layer.hnorm(hidden)], -1))
            length = x.shape[1]
            positions = torch.arange(length)[None]
            mask = torch.full((length, length), torch.finfo(torch.float).min).triu(1)[None, None]
            x = layer(x, attention_mask=mask, position_ids=positions,
                      position_embeddings=model.model.rotary_emb(x, positions))
            hidden = layer.shared_head.norm(x[0] if isinstance(x, tuple) else x)
            rows.append(add_loss(model, hidden, targets[depth:], weights[depth:]))
        sums = sums + torch.cat([torch.stack(rows), torch.zeros(len(sums) - len(rows), 2)])
    return sums


def add_loss(model, hidden, targets, weights):
    nll = torch.nn.functional.cross_entropy(model.lm_head(hidden[0]), targets, reduction="none")
    weights = weights.masked_fill(targets == -100, 0)
    return torch.stack([(nll * weights).sum(), weights.sum()])


def whole_loss(sums):
    further = sums[1:, 0].mean()
    return (sums[0, 0] + WEIGHT * further) / sums[0, 1]


def main():
    tool, checks = sys.argv[1], Checks()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        batches = {}
        for name, lengths in BATCHES.items():
            batches[name] = make_batch(lengths, 97, seed=2)
            batches[name]["weights"] = 0.5 + torch.rand(sum(lengths))
            save_file(batches[name], root / f"{name}.safetensors")
        jobs, models = [], {}
        for number, (name, (family, depths, changes, copies)) in enumerate(CASES.items()):
            models[name] = make_model(family, number, **changes)
            add_layers(models[name], depths)
            save_model(models[name], root / name, depths, copies)
            for batch in BATCHES:
                jobs.append({"model": str(root / name), "batch": str(root / f"{batch}.safetensors"),
                             "out": str(root / f"{name}.{batch}.safetensors"),
                             "multi_token": WEIGHT})
                if batch == "alone":
                    jobs[-1] |= {"checkpoint_every": 1}
                if batch == "unlike":
                    jobs[-1] |= {"steps": 10, "save": str(root / f"{name}.saved")}
        results, traces = iter(run_tool(tool, root, jobs)), {}
        for name, model in models.items():
            for batch_name in BATCHES:
                got, label = next(results), f"{name}/{batch_name}"
                model.zero_grad()
                sums = losses_of(model, batches[batch_name])
                whole_loss(sums).backward()
                checks.close(f"{label} loss", got["losses"][0], sums[0, 0] / sums[0, 1], LOSS)
                checks.close(f"{label} further losses", got["multi_token"][0], sums[1:], LOSS)
                wanted = {f"grad.{n}": p.grad for n, p in model.named_parameters()
                          if p.grad is not None and p.numel() > 0}
                checks.true(f"{label} names", {k for k in got if "grad." in k} == set(wanted))
                for key, gradient in wanted.items():
                    checks.close(f"{label} {key}", got[key], gradient, GRADIENTS)
                if batch_name == "unlike":
                    traces[name] = got
            optimizer, batch = adamw(model.parameters(), 1e-3, 0.1), batches["unlike"]
            trace = []
            for _ in range(10):
                optimizer.zero_grad()
                sums = losses_of(model, batch)
                whole_loss(sums).backward()
                optimizer.step()
                trace.append(sums.detach())
            trace = torch.stack(trace)
            checks.close(f"{name} trace", traces[name]["losses"], trace[:, 0, 0] / trace[:, 0, 1],
                         TRACE)
            checks.close(f"{name} further trace", traces[name]["multi_token"], trace[:, 1:], TRACE)
            check_saved(checks, name, model, root)
    checks.finish()


def check_saved(checks, name, model, root):
    """After ten steps; moments of AdamW amplify what differs in the last places of gradients."""
    before = load_file(root / name / "model.safetensors")
    saved = load_file(root / f"{name}.saved" / "model.safetensors")
    checks.true(f"{name} saved names", before.keys() == saved.keys())
    for parameter, value in model.named_parameters():
        if parameter in saved:
            checks.close(f"{name} saved {parameter}", saved[parameter], value, 1e-3)
    for tensor, table in ((n, t) for n in saved for copy, t in COPIES.items() if n.endswith(copy)
                          and n.startswith("model.layers.")):
        table = saved.get(table, saved["model.embed_tokens.weight"])
        checks.true(f"{name} {tensor} follows", torch.equal(saved[tensor], table))
        checks.true(f"{name} {tensor} moved", not torch.equal(saved[tensor], before[tensor]))


main()
