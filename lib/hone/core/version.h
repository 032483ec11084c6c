#pragma once

namespace hone {

/// hone's version, "major.minor.patch".
const char* version();

}  // namespace hone
