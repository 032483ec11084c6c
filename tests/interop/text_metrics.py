#!/usr/bin/env python3
"""hone's text metrics beside sacrebleu, rouge_score and nltk: scores equal to 1e-9, counts exactly.

Usage: text_metrics.py <metrics_tool>

Pairs of texts are WordNet's glosses and what became of them by dropping, swapping and changing words,
with numbers, URLs, entities, other scripts, emoji, marks, odd white space, nothing at all, and several
references of varying number; each metric under many options, for the corpus and for each segment.
Then every assigned code point in small contexts (lower case, tokenizers, word borders), and the stems
of WordNet's words and of random ones.
"""
import collections
import itertools
import json
import logging
import pathlib
import random
import re
import string
import subprocess
import sys
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))

import sacrebleu  # noqa: E402
from nltk.stem.porter import PorterStemmer  # noqa: E402
from rouge_score import rouge_scorer  # noqa: E402
from sacrebleu.metrics import BLEU, CHRF, TER  # noqa: E402
from wordnet import glosses  # noqa: E402

SEED = 20261125
PAIRS = 1000
TOLERANCE = 1e-9
logging.disable(logging.WARNING)

PIECES = [
    "1,000.5", "3.14", "5-6", "10-year", "U.S.", "e.g.,", "...", "-", "--", "–", "(", ")", "[1]", "{x}", "a/b",
    "http://www.example.org/a_b?c=d&e=1.5#f", "x@y.com", "&quot;", "&amp;", "&lt;b&gt;", "&amp;lt;", "&apos;",
    "<skipped>", "-\n", "\n", "\r\n", "\t", "\u00a0", "\u2028", "\u3000", "\x1c", "\x85", "\u200b", "don't", "it's",
    "``quoted''", "\"x\"", "50%", "$5", "€7", "100°", "x²", "½", "Ⅷ", "٣٤", "५,६", "一二", "№5", "§3.",
    "你好，世界。", "中文abc混合123", "𠀀𪛖", "日本語のテキスト、カタカナ", "ｱｲｳ", "안녕하세요 세계", "한국어.", "привет, мир", "ΌΣΟΣ ΣΑΣ", "ΑΣ.",
    "Σ", "İstanbul", "K", "ẞ", "ŉ", "ǅ", "éa\u0301", "e\u0301\u0302", "นี่", "हिन्दी", "עברית", "العَرَبِيَّة،",
    "😀", "👩‍👩‍👧", "🇩🇪", "☃.", "“quotes”", "‘a’", "«b»", "…", "・", "「」", "！？", "①", "㈱", "ﬁne", "\ufffd", "\U000e0041",
    "The", "a", "AN", "the-", "_the_", "thé", "running", "skies", "dying", "happily", "relational", "agreed"]
ODD = ["", " ", "\n", " \n\t ", ".", "...", "-", "!", "a", "é", "好", "\u0301", "😀", "A\n\nB", "\n.\n", "1.", ".1", "1,2", "a.b",
       "(hi)", "&amp;", "<skipped>", "the", "an a the"]


def perturb(rng, text):
    """Something like `text`."""
    words = text.split(" ")
    for _ in range(rng.choice([0, 1, 2, 3, 5, 8])):
        if not words:
            break
        i = rng.randrange(len(words))
        kind = rng.randrange(7)
        if kind == 0:
            del words[i]
        elif kind == 1:
            j = rng.randrange(len(words))
            words[i], words[j] = words[j], words[i]
        elif kind == 2:
            words[i] = rng.choice([str.upper, str.title, str.swapcase])(words[i])
        elif kind == 3:
            words.insert(i, rng.choice(PIECES))
        elif kind == 4:
            words[i] += rng.choice([",", ".", ";", "!", "?", ")", "'s", "-", "\n", "  ", "。"])
        elif kind == 5:
            words[i] = rng.choice(PIECES) + words[i]
        else:
            words[i:i] = words[max(0, i - 2):i + 1]
    return rng.choice([" "] * 30 + ["\n", "  ", ". "]).join(words)


