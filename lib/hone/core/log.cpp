#include "hone/core/log.h"

#include <mutex>

#include "hone/core/utf8.h"

namespace hone {
namespace {

std::mutex mutex;
LogSink current_sink;

void log(LogLevel level, std::string_view message) {
  const std::lock_guard lock(mutex);
  if (current_sink) current_sink(level, printable(message));
}

}  // namespace

void set_log_sink(LogSink sink) {
  const std::lock_guard lock(mutex);
  current_sink = std::move(sink);
}

void log_info(std::string_view message) { log(LogLevel::kInfo, message); }
void log_warning(std::string_view message) { log(LogLevel::kWarning, message); }

}  // namespace hone
