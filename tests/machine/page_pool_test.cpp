#include "hone/machine/page_pool.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "hone/core/sanitizer.h"
#include "support/catch.h"

namespace hone::machine {
namespace {

constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;

/// Bytes that the kernel says of this process.
size_t status(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return std::stoull(line.substr(key.size())) * kKiB;
  }
  return 0;
}

/// Anonymous memory that the kernel has found pages for, the sanitizer's shadow among it.
size_t resident() { return status("RssAnon:"); }

struct Block {
  unsigned char* data;
  size_t size;
  unsigned char mark;

  bool intact() const {
    for (size_t i = 0; i < size; i += 4 * kKiB) {
      if (data[i] != mark) return false;
    }
    return data[size - 1] == mark;
  }
};

Block take(PagePool& pool, size_t size, unsigned char mark) {
  Block block{static_cast<unsigned char*>(pool.allocate(size)), size, mark};
  REQUIRE(block.data);
  std::memset(block.data, mark, size);
  return block;
}

TEST_CASE("PagePool: a large block is put together from small free ones") {
  machine::PagePool pool;
  std::vector<Block> blocks;
  for (unsigned char i = 0; i < 32; ++i) blocks.push_back(take(pool, kMiB, i));
  const size_t before = resident();
  for (size_t i = 0; i < 32; i += 2) pool.release(blocks[i].data);  // 16 holes of 1 MiB
  const Block large = take(pool, 16 * kMiB, 99);
  CHECK(large.intact());
  CHECK(pool.statistics().held == 32 * kMiB);
  CHECK(pool.statistics().moves >= 16);
  CHECK((kAddressSanitizer || resident() < before + kMiB));
  for (size_t i = 1; i < 32; i += 2) CHECK(blocks[i].intact());
}

TEST_CASE("PagePool never holds more than was in use at once, and keeps contents") {
  machine::PagePool pool;
  std::mt19937 random(5);
  std::vector<Block> blocks;
  const size_t before = resident();
  size_t most = 0;
  for (int i = 0; i < 4000; ++i) {
    const bool full = pool.statistics().used > 100 * kMiB;
    if (!blocks.empty() && (full || random() % 2 == 0)) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      REQUIRE(blocks.back().intact());
      REQUIRE(pool.release(blocks.back().data));
      blocks.pop_back();
    } else {
      const size_t size = (64 + random() % 448) * kKiB << random() % 5;
      blocks.push_back(take(pool, size + random() % kKiB, static_cast<unsigned char>(i)));
    }
    most = std::max(most, resident() - before);
  }
  const machine::PagePool::Statistics end = pool.statistics();
  CHECK(end.most_used > 100 * kMiB);
  CHECK(end.most_held == end.most_used);
  CHECK(end.moves > 0);
  CHECK((kAddressSanitizer || most < end.most_used + 4 * kMiB));  // and the test's own

  pool.trim();
  CHECK(pool.statistics().held == pool.statistics().used);
  CHECK((kAddressSanitizer || resident() < before + pool.statistics().used + 4 * kMiB));
  for (const Block& block : blocks) {
    CHECK(block.intact());
    CHECK(pool.release(block.data));
  }
}

TEST_CASE("PagePool serves several threads, each block to one") {
  machine::PagePool pool;
  std::vector<std::thread> threads;
  std::vector<int> faults(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 500; ++i) {
        const size_t size = (256 + random() % 2000) * kKiB;
        auto* data = static_cast<unsigned char*>(pool.allocate(size));
        std::memset(data, t, size);
        for (size_t k = 0; k < size; k += 4 * kKiB) faults[t] += data[k] != t;
        pool.release(data);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(faults == std::vector<int>{0, 0, 0, 0});
  CHECK(pool.statistics().used == 0);
  CHECK(pool.statistics().held == pool.statistics().most_used);
}

TEST_CASE("PagePool refuses what is not its own and what there is no memory for") {
  machine::PagePool pool;
  int other = 0;
  CHECK_FALSE(pool.release(&other));
  CHECK_FALSE(pool.release(nullptr));
  CHECK(pool.size(&other) == 0);
  CHECK(pool.allocate(SIZE_MAX) == nullptr);
  CHECK(pool.allocate(SIZE_MAX / 4) == nullptr);
  const Block kept = take(pool, 100, 7), freed = take(pool, 3 * kMiB, 8);
  CHECK(pool.size(freed.data) == freed.size);
  pool.release(freed.data);
  CHECK(pool.size(freed.data) == 0);
  CHECK(pool.allocate(SIZE_MAX / 4) == nullptr);  // and with something free
  CHECK(kept.intact());
}

/// Limits this process's addresses to what it has now and `more` bytes, for as long as it lives.
class AddressLimit {
 public:
  explicit AddressLimit(size_t more) {
    getrlimit(RLIMIT_AS, &before_);
    rlimit limit = before_;
    limit.rlim_cur = status("VmSize:") + more;
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
  }
  ~AddressLimit() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_;
};

TEST_CASE("PagePool gives free pages back where addresses are limited") {
  if (kAddressSanitizer) return;  // which needs addresses of its own
  machine::PagePool pool;
  std::vector<Block> blocks;
  for (unsigned char i = 0; i < 32; ++i) blocks.push_back(take(pool, kMiB, i));
  for (size_t i = 0; i < 32; i += 2) pool.release(blocks[i].data);
  const AddressLimit limit(4 * kMiB);
  CHECK(take(pool, 12 * kMiB, 77).intact());  // no new 12 MiB beside the holes
  CHECK(pool.allocate(64 * kMiB) == nullptr);
  for (size_t i = 1; i < 32; i += 2) CHECK(blocks[i].intact());
}

}  // namespace
}  // namespace hone::machine
