#!/usr/bin/env python3
"""hone's tokenizer beside the `tokenizers` package: ids, offsets and decoded text must be equal.

Usage: text_tokenizer.py <tokenizer_tool> [<strings a family>]

Trains small tokenizers of the structure of each family on WordNet's glosses, with added tokens of
all flag combinations, and compares them on glosses, source code, emoji, CJK, combining marks,
control characters, random code points, broken UTF-8 and mixtures of those.
"""
import glob
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../support"))
from wordnet import glosses  # noqa: E402

SEED = 20261124
VOCAB = 8000
DIGITS3 = r"\p{N}{1,3}"
CJK = "[一-龥\u3040-ゟ゠-ヿ]+"
V3_TEXT = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
           "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
CASED = ("[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
         "ḀἕἘἝ\U00010400-\U0001044f\U0001e900-\U0001e943]+")
LLM_PUNCT = r"\s?[!-/:-~！-／：-～‘-‟　-。]+"
LLM_CJK = "[一-龥ࠀ-一가-퟿]+"


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(**kwargs):
    kwargs = {"add_prefix_space": False, "use_regex": False, **kwargs}
    return pre_tokenizers.ByteLevel(**kwargs)


def code_lines():
    lines = []
    for path in sorted(glob.glob(os.path.join(HERE, "../../lib/hone/*/*.cpp")) +
                       glob.glob(os.path.join(os.path.dirname(os.__file__), "[a-d]*.py"))):
        with open(path, encoding="utf-8") as file:
            lines += file.read().split("\n")
    # Some with their neighbours, so that runs of white space and newlines occur.
    return ["\n".join(lines[i:i + 1 + i % 5]) for i in range(len(lines))]


def train(normalizer, pre_tokenizer, specials, texts, unk=None, byte_fallback=False, alphabet=True,
          vocab=VOCAB, **model):
    tokenizer = Tokenizer(models.BPE(unk_token=unk, byte_fallback=byte_fallback, **model))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=specials, show_progress=False, max_token_length=24,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def all_flags():
    """Added tokens of every combination of flags, each with a content of its own."""
    tokens = []
    for i, flags in enumerate(itertools.product([False, True], repeat=5)):
        content = ["<t%d>", "ﬁx%d", " sp%d", "É%d", "word%d", "\u0301m%d", "Ⅳ%d", "{%d} "][i % 8] % i
        tokens.append(AddedToken(content, single_word=flags[0], lstrip=flags[1], rstrip=flags[2],
                                 normalized=flags[3], special=flags[4]))
    return tokens


def add(tokenizer, tokens):
    # One by one: `tokenizers` numbers a list's special tokens no differently, but keep the order plain.
    for token in tokens:
        tokenizer.add_tokens([token])


def deepseek_v3(texts):
    bos, eos, pad = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
    t = train(normalizers.Sequence([]),
              pre_tokenizers.Sequence([split(DIGITS3), split(CJK), split(V3_TEXT), byte_level()]),
              [bos, eos, pad], texts)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=True)
    add(t, [AddedToken(c, special=False, normalized=False)
            for c in ("<think>", "</think>", "<｜User｜>", "<｜Assistant｜>", "<|EOT|>", "<｜tool▁sep｜>")])
    return t


def deepseek_llm(texts):
    bos, eos = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
    t = train(None, pre_tokenizers.Sequence([
        split("[\r\n]"), split(r"\s?" + CASED), split(LLM_PUNCT), split(r"\s+$"), split(LLM_CJK),
        pre_tokenizers.Digits(True), byte_level()]), [], texts)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    add(t, [AddedToken(bos, special=True, normalized=True), AddedToken(eos, special=True, normalized=True)])
    return t


def deepseek_coder(texts):
    t = train(None, pre_tokenizers.Sequence([
        split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(LLM_CJK),
        pre_tokenizers.Digits(True), byte_level()]), [], texts)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.TemplateProcessing(
        single="<｜begin▁of▁sentence｜> $A", pair="$A $B", special_tokens=[("<｜begin▁of▁sentence｜>", VOCAB)])
    add(t, [AddedToken("<｜begin▁of▁sentence｜>", special=True, normalized=False),
            AddedToken("<pad>", special=False, normalized=True), AddedToken("<|EOT|>", special=False, normalized=False)])
    return t


def qwen2(texts):
    t = train(normalizers.NFC(), pre_tokenizers.Sequence([split(QWEN2), byte_level()]), [], texts)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    add(t, [AddedToken(c, special=True, normalized=False) for c in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    add(t, all_flags())
    return t


def llama3(texts):
    t = train(None, pre_tokenizers.Sequence([split(LLAMA3), byte_level()]), [], texts, ignore_merges=True)
    t.decoder = decoders.ByteLevel()
    add(t, [AddedToken("<|begin_of_text|>", special=True, normalized=False), AddedToken("<|eot_id|>", special=True, normalized=False)])
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True, add_prefix_space=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="$A $B",
                                      special_tokens=[("<|begin_of_text|>", VOCAB)])])
    add(t, all_flags())
    return t


