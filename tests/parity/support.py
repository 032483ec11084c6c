"""Shared by the parity and interop tests of the model room: small random checkpoints, packed
batches, the reference computation by transformers, and the C++ tool that runs ours."""
import copy
import json
import os
import pathlib
import subprocess

import torch
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, DeepseekV2Config, DeepseekV3Config,
                          DeepseekV32Config, DeepseekV4Config, LlamaConfig, LlamaForCausalLM, Qwen2Config,
                          Qwen3Config, Qwen3MoeConfig)
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Moe

torch.manual_seed(0)
torch.set_num_threads(1)

CONFIGS = {"llama": LlamaConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config,
           "qwen3_moe": Qwen3MoeConfig, "deepseek_v2": DeepseekV2Config,
           "deepseek_v3": DeepseekV3Config, "deepseek_v32": DeepseekV32Config,
           "deepseek_v4": DeepseekV4Config}
SMALL = dict(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
             attn_implementation="eager")


MLA = dict(q_lora_rank=20, kv_lora_rank=24, qk_nope_head_dim=12, qk_rope_head_dim=8, v_head_dim=10,
           num_key_value_heads=4, num_hidden_layers=3, first_k_dense_replace=1)
EXPERTS = dict(num_experts_per_tok=3, moe_intermediate_size=28)
OWN = {"qwen3": dict(head_dim=16),
       "deepseek": dict(EXPERTS, n_routed_experts=8, n_shared_experts=2, first_k_dense_replace=1,
                        num_hidden_layers=3, num_key_value_heads=4),
       "qwen3_moe": dict(EXPERTS, head_dim=16, num_experts=8),
       "deepseek_v2": dict(EXPERTS, **MLA, n_routed_experts=8, n_shared_experts=2),
       "deepseek_v3": dict(EXPERTS, **MLA, n_routed_experts=8, n_shared_experts=1, n_group=4,
                           topk_group=2, num_nextn_predict_layers=0)}
# Documents of the tests are longer than index_topk. Scores of few heads are often all 0, and ties
# fall otherwise in another shape, in transformers too: so many heads have none.
OWN["deepseek_v32"] = dict(OWN["deepseek_v3"], index_n_heads=24, index_head_dim=12, index_topk=8)
# Documents are longer than the window, than either stretch that is compressed, and have more entries
# than are chosen. Its experts' width is all that transformers calls intermediate_size.
OWN["deepseek_v4"] = dict(EXPERTS, n_routed_experts=8, num_key_value_heads=1, num_hidden_layers=4,
                          head_dim=16, partial_rotary_factor=0.5, q_lora_rank=20, o_groups=2,
                          o_lora_rank=12, sliding_window=6, index_n_heads=24, index_head_dim=12,
                          index_topk=3, swiglu_limit=0.4, compress_rope_theta=4e4,
                          compress_rates={"compressed_sparse_attention": 4,
                                          "heavily_compressed_attention": 8},
                          layer_types=["sliding_attention", "compressed_sparse_attention",
                                       "heavily_compressed_attention",
                                       "compressed_sparse_attention"],
                          mlp_layer_types=["hash_moe", "hash_moe", "moe", "moe"],
                          num_nextn_predict_layers=0, use_cache=False)


def make_moe_16b(values):
    """DeepSeekMoE-16B's architecture, of which transformers has no class, from what is equal in
    others (../shared/reference/deepseek-architectures.md, 2.4): llama's attention, V2's experts."""
    experts = {key: values.pop(key) for key in
               ("n_routed_experts", "n_shared_experts", "num_experts_per_tok",
                "moe_intermediate_size", "first_k_dense_replace")}
    model = LlamaForCausalLM(LlamaConfig(**values))
    moe = DeepseekV2Config(**experts, hidden_size=values["hidden_size"], num_attention_heads=4)
    for layer in model.model.layers[experts["first_k_dense_replace"]:]:
        layer.mlp = DeepseekV2Moe(moe)
        for parameter in layer.mlp.parameters():  # some begin as uninitialised memory
            torch.nn.init.normal_(parameter, std=0.02)
    model.own_config = dict(model.config.to_dict(), **experts, model_type="deepseek",
                            dtype="float32", scoring_func="softmax", norm_topk_prob=False,
                            architectures=["DeepseekForCausalLM"])
    return model


def save_model(model, folder):
    if not hasattr(model, "own_config"):
        return model.save_pretrained(folder)
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(model.own_config))


