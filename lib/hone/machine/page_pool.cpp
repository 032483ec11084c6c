#include "hone/machine/page_pool.h"

#include <algorithm>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace hone::machine {
namespace {

/// Blocks are multiples of this, so that few crumbs arise: at most 6 % of a block of kSmallest.
constexpr size_t kGranule = size_t{16} << 10;

/// Mappings of a process are limited (vm.max_map_count, 65530); beyond this many seams the free
/// ranges are given back and mapped anew.
constexpr size_t kMostSeams = 20000;

}  // namespace

#ifdef __linux__

PagePool::~PagePool() {
  trim_locked();
  for (const auto& [block, size] : used_) munmap(block, size);
}

void* PagePool::allocate(size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (bytes > SIZE_MAX - kGranule) return nullptr;
  const size_t size = std::max(kGranule, (bytes + kGranule - 1) / kGranule * kGranule);
  char* block = take_free(size);
  if (!block && !free_.empty()) block = put_together(size);
  if (!block) block = map_fresh(size);
  if (!block) return nullptr;
  used_.emplace(block, size);
  statistics_.used += size;
  statistics_.most_used = std::max(statistics_.most_used, statistics_.used);
  statistics_.most_held = std::max(statistics_.most_held, statistics_.held);
  return block;
}

bool PagePool::release(void* block) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = used_.find(static_cast<char*>(block));
  if (found == used_.end()) return false;
  const auto [begin, size] = *found;
  used_.erase(found);
  statistics_.used -= size;
  add_free(begin, size);
  return true;
}

void PagePool::trim() {
  const std::lock_guard<std::mutex> lock(mutex_);
  trim_locked();
}

/// The smallest free range that holds `size`; what is left of it stays free.
char* PagePool::take_free(size_t size) {
  const auto smallest = sizes_.lower_bound({size, nullptr});
  if (smallest == sizes_.end()) return nullptr;
  const auto [whole, begin] = *smallest;
  remove_free(free_.find(begin));
  if (whole > size) add_free(begin + size, whole - size);
  return begin;
}

/// A block from pages of the free ranges, largest first, and of new pages once none are left.
char* PagePool::put_together(size_t size) {
  if (seams_.size() > kMostSeams) {
    trim_locked();
    return nullptr;
  }
  char* const block = map_fresh(size);
  if (!block) {  // under a limit on addresses, what is free stands in the way
    trim_locked();
    return nullptr;
  }
  size_t filled = 0;
  while (filled < size && !free_.empty()) {
    const auto largest = free_.find(sizes_.rbegin()->second);
    const auto [begin, whole] = *largest;
    const size_t taken = std::min(whole, size - filled);
    remove_free(largest);
    if (whole > taken) add_free(begin + taken, whole - taken);
    if (!move_pages({begin, taken}, block + filled)) {
      // The hole that a failed move leaves is in this block or in what was taken.
      munmap(block, size);
      munmap(begin, taken);
      statistics_.held -= size + taken;
      trim_locked();
      return nullptr;
    }
    statistics_.held -= taken;  // its new pages were replaced before one was touched
    filled += taken;
  }
  return block;
}

char* PagePool::map_fresh(size_t size) {
  void* const block =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(block);
  seams_.insert({begin, begin + size});
  statistics_.held += size;
  return begin;
}

bool PagePool::move_pages(const Range& from, char* to) {
  const auto [begin, size] = from;
  char* const end = begin + size;
  std::vector<char*> edges{begin};
  const auto first = seams_.upper_bound(begin), last = seams_.lower_bound(end);
  edges.insert(edges.end(), first, last);
  edges.push_back(end);
  seams_.erase(seams_.lower_bound(begin), last);
  seams_.insert(end);  // what lies there, if anything, is now another mapping's begin
  for (size_t i = 0; i + 1 < edges.size(); ++i) {
    char* const target = to + (edges[i] - begin);
    const size_t length = edges[i + 1] - edges[i];
    if (mremap(edges[i], length, length, MREMAP_MAYMOVE | MREMAP_FIXED, target) == MAP_FAILED) {
      return false;
    }
    seams_.insert({target, target + length});
    ++statistics_.moves;
  }
  return true;
}

void PagePool::add_free(char* begin, size_t size) {
  const auto next = free_.find(begin + size);
  if (next != free_.end()) {
    size += next->second;
    remove_free(next);
  }
  const auto after = free_.lower_bound(begin);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == begin) {
      begin = before->first;
      size += before->second;
      remove_free(before);
    }
  }
  free_.emplace(begin, size);
  sizes_.emplace(size, begin);
}

void PagePool::remove_free(std::map<char*, size_t>::iterator range) {
  sizes_.erase({range->second, range->first});
  free_.erase(range);
}

void PagePool::trim_locked() {
  for (const auto& [begin, size] : free_) {
    munmap(begin, size);
    statistics_.held -= size;
    seams_.erase(seams_.lower_bound(begin), seams_.lower_bound(begin + size));
  }
  free_.clear();
  sizes_.clear();
}

#else

PagePool::~PagePool() = default;
void* PagePool::allocate(size_t) { return nullptr; }
bool PagePool::release(void*) { return false; }
void PagePool::trim() {}

#endif

size_t PagePool::size(void* block) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = used_.find(static_cast<char*>(block));
  return found == used_.end() ? 0 : found->second;
}

PagePool::Statistics PagePool::statistics() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return statistics_;
}

}  // namespace hone::machine
