"""Files of the safetensors package and of hone are the same bytes, in every dtype.
Usage: io_safetensors.py <io_tool>"""
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

TOOL = sys.argv[1]
DTYPES = [torch.bool, torch.uint8, torch.int8, torch.float8_e5m2, torch.float8_e4m3fn,
          torch.float8_e8m0fnu, torch.int16, torch.uint16, torch.float16, torch.bfloat16,
          torch.int32, torch.uint32, torch.float32, torch.int64, torch.uint64, torch.float64]


def tensors():
    """Every dtype under names whose order differs from that of the dtypes, every byte value."""
    made = {}
    for i, dtype in enumerate(DTYPES):
        size = torch.empty(0, dtype=dtype).element_size()
        raw = torch.arange(6 * size * 8, dtype=torch.int64).mul(37 + i).remainder(256).to(torch.uint8)
        if dtype == torch.bool:
            raw = raw.remainder(2)
        made[f"layer.{(i * 7) % 16}.{str(dtype)[6:]}"] = raw.view(dtype).view(6, 8)
    made["scalar"] = torch.tensor(1.5)
    made["empty"] = torch.empty(0, 5, dtype=torch.bfloat16)
    made['quote " and ünïcode \u2028 \U0001f600'] = torch.ones(3)
    return made


with tempfile.TemporaryDirectory() as root:
    theirs, ours = pathlib.Path(root, "theirs"), pathlib.Path(root, "ours")
    wanted = tensors()
    save_file(wanted, theirs, metadata={"format": "pt"})
    subprocess.run([TOOL, "copy", theirs, ours], check=True)
    read = load_file(ours)
    assert read.keys() == wanted.keys(), read.keys() ^ wanted.keys()
    for name, tensor in wanted.items():
        assert read[name].dtype == tensor.dtype and read[name].shape == tensor.shape, name
        same = (read[name].contiguous().view(torch.uint8) if tensor.dim() else read[name]).equal(
            tensor.view(torch.uint8) if tensor.dim() else tensor)
        assert same, name
    with safe_open(ours, "pt") as file:
        assert file.metadata() == {"format": "pt"}, file.metadata()
    assert ours.read_bytes() == theirs.read_bytes(), "the files differ in layout"
print(f"{len(wanted)} tensors of {len(DTYPES)} dtypes: files equal byte for byte")
