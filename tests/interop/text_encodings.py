#!/usr/bin/env python3
"""hone's encodings of DeepSeek-V3.2 and V4 against the formats as written here anew: text_encodings.py CHAT_TOOL.

The formats are those of encoding_dsv32.py and encoding_dsv4.py beside the released checkpoints. Golden
texts are theirs (the README of V4's encoding, its first test); 600 seeded conversations each cover
both modes, tools, thoughts, results in any order, developers, reminders, tasks and what must fail.
"""
import json
import random
import sys

import chat_conversations
from text_chat import Report, Tool

BOS, EOS, USER, ASSISTANT = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"
MARK = "｜DSML｜"

V32_TOOLS = f"""## Tools

You have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<{MARK}function_calls>" block like the following as part of your reply to the user:
<{MARK}function_calls>
<{MARK}invoke name="$FUNCTION_NAME">
<{MARK}parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</{MARK}parameter>
...
</{MARK}invoke>
<{MARK}invoke name="$FUNCTION_NAME2">
...
</{MARK}invoke>
</{MARK}function_calls>

String and scalar parameters should be specified as is without any escaping or quotes, while lists and objects should use JSON format. The "string" attribute should be set to "true" for string type parameters and "false" for other types (numbers, booleans, arrays, objects).

If the thinking_mode is enabled, then after function results you should strongly consider outputting a thinking block. Here is an example:

<{MARK}function_calls>
...
</{MARK}function_calls>

<function_results>
...
</function_results>

<think>...thinking about results</think>

Here are the functions available in JSONSchema format:
<functions>
SCHEMAS
</functions>
"""
V4_TOOLS = f"""## Tools

You have access to a set of tools to help answer the user's question. You can invoke tools by writing a "<{MARK}tool_calls>" block like the following:

<{MARK}tool_calls>
<{MARK}invoke name="$TOOL_NAME">
<{MARK}parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</{MARK}parameter>
...
</{MARK}invoke>
<{MARK}invoke name="$TOOL_NAME2">
...
</{MARK}invoke>
</{MARK}tool_calls>

String parameters should be specified as is and set `string="true"`. For all other types (numbers, booleans, arrays, objects), pass the value in JSON format and set `string="false"`.

If thinking_mode is enabled (triggered by <think>), you MUST output your complete reasoning inside <think>...</think> BEFORE any tool calls or final response.

Otherwise, output directly after </think> with tool calls or final response.

### Available Tool Schemas

SCHEMAS

You MUST strictly follow the above defined tool name and parameter schemas to invoke tool calls.
"""
V4_EFFORT = """Reasoning Effort: Absolute maximum with no shortcuts permitted.
You MUST be very thorough in your thinking and comprehensively decompose the problem to resolve the root cause, rigorously stress-testing your logic against all potential paths, edge cases, and adversarial scenarios.
Explicitly write out your entire deliberation process, documenting every intermediate step, considered alternative, and rejected hypothesis to ensure absolutely no assumption is left unchecked.

"""


def dumps(value):
    return json.dumps(value, ensure_ascii=False)


def below(message, tools_text):
    """What a system's or developer's message says of tools and of the answer's format."""
    text = ""
    if message.get("tools"):
        schemas = "\n".join(dumps(tool["function"]) for tool in message["tools"])
        text += "\n\n" + tools_text.replace("SCHEMAS", schemas)
    if message.get("response_format"):
        text += ("\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n"
                 + dumps(message["response_format"]))
    return text


def calls_text(calls, block, lenient):
    blocks = []
    for call in calls:
        given = call["function"]["arguments"]
        if isinstance(given, str):
            try:
                read = json.loads(given)
            except ValueError:
                read = None
        else:
            read = given
        if not isinstance(read, dict):
            if not lenient:
                raise ValueError("arguments")
            read = {"arguments": given}
        lines = [f'<{MARK}invoke name="{call["function"]["name"]}">']
        body = []
        for name, value in read.items():
            is_text = isinstance(value, str)
            body.append(f'<{MARK}parameter name="{name}" string="{dumps(is_text)}">'
                        f'{value if is_text else dumps(value)}</{MARK}parameter>')
        blocks.append("\n".join(lines + ["\n".join(body), f"</{MARK}invoke>"]))
    return f"\n\n<{MARK}{block}>\n" + "\n".join(blocks) + f"\n</{MARK}{block}>"


def with_tools(messages, tools):
    """`tools` belong to the system's message in front, which is made if need be."""
    messages = [dict(message) for message in messages]
    if tools:
        if messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": ""})
        messages[0].setdefault("tools", tools)
    return messages


def is_question(message):
    return message["role"] in ("user", "developer")


