#!/usr/bin/env python3
"""Whether two builds of hone do the same, bit for bit, on small runs of every kind.

  same_behaviour.py record BUILD_BIN --out DIR   runs the recipes into DIR/runs, keeps their hashes
                                                 in DIR/hashes.json, and in DIR/half some runs that
                                                 were stopped half-way
  same_behaviour.py compare DIR BUILD_BIN        runs the recipes with another build and lets it end
                                                 the runs of DIR/half; names what differs and where
                                                 first; exit code 1 if anything does. --with PATCH:
                                                 keys that the recorded build did not know, for this
                                                 one's recipes; they are not compared
  same_behaviour.py repeat BUILD_BIN             both with one build

The recipes are those of same_behaviour.json: each is what changes (RFC 7396) in "common", or in the
one that it is "like". The executables work in DIR, where data and base lie, so that no recipe names
a place and DIR may be moved. A record is of one machine: other processors round otherwise.
"""
import argparse
import fcntl
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import sweeps  # noqa: E402
import tiny_run  # noqa: E402
from tiny_run import read_rows  # noqa: E402

# Of the clock and of the machine's memory, wherever they stand; compare's --with adds to them.
UNREPEATABLE = {"memory_headroom", "mean_tokens_per_second", "peak_memory_bytes", "seconds",
                "step_seconds", "tokens_per_second"}
# Threads that spin hold the cores of what runs beside.
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "passive"}
PIPE_BYTES = 4096  # the log of "interrupted" is longer, that of INTERRUPT_ROWS shorter
INTERRUPT_ROWS = 14  # of metrics.jsonl: past the embeddings' steps
HALF_PRUNED = 10  # a step of "prune" that lies between its cuts
HALF_SEARCHED = {"budget": {"trials": 2, "workers": 1}}


def patched(value, patch):
    """RFC 7396: objects are merged, null removes a key, all else replaces."""
    if not isinstance(patch, dict) or not isinstance(value, dict):
        return patch
    merged = value | {key: patched(value.get(key), part) for key, part in patch.items()}
    return {key: part for key, part in merged.items() if part is not None}


def read_recipes():
    """Whole recipes by name, in the order in which they run."""
    def whole(entry):
        changes = {key: part for key, part in entry.items() if key != "like"}
        return patched(found[entry.get("like", "common")], changes)

    entries = json.loads(pathlib.Path(__file__).with_suffix(".json").read_text())
    found = {"common": entries.pop("common")}
    for name, entry in entries.items():
        search = "base" in entry
        found[name] = entry | {"base": whole(entry["base"])} if search else whole(entry)
    del found["common"]
    return found


RECIPES = read_recipes()


def give_keys(patch):
    """Changes all recipes by a patch whose keys the record lacks."""
    UNREPEATABLE.update(patch)
    for name, config in RECIPES.items():
        search = {"base": patched(config["base"], patch)} if "base" in config else {}
        RECIPES[name] = config | search if search else patched(config, patch)


def app_of(config):
    if "space" in config:
        return "hone-static"
    return "hone-dynamic" if "controllers" in config else "hone-domain"


def make_inputs(folder):
    folder.mkdir(parents=True)
    names = ("general", "medicine", "general_held_out", "medicine_held_out")
    for seed, name in enumerate(names):
        tiny_run.write_rows(folder / f"{name}.jsonl", seed, 12 if "held_out" in name else 120)
    (folder / "terms.txt").write_text("cardiology\nhemoglobin\n")


class Build:
    """Executables of one build, working in a record's folder."""

    def __init__(self, executables, place):
        self.executables, self.place = pathlib.Path(executables).resolve(), place

    def start(self, config, out, *flags):
        """The process of a run; its recipe lies beside its folder."""
        out.parent.mkdir(exist_ok=True)
        path = out.with_name(f"{out.name}.json")
        path.write_text(json.dumps(config, indent=1) + "\n")
        return subprocess.Popen(
            [self.executables / app_of(config), "--config", path, "--out", out, *flags],
            cwd=self.place, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True)

    def finish(self, config, out, *flags):
        end(self.start(config, out, *flags), out, 0)

    def interrupt(self, config, out):
        """Stops a run by SIGINT. Nobody reads its log before, so that it waits at a full pipe."""
        process, rows = self.start(config, out), out / "metrics.jsonl"
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        tiny_run.wait_until(lambda: process.poll() is not None or
                            rows.exists() and len(read_rows(rows)) >= INTERRUPT_ROWS)
        process.send_signal(signal.SIGINT)
        end(process, out, 128 + signal.SIGINT)

    def run(self, name, out, half=None):
        """The recipe of this name; `half` becomes a copy of a run that is interrupted."""
        if name != "interrupted":
            return self.finish(RECIPES[name], out)
        self.interrupt(RECIPES[name], out)
        if half:
            shutil.copytree(out, half)
        self.finish(RECIPES[name], out, "--resume")


class Failed(Exception):
    """A run did not end as it should."""


def end(process, out, code):
    """Waits for the process, which must leave this exit code."""
    errors = process.communicate(timeout=tiny_run.DEADLINE)[1]
    if process.returncode != code:
        raise Failed(f"{out}: exit code {process.returncode} instead of {code}\n{errors}")


def flat(value, path):
    """A line for each number or word in a JSON value that a repeated run must give again."""
    pairs = ()
    if isinstance(value, (dict, list)):
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    if not pairs:
        yield f"{path} {json.dumps(value)}"
    for key, part in pairs:
        if key not in UNREPEATABLE:
            yield from flat(part, f"{path}/{key}")


