/// A hash table of byte strings, for vocabularies and the piece cache.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace hone::text::detail {

inline uint64_t fold_multiply(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

/// Hash of a short byte string; inline, as pieces are hashed one by one while encoding.
inline uint64_t hash_piece(std::string_view key) {
  constexpr uint64_t kSeed = 0x9E3779B97F4A7C15, kMix = 0xD6E8FEB86659FD93;
  const auto load = [](const char* p, size_t size) {
    uint64_t value = 0;
    std::memcpy(&value, p, size);
    return value;
  };
  const char* p = key.data();
  size_t left = key.size();
  uint64_t hash = left * kSeed;
  for (; left > 16; p += 16, left -= 16) {
    hash = fold_multiply(load(p, 8) ^ kMix, load(p + 8, 8) ^ hash);
  }
  uint64_t a = 0, b = 0;
  if (left >= 8) {
    a = load(p, 8);
    b = load(p + left - 8, 8);
  } else if (left >= 4) {
    a = load(p, 4);
    b = load(p + left - 4, 4);
  } else if (left > 0) {
    a = static_cast<unsigned char>(p[0]);
    b = load(p + left / 2, 1) << 8 | load(p + left - 1, 1);
  }
  return fold_multiply(a ^ kMix, b ^ hash ^ kSeed);
}

/// Maps byte strings to numbers; open addressing over one arena of keys. Holds at most 4 GiB of
/// keys. Nothing is ever taken out but by clear().
class StringTable {
 public:
  StringTable() : slots_(64) {}

  /// The number of `key`, or -1. `hash` is hash_piece(key).
  int64_t find(std::string_view key, uint64_t hash) const {
    const size_t mask = slots_.size() - 1;
    const auto tag = static_cast<uint32_t>(hash);
    for (size_t at = hash >> 32 & mask;; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.length == kFree) return -1;
      if (slot.tag == tag && slot.length == key.size() &&
          std::memcmp(keys_.data() + slot.begin, key.data(), key.size()) == 0) {
        return slot.value;
      }
    }
  }
  int64_t find(std::string_view key) const { return find(key, hash_piece(key)); }

  /// False, and nothing changed, if `key` is there already.
  bool insert(std::string_view key, uint32_t value) {
    const uint64_t hash = hash_piece(key);
    if (find(key, hash) >= 0) return false;
    if (2 * (size_ + 1) > slots_.size()) grow();
    place({static_cast<uint32_t>(hash), static_cast<uint32_t>(keys_.size()),
           static_cast<uint32_t>(key.size()), value},
          hash);
    keys_.append(key);
    ++size_;
    return true;
  }

  void clear() {
    slots_.assign(slots_.size(), Slot{});
    keys_.clear();
    size_ = 0;
  }

  size_t size() const { return size_; }
  size_t key_bytes() const { return keys_.size(); }

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  struct Slot {
    uint32_t tag = 0, begin = 0, length = kFree, value = 0;
  };

  void place(const Slot& slot, uint64_t hash) {
    const size_t mask = slots_.size() - 1;
    size_t at = hash >> 32 & mask;
    while (slots_[at].length != kFree) at = (at + 1) & mask;
    slots_[at] = slot;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.length == kFree) continue;
      place(slot, hash_piece({keys_.data() + slot.begin, slot.length}));
    }
  }

  std::vector<Slot> slots_;
  std::string keys_;
  size_t size_ = 0;
};

}  // namespace hone::text::detail