def v32(messages, tools, think, prompt):
    messages = with_tools(messages, tools)
    last = max((i for i, message in enumerate(messages) if is_question(message)), default=-1)
    out = BOS
    for i, message in enumerate(messages):
        role, content = message["role"], message.get("content") or ""
        tag = "<think>" if think and i >= last else "</think>"
        end = "" if i + 1 == len(messages) and not prompt else tag
        if role == "system":
            out += content + below(message, V32_TOOLS)
        elif role == "developer":
            if think and i < last:
                continue
            out += USER + below(message, V32_TOOLS) + "\n\n# The user's message is: " + content
            out += ASSISTANT + end if end else ""
        elif role == "user":
            out += USER + content + (ASSISTANT + end if end else "")
        elif role == "tool":
            first = i
            while messages[first - 1]["role"] == "tool":
                first -= 1
            calls = messages[first - 1].get("tool_calls") or []
            if first == 0 or len(calls) < i - first + 1:
                raise ValueError("result without a call")
            out += "\n\n<function_results>" if i == first else ""
            out += f"\n<result>{content}</result>"
            if i - first + 1 == len(calls):
                out += "\n</function_results>" + ("\n\n" + end if end else "")
        elif role == "assistant":
            if think and i > last:
                out += (message.get("reasoning_content") or "") + "</think>"
            out += content
            if message.get("tool_calls"):
                out += calls_text(message["tool_calls"], "function_calls", lenient=False)
            out += EOS
        else:
            raise ValueError(role)
    return out


def v4(messages, tools, think, prompt, drop=True, effort=None):
    messages = with_tools(messages, tools)
    turns = []
    for message in messages:
        role = message["role"]
        if role not in ("user", "tool"):
            turns.append(message)
            continue
        block = (role == "tool", message.get("tool_call_id", ""), message.get("content") or "")
        if turns and turns[-1]["role"] == "user" and (role == "tool" or not turns[-1].get("task")):
            turns[-1]["blocks"].append(block)
        else:
            turns.append({"role": "user", "blocks": [block]} | ({"task": message["task"]} if "task" in message else {}))
    order = {}
    for turn in turns:
        if turn["role"] == "assistant" and turn.get("tool_calls"):
            order = {call["id"]: i for i, call in enumerate(turn["tool_calls"]) if call.get("id")}
        if turn["role"] == "user" and order:
            results = iter(sorted((b for b in turn["blocks"] if b[0]), key=lambda b: order.get(b[1], 0)))
            turn["blocks"] = [next(results) if block[0] else block for block in turn["blocks"]]
    drop = drop and not any(turn.get("tools") for turn in turns)
    last = max((i for i, turn in enumerate(turns) if is_question(turn)), default=-1)
    if think and drop:
        turns = [t for i, t in enumerate(turns) if t["role"] != "developer" or i >= last]
        last = max((i for i, turn in enumerate(turns) if is_question(turn)), default=-1)
    out = BOS + (V4_EFFORT if think and effort == "max" else "")
    for i, turn in enumerate(turns):
        role, content = turn["role"], turn.get("content") or ""
        if role == "system":
            out += content + below(turn, V4_TOOLS)
        elif role == "developer":
            out += USER + content + below(turn, V4_TOOLS)
        elif role == "user":
            out += USER + "\n\n".join(f"<tool_result>{text}</tool_result>" if is_result else text
                                      for is_result, _, text in turn["blocks"])
        elif role == "latest_reminder":
            out += "<｜latest_reminder｜>" + content
        elif role == "assistant":
            if think and not (i and turns[i - 1].get("task")) and (not drop or i > last):
                out += (turn.get("reasoning_content") or "") + "</think>"
            out += content
            if turn.get("tool_calls"):
                out += calls_text(turn["tool_calls"], "tool_calls", lenient=True)
            out += "" if turn.get("wo_eos") else EOS
        else:
            raise ValueError(role)
        if i + 1 < len(turns):
            if turns[i + 1]["role"] not in ("assistant", "latest_reminder"):
                continue
        elif not prompt:
            continue
        task = turn.get("task")
        if task and task != "action":
            out += f"<｜{task}｜>"
        elif task:
            out += ASSISTANT + ("<think>" if think else "</think>") + "<｜action｜>"
        elif is_question(turn):
            out += ASSISTANT + ("<think>" if think and (not drop or i >= last) else "</think>")
    return out