def make_pairs(rng, lines):
    """Hypotheses, and one to four references of each."""
    hypotheses, references = [], []
    for i in range(PAIRS):
        text = rng.choice(lines)
        if i % 10 == 0:
            text = " ".join(rng.choices(PIECES, k=rng.randint(1, 12)))
        if i % 25 == 1:
            text = "\n".join(rng.choices(lines, k=rng.randint(2, 6)))
        if i % 200 == 2:
            text = " ".join(rng.choices(lines, k=20))
        hypotheses.append(perturb(rng, text))
        references.append([perturb(rng, text if rng.random() < 0.9 else rng.choice(lines))
                           for _ in range(rng.choice([1, 1, 2, 4]))])
    for hypothesis, reference in itertools.product(ODD, ODD[::3] + ["the cat sat"]):
        hypotheses.append(hypothesis)
        references.append([reference] if len(hypotheses) % 3 else [reference, rng.choice(ODD)])
    return hypotheses, references


class Comparison:
    """Counts what differs, and prints the first of it."""

    def __init__(self):
        self.values = self.differences = 0

    def check(self, what, expected, got):
        if isinstance(expected, (dict, list, tuple)) and expected == got:
            self.values += len(expected)
        elif isinstance(expected, dict):
            for key, value in expected.items():
                self.check(f"{what}: {key}", value, got[key])
        elif isinstance(expected, (list, tuple)):
            if len(expected) != len(got):
                self.check(f"{what}: length", len(expected), len(got))
            for i, (one, other) in enumerate(zip(expected, got)):
                self.check(f"{what}[{i}]", one, other)
        else:
            self.values += 1
            equal = expected == got
            if isinstance(expected, float) and isinstance(got, (int, float)):
                equal = abs(expected - got) <= TOLERANCE
            if not equal:
                self.differences += 1
                if self.differences <= 20:
                    print(f"{what}: expected {expected!r:.300}, got {got!r:.300}")


