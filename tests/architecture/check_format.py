#!/usr/bin/env python3
"""Checks that every C++ file is laid out as .clang-format says: check_format.py [--fix] [ROOT].

Uses the clang-format beside this Python (scripts/oracle-requirements.txt pins it: other versions
lay out otherwise). Prints each file that differs; exit code 1 if there is one. --fix rewrites them.
"""
import pathlib
import subprocess
import sys


def sources(root):
    for folder in ("lib", "apps", "tests", "scripts"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".h", ".cpp", ".cu", ".cuh"} and "corpus" not in path.parts:
                yield str(path)


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--fix"]
    root = pathlib.Path(arguments[0] if arguments else __file__).resolve()
    root = root if root.is_dir() else root.parents[2]
    tool = pathlib.Path(sys.executable).with_name("clang-format")
    if not tool.exists():
        sys.exit(f"check_format: no {tool}; scripts/setup --oracles installs it")
    mode = ["-i"] if "--fix" in sys.argv else ["--dry-run", "--Werror", "--ferror-limit=1"]
    files = list(sources(root))
    if not files:
        sys.exit(f"check_format: no C++ file under {root}")
    result = subprocess.run([tool, *mode, *files], capture_output=True, text=True)
    print(result.stderr or "check_format: clean", end="\n" if not result.stderr else "")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
