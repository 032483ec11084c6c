"""hone-chat and hone-merge beside transformers and PEFT:

    chat_and_merge.py HONE_CHAT HONE_MERGE HONE_DOMAIN

1. hone-merge writes what PEFT's merge_and_unload gives, rounded once, in shards of the size asked for.
2. hone-chat answers as transformers' generate does through the same template: one prompt, a file of
   them, and turn by turn; a base without template goes on with the text; an adapter speaks over its base.
3. Ctrl-C ends an answer and not the conversation.
4. A recipe's prompts are answered at each evaluation, and change no bit of the weights.
"""
import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from model_files import make_adapter, make_base, recipe
from support import run


def call(*command, code=0, given=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, input=given)
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done


def answer(model, tokenizer, messages, tokens):
    """transformers' greedy answer to a conversation."""
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt",
                                           return_dict=True)
    with torch.no_grad():
        ids = model.generate(**inputs, max_new_tokens=tokens, do_sample=False, pad_token_id=1)
    return tokenizer.decode(ids[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True)


def merging_equals_peft(merge, work, base):
    theirs = make_adapter(base, work / "adapter", r=3, lora_alpha=6, target_modules=["q_proj", "up_proj"],
                          modules_to_save=["lm_head"])
    wanted = theirs.merge_and_unload().state_dict()
    call(merge, "--adapter", work / "adapter", "--out", work / "wide", "--dtype", "float32",
         "--max-shard-size", "50KB")
    assert len(list((work / "wide").glob("model-*.safetensors"))) > 1
    wide = AutoModelForCausalLM.from_pretrained(work / "wide", dtype="auto")
    assert wide.dtype == torch.float32
    for name, tensor in wide.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-6, atol=1e-6, msg=name)
    call(merge, "--adapter", work / "adapter", "--base", base, "--out", work / "merged")
    merged = AutoModelForCausalLM.from_pretrained(work / "merged", dtype="auto")
    assert merged.dtype == torch.bfloat16  # as the base
    for name, tensor in merged.state_dict().items():
        assert torch.equal(tensor, wide.state_dict()[name].to(torch.bfloat16)), name
    assert AutoTokenizer.from_pretrained(work / "merged").chat_template
    for arguments, part in (([], "--adapter: required key is missing"),
                            (["--adapter", base, "--out", work / "x"], "is no adapter"),
                            (["--adapter", work / "adapter", "--out", work / "x", "--max-shard-size", "5"
                              "XB"], "--max-shard-size: expected a size such as 5GB")):
        done = subprocess.run([merge, *arguments], capture_output=True, text=True)
        assert done.returncode in (1, 2) and part in done.stderr, done.stderr
    assert not (work / "x").exists()


