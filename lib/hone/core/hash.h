/// Content hashes, for manifests and for noticing changed files.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace hone {

/// XXH3-128 of the bytes, 32 lower-case hex digits. Not cryptographic.
std::string hash_bytes(std::string_view bytes);

/// hash_bytes of a file's content. Throws: IoError.
std::string hash_file(const std::string& path);

/// XXH3-64, for seeding and tables.
uint64_t hash64(std::string_view bytes, uint64_t seed = 0);

}  // namespace hone
