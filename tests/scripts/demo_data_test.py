#!/usr/bin/env python3
"""scripts/demo_data on the WordNet installed here: sizes, disjoint sets, plausible domains, repeatability."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "demo_data"
DOMAINS = ("general", "medicine", "law")


def make(folder):
    return subprocess.run([sys.executable, SCRIPT, "--out", folder], check=True, capture_output=True,
                          text=True).stdout


class DemoData(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.out = pathlib.Path(cls.folder.name)
        cls.printed = make(cls.out)

    def rows(self, name):
        return [json.loads(line) for line in (self.out / name).read_text().splitlines()]

    def texts(self, domain, part):
        return [row["text"] for row in self.rows(f"{domain}.{part}.jsonl")]

    def test_sizes(self):
        # WordNet 3.0 has 117,659 synsets; one that is both medicine and law is in no set.
        total = sum(len(self.texts(domain, part)) for domain in DOMAINS for part in ("train", "held_out"))
        self.assertGreater(total, 117_600)
        self.assertLess(total, 117_659)
        for domain, least in (("general", 110_000), ("medicine", 2_000), ("law", 900)):
            train, held_out = len(self.texts(domain, "train")), len(self.texts(domain, "held_out"))
            self.assertGreater(train, least)
            share = held_out / (train + held_out)
            expected = 0.01 if domain == "general" else 0.1
            self.assertAlmostEqual(share, expected, delta=expected / 4)

    def test_no_text_in_two_sets(self):
        seen = {}
        for domain in DOMAINS:
            for part in ("train", "held_out"):
                for text in self.texts(domain, part):
                    self.assertEqual(seen.setdefault(text, (domain, part)), (domain, part), text)

    def test_halves_make_the_held_out_set(self):
        for domain in ("medicine", "law"):
            halves = self.texts(domain, "validation") + self.texts(domain, "test")
            self.assertEqual(sorted(halves), sorted(self.texts(domain, "held_out")))

    def test_choices_have_their_own_definition(self):
        for domain in DOMAINS:
            held_out = set(self.texts(domain, "held_out"))
            rows = self.rows(f"{domain}.choices.jsonl")
            self.assertGreater(len(rows), 50)
            for row in rows:
                self.assertEqual(len(set(row["choices"])), 4)
                self.assertIn(f"{row['prompt']} {row['choices'][row['answer']]}", held_out)

    def test_domains_hold_what_they_say(self):
        for domain, word in (("medicine", "appendicitis"), ("law", "plaintiff"), ("general", "oak")):
            found = [text for part in ("train", "held_out") for text in self.texts(domain, part)
                     if text.split(" (")[0].split(", ")[0] == word]
            self.assertTrue(found, f"{word} is not in {domain}")

    def test_text_reads_as_intended(self):
        texts = [text for domain in DOMAINS for part in ("train", "held_out")
                 for text in self.texts(domain, part)]
        self.assertIn("appendectomy, appendicectomy (noun): surgical removal of the vermiform "
                      "appendix. Kind of ablation.", texts)
        self.assertIn("austenitic (adjective): composed of austenite. Example: austenitic alloy steel.",
                      texts)

    def test_questions_and_chat_say_the_same(self):
        pairs, chats = (self.rows(f"law.{form}.train.jsonl") for form in ("questions", "chat"))
        self.assertGreater(len(pairs), 500)
        self.assertEqual([(pair["prompt"].rstrip("\n"), pair["completion"]) for pair in pairs],
                         [tuple(message["content"] for message in chat["messages"]) for chat in chats])

    def test_terms_name_nothing_general(self):
        terms = set((self.out / "medicine.terms.txt").read_text().splitlines())
        self.assertIn("appendectomy", terms)
        self.assertNotIn("disease", {term for term in terms if len(term) < 4})
        heads = {word.lower() for text in self.texts("general", "train")
                 for word in text.split(" (")[0].split(", ")}
        self.assertFalse({term for term in terms if term.lower() in heads})

    def test_prints_every_count(self):
        for path in self.out.iterdir():
            self.assertRegex(self.printed, rf"(?m)^ *{len(path.read_text().splitlines())}  \S*{path.name}$")

    def test_repeats(self):
        with tempfile.TemporaryDirectory() as again:
            make(again)
            for path in self.out.iterdir():
                self.assertEqual(path.read_bytes(), (pathlib.Path(again) / path.name).read_bytes())


if __name__ == "__main__":
    unittest.main()
