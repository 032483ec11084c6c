#!/usr/bin/env python3
"""hone's chat templates against transformers and jinja2: text_chat.py CHAT_TOOL [only].

Three parts, each of which must agree exactly, errors with errors:
  micro     tests/data/chat/micro.txt, a template a line (⏎ stands for a line break), rendered by
            transformers' own jinja2 environment
  case      what str says of every character, against Python 3.11
  families  tests/data/chat/*.jinja, 50 seeded conversations each, against apply_chat_template
            and, for the assistant's spans, against its {% generation %} tracking
"""
import json
import pathlib
import subprocess
import sys
import unicodedata

import chat_conversations
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "chat"
NOW = 1_700_000_000

MICRO_VARIABLES = {
    "d": {"a": 1, "b": "two", "nested": {"deep": [1, 2]}},
    "lst": [1, 2, 3, 4, 5],
    "objs": [
        {"name": "bob", "age": 3, "sub": {"k": 2}, "tags": ["x"]},
        {"name": "al", "sub": {"k": 1}, "tags": ["y", "z"]},
        {"name": "Cy", "age": 0, "sub": {"k": 2}, "tags": ["w"]},
    ],
}
MICRO_MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hé <b>中文</b> \"q\" 😀"},
    {"role": "assistant", "content": "ok\n"},
]
# jinja2 has these, hone refuses them with an error: not compared.
BEYOND = ("lipsum",)


class Tool:
    def __init__(self, path):
        self.path = path

    def __call__(self, requests):
        requests = list(requests)
        text = "".join(json.dumps(request) + "\n" for request in requests)
        run = subprocess.run([self.path], input=text, capture_output=True, text=True, check=True)
        replies = [json.loads(line) for line in run.stdout.split("\n") if line]
        assert len(replies) == len(requests), "the tool answered only in part"
        return replies


class Report:
    def __init__(self):
        self.compared = self.errors = 0
        self.faults = []

    def compare(self, what, expected, reply):
        """expected: the reply's content, or an exception."""
        self.compared += 1
        if isinstance(expected, Exception):
            self.errors += 1
            if "error" not in reply:
                self.faults.append(f"{what}\n  expected an error: {expected!r}\n  got {reply}")
        elif reply != expected:
            self.faults.append(f"{what}\n  expected {expected}\n  got      {reply}")

    def finish(self, name, least):
        print(f"{name}: {self.compared} compared, {self.errors} of them errors on both sides, "
              f"{len(self.faults)} differ")
        for fault in self.faults[:20]:
            print(fault)
        return not self.faults and self.compared >= least


def attempt(function, *args, **kwargs):
    try:
        text = function(*args, **kwargs)
        text.encode()  # lone surrogates are errors
        return {"text": text}
    except Exception as error:  # the oracle's errors are of many types
        return error


def micro(tool):
    lines = [line.replace("⏎", "\n") for line in (DATA / "micro.txt").read_text().split("\n") if line]
    lines = [line for line in lines if not any(word in line for word in BEYOND)]
    replies = tool({"template": line, "op": "render",
                    "input": {"messages": MICRO_MESSAGES, "variables": MICRO_VARIABLES}} for line in lines)
    report = Report()
    for line, reply in zip(lines, replies):
        def render():
            # The keys of transformers' own call, which are there even when they are none.
            return _compile_jinja_template(line).render(
                messages=MICRO_MESSAGES, tools=None, documents=None, add_generation_prompt=False,
                **MICRO_VARIABLES)
        report.compare(repr(line), attempt(render), reply)
    return report.finish("micro", 280)


