#!/usr/bin/env python3
"""add_bos_token and add_eos_token: text_bos.py TOKENIZER_TOOL.

Folders of a byte-level tokenizer.json, with a template in it and without, of several classes and flags.
transformers 5 reads neither flag beside a tokenizer.json: its ids are those of the file itself. hone follows
transformers 4, which rewrote the post-processor of Llama's classes from the flags, and of no others.
"""
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

TEXT = "the heart"


def make(folder, template):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(["<s>", "</s>", *alphabet])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    if template:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B",
                                                                 special_tokens=[("<s>", 0)])
    tokenizer.save(str(folder / "tokenizer.json"))


def main():
    assert transformers.__version__.startswith("5."), transformers.__version__
    differ = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        classes = ("LlamaTokenizerFast", "LlamaTokenizer", "PreTrainedTokenizerFast", "Qwen2Tokenizer")
        for template, kind, bos, eos in itertools.product((False, True), classes, (None, False, True), (None, True)):
            make(folder, template)
            config = {"tokenizer_class": kind, "bos_token": "<s>", "eos_token": "</s>"}
            config |= {} if bos is None else {"add_bos_token": bos}
            config |= {} if eos is None else {"add_eos_token": eos}
            (folder / "tokenizer_config.json").write_text(json.dumps(config))
            (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
            own = Tokenizer.from_file(str(folder / "tokenizer.json"))
            plain = own.encode(TEXT, add_special_tokens=False).ids
            written = own.encode(TEXT).ids
            theirs = transformers.AutoTokenizer.from_pretrained(folder)(TEXT).input_ids
            assert theirs == written, (config, "transformers 5 takes the file as it is", theirs, written)
            ours = subprocess.run([sys.argv[1], folder, "folder", TEXT], capture_output=True, text=True, check=True)
            ours = [int(i) for i in ours.stdout.split()]
            if kind.startswith("Llama"):
                expected = [0] * (bos is not False) + plain + [1] * bool(eos)
            else:
                expected = written
            assert ours == expected, (config, ours, expected)
            differ += ours != theirs
    print(f"48 folders; hone and transformers 5 differ in {differ}, all of Llama's classes")


if __name__ == "__main__":
    main()
