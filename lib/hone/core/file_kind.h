/// What a file is by its first bytes, for messages about files under a wrong name.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace hone {

/// Bytes of a file's beginning that binary_kind() looks at.
inline constexpr size_t kKindBytes = 4096;

/// "gzip", "Parquet", "zip", "UTF-16 text", ... for the beginning of a file that is not UTF-8 text;
/// "binary" for bytes that no text holds; "" for what may be text.
std::string binary_kind(std::string_view head);

/// binary_kind() of a file; "" if it cannot be read.
std::string binary_kind_of(const std::string& path);

}  // namespace hone
