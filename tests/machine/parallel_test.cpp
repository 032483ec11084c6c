#include "hone/machine/parallel.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "support/catch.h"

namespace hone::machine {
namespace {

/// Restores the thread count that the test changes.
struct Threads {
  explicit Threads(int count) : before(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before); }
  int before;
};

TEST_CASE("parallel_for covers each item once, on the pool's threads") {
  const Threads threads(3);
  for (const int64_t count : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> seen(count);
    std::mutex mutex;
    std::set<std::thread::id> ids;
    machine::parallel_for(count, 2, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++seen[i];
      const std::lock_guard lock(mutex);
      ids.insert(std::this_thread::get_id());
    });
    for (const auto& times : seen) CHECK(times == 1);
    CHECK(ids.size() == static_cast<size_t>(std::min<int64_t>(3, (count + 1) / 2)));
  }
}

TEST_CASE("parallel_for inside parallel_for runs in place") {
  const Threads threads(2);
  std::atomic<int> outer = 0, inner = 0;
  machine::parallel_for(2, 1, [&](int64_t, int64_t) {
    ++outer;
    machine::parallel_for(100, 1, [&](int64_t begin, int64_t end) {
      CHECK((begin == 0 && end == 100));
      ++inner;
    });
  });
  CHECK(outer == 2);
  CHECK(inner == 2);
}

TEST_CASE("parallel_for rethrows what a range throws") {
  const Threads threads(2);
  CHECK_THROWS_WITH(machine::parallel_for(2, 1,
                                          [](int64_t begin, int64_t) {
                                            if (begin == 1) throw std::runtime_error("range 1");
                                          }),
                    "range 1");
}

TEST_CASE("subnormals are flushed in every thread of the pool, and not after switching back") {
  const Threads threads(2);
  const auto survivors = [] {
    std::atomic<int> count = 0;
    machine::parallel_for(2, 1, [&](int64_t, int64_t) {
      volatile float tiny = 1e-30f;
      volatile float product = tiny * 1e-10f;  // 1e-40, below the smallest normal float
      if (product != 0) ++count;
    });
    return count.load();
  };
  REQUIRE(survivors() == 2);
  machine::set_flush_subnormals(true);
  CHECK(survivors() == 0);
  machine::set_flush_subnormals(false);
  CHECK(survivors() == 2);
}

}  // namespace
}  // namespace hone::machine
