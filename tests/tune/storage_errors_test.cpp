#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "hone/core/file.h"
#include "storage_fixture.h"
#include "support/catch.h"

using namespace hone;
using namespace hone::tune;

namespace {

/// Runs `body` in a forked child; true if it returned true there.
template <class Body>
bool in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    bool good = false;
    try {
      good = body();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
    }
    _exit(good ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  return status == 0;
}

template <class Body>
bool throws_with(Body body, const std::string& part) {
  try {
    body();
  } catch (const IoError& error) {
    if (std::string(error.what()).find(part) != std::string::npos) return true;
    std::fprintf(stderr, "other error: %s\n", error.what());
  }
  return false;
}

}  // namespace

TEST_CASE("Places where no study can be") {
  TemporaryFolder folder;
  const auto refused = [](const std::string& url, const char* why) {
    INFO(url);
    CHECK_THROWS_WITH(open_storage(url, kImpatient), Catch::Contains(why));
    CHECK_THROWS_AS(open_storage(url, kImpatient), IoError);
  };
  refused(folder.path + "/no/such/study.db", "the folder must exist");
  refused(folder.path + "/no/such/study.db", "(No such file or directory)");
  refused(folder.path, "the folder must exist");
  refused("", "the URL is empty");
  refused("sqlite:///", "names no file");
  refused("sqlite:///a.db?timeout=3", "not supported");
  refused("mysql://root@localhost/x", "expected sqlite:// or postgresql://");

  const std::string text = folder.path + "/text";
  std::ofstream(text) << std::string(2000, 'x');
  refused(text, "is no SQLite database");
  const std::string foreign = folder.path + "/foreign.db";
  run_sql(foreign, "CREATE TABLE accounts (id INTEGER)");
  refused(foreign, "another program's database, with the table accounts");
  CHECK(run_sql(foreign, "SELECT COUNT(*) FROM sqlite_master") == "1");
}

TEST_CASE("A server that does not answer is named, with what it must be") {
  CHECK_THROWS_WITH(open_storage("postgresql://127.0.0.1:1/x", kImpatient),
                    Catch::StartsWith("postgresql://127.0.0.1:1/x: ") &&
                        Catch::Contains("Connection refused") &&
                        Catch::Contains("the server must run and the database exist"));
}

TEST_CASE("Paths and URLs name the same file") {
  TemporaryFolder folder;
  const std::string path = folder.path + "/study.db";
  open_storage("sqlite:///" + path)->create_study("s", {Direction::kMinimize});
  CHECK(open_storage("sqlite+pysqlite:///" + path)->find_study("s"));
  CHECK(open_storage(path)->find_study("s"));
}

TEST_CASE("Schemas that are not ours to touch") {
  const auto refused = [](const char* sql, const char* why) {
    INFO(sql);
    StudyFile file;
    file.sql(sql);
    CHECK_THROWS_WITH(file.open(), Catch::Contains(why));
  };
  refused("UPDATE alembic_version SET version_num = 'v9.0.0.a'", "the schema's revision is v9.0.0");
  refused("UPDATE alembic_version SET version_num = 'v2.6.0.a'", "optuna storage upgrade");
  refused("DELETE FROM alembic_version", "the row of alembic_version is missing");
  refused("DROP TABLE trial_params", "the table trial_params is missing");
  refused("ALTER TABLE trials RENAME COLUMN state TO status", "the column trials.state is missing");
}

