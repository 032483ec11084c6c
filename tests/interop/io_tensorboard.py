"""TensorBoard reads the scalars of a run that was broken off, gone on with, and cut at any byte.
Usage: io_tensorboard.py <io_tool>"""
import json
import pathlib
import subprocess
import sys
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TOOL = sys.argv[1]


def row(step, loss):
    return {"step": step, "loss": loss, "lr": 0.5 / step, "shares": {"law": 0.25, "medical": 0.75},
            "skipped": False}


def scalars(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]}


rows = [{"step": 0, "evaluation": [{"name": "held-out", "perplexity": 9.5, "tokens": 3}]}]
rows += [row(step, 1.0 / step) for step in range(1, 6)]
rows += [3]  # resumed from step 3
rows += [row(step, 8.0 + step) for step in range(4, 8)]
losses = [(step, 1.0 / step) for step in range(1, 4)] + [(step, 8.0 + step) for step in range(4, 8)]

with tempfile.TemporaryDirectory() as root:
    root = pathlib.Path(root)
    (root / "rows.json").write_text(json.dumps(rows))
    (root / "run").mkdir()
    subprocess.run([TOOL, "metrics", root / "rows.json", root / "run"], check=True)
    read = scalars(root / "run")
    assert set(read) == {"loss", "lr", "shares/law", "shares/medical", "perplexity/held-out"}, set(read)
    assert [s for s, _ in read["loss"]] == [s for s, _ in losses], read["loss"]
    assert all(abs(a - b) < 1e-6 for (_, a), (_, b) in zip(read["loss"], losses)), read["loss"]
    assert read["perplexity/held-out"] == [(0, 9.5)]
    lines = [json.loads(line) for line in (root / "run/metrics.jsonl").read_text().splitlines()]
    assert [(r["step"], r["loss"]) for r in lines if "loss" in r] == losses, lines

    files = sorted((root / "run").glob("events.out.tfevents.*"))
    assert len(files) == 2, files
    whole = files[1].read_bytes()
    for size in range(len(whole)):  # torn at any byte: the last record at most is lost
        files[1].write_bytes(whole[:size])
        if size % 7 == 0:
            got = scalars(root / "run")["loss"]
            assert [s for s, _ in got][:3] == [1, 2, 3], got
print("scalars, restart and torn files read by TensorBoard")
