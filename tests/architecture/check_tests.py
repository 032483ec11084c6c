#!/usr/bin/env python3
"""Checks that every source of lib/hone has a test of its name: check_tests.py [ROOT].

The test of lib/hone/<room>/<wing>/<name>.cpp is tests/<room>/<name>_test.cpp, <wing>_<name>_test.cpp
or <wing>/<name>_test.cpp; detail/ is no wing. A name that two wings have needs the wing's. What has
none stands in tests/architecture/without_test.txt, a line each: `path: reason`, the reason naming
the files under tests/ that hold it instead, or beginning with "trivial". Prints each fault as
path:line: what is wrong; exit code 1 if there is one. check_tree_test.py shows that each rule can
fail.
"""
import collections
import pathlib
import re
import sys

LIST = "tests/architecture/without_test.txt"
FILE = re.compile(r"[\w/]+\.(?:cpp|py)\b")


def parts_of(source):
    """Room, wings and name of a source's path below lib/hone."""
    room, *wings = source.parts[:-1]
    return room, tuple(wing for wing in wings if wing != "detail"), source.stem


def sources_of(library):
    return [path.relative_to(library) for path in sorted(library.rglob("*.cpp"))]


def own_tests(source, sources):
    """The paths below tests/ at which the source's own test may lie."""
    room, wings, name = parts_of(source)
    namesakes = {parts_of(other)[1] for other in sources
                 if other.parts[0] == room and other.stem == name}
    shared = len(namesakes) > 1 and () not in namesakes
    prefixes = [wings[i:] for i in range(len(wings) + (not shared))]
    return ([f"{room}/{'_'.join((*prefix, name))}_test.cpp" for prefix in prefixes]
            + [f"{room}/{'/'.join((*wings, name))}_test.cpp"])


def entries_of(path):
    """(line number, path of a source, reason) of the list."""
    lines = path.read_text().splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            source, _, reason = line.partition(":")
            yield number, source.strip(), reason.strip()


def reason_fault(reason, tests):
    if reason.startswith("trivial"):
        return None
    named = FILE.findall(reason)
    missing = [name for name in named if not (tests / name).is_file()]
    if missing:
        return f"its reason names {', '.join(missing)}, which tests/ does not have"
    return None if named else "its reason neither names a file of tests/ nor begins with trivial"


def check(root):
    """All faults of the tree, as `path:line: text`."""
    tests = root / "tests"
    sources = sources_of(root / "lib" / "hone")
    tested = collections.defaultdict(list)
    for source in sources:
        tested[source.as_posix()] = [name for name in own_tests(source, sources)
                                     if (tests / name).is_file()]
    faults, listed = [], set()
    for number, source, reason in entries_of(root / LIST):
        fault = reason_fault(reason, tests)
        if source not in tested:
            fault = "is no source of lib/hone"
        elif tested[source]:
            fault = f"has a test of its own, tests/{tested[source][0]}: take the line out"
        elif source in listed:
            fault = "stands here twice"
        if fault:
            faults.append(f"{LIST}:{number}: {source}: {fault}")
        listed.add(source)
    for source in sources:
        name = source.as_posix()
        if not tested[name] and name not in listed:
            faults.append(f"lib/hone/{name}:1: has neither a test of its name "
                          f"(tests/{own_tests(source, sources)[-1]}) nor a line in {LIST}")
    return faults


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    root = root if root.is_dir() else root.parents[2]
    faults = check(root)
    print("\n".join(faults) or "check_tests: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
