#include "hone/text/encodings.h"

namespace hone::text {
namespace {

/// What both say of tools (between `head` and `foot`) and of the answer's format, and a call's
/// arguments.
const std::string kMacros = R"jinja(
{%- macro told(list, format, head, foot) -%}
  {%- if list -%}
    {{- '\n\n' ~ head -}}
    {%- for tool in list -%}{{- tool.function | tojson ~ '\n' -}}{%- endfor -%}
    {{- foot -}}
  {%- endif -%}
  {%- if format -%}
    {{- '\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n' ~ format | tojson -}}
  {%- endif -%}
{%- endmacro -%}
{%- macro parameters(arguments) -%}
  {%- for name, value in arguments.items() -%}
    {{- '<｜DSML｜parameter name="' ~ name ~ '" string="' ~ ('true' if value is string else 'false') ~ '">' -}}
    {{- (value if value is string else value | tojson) ~ '</｜DSML｜parameter>' -}}
    {%- if not loop.last -%}{{- '\n' -}}{%- endif -%}
  {%- endfor -%}
{%- endmacro -%}
)jinja";

const std::string kDeepSeekV32 = kMacros + R"jinja(
{%- set tool_text -%}
## Tools

You have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<｜DSML｜function_calls>" block like the following as part of your reply to the user:
<｜DSML｜function_calls>
<｜DSML｜invoke name="$FUNCTION_NAME">
<｜DSML｜parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
...
</｜DSML｜invoke>
<｜DSML｜invoke name="$FUNCTION_NAME2">
...
</｜DSML｜invoke>
</｜DSML｜function_calls>

String and scalar parameters should be specified as is without any escaping or quotes, while lists and objects should use JSON format. The "string" attribute should be set to "true" for string type parameters and "false" for other types (numbers, booleans, arrays, objects).

If the thinking_mode is enabled, then after function results you should strongly consider outputting a thinking block. Here is an example:

<｜DSML｜function_calls>
...
</｜DSML｜function_calls>

<function_results>
...
</function_results>

<think>...thinking about results</think>

Here are the functions available in JSONSchema format:
<functions>
{%- endset -%}
{%- macro extras(list, format) -%}{{- told(list, format, tool_text ~ '\n', '</functions>\n') -}}{%- endmacro -%}
{%- set think = thinking | default(false) or enable_thinking | default(false) -%}
{%- set drop = think and drop_thinking | default(true) -%}
{%- set state = namespace(question=-1, calls=0, results=0) -%}
{%- for message in messages -%}
  {%- if message.role in ['user', 'developer'] -%}{%- set state.question = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{{- '<｜begin▁of▁sentence｜>' -}}
{%- if tools and messages[0].role != 'system' -%}{{- extras(tools, none) -}}{%- endif -%}
{%- for message in messages -%}
  {%- set prompted = add_generation_prompt or not loop.last -%}
  {%- set opening = '<think>' if think and loop.index0 >= state.question else '</think>' -%}
  {%- if message.content is defined and message.content is not string -%}
    {{- raise_exception('message ' ~ loop.index0 ~ ': content must be text') -}}
  {%- endif -%}
  {%- if message.role == 'system' -%}
    {{- message.content -}}
    {{- extras(message.tools or (tools if loop.first), message.response_format) -}}
  {%- elif message.role in ['user', 'developer'] -%}
    {%- if message.role == 'user' or not drop or loop.index0 == state.question -%}
      {{- '<｜User｜>' -}}
      {%- if message.role == 'developer' -%}
        {{- extras(message.tools, message.response_format) ~ '\n\n# The user\'s message is: ' -}}
      {%- endif -%}
      {{- message.content -}}
      {%- if prompted -%}{{- '<｜Assistant｜>' ~ opening -}}{%- endif -%}
    {%- endif -%}
  {%- elif message.role == 'tool' -%}
    {%- set state.results = state.results + 1 -%}
    {%- if state.results > state.calls -%}
      {{- raise_exception('message ' ~ loop.index0 ~ ' (tool) has no call before it') -}}
    {%- endif -%}
    {%- if state.results == 1 -%}{{- '\n\n<function_results>' -}}{%- endif -%}
    {{- '\n<result>' ~ message.content ~ '</result>' -}}
    {%- if state.results == state.calls -%}
      {{- '\n</function_results>' -}}
      {%- if prompted -%}{{- '\n\n' ~ opening -}}{%- endif -%}
    {%- endif -%}
  {%- elif message.role == 'assistant' -%}
    {%- if think and loop.index0 > state.question -%}{{- message.reasoning_content ~ '</think>' -}}{%- endif -%}
    {{- message.content -}}
    {%- if message.tool_calls -%}
      {{- '\n\n<｜DSML｜function_calls>\n' -}}
      {%- for call in message.tool_calls -%}
        {{- '<｜DSML｜invoke name="' ~ call.function.name ~ '">\n' -}}
        {%- set given = call.function.arguments -%}
        {%- set arguments = hone_from_json(given) if given is string else given -%}
        {%- if arguments is not mapping -%}
          {{- raise_exception('message ' ~ loop.index0 ~ ' (assistant): the arguments of a tool call must be a JSON object') -}}
        {%- endif -%}
        {{- parameters(arguments) -}}
        {{- '\n</｜DSML｜invoke>\n' -}}
      {%- endfor -%}
      {{- '</｜DSML｜function_calls>' -}}
    {%- endif -%}
    {{- '<｜end▁of▁sentence｜>' -}}
  {%- else -%}
    {{- raise_exception('message ' ~ loop.index0 ~ ' has the unknown role ' ~ message.role) -}}
  {%- endif -%}
  {%- if message.role != 'tool' -%}
    {%- set state.calls = message.tool_calls | default([]) | length -%}
    {%- set state.results = 0 -%}
  {%- endif -%}
{%- endfor -%}
)jinja";

const std::string kDeepSeekV4 = kMacros + R"jinja(
{%- set tool_text -%}
## Tools

You have access to a set of tools to help answer the user's question. You can invoke tools by writing a "<｜DSML｜tool_calls>" block like the following:

<｜DSML｜tool_calls>
<｜DSML｜invoke name="$TOOL_NAME">
<｜DSML｜parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
...
</｜DSML｜invoke>
<｜DSML｜invoke name="$TOOL_NAME2">
...
</｜DSML｜invoke>
</｜DSML｜tool_calls>

String parameters should be specified as is and set `string="true"`. For all other types (numbers, booleans, arrays, objects), pass the value in JSON format and set `string="false"`.

If thinking_mode is enabled (triggered by <think>), you MUST output your complete reasoning inside <think>...</think> BEFORE any tool calls or final response.

Otherwise, output directly after </think> with tool calls or final response.

### Available Tool Schemas
{%- endset -%}
{%- macro extras(list, format) -%}
  {{- told(list, format, tool_text ~ '\n\n', '\nYou MUST strictly follow the above defined tool name and parameter schemas to invoke tool calls.\n') -}}
{%- endmacro -%}
{%- macro joined(parts) -%}
  {%- for part in parts -%}
    {%- if not loop.first -%}{{- '\n\n' -}}{%- endif -%}
    {{- part.text if part.type == 'text' else '[Unsupported ' ~ part.type ~ ']' -}}
  {%- endfor -%}
{%- endmacro -%}
{#- A question and the results of tools that stand together are one message of blocks. -#}
{%- set state = namespace(turns=[], open=none, order=[], defines=tools, question=-1) -%}
{%- for message in messages -%}
  {%- if message.tools -%}{%- set state.defines = true -%}{%- endif -%}
  {%- if message.role in ['user', 'tool'] -%}
    {%- set block = {'tool': message.role == 'tool', 'id': message.tool_call_id,
                     'text': (message.content or '') if message.content is string or not message.content else joined(message.content)} -%}
    {%- if state.open and (message.role == 'tool' or not state.open.task) -%}
      {%- set state.open = {'role': 'user', 'task': state.open.task, 'blocks': state.open.blocks + [block]} -%}
    {%- else -%}
      {%- if state.open -%}{%- set state.turns = state.turns + [state.open] -%}{%- endif -%}
      {%- set state.open = {'role': 'user', 'task': message.task | default(none), 'blocks': [block]} -%}
    {%- endif -%}
  {%- else -%}
    {%- if state.open -%}{%- set state.turns = state.turns + [state.open] -%}{%- endif -%}
    {%- set state.open = none -%}
    {%- set state.turns = state.turns + [message] -%}
  {%- endif -%}
{%- endfor -%}
{%- if state.open -%}{%- set state.turns = state.turns + [state.open] -%}{%- endif -%}
{%- set think = thinking | default(false) or enable_thinking | default(false) -%}
{%- set drop = drop_thinking | default(true) and not state.defines -%}
{%- if tools and state.turns[0].role != 'system' -%}
  {%- set state.turns = [{'role': 'system', 'content': ''}] + state.turns -%}
{%- endif -%}
{%- for turn in state.turns -%}
  {%- if turn.role in ['user', 'developer'] -%}{%- set state.question = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- if think and drop -%}
  {%- set kept = namespace(turns=[], question=-1) -%}
  {%- for turn in state.turns -%}
    {%- if turn.role != 'developer' or loop.index0 >= state.question -%}
      {%- if turn.role in ['user', 'developer'] -%}{%- set kept.question = kept.turns | length -%}{%- endif -%}
      {%- set kept.turns = kept.turns + [turn] -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set state.turns = kept.turns -%}
  {%- set state.question = kept.question -%}
{%- endif -%}
{{- '<｜begin▁of▁sentence｜>' -}}
{%- if think and reasoning_effort | default(none) == 'max' -%}
  {{- 'Reasoning Effort: Absolute maximum with no shortcuts permitted.\nYou MUST be very thorough in your thinking and comprehensively decompose the problem to resolve the root cause, rigorously stress-testing your logic against all potential paths, edge cases, and adversarial scenarios.\nExplicitly write out your entire deliberation process, documenting every intermediate step, considered alternative, and rejected hypothesis to ensure absolutely no assumption is left unchecked.\n\n' -}}
{%- endif -%}
{%- for turn in state.turns -%}
  {%- if turn.content is defined and turn.content is not string -%}
    {{- raise_exception('a message (' ~ turn.role ~ ') whose content is no text') -}}
  {%- endif -%}
  {%- if turn.role == 'system' -%}
    {{- turn.content -}}
    {{- extras(turn.tools or (tools if loop.first), turn.response_format) -}}
  {%- elif turn.role == 'developer' -%}
    {{- '<｜User｜>' ~ turn.content -}}
    {{- extras(turn.tools, turn.response_format) -}}
  {%- elif turn.role == 'user' -%}
    {%- set results = namespace(sorted=[], taken=0) -%}
    {%- set found = turn.blocks | selectattr('tool') | list -%}
    {%- if found | length > 1 and state.order -%}
      {#- In the order of their calls; those of unknown calls with the first. -#}
      {%- for id in state.order -%}
        {%- set place = loop.index0 -%}
        {%- for block in found -%}
          {%- if block.id == id or place == 0 and block.id not in state.order -%}
            {%- set results.sorted = results.sorted + [block] -%}
          {%- endif -%}
        {%- endfor -%}
      {%- endfor -%}
    {%- else -%}
      {%- set results.sorted = found -%}
    {%- endif -%}
    {{- '<｜User｜>' -}}
    {%- for block in turn.blocks -%}
      {%- if not loop.first -%}{{- '\n\n' -}}{%- endif -%}
      {%- if block.tool -%}
        {{- '<tool_result>' ~ results.sorted[results.taken].text ~ '</tool_result>' -}}
        {%- set results.taken = results.taken + 1 -%}
      {%- else -%}
        {{- block.text -}}
      {%- endif -%}
    {%- endfor -%}
  {%- elif turn.role == 'latest_reminder' -%}
    {{- '<｜latest_reminder｜>' ~ turn.content -}}
  {%- elif turn.role == 'assistant' -%}
    {%- if think and not (loop.previtem is defined and loop.previtem.task) and (not drop or loop.index0 > state.question) -%}
      {{- turn.reasoning_content ~ '</think>' -}}
    {%- endif -%}
    {{- turn.content -}}
    {%- if turn.tool_calls -%}
      {%- set state.order = turn.tool_calls | map(attribute='id', default='') | select | list -%}
      {{- '\n\n<｜DSML｜tool_calls>\n' -}}
      {%- for call in turn.tool_calls -%}
        {{- '<｜DSML｜invoke name="' ~ call.function.name ~ '">\n' -}}
        {%- set given = call.function.arguments -%}
        {%- set read = hone_from_json(given) if given is string else given -%}
        {{- parameters(read if read is mapping else {'arguments': given}) -}}
        {{- '\n</｜DSML｜invoke>\n' -}}
      {%- endfor -%}
      {{- '</｜DSML｜tool_calls>' -}}
    {%- endif -%}
    {%- if not turn.wo_eos -%}{{- '<｜end▁of▁sentence｜>' -}}{%- endif -%}
  {%- else -%}
    {{- raise_exception('a message has the unknown role ' ~ turn.role) -}}
  {%- endif -%}
  {%- if (add_generation_prompt or not loop.last) and (loop.last or loop.nextitem.role in ['assistant', 'latest_reminder']) -%}
    {%- if turn.task and turn.task != 'action' -%}
      {{- '<｜' ~ turn.task ~ '｜>' -}}
    {%- elif turn.task -%}
      {{- '<｜Assistant｜>' ~ ('<think>' if think else '</think>') ~ '<｜action｜>' -}}
    {%- elif turn.role in ['user', 'developer'] -%}
      {{- '<｜Assistant｜>' ~ ('<think>' if think and (not drop or loop.index0 >= state.question) else '</think>') -}}
    {%- endif -%}
  {%- endif -%}
{%- endfor -%}
)jinja";

}  // namespace

const char* makers_encoding(const std::string& model_type) {
  if (model_type == "deepseek_v32") return kDeepSeekV32.c_str();
  if (model_type == "deepseek_v4") return kDeepSeekV4.c_str();
  return nullptr;
}

}  // namespace hone::text
