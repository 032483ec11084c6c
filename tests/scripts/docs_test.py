#!/usr/bin/env python3
"""What README, CONTRIBUTING and docs name is there: docs_test.py [SOURCE]

Links and their anchors, paths of this repository in back quotes and in commands, hone's headers in
examples, its executables; and every page can be reached from the README.
"""
import glob
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOP = r"(?:\.ci|apps|cmake|docs|lib|recipes|scripts|tests)"
PATH = re.compile(rf"(?<![\w./<-])({TOP}/[\w./*-]*[\w*])")
HEADER = re.compile(r"#include [<\"](hone/[\w./]+)[>\"]")
LINK = re.compile(r"\]\(([^)\s]+)\)")
APP = re.compile(r"\bhone-[a-z]+\b(?![\w./-])")
# Names that begin as the executables' do and are none: a folder of studies, a lock, an option.
NO_APPS = {"hone-debian", "hone-libtorch"}
NOT_OURS = {"lib/libtorch_cpu.so"}
ROOM_HEADER = re.compile(r"(?<![\w./<-])([a-z]+/(?:\w+/)*\w+\.h)\b")


ROOMS = {path.name for path in (ROOT / "lib" / "hone").iterdir() if path.is_dir()}


def without_code(text):
    return re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", text)


def anchors(text):
    """Of a page's headings, as GitHub makes them."""
    titles = re.findall(r"(?m)^#+ (.*)$", re.sub(r"(?ms)^```.*?^```", "", text))
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", title).strip().lower()).replace(" ", "-") for title in titles}


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
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", rest), *re.findall(r"(?m)^    .*$", rest)])


class Docs(unittest.TestCase):
    def check(self, missing_in):
        problems = [f"{page.relative_to(ROOT)}: {what}" for page in PAGES for what in missing_in(page)]
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
            for path in HEADER.findall(text) + [f"hone/{path}" for path in ROOM_HEADER.findall(code(text))]:
                if path.split("/")[1] in ROOMS and not (ROOT / "lib" / path).exists():
                    yield path

        self.check(missing)

    def test_pages_that_sources_name_are_there(self):
        missing = []
        for folder in ("apps", "cmake", "lib", "recipes", "scripts", "tests"):
            for file in (ROOT / folder).rglob("*"):
                if file.suffix in (".h", ".cpp", ".py", ".txt", ".cmake", ".json", "") and file.is_file():
                    missing += [f"{file.relative_to(ROOT)}: {path}"
                                for path in re.findall(r"\bdocs/[\w/-]+\.md\b", file.read_text(errors="replace"))
                                if not (ROOT / path).exists()]
        self.assertEqual(missing, [])

    def test_executables_are_ours(self):
        apps = set(re.findall(r"(?m)^hone_app\(([\w-]+)", (ROOT / "apps" / "CMakeLists.txt").read_text()))
        self.assertIn("hone-domain", apps)
        self.check(lambda page: sorted(set(APP.findall(code(page.read_text()))) - apps - NO_APPS))

    def test_the_picture_of_the_rooms_is_current(self):
        with tempfile.TemporaryDirectory() as folder:
            drawn = pathlib.Path(folder) / "rooms.svg"
            subprocess.run([sys.executable, ROOT / "scripts" / "rooms_picture", "--out", drawn],
                           check=True)
            shown = ROOT / "docs" / "images" / "rooms.svg"
            self.assertEqual(drawn.read_text(), shown.read_text(),
                             "draw it anew: scripts/rooms_picture")

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
        self.assertEqual([str(file) for file in (ROOT / "docs" / "images").iterdir() if file not in shown], [])


if __name__ == "__main__":
    unittest.main()
