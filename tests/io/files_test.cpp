#include "hone/io/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <utility>

#include "hone/core/error.h"
#include "hone/core/file.h"
#include "support.h"

namespace hone::io {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST_CASE("a failure names path, purpose and the system's reason") {
  errno = ENOSPC;
  CHECK_THROWS_WITH(throw_errno("a/b", "cannot write"),
                    "a/b: cannot write: No space left on device");
  CHECK_THROWS_WITH(Descriptor("/no/file", O_RDONLY, "read"),
                    "/no/file: cannot read: No such file or directory");
}

TEST_CASE("a descriptor closes itself, once, and is none's after it has moved") {
  const TemporaryFolder root;
  int first = -1, second = -1;
  {
    Descriptor a(root.file("a"), O_WRONLY | O_CREAT, "create");
    first = a.get();
    CHECK((::fcntl(first, F_GETFD) & FD_CLOEXEC) != 0);
    Descriptor moved = std::move(a);
    CHECK(a.get() == -1);
    CHECK(moved.get() == first);
    Descriptor b(root.file("b"), O_WRONLY | O_CREAT, "create");
    second = b.get();
    moved = std::move(b);
    CHECK(moved.get() == second);
    CHECK(Descriptor().get() == -1);
  }
  CHECK_FALSE(is_open(first));
  CHECK_FALSE(is_open(second));
}

TEST_CASE("files are made, cut to what is written, and written to their end") {
  const TemporaryFolder root;
  const std::string path = root.file("f");
  write_file(path, "a long text");
  write_file(path, "short");
  CHECK(read_file(path) == "short");
  write_file(path, "");
  CHECK(read_file(path) == "");
  const std::string large(std::size_t{3} << 20, 'x');
  write_all(Descriptor(path, O_WRONLY | O_APPEND, "open"), path, large);
  CHECK(read_file(path) == large);
  CHECK_THROWS_WITH(write_file(root.file("no/f"), "x"),
                    root.file("no/f") + ": cannot create: No such file or directory");
  CHECK_THROWS_WITH(write_all(Descriptor(path, O_RDONLY, "open"), path, "abc"),
                    path + ": cannot write 3 bytes: Bad file descriptor");
}

TEST_CASE("what is there exists, a dangling link too") {
  const TemporaryFolder root;
  CHECK_FALSE(path_exists(root.file("a")));
  fs::create_symlink("/nowhere", root.file("a"));
  CHECK(path_exists(root.file("a")));
  CHECK(path_exists(root.path));
}

TEST_CASE("files and folders are flushed by path; what cannot be is said") {
  const TemporaryFolder root;
  CHECK_NOTHROW(sync_path(root.write("f", "x")));
  CHECK_NOTHROW(sync_path(root.path));
  CHECK_THROWS_WITH(sync_path(root.file("no")),
                    Catch::StartsWith(root.file("no") + ": cannot open"));
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string pipe = "/proc/self/fd/" + std::to_string(ends[1]);
  CHECK_THROWS_WITH(sync(Descriptor(pipe, O_WRONLY, "open"), "p"),
                    "p: cannot flush to disk: Invalid argument");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("folders of paths, and names beside them") {
  CHECK(parent_folder("a") == ".");
  CHECK(parent_folder("/a") == "/");
  CHECK(parent_folder("a/b") == "a");
  CHECK(parent_folder("/a/b/c") == "/a/b");
  CHECK(temporary_name("run") == "run.tmp-" + std::to_string(::getpid()));
}

}  // namespace
}  // namespace hone::io
