"""Seeded conversations for the chat template families of tests/data/chat."""
import random

DEEPSEEK = {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"}
CHATML = {"eos_token": "<|im_end|>"}

# What each family can take beside system, user and assistant turns. "any_order" also breaks the
# rules of the template on purpose: both sides must then fail.
FAMILIES = {
    "deepseek_llm": (DEEPSEEK, ()),
    "deepseek_v2_5": (DEEPSEEK, ("late_system",)),
    "deepseek_v3": (DEEPSEEK, ("calls", "late_system")),
    "deepseek_r1": (DEEPSEEK, ("calls", "thoughts", "late_system")),
    "deepseek_r1_first": (DEEPSEEK, ("calls", "thoughts", "late_system")),
    "deepseek_v3_1": (DEEPSEEK, ("calls", "thoughts", "tools", "thinking", "late_system")),
    "deepseek_coder": ({"bos_token": DEEPSEEK["bos_token"], "eos_token": "<|EOT|>"}, ("late_system",)),
    "qwen2_5": (CHATML, ("calls", "tools")),
    "qwen3": (CHATML, ("calls", "tools", "thoughts", "fields", "enable_thinking")),
    "llama3": ({"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
               ("calls", "tools", "any_order", "tools_in_user_message")),
    "chatml": (CHATML, ("late_system",)),
    "mistral": ({"bos_token": "<s>", "eos_token": "</s>"}, ("calls", "tools", "any_order")),
    "generation": (CHATML, ("calls", "fields")),
    "typescript_tools": ({}, ("calls", "tools", "parts", "any_order")),
}

WORDS = ("law court the judge rules that a contract is void if one side was forced 法律 合同 médecin "
         "фронт 😀 'quoted' \"double\" <b>&amp;</b> {{ braces }} {% tag %} C:\\path\\n 1.5e-3 naïve "
         "\u2028 \u00a0 \t end. <|im_start|> </s>").split(" ")


def text(rng, empty=0.06):
    if rng.random() < empty:
        return ""
    body = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 12)))
    if rng.random() < 0.3:
        body = body.replace(" ", "\n", rng.randint(1, 3))
    if rng.random() < 0.2:
        body = rng.choice([" ", "\n", "\n\n", "\t"]) + body + rng.choice([" ", "\n", ""])
    return body


def value(rng, depth=0):
    kind = rng.randint(0, 7 if depth < 2 else 5)
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    if kind == 7:
        return {rng.choice("abcé") + str(i): value(rng, depth + 1) for i in range(rng.randint(0, 3))}
    return [rng.randint(-10**9, 10**9), rng.choice([0.1, 1e20, -2.5, 1e-7, 3.0]), text(rng), None, True,
            False][kind]


def tool(rng, i):
    properties = {
        "query": {"type": "string", "description": text(rng, 0)},
        "Limit": {"type": "integer"},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
    }
    return {"type": "function", "function": {
        "name": f"look_up_{i}", "description": text(rng, 0),
        "parameters": {"type": "object", "properties": properties, "required": ["query"]}}}


def calls(rng, count):
    identities = ["%09d" % rng.randrange(10**9) for _ in range(count)]
    return [{"type": "function", "id": identity, "function": {
        "name": f"look_up_{i}", "arguments": {"query": text(rng), "more": value(rng)}}}
        for i, identity in enumerate(identities)]


def assistant(rng, able):
    message = {"role": "assistant", "content": text(rng)}
    if "thoughts" in able and rng.random() < 0.5:
        thought = text(rng)
        message["content"] = rng.choice(["<think>\n", "", "<think>"]) + thought + rng.choice(
            ["\n</think>\n\n", "</think>"]) + message["content"]
    if "fields" in able and rng.random() < 0.3:
        message[rng.choice(["reasoning_content", "thinking", "reasoning"])] = text(rng)
    if "parts" in able and rng.random() < 0.2:
        message["content"] = [{"type": "text", "text": text(rng)}, {"type": "image"},
                              {"type": "text", "text": text(rng)}]
    return message


def turn(rng, able):
    messages = [{"role": "user", "content": text(rng)}]
    if "calls" in able and rng.random() < 0.4:
        count = rng.choice([1, 1, 1, 2]) if "any_order" in able else rng.randint(1, 3)
        made = calls(rng, count)
        messages.append({"role": "assistant", "tool_calls": made,
                         "content": rng.choice([None, "", text(rng)])})
        messages += [{"role": "tool", "content": text(rng), "tool_call_id": call["id"]} for call in made]
    messages.append(assistant(rng, able))
    if "any_order" in able and rng.random() < 0.06:
        rng.shuffle(messages)
    return messages


def conversation(rng, able):
    messages = [{"role": "system", "content": text(rng)}] if rng.random() < 0.5 else []
    for _ in range(rng.randint(1, 4)):
        messages += turn(rng, able)
    if "late_system" in able and rng.random() < 0.2:
        messages.insert(rng.randrange(1, len(messages)), {"role": "system", "content": text(rng)})
    variables = {}
    prompted = rng.random() < 0.5
    if prompted and rng.random() < 0.8:
        messages.pop()  # so that the prompt is the assistant's
    for name in ("thinking", "enable_thinking", "tools_in_user_message"):
        if name in able and rng.random() < 0.6:
            variables[name] = rng.random() < 0.5
    made = {"messages": messages, "add_generation_prompt": prompted, "variables": variables}
    if "tools" in able and rng.random() < 0.5:
        made["tools"] = [tool(rng, i) for i in range(rng.randint(1, 3))]
    return made


def make(family, count):
    """The family's special tokens, and `count` conversations."""
    variables, able = FAMILIES[family]
    rng = random.Random(family)
    return variables, [conversation(rng, able) for _ in range(count)]
