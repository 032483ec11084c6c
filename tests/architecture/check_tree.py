#!/usr/bin/env python3
"""Checks how the source tree is put together: check_tree.py [ROOT].

Rooms include only what their hone_room(... USES ...) lists and what those use, a room's detail/ is its own, a source includes the
header of its name first, a public header includes none of detail/ and all headers whose types it names,
files stay small and apps stay thin. Prints each fault as
path:line: what is wrong; exit code 1 if there is one. tests/architecture/check_tree_test.py shows
that each rule can fail.
"""
import pathlib
import re
import sys

MAX_LINES = 600
MAX_APP_LINES = 120
SOURCES = {".h", ".cpp", ".cu", ".cuh"}
SMALL = SOURCES | {".py", ".sh", ".cmake", ".txt", ""}
INCLUDE = re.compile(r'\s*#\s*include\s*[<"]([^>"]+)[>"]')

# Names whose header must be included by the file itself: the precompiled headers and other includes
# hide what is missing until someone uses the header alone.
NAMED = {
    "algorithm": r"std::(sort|stable_sort|min|max|clamp|find_if|any_of|all_of|transform)\b",
    "array": r"std::array\b",
    "chrono": r"std::chrono\b",
    "cstdint": r"\bu?int(8|16|32|64)_t\b",
    "deque": r"std::deque\b",
    "filesystem": r"std::filesystem\b",
    "fmt/format.h": r"\bfmt::",
    "functional": r"std::function\b",
    "map": r"std::(map|multimap)\b",
    "memory": r"std::(unique_ptr|shared_ptr|make_unique|make_shared)\b",
    "mutex": r"std::(mutex|lock_guard|unique_lock)\b",
    "nlohmann/json.hpp": r"\bnlohmann::",
    "optional": r"std::(optional|nullopt)\b",
    "set": r"std::(set|multiset)\b",
    "span": r"std::span\b",
    "string": r"std::(string|to_string)\b",
    "string_view": r"std::string_view\b",
    "thread": r"std::(thread|jthread)\b",
    "tuple": r"std::(tuple|tie)\b",
    "unordered_map": r"std::unordered_map\b",
    "unordered_set": r"std::unordered_set\b",
    "utility": r"std::(pair|move|forward|exchange)\b",
    "variant": r"std::(variant|visit|get_if)\b",
    "vector": r"std::vector\b",
}


def arrows_of(library):
    """Room -> the rooms that its CMakeLists.txt lists behind USES."""
    arrows = {}
    for path in sorted(library.glob("*/CMakeLists.txt")):
        room = re.search(r"hone_room\((\w+)(.*?)\n?\)", path.read_text(), re.S)
        uses = re.search(r"\bUSES((?:\s+[a-z]\w*)*)", room[2]) if room else None
        if room:
            arrows[room[1]] = tuple(uses[1].split()) if uses else ()
    return arrows


def closure(arrows):
    """Room -> every room it may include, itself among them. CMake refuses circles and what is not there."""
    reach = {}

    def visit(room):
        if room not in reach:
            reach[room] = {room}
            for used in arrows.get(room, ()):
                reach[room] |= visit(used)
        return reach[room]

    for room in arrows:
        visit(room)
    return reach


def code_of(line):
    """The line without its // comment and string literals."""
    return re.sub(r"//.*", "", re.sub(r'"(\\.|[^"\\])*"', '""', line))


def check_includes(path, room, lines, reach):
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match or not match[1].startswith("hone/"):
            continue
        parts = match[1].split("/")
        used = parts[1]
        if used not in reach:
            yield number, f"{match[1]}: there is no room {used}"
        elif used not in reach[room]:
            yield number, f"{match[1]}: room {room} may not use {used}"
        elif used != room and "detail" in parts:
            yield number, f"{match[1]}: detail/ belongs to room {used} alone"
        elif "detail" in parts and path.suffix in (".h", ".cuh") and "detail" not in path.parts:
            yield number, f"{match[1]}: stays behind where this header is installed"


def check_named(lines):
    included = {match[1] for match in map(INCLUDE.match, lines) if match}
    wanted = set()
    for number, line in enumerate(lines, 1):
        code = code_of(line)
        for header, pattern in NAMED.items():
            if header not in included | wanted and re.search(pattern, code):
                wanted.add(header)
                yield number, f"names a type of <{header}> without including it"


def check_library(root):
    library = root / "lib" / "hone"
    reach = closure(arrows_of(library))
    for path in sorted(library.rglob("*")):
        if path.suffix not in SOURCES:
            continue
        room = path.relative_to(library).parts[0]
        if room not in reach:
            yield path, 1, f"room {room} has no hone_room() in its CMakeLists.txt"
            continue
        lines = path.read_text().splitlines()
        for fault in check_includes(path, room, lines, reach):
            yield path, *fault
        if path.suffix in (".h", ".cuh"):
            for fault in check_named(lines) if "detail" not in path.parts else ():
                yield path, *fault
            if "#pragma once" not in lines:
                yield path, 1, "header without #pragma once"
        elif path.with_suffix(".h").exists():
            own = path.with_suffix(".h").relative_to(root / "lib").as_posix()
            first = next(filter(None, map(INCLUDE.match, lines)), None)
            if not first or first[1] != own:
                yield path, 1, f"includes something before {own}, which so is not shown to compile alone"


def check_sizes(root):
    for folder in ("lib", "apps", "tests", "scripts", "cmake"):
        for path in sorted((root / folder).rglob("*")):
            small = path.suffix in SMALL and "corpus" not in path.parts and "__pycache__" not in path.parts
            if not small or not path.is_file():
                continue
            count = len(path.read_text().splitlines())
            limit = MAX_APP_LINES if folder == "apps" and path.suffix in SOURCES else MAX_LINES
            if count > limit:
                yield path, count, f"{count} lines, at most {limit} allowed"


def check(root):
    """All faults of the tree, as `path:line: text`."""
    faults = [*check_library(root), *check_sizes(root)]
    return [f"{path.relative_to(root)}:{line}: {text}" for path, line, text in faults]


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    root = root if root.is_dir() else root.parents[2]
    if not (root / "lib" / "hone").is_dir():
        sys.exit(f"check_tree: no lib/hone in {root}")
    faults = check(root)
    print("\n".join(faults) or "check_tree: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
