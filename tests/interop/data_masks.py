"""Ids and labels of hone's data sets against a plain computation with transformers.

  data_masks.py <data_tool>

A byte-level tokenizer is trained on WordNet glosses; conversations with one to three turns, in
several scripts, go through ChatML (each assistant turn trained with its <|im_end|>) and through
DeepSeek R1's training form (reasoning kept, one document an answer). Prompt/completion rows and
texts are tokenised as TRL does.
"""
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

GLOSSES = [line.split("| ", 1)[1].strip() for name in ("noun", "verb")
           for line in open(f"/usr/share/wordnet/data.{name}", encoding="utf-8")
           if "| " in line]
OTHER = ["心臓病の治療", "право и медицина", "naïve café — “quoted”", "x = [1, 2]\n\n\tfoo()", "🙂 ok",
         "  two spaces ", "ends in a break\n"]
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|User|>", "<|Assistant|>", "<think>",
           "</think>"]
CHATML = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
          "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
# The frame of DeepSeek R1's own template, less its tools.
R1 = ("{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}"
      "{% elif m['role'] == 'user' %}<|User|>{{ m['content'] }}{% else %}"
      "{% set content = m['content'] %}{% if '</think>' in content %}"
      "{% set content = content.split('</think>')[-1] %}{% endif %}"
      "<|Assistant|>{{ content }}{{ eos_token }}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}")


def make_folder(folder, template, bos):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=3000, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(GLOSSES[:20000], trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
         "chat_template": template}))
    return AutoTokenizer.from_pretrained(folder)


def words(rng):
    return rng.choice(OTHER) if rng.random() < 0.2 else rng.choice(GLOSSES)


def conversation(rng, thoughts):
    messages = [{"role": "system", "content": words(rng)}] if rng.random() < 0.5 else []
    for _ in range(rng.randint(1, 3)):
        answer = words(rng)
        if thoughts and rng.random() < 0.8:
            answer = f"<think>\n{rng.choice(GLOSSES)}\n</think>\n\n{answer}"
        messages += [{"role": "user", "content": words(rng)},
                     {"role": "assistant", "content": answer}]
    return messages


def encode_spans(tokenizer, text, spans):
    """Labels of the tokens that lie inside one of the spans of characters."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = [token if any(b <= begin < end <= e for b, e in spans) else -100
              for token, (begin, end) in zip(encoded["input_ids"], encoded["offset_mapping"])]
    return encoded["input_ids"], labels


def expect_text(tokenizer, row):
    ids = tokenizer(row["text"])["input_ids"] + [tokenizer.eos_token_id]
    return [(ids, ids)]


def expect_pair(tokenizer, row):
    ids = tokenizer(row["prompt"] + row["completion"])["input_ids"] + [tokenizer.eos_token_id]
    prompt = tokenizer(row["prompt"])["input_ids"]
    assert ids[:len(prompt)] == prompt
    return [(ids, [-100] * len(prompt) + ids[len(prompt):])]


def expect_chatml(tokenizer, row):
    messages = row["messages"]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    spans = []
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            begin = len(tokenizer.apply_chat_template(messages[:i], tokenize=False,
                                                      add_generation_prompt=True))
            spans.append((begin, begin + len(message["content"]) + len("<|im_end|>")))
    return [encode_spans(tokenizer, text, spans)]


def expect_r1(tokenizer, row):
    documents = []
    for i, message in enumerate(row["messages"]):
        if message["role"] != "assistant":
            continue
        prompt = tokenizer.apply_chat_template(row["messages"][:i], tokenize=False,
                                               add_generation_prompt=True)
        if "</think>" in message["content"]:
            thought, answer = message["content"].split("</think>")
            trained = (thought.removeprefix("<think>").strip("\n") + "\n</think>\n\n" +
                       answer.lstrip("\n") + tokenizer.eos_token)
        else:  # an opened thought is closed at once, untrained
            prompt += "\n</think>\n\n"
            trained = message["content"] + tokenizer.eos_token
        documents.append(encode_spans(tokenizer, prompt + trained,
                                      [(len(prompt), len(prompt + trained))]))
    return documents


def run(tool, folder, path, **options):
    done = subprocess.run([tool, str(folder), json.dumps({"files": [str(path)], **options})],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(name, tool, folder, tokenizer, rows, expect):
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
                    encoding="utf-8")
    got = run(tool, folder, path)
    expected = [document for row in rows for document in expect(tokenizer, row)]
    assert len(got) == len(expected), f"{name}: {len(got)} documents, expected {len(expected)}"
    trained = 0
    for i, (document, (ids, labels)) in enumerate(zip(got, expected)):
        labels = [-100] + labels[1:]  # nothing predicts a first token
        assert document["ids"] == ids, (name, i, tokenizer.decode(document["ids"]),
                                        tokenizer.decode(ids))
        assert document["labels"] == labels, (name, i, document["pieces"], document["labels"],
                                              labels)
        trained += sum(label != -100 for label in labels)
    assert trained > 0
    print(f"{name}: {len(got)} documents, {trained} trained tokens equal")


def main():
    tool, rng = sys.argv[1], random.Random(5)
    with tempfile.TemporaryDirectory() as root:
        chatml, r1 = Path(root, "chatml"), Path(root, "r1")
        plain = make_folder(chatml, CHATML, bos=False)
        with_bos = make_folder(r1, R1, bos=True)
        texts = [{"text": words(rng)} for _ in range(500)]
        pairs = [{"prompt": rng.choice(GLOSSES) + ":", "completion": " " + words(rng).strip()}
                 for _ in range(500)]
        for folder, tokenizer in ((chatml, plain), (r1, with_bos)):
            compare("texts", tool, folder, tokenizer, texts, expect_text)
            compare("prompt_completion", tool, folder, tokenizer, pairs, expect_pair)
        compare("messages", tool, chatml, plain,
                [{"messages": conversation(rng, False)} for _ in range(300)], expect_chatml)
        compare("reasoning", tool, r1, with_bos,
                [{"messages": conversation(rng, True)} for _ in range(300)], expect_r1)


if __name__ == "__main__":
    main()
