/// Unpacking a Parquet page.
#pragma once
#include <string>
#include <string_view>

#include "hone/data/detail/parquet_format.h"

namespace hone::data::detail::parquet {

/// The name of a compression, for messages.
std::string codec_name(Codec codec);

/// `packed` as the `size` bytes that it unpacks to. Pages of more than 256 MiB, and of more than
/// 16 MiB and 2000 times what they are packed, are refused before they are unpacked.
/// Throws: Error for a damaged page or a compression that is not read.
std::string unpack(Codec codec, std::string_view packed, int64_t size);

}  // namespace hone::data::detail::parquet
