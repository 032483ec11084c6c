/// What the program is built with.
#pragma once

namespace hone {

/// Whether AddressSanitizer watches memory: it has an allocator of its own, and keeps a shadow of
/// each address, which is memory too.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

}  // namespace hone