def conversation(rng, family):
    """Messages, and tools or None."""
    text = chat_conversations.text
    messages = []
    if rng.random() < 0.6:
        messages.append({"role": "system", "content": text(rng)})
        if rng.random() < 0.2:
            messages[-1]["response_format"] = {"type": "object", "properties": {"a": chat_conversations.value(rng)}}
    for _ in range(rng.randint(1, 4)):
        role = "developer" if rng.random() < 0.15 else "user"
        messages.append({"role": role, "content": text(rng, 0)})
        if role == "developer" and rng.random() < 0.5:
            messages[-1]["tools"] = [chat_conversations.tool(rng, 0)]
        if family == "deepseek_v4":
            if role == "user" and rng.random() < 0.15:
                messages[-1]["task"] = rng.choice(("action", "query", "title"))
            if rng.random() < 0.1:
                messages.append({"role": "latest_reminder", "content": text(rng, 0)})
            elif rng.random() < 0.1:
                messages.append({"role": "user", "content": text(rng)})
        for _ in range(rng.choice((0, 0, 1, 2))):
            calls = []
            for i in range(rng.randint(1, 3)):
                arguments = {f"p{k}": chat_conversations.value(rng) for k in range(rng.randint(0, 3))}
                form = rng.random()
                if form < 0.4:
                    arguments = dumps(arguments)
                elif form < 0.44:
                    arguments = rng.choice(("no json", "[1]", "3"))
                calls.append({"id": f"call{i}", "type": "function",
                              "function": {"name": f"tool{i}", "arguments": arguments}})
            message = {"role": "assistant", "content": text(rng, 0.5), "tool_calls": calls}
            if rng.random() < 0.6:
                message["reasoning_content"] = text(rng)
            messages.append(message)
            results = [{"role": "tool", "tool_call_id": call["id"], "content": text(rng)} for call in calls]
            if family == "deepseek_v4":
                rng.shuffle(results)
            messages += results[:-1] if rng.random() < 0.05 else results
        if rng.random() < 0.9:
            message = {"role": "assistant", "content": text(rng)}
            if rng.random() < 0.6:
                message["reasoning_content"] = text(rng)
            messages.append(message)
    if rng.random() < 0.03:
        messages.insert(rng.randrange(len(messages) + 1), rng.choice((
            {"role": "tool", "content": "stray"}, {"role": "stranger", "content": "x"})))
    if rng.random() < 0.3:
        messages.append({"role": "user", "content": text(rng, 0)})
    tools = [chat_conversations.tool(rng, i) for i in range(rng.randint(1, 2))] if rng.random() < 0.3 else None
    return messages, tools


def golden():
    hello = [{"role": "user", "content": "hello"},
             {"role": "assistant", "content": "Hello! I am DeepSeek.", "reasoning_content": "thinking..."},
             {"role": "user", "content": "1+1=?"}]
    sums = [{"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "What is 2+2?"}]
    yield ("deepseek_v32", hello, {"thinking": True},
           f"{BOS}{USER}hello{ASSISTANT}</think>Hello! I am DeepSeek.{EOS}{USER}1+1=?{ASSISTANT}<think>")
    yield ("deepseek_v4", sums, {"thinking": True},
           f"{BOS}You are a helpful assistant.{USER}What is 2+2?{ASSISTANT}<think>")
    yield ("deepseek_v4", sums, {}, f"{BOS}You are a helpful assistant.{USER}What is 2+2?{ASSISTANT}</think>")


def main():
    ask = Tool(sys.argv[1])
    report, requests, expected = Report(), [], []

    def add(family, messages, tools, variables, prompt, want):
        requests.append({"model_type": family, "op": "render", "input": {
            "messages": messages, "tools": tools, "variables": variables, "add_generation_prompt": prompt}})
        expected.append(want)

    for family, messages, variables, text in golden():
        add(family, messages, None, variables, True, text)
    rng = random.Random(11)
    for _ in range(600):
        for family in ("deepseek_v32", "deepseek_v4"):
            messages, tools = conversation(rng, family)
            think, prompt = rng.random() < 0.6, rng.random() < 0.7
            variables, more = {rng.choice(("thinking", "enable_thinking")): think}, {}
            if family == "deepseek_v4":
                more = {"drop": rng.random() < 0.7, "effort": rng.choice((None, "high", "max"))}
                variables |= {"drop_thinking": more["drop"], "reasoning_effort": more["effort"]}
            try:
                want = (v32 if family == "deepseek_v32" else v4)(messages, tools, think, prompt, **more)
            except ValueError as error:
                want = error
            add(family, messages, tools, variables, prompt, want)
    for request, want, reply in zip(requests, expected, ask(requests)):
        report.compare(json.dumps(request, ensure_ascii=False), want,
                       reply.get("text", reply) if not isinstance(want, Exception) else reply)
    sys.exit(0 if report.finish("encodings", 1200) and report.errors > 20 else 1)


if __name__ == "__main__":
    main()