def run(tool, hypotheses, references, jobs):
    document = {"hypotheses": hypotheses, "references": references,
                "jobs": [{"metric": metric, "options": options} for metric, options in jobs]}
    done = subprocess.run([tool], input=json.dumps(document).encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def streams(references):
    """References as sacrebleu takes them: None where a segment has fewer."""
    most = max(len(refs) for refs in references)
    return [[refs[r] if r < len(refs) else None for refs in references] for r in range(most)]


def expected_corpus_and_sentences(metric, stats, convert):
    corpus = convert(metric._aggregate_and_compute([list(s) for s in stats]))
    corpus["signature"] = str(metric.get_signature())
    return corpus, [convert(metric._aggregate_and_compute([list(s)])) for s in stats]


def bleu_values(score):
    return {key: getattr(score, key) for key in ("score", "counts", "totals", "precisions", "bp", "sys_len", "ref_len")}


def bleu_cases(hypotheses, references):
    """(options, expected corpus, expected sentences) for tokenizers x case x order x smoothing."""
    bases = [{"tokenize": t, "lowercase": lc} for t in ("13a", "intl", "char", "zh", "none") for lc in (False, True)]
    bases += [{"max_ngram_order": 2}, {"tokenize": "intl", "max_ngram_order": 7}]
    smoothings = [{"smooth_method": m, **({"smooth_value": v} if v is not None else {})} for m, v in
                  (("none", None), ("exp", None), ("floor", None), ("floor", 0.02), ("add-k", None), ("add-k", 0.5))]
    for base in bases:
        metric = BLEU(references=streams(references), **base)
        stats = metric._extract_corpus_statistics(hypotheses, None)
        for smoothing, effective in itertools.product(smoothings, (False, True)):
            metric.smooth_method = smoothing["smooth_method"]
            metric.smooth_value = smoothing.get("smooth_value")
            metric.effective_order = effective
            yield ({**base, **smoothing, "effective_order": effective},
                   *expected_corpus_and_sentences(metric, stats, bleu_values))


def chrf_cases(hypotheses, references):
    for options in ({}, {"word_order": 2}, {"word_order": 2, "lowercase": True}, {"whitespace": True},
                    {"eps_smoothing": True}, {"char_order": 4, "word_order": 1, "beta": 1},
                    {"word_order": 3, "beta": 3, "lowercase": True, "whitespace": True, "eps_smoothing": True}):
        metric = CHRF(references=streams(references), **options)
        stats = metric._extract_corpus_statistics(hypotheses, None)
        yield options, *expected_corpus_and_sentences(
            metric, stats, lambda score: {"score": score.score, "name": score.name})


def ter_cases(hypotheses, references):
    for options in ({}, {"normalized": True}, {"no_punct": True, "case_sensitive": True},
                    {"normalized": True, "asian_support": True},
                    {"normalized": True, "no_punct": True, "asian_support": True}):
        metric = TER(references=streams(references), **options)
        stats = metric._extract_corpus_statistics(hypotheses, None)
        yield options, *expected_corpus_and_sentences(
            metric, stats, lambda score: {key: getattr(score, key) for key in ("score", "num_edits", "ref_length")})


def rouge_cases(hypotheses, references):
    types = ["rouge1", "rouge2", "rouge3", "rouge9", "rougeL", "rougeLsum"]
    for stem in (False, True):
        scorer = rouge_scorer.RougeScorer(types, use_stemmer=stem)
        sentences = [[[float(value) for value in scores[t]] for t in types] for scores in
                     (scorer.score_multi(refs, hyp) for hyp, refs in zip(hypotheses, references))]
        mean = [[sum(s[t][v] for s in sentences) / len(sentences) for v in range(3)] for t in range(len(types))]
        yield {"types": types, "use_stemmer": stem}, mean, sentences


def squad_normal(text, lower=True, punctuation=True, articles=True, space=True):
    """SQuAD's normalize_answer, each step by itself."""
    text = text.lower() if lower else text
    text = "".join(c for c in text if c not in string.punctuation) if punctuation else text
    text = re.sub(r"\b(a|an|the)\b", " ", text) if articles else text
    return " ".join(text.split()) if space else text


def squad_f1(hypothesis, reference):
    ours, theirs = hypothesis.split(), reference.split()
    if not ours or not theirs:
        return float(ours == theirs)
    same = sum((collections.Counter(ours) & collections.Counter(theirs)).values())
    return 2 * same / (len(ours) + len(theirs))


def answer_cases(hypotheses, references):
    keys = ("ignore_case", "ignore_punctuation", "ignore_articles", "ignore_whitespace")
    for flags in itertools.product((True, False), repeat=4):
        sentences = []
        for hypothesis, refs in zip(hypotheses, references):
            normal, *others = [squad_normal(text, *flags) for text in [hypothesis, *refs]]
            sentences.append([int(normal in others), max(squad_f1(normal, other) for other in others)])
        mean = [sum(s[i] for s in sentences) / len(sentences) for i in range(2)]
        yield dict(zip(keys, flags)), mean, sentences


def compare_scores(tool, comparison, hypotheses, references, metric, make):
    cases = list(make(hypotheses, references))
    jobs = [(metric, options) for options, _, _ in cases]
    for (options, corpus, sentences), got in zip(cases, run(tool, hypotheses, references, jobs)):
        before = comparison.values
        comparison.check(f"{metric} {options} corpus", corpus, got["corpus"])
        comparison.check(f"{metric} {options} segment", sentences, got["sentences"])
        assert comparison.values >= before + len(hypotheses), "nothing was compared"
    print(f"{metric}: {len(cases)} sets of options on {len(hypotheses)} pairs", flush=True)


def compare_public_calls(tool, comparison, hypotheses, references):
    """The calls that users of sacrebleu make, for a part of the pairs: one reference, and two."""
    for refs in ([r[:1] for r in references], [(r * 2)[:2] for r in references]):
        got = run(tool, hypotheses, refs, [("bleu", {}), ("bleu", {"effective_order": True}), ("chrf", {})])
        columns = list(zip(*refs))
        bleu, effective, chrf = BLEU(), BLEU(effective_order=True), CHRF()
        comparison.check("corpus_bleu", bleu_values(sacrebleu.corpus_bleu(hypotheses, columns)), got[0]["corpus"])
        for metric, result in ((bleu, got[0]), (effective, got[1]), (chrf, got[2])):
            comparison.check("score", metric.corpus_score(hypotheses, columns).score, result["corpus"]["score"])
            comparison.check("signature", str(metric.get_signature()), result["corpus"]["signature"])
            for i, hypothesis in enumerate(hypotheses):
                comparison.check(f"sentence {i}", metric.sentence_score(hypothesis, refs[i]).score,
                                 result["sentences"][i]["score"])


def compare_characters(tool, comparison):
    """Every code point that this Python knows, between letters, digits, spaces and sigmas.

    Newer ones hone classes as Unicode 16 does; U+1171E is one that changed (from Mn to Mc, in 15.1).
    """
    known = [chr(c) for c in range(0x110000)
             if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co") and c != 0x1171E]
    texts = ["".join(f"x{c}Y 1{c}2 {c}{c}. A{c}Σ {c}Σ{c}Σ Σ{c}a|" for c in known[i:i + 500])
             for i in range(0, len(known), 500)]
    tokenizers = ("13a", "intl", "char", "zh")
    jobs = [("lower", {})] + [("tokens", {"tokenize": t}) for t in tokenizers]
    lower, *tokens = run(tool, texts, [], jobs)
    comparison.check("lower", [text.lower() for text in texts], lower["sentences"])
    for name, got in zip(tokenizers, tokens):
        tokenizer = BLEU(tokenize=name).tokenizer
        comparison.check(f"tokenizer {name}", [tokenizer(text).split() for text in texts], got["sentences"])
    answers = [f"the{c}a {c} an{c}{c}x" for c in known]
    normal = [[squad_normal(text)] for text in answers]
    (got,) = run(tool, answers, normal, [("answers", {})])
    comparison.check("word borders", 1.0, got["corpus"][0])
    print(f"{len(known)} code points", flush=True)


def compare_stems(tool, comparison, rng, lines):
    words = set(re.findall("[a-z0-9]+", " ".join(lines).lower()))
    endings = ("ational tional enci anci izer abli bli alli entli eli ousli ization ation ator alism iveness fulness "
               "ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible "
               "ant ement ment ent ion sion tion ou ism ate iti ous ive ize e ll y ies ied eed ed ing s ss sses at bl iz "
               "yy tt lle alliy alli").split()
    for _ in range(20_000):
        root = "".join(rng.choices("aeiouybcdglmnrstwxyz1", k=rng.randint(0, 6)))
        words.add(root + "".join(rng.choices(endings, k=rng.randint(0, 2))))
    words = sorted(words - {""})
    stemmer = PorterStemmer()
    (got,) = run(tool, words, [], [("stem", {})])
    for word, stem in zip(words, got["sentences"]):
        comparison.check(f"stem of {word}", stemmer.stem(word), stem)
    print(f"{len(words)} stems", flush=True)


def main():
    tool = sys.argv[1]
    rng = random.Random(SEED)
    lines = glosses()
    comparison = Comparison()
    hypotheses, references = make_pairs(rng, lines)
    for metric, make in (("bleu", bleu_cases), ("chrf", chrf_cases), ("rouge", rouge_cases), ("answers", answer_cases)):
        compare_scores(tool, comparison, hypotheses, references, metric, make)
    # sacrebleu's TER takes seconds for long texts: one of them, which reaches its limit on moves tried.
    lengths = [len(text.split()) for text in hypotheses]
    kept = [i for i, length in enumerate(lengths) if length <= 24]
    kept += [i for i, length in enumerate(lengths) if length > 150][:1]
    compare_scores(tool, comparison, [hypotheses[i] for i in kept], [references[i] for i in kept], "ter", ter_cases)
    compare_public_calls(tool, comparison, hypotheses[:200] + hypotheses[-50:], references[:200] + references[-50:])
    compare_characters(tool, comparison)
    compare_stems(tool, comparison, rng, lines)
    print(f"{comparison.values} comparisons, {comparison.differences} differences")
    return comparison.differences != 0


if __name__ == "__main__":
    sys.exit(main())