def llama2(texts, metaspace):
    normalizer = None if metaspace else normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    specials = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    # Trained word by word, or merges would cross words.
    t = train(None, pre_tokenizers.Metaspace(), specials, texts, unk="<unk>", byte_fallback=True,
              fuse_unk=True, alphabet=False)
    content = json.loads(t.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] < 3]
    t = Tokenizer.from_str(json.dumps(content))
    if metaspace:
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=metaspace[0], split=metaspace[1])
    else:
        t.normalizer = normalizer
        t = Tokenizer.from_str(json.dumps({**json.loads(t.to_str()), "pre_tokenizer": None}))
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                   decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    if metaspace == ("always", True):
        t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="$A $B", special_tokens=[("<s>", 1), ("</s>", 2)])
    add(t, all_flags())
    return t


def zoo(texts, kind):
    """Components that no family has, in combination."""
    normalizer, pre, decoder = [
        (normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()]),
         pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(False)]), None),
        (normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s{2,}"), " ")]),
         pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                  pre_tokenizers.Split(Regex(r"\p{P}"), "merged_with_previous")]), decoders.Fuse()),
        (normalizers.NFKD(), pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True), decoders.ByteLevel()),
        (normalizers.Lowercase(), pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(r"[a-m]+"), "contiguous", invert=True),
            pre_tokenizers.Split("e", "removed"), pre_tokenizers.Split(Regex(r"\d|^x|y$"), "merged_with_next")]), None),
    ][kind]
    byte = kind == 2
    t = train(normalizer, pre, ["[UNK]"], texts, unk=None if byte else "[UNK]", alphabet=byte,
              fuse_unk=kind == 1, vocab=2000)
    if decoder:
        t.decoder = decoder
    if byte:
        t.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=True)
    add(t, all_flags())
    return t


def trained_by_hone(texts, tool, family):
    with tempfile.TemporaryDirectory() as folder:
        source, path = os.path.join(folder, "texts"), os.path.join(folder, "tokenizer.json")
        with open(source, "w", encoding="utf-8") as file:
            file.write("\n".join(text.replace("\n", " ") for text in texts))
        subprocess.run([tool, path, "train", family, str(VOCAB), source], check=True)
        tokenizer = Tokenizer.from_file(path)
    if tokenizer.get_vocab_size() != VOCAB or tokenizer.token_to_id("<eos>") != 1:
        raise SystemExit(f"text_tokenizer: hone trained {tokenizer.get_vocab_size()} tokens")
    return tokenizer


class Strings:
    """An endless supply of texts of many kinds."""

    def __init__(self, rng, lines, code):
        self.rng, self.lines, self.code = rng, lines, code
        everything = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
        # Left out: what Unicode 15 and later assigned, whose normal forms are newer than the tables.
        known = [c for c in everything if unicodedata.category(c) not in ("Cn", "Co")]
        self.any = known
        self.marks = [c for c in known if unicodedata.category(c)[0] == "M"]
        self.spaces = [c for c in known if c.isspace()] + list("\u200b\u200c\u200d\ufeff")
        self.hangul = [chr(c) for r in ((0x1100, 0x1200), (0xAC00, 0xAD00)) for c in range(*r)]
        self.emoji = "😀👍🏽👩\u200d💻🇩🇪❤️🏳️\u200d🌈🫠"

    def some(self, pool, most):
        return "".join(self.rng.choice(pool) for _ in range(self.rng.randint(1, most)))

    def fragment(self, contents):
        r = self.rng
        kind = r.randrange(16)
        if kind < 4:
            return r.choice(self.lines)
        if kind < 6:
            return r.choice(self.code)
        return [lambda: self.some(self.emoji, 8),
                lambda: self.some([chr(c) for c in range(0x4E00, 0x4E80)] + list("カタひら、。！？「」가각"), 12),
                lambda: "".join(r.choice("aeioun") + self.some(self.marks, 3) for _ in range(r.randint(1, 6))),
                lambda: self.some([chr(c) for c in range(0, 0x21)] + [chr(c) for c in range(0x7F, 0xA1)], 6),
                lambda: self.some(self.any, 12),
                lambda: bytes(r.randrange(256) for _ in range(r.randint(1, 24))).decode(errors="replace"),
                lambda: self.some(self.spaces + [" "] * 20 + ["\n"] * 8, 8),
                lambda: r.choice(["'s", "'LL", "'ſ", "I'Ve", "don't", "1234567", "٣٤٥٦", "½Ⅷ²", "x_1", "  a", "\r\n\r\n"]),
                lambda: r.choice(contents) if contents else "",
                lambda: self.some(self.hangul, 6)][kind - 6]()

    def text(self, contents):
        r = self.rng
        if r.random() < 0.4:
            return r.choice(self.lines)
        return "".join(self.fragment(contents) + r.choice(["", " ", "", r.choice(contents) if contents else ""])
                       for _ in range(r.randint(1, 5)))


