// Catch2 beside LibTorch: c10's logging header defines CHECK too. Include this after torch headers.
#pragma once
#ifdef CHECK
#undef CHECK
#endif
#include <catch2/catch.hpp>
