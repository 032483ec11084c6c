#!/usr/bin/env python3
"""What README, CONTRIBUTING and docs name is there: docs_test.py [SOURCE]

Links and their anchors, paths of this repository in back quotes and in commands, hone's headers,
names and CMake targets, its executables; and every page can be reached from the README.
"""
import functools
import glob
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1
                    else pathlib.Path(__file__).parents[2]).resolve()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOP = r"(?:\.ci|apps|cmake|docs|lib|recipes|scripts|tests)"
PATH = re.compile(rf"(?<![\w./<-])({TOP}/[\w./*-]*[\w*])")
NAMED_FILE = re.compile(rf"(?<![\w./<$}}-]){TOP}/(?:[\w-]+/)*[\w-]+\.(?:md|py|h|cpp|json)\b")
HEADER = re.compile(r"#include [<\"](hone/[\w./]+)[>\"]")
LINK = re.compile(r"\]\(([^)\s]+)\)")
APP = re.compile(r"\bhone-[a-z]+\b(?![\w./-])")
# Names that begin as the executables' do and are none: a folder of studies, a lock, an option.
NO_APPS = {"hone-debian", "hone-libtorch"}
SOURCES = {".h", ".cpp", ".py", ".txt", ".cmake", ".json", ""}
MAKES_TREES = {"check_tree_test.py"}  # names files of trees that it makes
NOT_OURS = {"lib/libtorch_cpu.so"}
ROOM_HEADER = re.compile(r"(?<![\w./<-])([a-z]+/(?:\w+/)*\w+\.h)\b")
BARE_HEADER = re.compile(r"(?<![\w./<-])(\w+\.h)\b")
ROOMS = {path.name for path in (ROOT / "lib" / "hone").iterdir() if path.is_dir()}
# hone::room::Name, room::Name, and hone::name: a name of core or a CMake target.
NAME = re.compile(rf"(?<![\w:])(?:hone::)?({'|'.join(sorted(ROOMS))})::(\w+)")
HONE_NAME = re.compile(r"(?<![\w:])hone::(\w+)\b(?!::)")
TARGETS = ROOMS | {"hone"}


@functools.cache
def headers(room):
    """The text of the room's public headers."""
    files = sorted((ROOT / "lib" / "hone" / room).rglob("*.h"))
    return "\n".join(file.read_text() for file in files if "detail" not in file.parts)


def has_name(room, name):
    return re.search(rf"\b{name}\b", headers(room)) is not None


def without_code(text):
    return re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", text)


