/// Columns of a data set under other names than its format's.
#pragma once
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "hone/core/json.h"

namespace hone::data::detail {

/// The names that rows of any format know, e.g. "prompt".
const std::vector<std::string>& column_names();

/// Whether rows may lack the column, e.g. "system".
bool is_optional_column(const std::string& name);

/// The keys of an object for a message, `"a", "b"`, the first few.
std::string shown_keys(const Json& row);

/// Gives rows the names that their format knows. Safe for several threads.
class ColumnMap {
 public:
  /// `names[ours]` is the name in the files.
  explicit ColumnMap(std::map<std::string, std::string> names);

  /// The row with the mapped columns under our names; what else is named so is gone, further
  /// columns stay. Throws: Error if a column that is needed is not there; it names those that are.
  Json rename(Json row) const;

  bool maps(const std::string& ours) const { return names_.contains(ours); }

  /// Throws: Error if a column was in none of the rows.
  void check_used() const;

 private:
  std::map<std::string, std::string> names_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, bool> seen_;  ///< by our name
  mutable std::string last_keys_;
  mutable std::atomic<bool> all_seen_ = false;
};

}  // namespace hone::data::detail
