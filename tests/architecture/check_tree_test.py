#!/usr/bin/env python3
"""Shows that each rule of check_tree.py and check_tests.py finds its fault in a made-up tree, and
nothing in a clean one."""
import pathlib
import tempfile
import unittest

import check_tests
import check_tree


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, name, text=""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class CheckTree(Tree):
    def setUp(self):
        super().setUp()
        for room, uses in (("core", ""), ("io", "core"), ("nn", "io"), ("loss", "core")):
            self.write(f"lib/hone/{room}/CMakeLists.txt",
                       f"hone_room({room} TORCH\n  SOURCES a.cpp\n  USES {uses}\n  LINK fmt::fmt)\n")
        self.write("lib/hone/core/error.h", '#pragma once\n#include <string>\nstd::string who();\n')

    def assert_faults(self, *expected):
        self.assertEqual(check_tree.check(self.root), list(expected))

    def test_clean(self):
        self.write("lib/hone/nn/a.cpp", '#include "hone/core/error.h"\n#include "hone/nn/detail/b.h"\n')
        self.write("apps/a.cpp", "\n" * 120)
        self.assert_faults()

    def test_upward_arrow(self):
        self.write("lib/hone/core/a.cpp", '#include <vector>\n#  include "hone/io/file.h"\n')
        self.assert_faults("lib/hone/core/a.cpp:2: hone/io/file.h: room core may not use io")

    def test_sideways_arrow(self):
        self.write("lib/hone/loss/a.cpp", "#include <hone/nn/x.h>\n")
        self.assert_faults("lib/hone/loss/a.cpp:1: hone/nn/x.h: room loss may not use nn")

    def test_room_without_a_row(self):
        self.write("lib/hone/misc/a.cpp", "")
        self.write("lib/hone/core/a.cpp", '#include "hone/misc/a.h"\n')
        self.assert_faults(
            "lib/hone/core/a.cpp:1: hone/misc/a.h: there is no room misc",
            "lib/hone/misc/a.cpp:1: room misc has no hone_room() in its CMakeLists.txt")

    def test_detail_of_another_room(self):
        self.write("lib/hone/io/a.h", '#pragma once\n#include "hone/core/detail/x.h"\n')
        self.assert_faults("lib/hone/io/a.h:2: hone/core/detail/x.h: detail/ belongs to room core alone")

    def test_detail_in_an_installed_header(self):
        self.write("lib/hone/io/a.h", '#pragma once\n#include "hone/io/detail/x.h"\n')
        self.assert_faults("lib/hone/io/a.h:2: hone/io/detail/x.h: stays behind where this header is installed")

    def test_missing_std_header(self):
        self.write("lib/hone/io/a.h", '#pragma once\n// std::map\nstd::vector<int> f();  // std::pair\n')
        self.assert_faults("lib/hone/io/a.h:3: names a type of <vector> without including it")

    def test_own_header_not_first(self):
        self.write("lib/hone/core/error.cpp", '#include <string>\n#include "hone/core/error.h"\n')
        self.assert_faults("lib/hone/core/error.cpp:1: includes something before hone/core/error.h, which so is not "
                           "shown to compile alone")

    def test_missing_pragma_once(self):
        self.write("lib/hone/io/a.h", "int f();\n")
        self.assert_faults("lib/hone/io/a.h:1: header without #pragma once")

    def test_long_file(self):
        self.write("lib/hone/io/a.cpp", "\n" * 601)
        self.assert_faults("lib/hone/io/a.cpp:601: 601 lines, at most 600 allowed")

    def test_thick_app(self):
        self.write("apps/a.cpp", "\n" * 121)
        self.assert_faults("apps/a.cpp:121: 121 lines, at most 120 allowed")


class CheckTests(Tree):
    def assert_faults(self, *expected):
        self.assertEqual(check_tests.check(self.root), list(expected))

    def listed(self, *lines):
        self.write(check_tests.LIST, "# a comment\n\n" + "\n".join(lines) + "\n")

    def test_clean(self):
        for source in ("io/a", "io/detail/b", "tune/samplers/c", "tune/samplers/detail/d", "tune/e"):
            self.write(f"lib/hone/{source}.cpp")
        for test in ("io/a", "io/b", "tune/c", "tune/samplers_d"):
            self.write(f"tests/{test}_test.cpp")
        self.listed("tune/e.cpp: io/a_test.cpp reads it")
        self.assert_faults()

    def test_source_without_a_test(self):
        self.write("lib/hone/io/detail/a.cpp")
        self.write("tests/tune/a_test.cpp")  # of another room
        self.assert_faults("lib/hone/io/detail/a.cpp:1: has neither a test of its name "
                           f"(tests/io/a_test.cpp) nor a line in {check_tests.LIST}")

    def test_name_of_two_wings(self):
        for wing in ("static", "dynamic"):
            self.write(f"lib/hone/paths/{wing}/config.cpp")
        self.write("tests/paths/config_test.cpp")
        self.write("tests/paths/static_config_test.cpp")
        self.assert_faults("lib/hone/paths/dynamic/config.cpp:1: has neither a test of its name "
                           "(tests/paths/dynamic/config_test.cpp) nor a line in "
                           f"{check_tests.LIST}")
        self.write("tests/paths/dynamic/config_test.cpp")
        self.assert_faults()

    def test_door_of_two_wings(self):
        for source in ("norm", "cpu/norm", "other/norm"):
            self.write(f"lib/hone/kernels/{source}.cpp")
        self.write("tests/kernels/norm_test.cpp")
        self.assert_faults()

    def test_stale_lines(self):
        self.write("lib/hone/io/a.cpp")
        self.write("lib/hone/io/b.cpp")
        self.write("tests/io/a_test.cpp")
        self.listed("io/a.cpp: trivial", "io/gone.cpp: trivial", "io/b.cpp: trivial",
                    "io/b.cpp: trivial: one constant")
        self.assert_faults(
            f"{check_tests.LIST}:3: io/a.cpp: has a test of its own, tests/io/a_test.cpp: take the "
            "line out",
            f"{check_tests.LIST}:4: io/gone.cpp: is no source of lib/hone",
            f"{check_tests.LIST}:6: io/b.cpp: stands here twice")

    def test_reasons(self):
        for name in "abc":
            self.write(f"lib/hone/io/{name}.cpp")
        self.write("tests/interop/io.py")
        self.listed("io/a.cpp: covered", "io/b.cpp: interop/io.py and io/none_test.cpp",
                    "io/c.cpp: interop/io.py reads it")
        self.assert_faults(
            f"{check_tests.LIST}:3: io/a.cpp: its reason neither names a file of tests/ nor begins "
            "with trivial",
            f"{check_tests.LIST}:4: io/b.cpp: its reason names io/none_test.cpp, which tests/ does "
            "not have")


if __name__ == "__main__":
    unittest.main()
