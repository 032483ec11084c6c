"""Training of DeepSeek-V3.2's indexers: losses, every gradient and ten AdamW steps equal section 2.1
of its report over transformers' modules, document by document, in a warm-up (dense attention, the
indexers alone train) and in the sparse stage (the model learns by the text alone, the indexers by
their own loss). Usage: index_learning.py <step_tool>"""
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import save_file

from support import Checks, adamw, make_batch, make_model, run_tool

# As model_parity.py has them.
LOSS, GRADIENTS, TRACE = 1e-5, 2e-5, 1e-5
WEIGHT = 0.7
YARN = dict(rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                                 original_max_position_embeddings=16, mscale=1.0,
                                 mscale_all_dim=1.0))
CASES = {"v32": YARN, "v32-all-rotated": dict(index_head_dim=8, index_topk=3, v_head_dim=28),
         "v32-some-dense": dict(index_topk=38, index_n_heads=20, first_k_dense_replace=2)}
BATCHES = {"alike": [40, 37, 33], "unlike": [5, 48, 1, 2], "alone": [45]}
EVERYTHING = 1 << 20


def rotated(x, cos, sin):
    """Halves of the first numbers of x [L, ..., W] turn; cos and sin [L, R]."""
    width = cos.shape[-1]
    while cos.dim() < x.dim():
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    first, second = x[..., :width // 2], x[..., width // 2:width]
    turned = torch.cat([-second, first], -1)
    return torch.cat([x[..., :width] * cos + turned * sin, x[..., width:]], -1)


def scores_of(indexer, x, narrow, cos, sin):
    """[L, L], with the graph of the indexer's weights."""
    q = rotated(indexer.wq_b(narrow).view(len(x), indexer.n_heads, -1), cos, sin)
    k = rotated(indexer.k_norm(indexer.wk(x)), cos, sin)
    weights = indexer.weights_proj(x) / indexer.n_heads ** 0.5
    products = torch.einsum("thw,sw->ths", q, k) / indexer.head_dim ** 0.5
    return (products.relu() * weights.unsqueeze(-1)).sum(1)


def divergence(attention, x, attended, cos, sin):
    """Sum over the queries of the document: KL of what the heads attend to and the scores' softmax,
    over what the indexer lets through."""
    x, indexer = x.detach(), attention.indexer
    narrow = attention.q_a_layernorm(attention.q_a_proj(x)).detach()
    scores = scores_of(indexer, x, narrow, cos, sin)
    past = torch.ones(len(x), len(x)).tril().bool()
    masked = scores.masked_fill(~past, -torch.inf)
    chosen = masked.detach().topk(min(indexer.index_topk, len(x)), -1).indices
    seen = torch.zeros_like(past).scatter(1, chosen, True) & past
    target = attended.detach()[0].sum(0)
    target = target / target.sum(-1, keepdim=True)
    log_softmax = scores.masked_fill(~seen, -torch.inf).log_softmax(-1)
    return (torch.xlogy(target, target) - target * log_softmax.masked_fill(~seen, 0)).sum()


def losses_of(model, batch, dense):
    """The mean loss of the text and each layer's sum of divergences. Scalar, [layers]"""
    layers = model.model.layers
    bounds, sums = batch["offsets"].tolist(), torch.zeros(len(layers))
    for layer in layers:
        layer.self_attn.indexer.index_topk = EVERYTHING if dense else model.config.index_topk
    nll = []
    for begin, end in zip(bounds, bounds[1:]):
        h = model.model.embed_tokens(batch["ids"][None, begin:end])
        positions = torch.arange(end - begin)[None]
        cos, sin = model.model.rotary_emb(h, positions)
        mask = torch.full((end - begin,) * 2, torch.finfo(torch.float).min).triu(1)[None, None]
        rows = []
        for layer in layers:
            x = layer.input_layernorm(h)
            mixed, attended = layer.self_attn(x, (cos, sin), mask, position_ids=positions)
            rows.append(divergence(layer.self_attn, x[0], attended, cos[0], sin[0]))
            h = h + mixed
            h = h + layer.mlp(layer.post_attention_layernorm(h))
        sums = sums + torch.stack(rows)
        logits = model.lm_head(model.model.norm(h))[0]
        nll.append(torch.nn.functional.cross_entropy(logits, batch["targets"][begin:end],
                                                     reduction="none"))
    counted = (batch["targets"] != -100) * batch["weights"]
    return (torch.cat(nll) * counted).sum() / counted.sum(), sums


def learned_by(model, stage):
    """Which parameters train."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(stage == "sparse" or ".indexer." in name)
    return [p for p in model.parameters() if p.requires_grad]


def main():
    tool, checks = sys.argv[1], Checks()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        batches = {}
        for name, lengths in BATCHES.items():
            batches[name] = make_batch(lengths, 97, seed=3)
            batches[name]["weights"] = 0.5 + torch.rand(sum(lengths))
            save_file(batches[name], root / f"{name}.safetensors")
        jobs, models = [], {}
        for number, (name, changes) in enumerate(CASES.items()):
            models[name] = make_model("deepseek_v32", number, **changes)
            models[name].save_pretrained(root / name)
            for stage in ("warm_up", "sparse"):
                for batch in BATCHES:
                    jobs.append({"model": str(root / name),
                                 "batch": str(root / f"{batch}.safetensors"),
                                 "out": str(root / f"{name}.{stage}.{batch}.safetensors"),
                                 "index": stage, "index_weight": WEIGHT,
                                 "checkpoint_every": 1 if batch == "alone" else 0,
                                 "steps": 10 if batch == "unlike" else 0})
        results = iter(run_tool(tool, root, jobs))
        for name, model in models.items():
            start = {key: value.clone() for key, value in model.state_dict().items()}
            for stage in ("warm_up", "sparse"):
                model.load_state_dict(start)
                learned = learned_by(model, stage)
                for batch_name, batch in batches.items():
                    got, label = next(results), f"{name}/{stage}/{batch_name}"
                    check(checks, label, got, model, batch, stage)
                    if batch_name == "unlike":
                        check_trace(checks, label, got, model, batch, stage, learned)
                        model.load_state_dict(start)
    checks.finish()


def whole_loss(model, batch, stage):
    text, sums = losses_of(model, batch, stage == "warm_up")
    return text, sums, text + WEIGHT * (sums / len(batch["ids"])).sum()


def check(checks, label, got, model, batch, stage):
    model.zero_grad()
    text, sums, loss = whole_loss(model, batch, stage)
    loss.backward()
    checks.close(f"{label} loss", got["losses"][0], text, LOSS)
    checks.close(f"{label} divergence", got["indexers"][0, :, 0], sums, LOSS)
    checks.true(f"{label} positions", (got["indexers"][0, :, 1] == len(batch["ids"])).all())
    wanted = {f"grad.{n}": p.grad for n, p in model.named_parameters()
              if p.grad is not None and p.numel() > 0}
    checks.true(f"{label} names", {k for k in got if "grad." in k} == set(wanted))
    for key, gradient in wanted.items():
        checks.close(f"{label} {key}", got[key], gradient, GRADIENTS)


def check_trace(checks, label, got, model, batch, stage, learned):
    optimizer, texts, divergences = adamw(learned, 1e-3, 0.1), [], []
    for _ in range(10):
        optimizer.zero_grad()
        text, sums, loss = whole_loss(model, batch, stage)
        loss.backward()
        optimizer.step()
        texts.append(text.detach())
        divergences.append(sums.detach())
    checks.close(f"{label} trace", got["losses"], torch.stack(texts), TRACE)
    checks.close(f"{label} divergences", got["indexers"][..., 0], torch.stack(divergences), TRACE)


main()