def load_saved(model, folder):
    """What a folder that was written of `model` holds."""
    if not hasattr(model, "own_config"):
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").float()
    saved = copy.deepcopy(model)
    saved.load_state_dict(load_file(folder / "model.safetensors"))
    return saved


def make_model(family, seed, **changes):
    """A random model whose norms and biases are not at their neutral initial values."""
    values = SMALL | OWN.get(family, {}) | changes
    if family == "deepseek_v4":
        del values["intermediate_size"]
    torch.manual_seed(seed)
    model = (make_moe_16b(values) if family == "deepseek" else
             AutoModelForCausalLM.from_config(CONFIGS[family](**values))).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.add_(torch.randn_like(buffer) * 0.1)
            if name.endswith("tid2eid"):
                buffer.copy_(torch.rand(len(buffer), model.config.n_routed_experts).argsort()
                             [:, :buffer.shape[1]])
    return model


def make_batch(lengths, vocab, seed):
    """Random documents laid end to end; each predicts its own next tokens, some of them ignored."""
    torch.manual_seed(seed)
    ids, positions, targets, offsets = [], [], [], [0]
    for length in lengths:
        document = torch.randint(0, vocab, (length,))
        target = torch.cat([document[1:], torch.tensor([-100])])
        target[torch.rand(length) < 0.2] = -100
        ids.append(document)
        positions.append(torch.arange(length))
        targets.append(target)
        offsets.append(offsets[-1] + length)
    targets[0][0] = ids[0][1] if lengths[0] > 1 else targets[0][0]
    return {"ids": torch.cat(ids), "positions": torch.cat(positions),
            "targets": torch.cat(targets), "offsets": torch.tensor(offsets)}


def logits_of(model, batch):
    """Each document on its own, so that nothing can leak between them. [T, V]"""
    bounds = batch["offsets"].tolist()
    logits = []
    for begin, end in zip(bounds, bounds[1:]):
        forget_lengths(model)
        logits.append(model(batch["ids"][None, begin:end]).logits[0])
    return torch.cat(logits)


def forget_lengths(model):
    """Dynamic rotary embeddings keep the stretch of the longest document so far, so that a result
    would depend on what ran before it; hone's depends on the document alone."""
    for module in model.modules():
        if getattr(module, "rope_type", "") == "dynamic":
            module.max_seq_len_cached = module.original_max_seq_len
            module.inv_freq = module.original_inv_freq


def loss_of(model, batch):
    return torch.nn.functional.cross_entropy(logits_of(model, batch), batch["targets"])


def adamw(named, lr, weight_decay):
    """torch's AdamW with the decay groups of FusedAdamW: vectors do not decay."""
    named = [p for p in named if p.requires_grad]
    groups = [{"params": [p for p in named if p.dim() >= 2], "weight_decay": weight_decay},
              {"params": [p for p in named if p.dim() < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr)


def train(model, batch, steps, lr, weight_decay):
    """The losses of `steps` steps on one batch."""
    optimizer = adamw(model.parameters(), lr, weight_decay)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def run_tool(tool, folder, jobs):
    """Runs the jobs in one process and returns the tensors that each wrote."""
    path = pathlib.Path(folder) / "jobs.json"
    path.write_text(json.dumps({"jobs": jobs}))
    # One thread: on a busy machine two spend their time waiting for each other on tiny tensors.
    done = subprocess.run([tool, str(path)], capture_output=True, text=True,
                          env=dict(os.environ, OMP_NUM_THREADS="1"))
    if done.returncode != 0:
        raise SystemExit(f"{pathlib.Path(tool).name} failed: {done.stderr}")
    return [load_file(job["out"]) for job in jobs]


class Checks:
    """Counts comparisons and names those that fail."""

    def __init__(self):
        self.failures = []
        self.count = 0

    def close(self, name, got, wanted, tolerance):
        """Largest difference relative to the largest magnitude."""
        got, wanted = got.detach().double(), wanted.detach().double()
        self.count += 1
        if got.shape != wanted.shape:
            self.failures.append(f"{name}: shape {tuple(got.shape)}, wanted {tuple(wanted.shape)}")
            return
        error = ((got - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)).item()
        if not error <= tolerance:
            self.failures.append(f"{name}: relative error {error:.2e}, at most {tolerance:.0e}")

    def true(self, name, condition):
        self.count += 1
        if not condition:
            self.failures.append(name)

    def finish(self):
        for failure in self.failures:
            print("FAILED", failure)
        print(f"{self.count} comparisons, {len(self.failures)} failed")
        raise SystemExit(1 if self.failures else 0)