TEST_CASE("Broken rows are named") {
  const auto refused = [](const char* sql, const char* why) {
    INFO(sql);
    StudyFile file;
    Trial trial;
    trial.state = TrialState::kComplete;
    trial.values = {1};
    trial.params = {{"c", 0, CategoricalDistribution{{"a"}}}};
    trial.intermediate = {{1, 2}};
    trial.user_attrs = {{"k", 1}};
    file.storage->create_trial(file.study.id, &trial);
    file.sql(sql);
    const auto fresh = file.open();
    CHECK_THROWS_WITH(fresh->trials(file.study.id),
                      Catch::Contains(why) && Catch::Contains(file.path));
    CHECK_THROWS_AS(fresh->trials(file.study.id), IoError);
  };
  refused("UPDATE trials SET state = 'DREAMING'", "state of the row with trial_id 1");
  refused("UPDATE trials SET number = NULL", "number of the row with trial_id 1 holds NULL");
  refused("UPDATE trials SET number = 'one'", "holds 'one': an integer is expected");
  refused("UPDATE trials SET datetime_start = 'yesterday'", "a time YYYY-MM-DD");
  refused("UPDATE trials SET datetime_start = '2026-02-30 00:00:00.000000'", "a time YYYY-MM-DD");
  refused("UPDATE trial_params SET distribution_json = '{'", "a distribution in JSON");
  refused("UPDATE trial_params SET distribution_json = '{\"name\": \"Zipf\", \"attributes\": {}}'",
          "there is no distribution Zipf");
  refused("UPDATE trial_params SET param_value = 3", "the index of a choice");
  refused("UPDATE trial_params SET param_value = NULL", "a number is expected");
  refused("UPDATE trial_params SET param_value = 1e999", "a finite value is expected");
  refused("UPDATE trial_params SET param_name = CAST(x'8d41' AS TEXT)", "a text in UTF-8");
  refused("UPDATE trial_values SET value_type = 'HUGE'", "one of FINITE");
  refused("UPDATE trial_values SET value = NULL", "a number is expected");
  refused("UPDATE trial_values SET objective = 1", "objective 0 is expected");
  refused("UPDATE trial_user_attributes SET value_json = '{\"a\"'", "JSON is expected");
  const std::string deep = std::string(100, '[') + "NaN" + std::string(100, ']');
  refused(("UPDATE trial_user_attributes SET value_json = '" + deep + "'").c_str(),
          "JSON is expected");
  StudyFile file;
  file.sql("UPDATE study_directions SET direction = 'NOT_SET'");
  CHECK_THROWS_WITH(file.storage->find_study("s"),
                    Catch::Contains("one of MINIMIZE, MAXIMIZE is expected"));
  file.sql("DELETE FROM study_directions");
  CHECK_THROWS_WITH(file.storage->find_study("s"), Catch::Contains("none of the study s"));
}

TEST_CASE("Python's words for numbers are read as strings, never written") {
  StudyFile file;
  Trial trial = file.running();
  file.storage->set_trial_attrs(trial.id, {{"k", 1}, {"ours", {1.0, NAN, -INFINITY}}});
  CHECK(file.sql("SELECT value_json FROM trial_user_attributes WHERE \"key\" = 'ours'") ==
        "[1.0,null,null]");
  const auto reads = [&](const std::string& text, const Json& expected) {
    INFO(text);
    file.sql("UPDATE trial_user_attributes SET value_json = '" + text + "' WHERE \"key\" = 'k'");
    CHECK(file.storage->trial(trial.id).user_attrs.at("k") == expected);
  };
  reads("NaN", "NaN");
  reads(R"([-Infinity, {"NaN": Infinity}, "say \"NaN\""])",
        Json{"-Infinity", {{"NaN", "Infinity"}}, "say \"NaN\""});
  reads("100000000000000000000000", 1e23);
  file.sql("UPDATE trial_user_attributes SET value_json = NULL WHERE \"key\" = 'k'");
  CHECK(file.storage->trial(trial.id).user_attrs.at("k") == Json(nullptr));
}

TEST_CASE("A damaged file is called damaged") {
  StudyFile file;
  for (int i = 0; i < 50; ++i) file.enqueue(1);
  file.storage.reset();
  const auto size = std::filesystem::file_size(file.path);
  std::filesystem::resize_file(file.path, size / 2 / 4096 * 4096);
  CHECK_THROWS_WITH(file.open()->trials(1),
                    Catch::Contains("malformed") && Catch::Contains("restore a copy"));
}

TEST_CASE("A file in a read-only folder can be read, not written") {
  StudyFile file;
  file.storage.reset();
  std::filesystem::permissions(file.path, std::filesystem::perms(0444));
  std::filesystem::permissions(file.folder.path, std::filesystem::perms(0555));
  CHECK(in_child([&] {
    if (geteuid() == 0 && setuid(65534) != 0) return false;
    const auto storage = file.open();
    return storage->find_study("s").has_value() &&
           throws_with([&] { storage->create_trial(1); }, "must be writable") &&
           throws_with([&] { open_storage(file.folder.path + "/new.db"); }, "must exist");
  }));
  std::filesystem::permissions(file.folder.path, std::filesystem::perms(0755));
}

TEST_CASE("A lock that is never released is an error that says so") {
  StudyFile file;
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(file.path.c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr) == SQLITE_OK);
  CHECK_THROWS_WITH(file.running(), Catch::Contains("is locked by another process for more than"));
  CHECK_THROWS_WITH(file.storage->trials(1), Catch::Contains("is locked"));
  CHECK_THROWS_WITH(file.open(), Catch::Contains("is locked"));
  sqlite3_close(db);
  CHECK(file.running().number == 0);
}

TEST_CASE("A storage does not cross fork") {
  StudyFile file;
  CHECK(in_child([&] {
    const bool refused = throws_with([&] { file.storage->trials(1); }, "does not survive fork()");
    file.storage.reset();
    return refused && file.open()->create_trial(1).number == 0;
  }));
  CHECK(file.running().number == 1);
}