def run(tool, path, blobs):
    data = b"".join(b"%d\n%s\n" % (len(b), b) for b in blobs)
    done = subprocess.run([tool, path, "check"], input=data, stdout=subprocess.PIPE, check=True)
    lines = done.stdout.decode().split("\n")
    assert len(lines) == len(blobs) + 1, (len(lines), len(blobs))
    return lines[:-1]


def byte_offsets(text, offsets):
    if text.isascii():
        return offsets
    starts, at = [], 0
    for c in text:
        starts.append(at)
        at += len(c.encode())
    starts.append(at)
    return [(starts[b], starts[e]) for b, e in offsets]


def differences(tokenizer, text, line, offsets):
    """What hone's line says that `tokenizers` does not: [(what, expected, got)]."""
    got_ids, got_spans, got_all, got_plain, got_special = line.split("|")
    with_special = tokenizer.encode(text, add_special_tokens=True)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    spans = " ".join("%d:%d" % pair for pair in byte_offsets(text, with_special.offsets)) if offsets else got_spans
    pairs = [("ids", " ".join(map(str, ids)), got_ids),
             ("ids with special tokens", " ".join(map(str, with_special.ids)), got_special),
             ("offsets", spans, got_spans),
             ("decoded", tokenizer.decode(ids, skip_special_tokens=False), bytes.fromhex(got_all).decode()),
             ("decoded without special tokens", tokenizer.decode(ids, skip_special_tokens=True),
              bytes.fromhex(got_plain).decode())]
    return [pair for pair in pairs if pair[1] != pair[2]]


def main():
    tool = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 14_000
    only = sys.argv[3:]
    lines, code = glosses(), code_lines()
    rng = random.Random(SEED)
    texts = rng.sample(lines, 20_000) + rng.sample(code, 4_000) + ["你好，世界。日本語のテキスト 안녕하세요 é ﬁ"] * 50
    families = {
        "deepseek-v3": lambda: deepseek_v3(texts), "deepseek-llm": lambda: deepseek_llm(texts),
        "deepseek-coder": lambda: deepseek_coder(texts), "qwen2": lambda: qwen2(texts),
        "llama3": lambda: llama3(texts), "llama2": lambda: llama2(texts, None),
        "llama2-metaspace": lambda: llama2(texts, ("first", False)),
        "llama2-metaspace-split": lambda: llama2(texts, ("always", True)),
        "zoo0": lambda: zoo(texts, 0), "zoo1": lambda: zoo(texts, 1),
        "zoo2": lambda: zoo(texts, 2), "zoo3": lambda: zoo(texts, 3),
        **{"hone-" + family: lambda family=family: trained_by_hone(texts, tool, family)
           for family in ("deepseek-v3", "qwen2", "llama3")}}
    total = failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, make in families.items():
            if only and name not in only:
                continue
            content = json.loads(make().to_str())
            if name in ("deepseek-llm", "llama2"):  # the older spelling of merges
                content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
            path = os.path.join(folder, name + ".json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False)
            tokenizer = Tokenizer.from_file(path)
            strings = Strings(random.Random(SEED + len(name)), lines, code)
            contents = [token["content"] for token in content["added_tokens"]]
            sample = ["", " ", "\n", *contents] + [strings.text(contents) for _ in range(count)]
            broken = [strings.rng.randbytes(strings.rng.randint(1, 40)) for _ in range(count // 20)]
            blobs = [s.encode() for s in sample] + broken
            sample += [b.decode(errors="replace") for b in broken]
            bad = 0
            for i, line in enumerate(run(tool, path, blobs)):
                for what, expected, got in differences(tokenizer, sample[i], line, i < len(sample) - len(broken)):
                    bad += 1
                    if bad <= 5:
                        print(f"{name}: {what} of {sample[i][:400]!r}\n  expected {expected[:600]!r}\n  got      {got[:600]!r}")
            described = subprocess.run([tool, path, "describe"], capture_output=True, text=True, check=True).stdout
            added = sorted(content["added_tokens"], key=lambda token: token["id"])
            size = 1 + max([*content["model"]["vocab"].values(), *(token["id"] for token in added)])
            special = " ".join(str(token["id"]) for token in added if token["special"])
            if described.strip() != f"{size}|{special}|" + " ".join(str(token["id"]) for token in added):
                bad += 1
                print(f"{name}: described as {described}")
            print(f"{name}: {len(blobs)} strings, {bad} differences", flush=True)
            total += len(blobs)
            failures += bad
    print(f"{total} strings, {failures} differences")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