def tensors(path):
    """A line for each tensor of a safetensors file: name, type, shape, hash."""
    data = path.read_bytes()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    for name, entry in sorted(json.loads(data[8:begin]).items()):
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            digest = hashlib.sha256(data[begin + first:begin + last]).hexdigest()
            yield f"{name} {entry['dtype']} {entry['shape']} {digest}"


def facts(out):
    """What must be the same of a run: lines by file; "trials" stands for a search's study."""
    found = {str(path.relative_to(out)): list(tensors(path))
             for path in sorted(out.glob("*/*.safetensors"))}
    for name in ("decisions.jsonl", "metrics.jsonl"):
        if (out / name).exists():
            rows = enumerate(read_rows(out / name), 1)
            found[name] = [line for number, row in rows for line in flat(row, f"line {number}: ")]
    found["report.json"] = list(flat(json.loads((out / "report.json").read_text()), ""))
    if (out / "study.db").exists():
        kept = ("number", "state", "params", "values", "intermediate")
        trials = [{key: row[key] for key in kept} for row in sweeps.trials(out / "study.db")]
        found["trials"] = list(flat(trials, ""))
    return found


def hashes(found):
    return {name: hashlib.sha256("\n".join(lines).encode()).hexdigest()
            for name, lines in found.items()}


def count_differences(name, out, was, recorded):
    """Says of each file of the run in `out` whether its hash is the recorded one; `was` is the
    recorded run's folder, which shows where not."""
    ours, theirs, count = facts(out), facts(was), 0
    digests = hashes(ours)
    for file in sorted(recorded | digests):
        if digests.get(file) == recorded.get(file):
            print(f"{name}: {file}: equal")
            continue
        count += 1
        pairs = itertools.zip_longest(theirs.get(file, []), ours.get(file, []), fillvalue="nothing")
        old, new = next((pair for pair in pairs if pair[0] != pair[1]),
                        ("another hash", "the lines that the record's folder gives now"))
        print(f"{name}: {file}: DIFFERS\n  was {old}\n  is  {new}")
    return count


def cut_back(run, half, at):
    """A copy of a run as if it had been killed when the checkpoint of step `at` was its newest."""
    shutil.copytree(run, half)
    checkpoints = half / "checkpoints"
    assert (checkpoints / f"checkpoint-{at}").is_dir(), checkpoints
    for path in checkpoints.iterdir():
        if int(path.name.split("-")[1]) > at:
            shutil.rmtree(path)
    for path in (*half.glob("model*"), *half.glob("report.*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def decisions(run):
    return read_rows(run / "decisions.jsonl")[1:]


def record(executables, place):
    if place.exists():
        sys.exit(f"{place} exists")
    make_inputs(place / "inputs")
    build, runs, half, found = Build(executables, place), place / "runs", place / "half", {}
    half.mkdir()
    for name, config in RECIPES.items():
        build.run(name, runs / name, half / name)
        found[name] = hashes(facts(runs / name))
        if "controllers" in config:  # of one that does nothing nothing would be shown
            made = {row["controller"] for row in decisions(runs / name)}
            assert made == set(config["controllers"]), made ^ set(config["controllers"])
        print(f"{name}: recorded")
    cuts = [row["step"] for row in decisions(runs / "prune") if row["knob"] == "cut"]
    assert len(cuts) == 3 and min(cuts) < HALF_PRUNED < max(cuts), cuts
    cut_back(runs / "prune", half / "prune", HALF_PRUNED)
    build.finish(RECIPES["search"] | HALF_SEARCHED, half / "search")
    (place / "hashes.json").write_text(json.dumps(found, indent=1) + "\n")


def compare(executables, place):
    """How many files differ; a run that fails counts as one."""
    recorded = json.loads((place / "hashes.json").read_text())
    build, runs, count = Build(executables, place), place / "runs", 0
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        shutil.copytree(place / "half", work / "half")
        flags = {"interrupted": ["--resume"], "prune": ["--resume"], "search": []}
        for part, name in [("runs", name) for name in RECIPES] + [("half", name) for name in flags]:
            out = work / part / name
            try:
                if part == "runs":
                    build.run(name, out)
                else:
                    build.finish(RECIPES[name], out, *flags[name])
                differences = count_differences(f"{part}/{name}", out, runs / name, recorded[name])
            except Failed as failure:
                print(f"{part}/{name}: FAILED: {failure}")
                differences = 1
            count += differences
    print(f"{count} files differ" if count else "the same behaviour")
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("record", "compare", "repeat"):
        command = commands.add_parser(name)
        if name == "compare":
            command.add_argument("dir", type=pathlib.Path)
            command.add_argument("--with", type=json.loads, default={}, dest="patch")
        command.add_argument("build_bin", type=pathlib.Path)
        if name == "record":
            command.add_argument("--out", type=pathlib.Path, required=True)
    given = parser.parse_args()
    if given.command == "record":
        record(given.build_bin, given.out.resolve())
        return 0
    if given.command == "compare":
        give_keys(given.patch)
        return int(compare(given.build_bin, given.dir.resolve()) > 0)
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder) / "record"
        record(given.build_bin, place)
        return int(compare(given.build_bin, place) > 0)


if __name__ == "__main__":
    sys.exit(main())
