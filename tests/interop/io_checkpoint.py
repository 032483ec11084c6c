"""A checkpoint of transformers, read and written by hone in one file and in shards, loads in
transformers with equal weights, and its companions are carried over byte for byte.
Usage: io_checkpoint.py <io_tool>"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

TOOL = sys.argv[1]
COMPANIONS = {"tokenizer.json": b'{"version": "1.0"}', "tokenizer_config.json": b'{ "a":1}\r\n',
              "chat_template.jinja": "{{ x }} é".encode(), "special_tokens_map.json": b"{}"}


def check(source, target):
    wanted = AutoModelForCausalLM.from_pretrained(source)
    model, info = AutoModelForCausalLM.from_pretrained(target, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    for (name, a), (_, b) in zip(wanted.state_dict().items(), model.state_dict().items()):
        assert a.dtype == b.dtype and a.equal(b), name
    config = [json.loads((folder / "config.json").read_text()) for folder in (source, target)]
    assert list(config[0].items()) == list(config[1].items())
    for name in list(COMPANIONS) + ["generation_config.json"]:
        assert (source / name).read_bytes() == (target / name).read_bytes(), name


torch.manual_seed(0)
config = LlamaConfig(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
                     num_attention_heads=4, num_key_value_heads=2, dtype="bfloat16")
with tempfile.TemporaryDirectory() as root:
    root = pathlib.Path(root)
    for source, shard in (("one", "1GB"), ("many", "12KB")):
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(root / source,
                                                                    max_shard_size=shard)
        for name, data in COMPANIONS.items():
            (root / source / name).write_bytes(data)
        for shard_bytes in (10**9, 10_000):
            target = root / f"{source}-{shard_bytes}"
            subprocess.run([TOOL, "checkpoint", root / source, target, str(shard_bytes)], check=True)
            files = sorted(p.name for p in target.glob("*.safetensors"))
            assert (files == ["model.safetensors"]) == (shard_bytes == 10**9), files
            check(root / source, target)
print("checkpoints of one file and of shards: equal in transformers")
