"""Outputs and every gradient of hone's CompressedAttention equal those of transformers'
DeepseekV4Attention, documents packed.
Usage: compressed_attention.py <compressed_attention_tool>"""
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import save_file
from transformers import DeepseekV4Config
from transformers.models.deepseek_v4.modeling_deepseek_v4 import (DeepseekV4Attention,
                                                                  DeepseekV4RotaryEmbedding)

from support import Checks, run_tool

# fp32 sums in another order: measured below 4e-7 for results and 8e-7 for gradients.
TOLERANCE = 5e-6
D, HEADS, WIDTH, ROTATED, Q_RANK, GROUPS, O_RANK = 24, 6, 16, 8, 20, 3, 5
# Many heads of the indexer: scores of few are often all 0, and ties fall otherwise in other shapes.
INDEX_HEADS, INDEX_WIDTH = 24, 12
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)

# window, ratio (with an indexer where top-k is given), top-k, scaling
CASES = {"window": (7, 0, 0, {}),
         "wide-window": (300, 0, 0, YARN),
         "sparse": (7, 4, 5, YARN),
         "sparse-all": (9, 4, 100, {}),
         "sparse-one": (3, 3, 1, {}),
         "heavy": (7, 8, 0, YARN),
         "heavy-wide": (150, 5, 0, {})}
# Lengths about a block of queries, the window, a compressed entry, and one position alone.
BATCHES = {"long": [200], "ragged": [70, 1, 2, 3, 4, 5, 8, 33], "short": [6, 6]}


def make_attention(number, window, ratio, top_k, scaling):
    kind = ("compressed_sparse_attention" if top_k else
            "heavily_compressed_attention" if ratio else "sliding_attention")
    config = DeepseekV4Config(
        hidden_size=D, num_attention_heads=HEADS, head_dim=WIDTH, q_lora_rank=Q_RANK,
        partial_rotary_factor=ROTATED / WIDTH, o_groups=GROUPS, o_lora_rank=O_RANK,
        sliding_window=window, max_position_embeddings=64, num_hidden_layers=1,
        layer_types=[kind], mlp_layer_types=["moe"], compress_rates={kind: ratio}, index_n_heads=INDEX_HEADS, index_head_dim=INDEX_WIDTH,
        index_topk=top_k, rope_parameters=dict(scaling), attn_implementation="eager")
    torch.manual_seed(number)
    attention = DeepseekV4Attention(config, 0)
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            norm = name.endswith("norm.weight")
            parameter.copy_(torch.randn_like(parameter) * (0.2 if norm else 0.4) + float(norm))
    return attention, DeepseekV4RotaryEmbedding(config)


def forward(attention, rotary, x, window):
    """One document alone. x [L, D]"""
    positions = torch.arange(len(x))
    tables = {kind: rotary(x[None], positions[None], layer_type=kind)
              for kind in ("main", "compress")}
    behind = positions[:, None] - positions
    seen = (behind >= 0) & (behind < window)
    mask = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))
    return attention(x[None], tables, positions[None], mask[None, None])[0][0]


def main():
    tool, checks = sys.argv[1], Checks()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        jobs, runs = [], []
        for number, (name, case) in enumerate(CASES.items()):
            window, ratio, top_k, scaling = case
            attention, rotary = make_attention(number, *case)
            for batch, lengths in BATCHES.items():
                x = torch.randn(sum(lengths), D, requires_grad=True)
                cotangent = torch.randn(sum(lengths), D)
                offsets = torch.tensor([0] + lengths).cumsum(0)
                path = root / f"{name}.{batch}.in"
                save_file({f"weight.{n}": p.detach() for n, p in attention.named_parameters()} |
                          {"x": x.detach(), "cotangent": cotangent, "offsets": offsets}, path)
                theta = 160000.0 if ratio else 10000.0
                yarn = bool(ratio and scaling)
                jobs.append(dict(
                    {"in": str(path)}, out=str(root / f"{name}.{batch}.out"), hidden_size=D,
                    num_heads=HEADS, head_dim=WIDTH, rope_dim=ROTATED, theta=theta, yarn=yarn,
                    factor=4.0 if yarn else 1.0, original_positions=16, q_rank=Q_RANK,
                    o_groups=GROUPS, o_rank=O_RANK, window=window, ratio=ratio,
                    index_heads=INDEX_HEADS, index_dim=INDEX_WIDTH, index_topk=top_k))
                runs.append((f"{name}/{batch}", attention, rotary, x, cotangent, lengths, window))
        for got, run in zip(run_tool(tool, root, jobs), runs):
            label, attention, rotary, x, cotangent, lengths, window = run
            attention.zero_grad()
            y = torch.cat([forward(attention, rotary, part, window) for part in x.split(lengths)])
            y.backward(cotangent)
            checks.close(f"{label} y", got["y"], y.detach(), TOLERANCE)
            wanted = {"grad.x": x.grad} | {f"grad.{n}": p.grad
                                           for n, p in attention.named_parameters()
                                           if p.grad is not None}
            checks.true(f"{label} names", {k for k in got if "grad." in k} == set(wanted))
            for key, gradient in wanted.items():
                checks.close(f"{label} {key}", got[key], gradient, TOLERANCE)
    checks.finish()


if __name__ == "__main__":
    main()
