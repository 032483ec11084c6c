/// A SQLite study in a folder of its own.
#pragma once
#include <sqlite3.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "hone/tune/storage/storage.h"
#include "support/temporary_folder.h"

namespace hone::tune {

inline constexpr StorageOptions kImpatient{.patience = 0.3};

/// Runs SQL past the library; returns the first column of the last row, "" if none.
inline std::string run_sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  std::string last;
  const auto take = [](void* to, int, char** cells, char**) {
    *static_cast<std::string*>(to) = cells[0] ? cells[0] : "NULL";
    return 0;
  };
  char* why = nullptr;
  const bool good = sqlite3_open(path.c_str(), &db) == SQLITE_OK &&
                    sqlite3_exec(db, sql.c_str(), take, &last, &why) == SQLITE_OK;
  const std::string message = good ? "" : std::string(why ? why : sqlite3_errmsg(db));
  sqlite3_free(why);
  sqlite3_close(db);
  if (!good) throw std::runtime_error(sql + ": " + message);
  return last;
}

struct StudyFile {
  TemporaryFolder folder;
  std::string path = folder.path + "/study.db";
  std::unique_ptr<Storage> storage = open_storage(path, kImpatient);
  Study study = storage->create_study("s", {Direction::kMinimize});

  std::unique_ptr<Storage> open() const { return open_storage(path, kImpatient); }
  std::string sql(const std::string& text) const { return run_sql(path, text); }
  Trial running() { return storage->create_trial(study.id); }
  /// Enqueues a trial with the given value of x.
  Trial enqueue(double x) {
    Trial waiting;
    waiting.state = TrialState::kWaiting;
    waiting.params = {{"x", x, FloatDistribution{0, 10}}};
    return storage->create_trial(study.id, &waiting);
  }
};

}  // namespace hone::tune
