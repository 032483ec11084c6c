"""Every word of WordNet: synonyms, parts of speech and inflection, against this plain reading.

  data_wordnet.py <wordnet_tool>

The reading here follows the offsets: a synset is what stands at that byte of the data file, as
WordNet's own library finds it, where hone goes by the number at the line's beginning.
"""
import json
import re
import subprocess
import sys

FOLDER = "/usr/share/wordnet"
PARTS = ["noun", "verb", "adj", "adv"]
# morphy(7WN)
RULES = {"noun": [("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
                  ("men", "man"), ("ies", "y")],
         "verb": [("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"),
                  ("ing", "")],
         "adj": [("er", ""), ("est", ""), ("er", "e"), ("est", "e")], "adv": []}


def read_index(part):
    with open(f"{FOLDER}/index.{part}", encoding="utf-8") as file:
        for line in file:
            if not line.startswith(" "):
                fields = line.split()
                yield fields[0], [int(offset) for offset in fields[-int(fields[2]):]]


def words_at(data, offset):
    fields = data[offset:data.index(b"\n", offset)].decode().split()
    if int(fields[0]) != offset:
        sys.exit(f"data_wordnet: no synset at byte {offset}")
    return [re.sub(r"\((a|p|ip)\)$", "", word) for word in fields[4:4 + 2 * int(fields[3], 16):2]]


def synonyms(data, word, offsets, senses):
    found = []
    for offset in offsets[:senses]:
        words = words_at(data, offset)
        if word in words:
            found += [other for other in words if other != word and other not in found]
    return found


def main(tool):
    index = {part: dict(read_index(part)) for part in PARTS}
    data = {part: open(f"{FOLDER}/data.{part}", "rb").read() for part in PARTS}
    irregular = set()
    for part in PARTS:
        for line in open(f"{FOLDER}/{part}.exc", encoding="utf-8"):
            inflected, *bases = line.split()
            if bases[0] != inflected:
                irregular.add(inflected)

    def inflected(word):
        return word in irregular or any(
            word.endswith(suffix) and len(word) > len(suffix)
            and word[:len(word) - len(suffix)] + ending in index[part]
            for part, rules in RULES.items() for suffix, ending in rules)

    words = sorted({word for part in PARTS for word in index[part]} | irregular)
    for senses in (1, 3):
        out = subprocess.run([tool, FOLDER, str(senses)], input="\n".join(words) + "\n", text=True,
                             capture_output=True, check=True).stdout.splitlines()
        assert len(out) == len(words), (len(out), len(words))
        with_synonyms = 0
        for word, line in zip(words, out):
            expected = {"word": word, "inflected": inflected(word)}
            for part in PARTS:
                if word in index[part]:
                    expected[part] = synonyms(data[part], word, index[part][word], senses)
            got = json.loads(line)
            if got != expected:
                sys.exit(f"data_wordnet: {senses} senses: hone says\n{got}\nthis reading\n{expected}")
            with_synonyms += any(got.get(part) for part in PARTS)
        print(f"{len(words)} words equal with {senses} senses; {with_synonyms} have a synonym")
    if len(words) < 140_000 or with_synonyms < 50_000:
        sys.exit("data_wordnet: WordNet is not whole; install wordnet-base")


if __name__ == "__main__":
    main(sys.argv[1])
