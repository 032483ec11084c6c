#!/usr/bin/env python3
"""Objects of loops hold code of their own instruction set alone: isa.py V3_OBJECTS V4_OBJECTS

Both are lists of files, separated by ";" (one argument each). Those of x86-64-v3 use no register of
AVX-512, those of v4 do (else they were compiled in vain), and none of theirs is a function that a
linker could take for another object's: every weak symbol is named after its machine::Isa.
"""
import re
import subprocess
import sys

WIDE = re.compile(r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])\b|%k[0-7]\b")


def code_of(path):
    return subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], check=True,
                          capture_output=True, text=True).stdout


def shared_symbols(path, isa):
    """Weak symbols of an object that do not name the instruction set."""
    lines = subprocess.run(["nm", "-C", "--defined-only", path], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    weak = [line.split(" ", 2)[2] for line in lines if line.split(" ", 2)[1] in "WVuw"]
    return [name for name in weak if f"(hone::machine::Isa){isa}" not in name]


def main():
    v3, v4 = (argument.split(";") for argument in sys.argv[1:3])
    faults = []
    for isa, objects in enumerate((v3, v4)):
        for path in objects:
            faults += [f"{path}: a linker may share {name}" for name in shared_symbols(path, isa)]
    faults += [f"{path}: holds AVX-512 code" for path in v3 if WIDE.search(code_of(path))]
    faults += [f"{path}: holds no AVX-512 code" for path in v4 if not WIDE.search(code_of(path))]
    print("\n".join(faults) or f"{len(v3) + len(v4)} objects, each of its own instruction set")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