def chat_equals_transformers(chat, work, base):
    model = AutoModelForCausalLM.from_pretrained(work / "merged").float().eval()
    tokenizer = AutoTokenizer.from_pretrained(work / "merged")
    said = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the judge sees a law."}]
    first = answer(model, tokenizer, said, 12)
    flags = ["--device", "cpu", "--threads", "1", "--max-new-tokens", "12"]
    one = call(chat, work / "merged", *flags, "--system", "be brief", "--prompt", said[1]["content"])
    assert one.stdout == first + "\n", (one.stdout, first)

    # Turn by turn; the second answer has the first in its prompt.
    said += [{"role": "assistant", "content": first}, {"role": "user", "content": "the river?"}]
    second = answer(model, tokenizer, said, 12)
    lines = f"{said[1]['content']}\n\n{said[3]['content']}\n/new\n{said[1]['content']}\n"
    turns = call(chat, work / "merged", *flags, "--system", "be brief", given=lines)
    assert turns.stdout == f"{first}\n{second}\n{first}\n", turns.stdout

    # A file of prompts, whose other keys come back.
    rows = [{"id": 7, "prompt": "the tree"}, {"messages": said}]
    (work / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    call(chat, work / "merged", *flags, "--prompts", work / "prompts.jsonl", "--out", work / "answers.jsonl")
    answers = [json.loads(line) for line in (work / "answers.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in answers] == [
        answer(model, tokenizer, [{"role": "user", "content": "the tree"}], 12), second]
    assert answers[0]["id"] == 7 and answers[0]["finish"] in ("length", "stop")
    (work / "prompts.txt").write_text("the tree\n\nthe road\n")
    plain = call(chat, work / "merged", *flags, "--prompts", work / "prompts.txt").stdout.splitlines()
    assert [json.loads(line)["answer"] for line in plain][0] == answers[0]["answer"] and len(plain) == 2
    (work / "bad.jsonl").write_text('{"prompt": "x"}\n{"text": "y"}\n')
    assert "bad.jsonl:2: expected an object with either" in call(
        chat, work / "merged", *flags, "--prompts", work / "bad.jsonl", code=1).stderr

    # The adapter over its base says what base and adapter in PEFT's hands say; float32, unrounded.
    wide = AutoModelForCausalLM.from_pretrained(work / "wide").eval()
    spoken = call(chat, work / "adapter", *flags, "--prompt", "the tree").stdout
    assert spoken == answer(wide, tokenizer, [{"role": "user", "content": "the tree"}], 12) + "\n"

    # Without a template the model goes on with the text, and says so; sampling follows the seed.
    bare = work / "bare"
    shutil.copytree(base, bare)
    for path in bare.glob("chat_template*"):
        path.unlink()
    config = json.loads((bare / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(config))
    done = call(chat, bare, *flags, "--prompt", "the tree")
    raw = AutoModelForCausalLM.from_pretrained(bare).float().eval()
    inputs = tokenizer("the tree", return_tensors="pt")
    ids = raw.generate(**inputs, max_new_tokens=12, do_sample=False, pad_token_id=1)
    assert done.stdout == tokenizer.decode(ids[0, inputs.input_ids.shape[1]:], skip_special_tokens=True) + "\n"
    assert "no chat template: the model goes on with your text" in done.stderr
    drawn = [call(chat, bare, *flags, "--prompt", "the tree", "--temperature", "1.5", "--seed", seed).stdout
             for seed in ("1", "1", "2")]
    assert drawn[0] == drawn[1] != drawn[2]
    assert "--system needs a chat template" in call(chat, bare, *flags, "--system", "x", "--prompt", "y",
                                                    code=1).stderr
    for arguments, code, part in ((["--tempature", "1"], 2, "did you mean --temperature?"),
                                  (["--top-p", "0.5"], 2, "--top-p: has no effect with temperature 0"),
                                  ([work / "nowhere"], 1, "there is no such folder")):
        arguments = arguments if isinstance(arguments[0], pathlib.Path) else [bare, *arguments]
        assert part in call(chat, *arguments, code=code).stderr


def an_interrupt_ends_the_answer_only(chat, work, base):
    """In a terminal: SIGINT while the first answer streams, then another turn, then Ctrl-D."""
    long = work / "long"
    make_base(long, max_position_embeddings=100_000)
    for name in ("config.json", "generation_config.json"):  # never at an end by itself
        config = json.loads((long / name).read_text())
        config["eos_token_id"] = None
        (long / name).write_text(json.dumps(config))
    config = json.loads((long / "tokenizer_config.json").read_text())
    config["eos_token"] = None
    (long / "tokenizer_config.json").write_text(json.dumps(config))
    (long / "chat_template.jinja").unlink(missing_ok=True)
    ours, theirs = pty.openpty()
    process = subprocess.Popen([chat, long, "--device", "cpu", "--threads", "1", "--max-new-tokens", "90000"],
                               stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
    os.close(theirs)
    assert process.stdout.read(2) == b"> "
    for _ in range(2):
        os.write(ours, b"the tree\n")
        assert process.stdout.read(1)  # the answer has begun: its handler is there
        process.send_signal(signal.SIGINT)
        text = b""
        while not text.endswith(b"\n> "):
            part = os.read(process.stdout.fileno(), 65536)
            assert part, f"it left: {process.wait()}"
            text += part
    os.write(ours, b"\x04")
    assert process.stdout.read() == b"\n" and process.wait() == 0
    os.close(ours)


def prompts_are_answered_while_a_model_trains(hone, work, base):
    train = {"steps": 4, "lr": 1e-3, "eval_every": 2}
    without = recipe(work, base, train=train, tuning="lora", lora={"dropout": 0.2})
    asked = ["the judge", "the river sees"]
    run(hone, without, work / "without")
    report = run(hone, {**without, "prompts": {"texts": asked, "max_new_tokens": 5}}, work / "with")
    for name in ("model/model.safetensors", "adapter/adapter_model.safetensors"):
        assert (work / "with" / name).read_bytes() == (work / "without" / name).read_bytes(), name
    rows = [json.loads(line) for line in (work / "with/answers.jsonl").read_text().splitlines()]
    assert [(row["step"], row["prompt"]) for row in rows] == [(step, p) for step in (0, 2, 4) for p in asked]
    model = AutoModelForCausalLM.from_pretrained(base).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    for row in rows[:2]:
        assert row["answer"] == answer(model, tokenizer, [{"role": "user", "content": row["prompt"]}], 5)
    assert [(row["prompt"], row["before"], row["after"], row["step"]) for row in report["answers"]] == [
        (a["prompt"], a["answer"], z["answer"], 4) for a, z in zip(rows[:2], rows[4:])]
    assert "the river sees" in (work / "with/report.html").read_text()


def main():
    chat, merge, hone = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        base = work / "base"
        make_base(base)
        merging_equals_peft(merge, work, base)
        chat_equals_transformers(chat, work, base)
        an_interrupt_ends_the_answer_only(chat, work, base)
        prompts_are_answered_while_a_model_trains(hone, work, base)


if __name__ == "__main__":
    main()
