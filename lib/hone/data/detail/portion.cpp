#include "hone/data/detail/portion.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/hash.h"
#include "hone/data/detail/sample.h"

namespace hone::data::detail {
namespace {

/// Rows of the same text.
struct Group {
  std::string rank;  ///< of the order in which groups are held out
  int64_t rows = 0;
};

/// What makes two rows the same to a model that reads them.
std::string text_key(const Sample& sample) {
  std::string all;
  if (const auto* tokens = std::get_if<TokenSample>(&sample)) {
    all.assign(reinterpret_cast<const char*>(tokens->ids.data()),
               tokens->ids.size() * sizeof(tokens->ids[0]));
  } else {
    for (const std::string& text : sample_texts(sample)) all += text + '\0';
  }
  return hash_bytes(all);
}

int64_t wanted_rows(const SplitOptions& split, int64_t rows) {
  if (split.rows) return *split.rows;
  return std::max<int64_t>(1, std::llround(*split.share * static_cast<double>(rows)));
}

/// `bad` is the first row that could not be read, which stops the run unless bad rows are skipped.
[[noreturn]] void refuse(const DatasetOptions& options, const std::optional<DataError>& bad,
                         int64_t wanted, int64_t rows, size_t texts) {
  if (bad && options.on_bad_row == OnBadRow::kStop) throw *bad;
  throw Error("data set \"" + options.label() + "\": validation would hold out " +
              std::to_string(wanted) + " of its " + std::to_string(rows) + " rows (" +
              std::to_string(texts) +
              " different texts), and nothing would be left to train on; hold out fewer, or name "
              "held-out data of their own in data.held_out");
}

}  // namespace

std::vector<bool> held_out_rows(const DatasetOptions& options) {
  const SplitOptions& split = options.portion->split;
  std::vector<std::string> keys;  // "" for a bad row
  std::unordered_map<std::string, Group> groups;
  RowSource source(options);
  int64_t rows = 0;
  std::optional<DataError> bad;
  for (RawRow row; source.next(row); row = {}) {
    std::string key;
    try {
      key = text_key(parse_row(row, options.chat_form == ChatForm::kPlain));
    } catch (const IoError&) {
      throw;
    } catch (const Error& error) {
      // Told by who reads the training side, on which it stays.
      if (!bad) bad.emplace(row.file->path, row.line, error.what());
    }
    if (!key.empty()) {
      ++rows;
      Group& group = groups[key];
      if (++group.rows == 1) group.rank = hash_bytes(std::to_string(split.seed) + "/" + key);
    }
    keys.push_back(std::move(key));
  }
  source.check_columns();
  std::vector<std::pair<std::string, std::string>> order;  // rank, key
  for (const auto& [key, group] : groups) order.emplace_back(group.rank, key);
  std::sort(order.begin(), order.end());

  const int64_t wanted = wanted_rows(split, rows);
  if (wanted >= rows || groups.size() < 2) refuse(options, bad, wanted, rows, groups.size());
  int64_t taken = 0;
  std::unordered_map<std::string, bool> held_out;
  for (const auto& [rank, key] : order) {
    const int64_t more = groups.at(key).rows;
    if (taken + more > wanted) continue;
    held_out[key] = true;
    if ((taken += more) == wanted) break;
  }
  if (taken == 0) refuse(options, bad, wanted, rows, groups.size());
  std::vector<bool> sides;
  sides.reserve(keys.size());
  for (const std::string& key : keys) sides.push_back(!key.empty() && held_out.contains(key));
  return sides;
}

PortionRows::PortionRows(const DatasetOptions& options)
    : held_out_(options.portion ? held_out_rows(options) : std::vector<bool>()),
      wanted_(options.portion && options.portion->held_out),
      all_(!options.portion),
      source_(options) {}

bool PortionRows::next(RawRow& row) {
  while (source_.next(row)) {
    const size_t index = index_++;
    if (all_) return true;
    if (index >= held_out_.size()) throw IoError(row.file->path, "grew while it was read");
    if (held_out_[index] == wanted_) return true;
  }
  return false;
}

}  // namespace hone::data::detail
