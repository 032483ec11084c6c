#!/usr/bin/env python3
"""Trimmed tokenizers in the `tokenizers` package and in transformers: they load with the ids that hone
gave, encode the text that they were trimmed to id by id as before, and everything else as hone does.

Usage: text_trimmed.py <growth_tool> <tokenizer_tool> [<strings a case>]

For the structure of each family, trained on WordNet's glosses and trimmed to those of diseases.
"""
import json
import os
import random
import sys
import tempfile

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

import text_growth
import text_tokenizer as families


def problems(old, path, kept, domain, others, tool):
    """What is wrong with the trimmed file."""
    now = Tokenizer.from_file(path)
    fast = PreTrainedTokenizerFast(tokenizer_file=path)
    old_ids, place = old.get_vocab(), {id: new for new, id in enumerate(kept)}
    if now.get_vocab() != {token: place[id] for token, id in old_ids.items() if id in place}:
        yield "the vocabulary is not what was kept"
    if sorted(now.get_added_tokens_decoder().values(), key=str) != sorted(old.get_added_tokens_decoder().values(), key=str):
        yield "the flags of added tokens changed"
    for text in domain:
        for special in (False, True):
            wanted = old.encode(text, add_special_tokens=special).ids
            if [kept[id] for id in now.encode(text, add_special_tokens=special).ids] != wanted:
                yield f"{text!r} is no longer {wanted}"
    for text, line in zip(others, families.run(tool, path, [text.encode() for text in others])):
        for what, expected, got in families.differences(now, text, line, True):
            yield f"{what} of {text!r}\n  expected {expected[:600]!r}\n  got      {got[:600]!r}"
        ids = now.encode(text, add_special_tokens=False).ids
        if fast(text, add_special_tokens=False)["input_ids"] != ids:
            yield f"transformers differs on {text!r}"
        alone = old.encode(text, add_special_tokens=False).ids
        unknown = old_ids.get("<unk>")
        if unknown not in alone and now.decode(ids, skip_special_tokens=False) != old.decode(alone, skip_special_tokens=False):
            yield f"{text!r} decodes to {now.decode(ids)!r}, before to {old.decode(alone)!r}"


def main():
    growth_tool, tokenizer_tool = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    lines, code = families.glosses(), families.code_lines()
    domain = [line for line in lines if "disease" in line]
    rng = random.Random(families.SEED)
    texts = rng.sample(lines, 8000) + rng.sample(code, 2000) + ["你好，世界。日本語のテキスト é ﬁ"] * 50
    makers = {"deepseek-v3": families.deepseek_v3, "qwen2": families.qwen2, "llama3": families.llama3,
              "llama2": lambda t: families.llama2(t, None),
              "llama2-metaspace-split": lambda t: families.llama2(t, ("always", True))}
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        texts_path, trimmed_path = os.path.join(folder, "texts.json"), os.path.join(folder, "trimmed.json")
        with open(texts_path, "w", encoding="utf-8") as file:
            json.dump(domain, file)
        for name, make in makers.items():
            old_path = os.path.join(folder, name + ".json")
            make(texts).save(old_path)
            old = Tokenizer.from_file(old_path)
            kept = text_growth.call(growth_tool, "trim", old_path, texts_path, trimmed_path)
            strings = families.Strings(random.Random(families.SEED + len(name)), lines, code)
            contents = [token["content"] for token in json.load(open(trimmed_path))["added_tokens"]]
            others = [strings.text(contents) for _ in range(count)]
            found = list(problems(old, trimmed_path, kept, domain, others, tokenizer_tool))
            if len(kept) > 0.9 * old.get_vocab_size():
                found.append(f"{len(kept)} of {old.get_vocab_size()} tokens kept")
            for problem in found[:5]:
                print(f"{name}: {problem}")
            print(f"{name}: {len(kept)} of {old.get_vocab_size()} tokens, {len(domain)} texts of the domain, "
                  f"{len(others)} others, {len(found)} problems", flush=True)
            failures += len(found)
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