def case(tool):
    characters = [chr(c) for c in range(0x30000)
                  if unicodedata.category(chr(c)) not in ("Cs", "Cn", "Co", "Zl", "Zp")]
    methods = ("upper", "lower", "title", "capitalize", "swapcase", "isupper", "islower", "istitle",
               "isalpha", "isalnum", "isdigit", "isdecimal", "isspace")
    template = ("{% for c in characters %}" + "".join("{{ c.%s() }}\u2028" % m for m in methods) +
                "{{ [c] }}\u2029{% endfor %}")
    chunks = [characters[i:i + 4096] for i in range(0, len(characters), 4096)]
    replies = tool({"template": template, "op": "render", "input": {"messages": MICRO_MESSAGES, "variables": {"characters": chunk}}}
                   for chunk in chunks)
    differ = []
    for chunk, reply in zip(chunks, replies):
        for c, got in zip(chunk, reply["text"].split("\u2029")):
            expected = [str(getattr(c, method)()) for method in methods] + [str([c])]
            if got.split("\u2028") != expected:
                differ.append((hex(ord(c)), expected, got.split("\u2028")))
    print(f"case: {len(characters)} characters, {len(differ)} differ")
    for row in differ[:10]:
        print("  ", *row)
    return len(characters) > 100_000 and not differ


def tokenizer_of(template, variables):
    from tokenizers import Tokenizer, models
    tokens = {key: variables[key] for key in ("bos_token", "eos_token") if key in variables}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(vocab={"a": 0}, merges=[])), **tokens)
    tokenizer.chat_template = template
    return tokenizer


def families(tool):
    good = True
    for path in sorted(DATA.glob("*.jinja")):
        name, template = path.stem, path.read_text()
        variables, conversations = chat_conversations.make(name, 50)
        tokenizer = tokenizer_of(template, variables)
        extra = {key: value for key, value in variables.items() if not key.endswith("_token")}
        requests = [{"template": template, "op": "render",
                     "input": {"messages": c["messages"], "tools": c.get("tools"),
                               "add_generation_prompt": c["add_generation_prompt"],
                               "variables": {**variables, **c.get("variables", {})}}}
                    for c in conversations]
        report = Report()
        for c, request, reply in zip(conversations, requests, tool(requests)):
            expected = attempt(
                tokenizer.apply_chat_template, c["messages"], tools=c.get("tools"), tokenize=False,
                add_generation_prompt=c["add_generation_prompt"], **{**extra, **c.get("variables", {})})
            report.compare(f"{name}: {json.dumps(c, ensure_ascii=False)}", expected, reply)
        good &= report.finish(name, 50)
        assert report.errors < 40, f"{name}: too few conversations render"
        if "generation %}" in template:
            good &= marked(tool, name, template, variables, conversations)
    return good


def marked(tool, name, template, variables, conversations):
    """The {% generation %} stretches, as bytes, against transformers' as characters."""
    report = Report()
    # As apply_chat_template does before it renders.
    conversations = [{"messages": [{k: v for k, v in message.items() if v is not None}
                                   for message in c["messages"]]} for c in conversations]
    requests = [{"template": template, "op": "marked",
                 "input": {"messages": c["messages"], "variables": variables}} for c in conversations]
    for c, reply in zip(conversations, tool(requests)):
        def render():
            texts, spans = render_jinja_template(
                [c["messages"]], chat_template=template, return_assistant_tokens_mask=True, **variables)
            encoded = [[len(texts[0][:b].encode()), len(texts[0][:e].encode())] for b, e in spans[0]]
            return json.dumps([texts[0], encoded])
        expected = attempt(render)
        if not isinstance(expected, Exception):
            expected = json.loads(expected["text"])
            reply = reply if "error" in reply else [reply["text"], [span[:2] for span in reply["spans"]]]
        report.compare(f"{name}: {json.dumps(c, ensure_ascii=False)}", expected, reply)
    return report.finish(name + " generation", 50)


def main():
    tool = Tool(sys.argv[1])
    parts = {"micro": micro, "case": case, "families": families}
    chosen = sys.argv[2:] or list(parts)
    return 0 if all([parts[part](tool) for part in chosen]) else 1


if __name__ == "__main__":
    sys.exit(main())