def anchors(text):
    """Of a page's headings, as GitHub makes them."""
    titles = re.findall(r"(?m)^#+ (.*)$", re.sub(r"(?ms)^```.*?^```", "", text))
    plain = [re.sub(r"[`*]", "", title).strip().lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


def links(page):
    """(target, file, anchor or "") of each link into this repository."""
    for target in LINK.findall(without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        yield target, (page.parent / path).resolve() if path else page, anchor


def code(text):
    """Back-quoted spans, fenced and indented blocks."""
    fenced = re.findall(r"(?ms)^```\w*\n(.*?)^```", text)
    rest = re.sub(r"(?ms)^```.*?^```", "", text)
    quoted, indented = re.findall(r"`([^`\n]+)`", rest), re.findall(r"(?m)^    .*$", rest)
    return "\n".join([*fenced, *quoted, *indented])


class Docs(unittest.TestCase):
    maxDiff = None

    def check(self, missing_in):
        problems = [f"{page.relative_to(ROOT)}: {what}"
                    for page in PAGES for what in missing_in(page)]
        self.assertEqual(problems, [])

    def test_links_lead_somewhere(self):
        def missing(page):
            for target, path, anchor in links(page):
                if not path.exists():
                    yield target
                elif anchor and anchor not in anchors(path.read_text()):
                    yield f"{target}: no such heading"

        self.check(missing)

    def test_paths_in_code_are_there(self):
        self.check(lambda page: [path for path in PATH.findall(code(page.read_text()))
                                 if path not in NOT_OURS and not glob.glob(str(ROOT / path))])

    def test_headers_in_examples_are_there(self):
        def missing(page):
            text = page.read_text()
            rooms_own = [f"hone/{path}" for path in ROOM_HEADER.findall(code(text))]
            for path in HEADER.findall(text) + rooms_own:
                if path.split("/")[1] in ROOMS and not (ROOT / "lib" / path).exists():
                    yield path
            for name in BARE_HEADER.findall(code(text)):
                if not any((ROOT / "lib" / "hone").rglob(name)):
                    yield name

        self.check(missing)

    def test_names_in_code_are_there(self):
        def missing(page):
            text = code(page.read_text())
            for room, name in NAME.findall(text):
                if not has_name(room, name):
                    yield f"hone::{room}::{name}"
            for name in HONE_NAME.findall(text):
                if name not in TARGETS and not has_name("core", name):
                    yield f"hone::{name}"

        self.check(missing)

    def test_every_room_is_a_target_of_the_page_on_embedding(self):
        page = (ROOT / "docs" / "embedding.md").read_text()
        table = re.findall(r"(?m)^\| `hone::(\w+)` \|", page)
        self.assertEqual(sorted(table), sorted(ROOMS))

    def test_files_that_sources_name_are_there(self):
        missing = []
        for folder in ("apps", "cmake", "lib", "recipes", "scripts", "tests"):
            for file in (ROOT / folder).rglob("*"):
                if file.suffix in SOURCES and file.is_file() and file.name not in MAKES_TREES:
                    missing += [f"{file.relative_to(ROOT)}: {path}"
                                for path in NAMED_FILE.findall(file.read_text(errors="replace"))
                                if not (ROOT / path).exists()]
        self.assertEqual(missing, [])

    def test_executables_are_ours(self):
        cmake = (ROOT / "apps" / "CMakeLists.txt").read_text()
        apps = set(re.findall(r"(?m)^hone_app\(([\w-]+)", cmake))
        self.assertIn("hone-domain", apps)
        self.check(lambda page: sorted(set(APP.findall(code(page.read_text()))) - apps - NO_APPS))

    def test_lines_fit_100_columns(self):
        """But for rows of tables and pictures, which cannot be broken."""
        self.check(lambda page: [f"{number}: {line}"
                                 for number, line in enumerate(page.read_text().splitlines(), 1)
                                 if len(line) > 100 and not line.startswith(("|", "!["))])

    def test_manuals_tell_what_is(self):
        """What was until some day belongs to docs/benchmarks and docs/changes.md."""
        past = re.compile(r"\b(?:[Uu]ntil|[Ss]ince|[Bb]efore)\s+\d{1,2}\s+[A-Z][a-z]+\s+20\d\d")
        manuals = [page for page in PAGES
                   if page.parent.name != "benchmarks" and page.name != "changes.md"]
        self.check(lambda page: past.findall(page.read_text()) if page in manuals else [])

    def test_the_picture_of_the_rooms_is_current(self):
        with tempfile.TemporaryDirectory() as folder:
            drawn = pathlib.Path(folder) / "rooms.svg"
            subprocess.run([sys.executable, ROOT / "scripts" / "rooms_picture", "--out", drawn],
                           check=True)
            shown = ROOT / "docs" / "images" / "rooms.svg"
            self.assertEqual(drawn.read_text(), shown.read_text(),
                             "draw it anew: scripts/rooms_picture")

    def test_option_tables_are_current(self):
        tables = [page.name for page in PAGES if "<!-- options: " in page.read_text()]
        self.assertIn("controllers.md", tables)
        checked = subprocess.run([ROOT / "scripts" / "option_tables", "--check"],
                                 capture_output=True, text=True, check=False)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    def test_every_page_can_be_reached_from_the_readme(self):
        seen, ahead = set(), [ROOT / "README.md"]
        while ahead:
            page = ahead.pop()
            if page in seen or page.suffix != ".md" or not page.exists():
                continue
            seen.add(page)
            ahead += [path for _, path, _ in links(page)]
        self.assertEqual([os.path.relpath(page, ROOT) for page in PAGES if page not in seen], [])

    def test_pictures_are_shown_somewhere(self):
        shown = {path for page in PAGES for _, path, _ in links(page)}
        files = (ROOT / "docs" / "images").iterdir()
        self.assertEqual([str(file) for file in files if file not in shown], [])


if __name__ == "__main__":
    unittest.main()
