/// Tools as text, for chat templates that know none.
#pragma once
#include <string>

#include "hone/core/json.h"
#include "hone/data/detail/sample.h"
#include "hone/data/options.h"
#include "hone/text/chat_tools.h"

namespace hone::data::detail {

/// The conversation with its `lost` parts written into the contents of its messages, in the form of
/// a family (docs/data.md shows each): definitions behind the system text, calls behind what the
/// assistant says, results as what the user says. Where calls are lost, results are written too,
/// though the template would show them in a way of its own.
/// Throws: Error naming the message for arguments that are no JSON.
ChatSample with_tools_as_text(const ChatSample& sample, ToolForm form, const text::ToolParts& lost);

/// JSON as Python's json.dumps(ensure_ascii=False) writes it, which is what templates do.
std::string python_json(const Json& json);

}  // namespace hone::data::detail
