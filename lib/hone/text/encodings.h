/// Encodings of conversations that come as a program of their makers, beside a checkpoint without a
/// chat template.
#pragma once
#include <string>

namespace hone::text {

/// The chat template that renders what the makers' program renders; null where there is none.
/// `model_type` is config.json's: "deepseek_v32" (encoding/encoding_dsv32.py of DeepSeek-V3.2) and
/// "deepseek_v4" (encoding/encoding_dsv4.py of DeepSeek-V4).
///
/// Variables: `thinking` or `enable_thinking` (false: the program's mode "chat"), `drop_thinking`
/// (true: thoughts before the last question are left out), and for V4 `reasoning_effort` ("max").
/// Messages may have what the programs know: "tools", "response_format", the roles "developer" and
/// "latest_reminder", "task" and "wo_eos". `tools` belongs to the first message if that is the
/// system's, else to an empty one in front. Where the programs end in the prompt for the
/// assistant's turn, that prompt is left out unless add_generation_prompt asks for it.
///
/// One difference, to V3.2's program alone: it fails, in mode "thinking", at a last turn that
/// neither thinks nor calls a tool; here its thought is empty, as in V4's.
const char* makers_encoding(const std::string& model_type);

}  // namespace hone::text
