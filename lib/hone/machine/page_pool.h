/// Memory of large tensors, handed out in pages and kept for the next tensors.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hone::machine {

/// Hands out blocks of whole pages and never holds more than were in use at once: a block that fits
/// in no free range is put together from the pages of several, which the kernel moves to adjacent
/// addresses (mremap), so that free memory cannot fall into pieces. Freed pages stay for the next
/// blocks, which therefore cost no page faults once the largest need has been seen.
///
/// Linux only: elsewhere every allocate() gives nullptr. All members may be called by any thread.
class PagePool {
 public:
  /// Bytes. `held` is `used` and what is free for the next blocks.
  struct Statistics {
    size_t used = 0, held = 0, most_used = 0, most_held = 0;
    size_t moves = 0;  ///< ranges whose pages were moved to other addresses
  };

  PagePool() = default;
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;
  ~PagePool();

  /// A block of at least `bytes`, aligned to a page, of any content; nullptr if there is none.
  void* allocate(size_t bytes);

  /// Bytes of a block in use; 0 if it is not this pool's.
  size_t size(void* block) const;

  /// Takes a block back. False if it is not this pool's.
  bool release(void* block);

  /// Returns all free pages to the system.
  void trim();

  Statistics statistics() const;

 private:
  using Range = std::pair<char*, size_t>;

  char* take_free(size_t size);
  char* put_together(size_t size);
  char* map_fresh(size_t size);
  void add_free(char* begin, size_t size);
  void remove_free(std::map<char*, size_t>::iterator range);
  bool move_pages(const Range& from, char* to);
  void trim_locked();

  mutable std::mutex mutex_;
  std::unordered_map<char*, size_t> used_;
  std::map<char*, size_t> free_;              // by address; neighbours are one range
  std::set<std::pair<size_t, char*>> sizes_;  // the same by size
  std::set<char*> seams_;                     // where two mappings may meet: none is moved across
  Statistics statistics_;
};

}  // namespace hone::machine
