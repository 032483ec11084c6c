/// Where the library's messages go. The library itself never prints.
#pragma once
#include <functional>
#include <string>
#include <string_view>

namespace hone {

enum class LogLevel { kInfo, kWarning };

using LogSink = std::function<void(LogLevel, std::string_view)>;

/// Replaces the sink, which may be called from any thread, one call at a time, and must not log
/// itself; messages are dropped until one is set.
void set_log_sink(LogSink sink);

void log_info(std::string_view message);
void log_warning(std::string_view message);

}  // namespace hone
