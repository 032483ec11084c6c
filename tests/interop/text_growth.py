#!/usr/bin/env python3
"""Grown tokenizers in the `tokenizers` package and in transformers: they load with the ids that hone
gave, and encode and decode as hone does.

Usage: text_growth.py <growth_tool> <tokenizer_tool> [<strings a case>]

For the structure of each family, trained on WordNet's glosses: grown by terms mined from the glosses
of diseases and by a list with words of several pieces, CJK and awkward characters.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

import text_tokenizer as families

# Plain words, after a space, several pieces, CJK in one piece and in several, digits, punctuation,
# characters beyond the first plane, a part of another term.
LIST = ["cardiomyopathy", " cardiomyopathy", "cardio", " electroencephalography", "myocardial infarction",
        " acute myocardial infarction", "心肌梗死", "冠状动脉 粥样硬化", "カテーテル", "COVID-19", "HbA1c", "12345",
        "β-blocker 😀", " naïvetés", "n-acetyl-p-benzoquinone", "ßß", "x86_64", "def __init__(self):", "the",
        " of", "e"]
CONTEXTS = ["{}", " {}", "{} {}", "acute {}, chronic {}.", "({})", "x{}y", "{}s", "\n{}\n\n{}", "急性{}患者", "{}{}",
            "1{}2", "é {}", "{}\u0301"]


def call(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout) if done.stdout else None


class Case:
    """One tokenizer before and after it grew."""

    def __init__(self, name, old_path, grown_path, report):
        self.name, self.report = name, report
        self.old, self.grown = Tokenizer.from_file(old_path), Tokenizer.from_file(grown_path)
        self.old_path, self.grown_path = old_path, grown_path
        self.new = {token["id"]: token for token in report["added"]}
        self.bad = 0

    def check(self, good, what):
        if not good:
            self.bad += 1
            if self.bad <= 5:
                print(f"{self.name}: {what}")

    def check_ids(self, first_free):
        """Each token has the id that hone gave it, and every old token its old one."""
        ids = [token["id"] for token in self.report["added"]]
        first = max(first_free, 1 + max(self.old.get_vocab().values()))
        self.check(ids == list(range(first, first + len(ids))), f"new ids {ids[:3]}...{ids[-3:]}, expected from {first}")
        vocab = self.grown.get_vocab()
        for token, id in self.old.get_vocab().items():
            self.check(vocab.get(token) == id, f"{token!r} had id {id}, has {vocab.get(token)}")
        for token in self.report["added"]:
            self.check(vocab.get(token["token"]) == token["id"], f"{token} has id {vocab.get(token['token'])}")
        self.check(len(vocab) == len(self.old.get_vocab()) + len(ids), f"{len(vocab)} entries")
        flags = [{k: t[k] for k in t if k != "id"} for t in json.load(open(self.old_path))["added_tokens"]]
        grown = [{k: t[k] for k in t if k != "id"} for t in json.load(open(self.grown_path))["added_tokens"]]
        self.check(grown[:len(flags)] == flags, "the flags of old added tokens changed")

    def check_terms(self, terms):
        """In its place in a text each term is one token, and its pieces are its old ids: there, or alone
        where the line before it would join with it."""
        before = self.old.encode("\n", add_special_tokens=False).ids
        for term in terms:
            if term in self.report["unchanged"]:
                continue
            got = self.grown.encode("\n" + term, add_special_tokens=False).ids
            self.check(got[:-1] == before, f"{term!r} encodes as {got}")
            old = self.old.encode("\n" + term, add_special_tokens=False).ids
            if got[-1] in self.new:
                pieces = self.new[got[-1]]["pieces"]
                alone = self.old.encode(term, add_special_tokens=False).ids
                joined = old[:len(before)] != before
                self.check(pieces == alone if joined else before + pieces == old,
                           f"{term!r}: pieces {pieces}, encoded as {old}")

    def check_texts(self, texts, tool):
        lines = families.run(tool, self.grown_path, [text.encode() for text in texts])
        unchanged = 0
        for text, line in zip(texts, lines):
            for what, expected, got in families.differences(self.grown, text, line, True):
                self.check(False, f"{what} of {text!r}\n  expected {expected[:600]!r}\n  got      {got[:600]!r}")
            ids = self.grown.encode(text, add_special_tokens=False).ids
            old = self.old.encode(text, add_special_tokens=False).ids
            if not self.new.keys() & set(ids):
                unchanged += 1
                self.check(ids == old, f"{text!r} holds no new token and changed\n  {old}\n  {ids}")
        return unchanged

    def check_transformers(self, texts):
        fast = PreTrainedTokenizerFast(tokenizer_file=self.grown_path)
        for text in texts:
            self.check(fast(text, add_special_tokens=False)["input_ids"] ==
                       self.grown.encode(text, add_special_tokens=False).ids, f"transformers differs on {text!r}")
        self.check(len(fast) == len(self.grown.get_vocab()), f"transformers counts {len(fast)} tokens")


def main():
    growth_tool, tokenizer_tool = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    lines, code = families.glosses(), families.code_lines()
    domain = [line for line in lines if "disease" in line or "cardi" in line or "surg" in line]
    rng = random.Random(families.SEED)
    texts = rng.sample(lines, 8000) + rng.sample(code, 2000) + ["你好，世界。心肌 动脉 急性患者 日本語のテキスト é ﬁ"] * 50
    makers = {"deepseek-v3": families.deepseek_v3, "qwen2": families.qwen2, "llama3": families.llama3,
              "llama2": lambda t: families.llama2(t, None),
              "llama2-metaspace-split": lambda t: families.llama2(t, ("always", True))}
    families.VOCAB = 3000
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        domain_path = os.path.join(folder, "domain.txt")
        with open(domain_path, "w", encoding="utf-8") as file:
            file.write("\n".join(domain))
        for name, make in makers.items():
            old_path = os.path.join(folder, name + ".json")
            make(texts).save(old_path)
            mined = call(growth_tool, "mine", old_path, domain_path, "150")
            rows = 1 + max(Tokenizer.from_file(old_path).get_vocab().values())
            for terms, mode, first_free in [([term["text"] for term in mined], "merges", 0),
                                            (LIST, "auto", rows + 57),
                                            ([term for term in LIST if "ï" not in term and "ß" not in term], "added_tokens", 0)]:
                terms_path, grown_path = os.path.join(folder, "terms.json"), os.path.join(folder, "grown.json")
                with open(terms_path, "w", encoding="utf-8") as file:
                    json.dump(terms, file)
                options = [mode] + ([str(first_free)] if first_free else [])
                report = call(growth_tool, "grow", old_path, terms_path, grown_path, *options)
                case = Case(f"{name} {mode}", old_path, grown_path, report)
                case.check_ids(first_free)
                case.check_terms(terms)
                strings = families.Strings(random.Random(families.SEED + len(case.name)), lines, code)
                contents = [token["content"] for token in json.load(open(grown_path))["added_tokens"]]
                sample = [context.replace("{}", term) for context in CONTEXTS for term in rng.sample(terms, min(20, len(terms)))]
                sample += domain[:count // 4] + [strings.text(contents) for _ in range(count)]
                unchanged = case.check_texts(sample, tokenizer_tool)
                case.check(unchanged > count // 20, f"only {unchanged} texts without a new token")
                case.check_transformers(sample[:300])
                before = sum(len(case.old.encode(text).ids) for text in domain)
                after = sum(len(case.grown.encode(text).ids) for text in domain)
                if mode == "merges":
                    case.check(before - after >= sum(term["saved"] for term in mined) / 2, "too little saved")
                print(f"{case.name}: {len(report['added'])} new tokens, {len(sample)} strings ({unchanged} unchanged), "
                      f"tokens of the domain {before} -> {after}, {case.bad} differences", flush=True)
                failures += case.bad
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
