"""What a recipe can say of its data and its length: formats_run.py HONE_DOMAIN.

CSV files, one of them packed, under other column names, found by a pattern, a share of the rows held out, a
length in epochs; the plan, the log and the report tell the same steps, and a resumed run keeps them. Then the model it
made as a snapshot in a Hugging Face cache, named as on the hub.
"""
import csv
import gzip
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from support import run


def table(first, rows):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "question", "answer"])
    for i in range(first, first + rows):
        writer.writerow([i, f"What is number {i}, \"twice\"?\n", f"It is {2 * i}, or {i} and {i}" + ", again" * (i % 5)])
    return out.getvalue()


def call(hone, recipe, *more, code=0, **env):
    done = subprocess.run([hone, "--config", recipe, *more], capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def check_epochs(hone, work):
    (work / "rows").mkdir()
    (work / "rows/a.csv").write_text(table(0, 40))
    (work / "rows/b.csv.gz").write_bytes(gzip.compress(table(40, 20).encode()))
    config = {"about": "rows", "architecture": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
                                                "num_attention_heads": 2, "num_key_value_heads": 2},
              "tokenizer": {"vocab_size": 320},
              "data": {"train": [{"name": "sums", "domain": "sums", "files": [str(work / "rows/*.csv*")],
                                  "columns": {"prompt": "question", "completion": "answer"}}],
                       "validation": {"share": 0.2}, "tokens_per_batch": 256},
              "train": {"epochs": 2.5, "accumulation": 2, "lr": 3e-3, "save_every": 3, "keep_checkpoints": 1000,
                        "log_every": 5}}
    recipe = work / "recipe.json"
    recipe.write_text(json.dumps(config))
    report = run(hone, config, work / "whole")
    steps = report["planned_steps"]
    print(f"2.5 epochs = {steps} steps")
    assert report["steps"] == steps > 5 and report["epochs"] == 2.5
    counts = {part: report["data"][part][0]["counts"] for part in ("train", "held_out")}
    assert counts["train"]["documents"] == 48 and counts["held_out"]["documents"] == 12, counts
    assert report["data"]["held_out"][0]["domain"] == "sums" and report["after"]["domains"][0]["domain"] == "sums"
    # Each step is of up to 512 tokens, none of them padding.
    assert abs(report["tokens"] / counts["train"]["tokens"] - 2.5) < 2 * 512 / counts["train"]["tokens"] + 0.1

    said = f"2.5 epochs = {steps} steps"
    plan = call(hone, recipe, "--plan")
    assert said in plan, plan
    log = call(hone, recipe, "--out", work / "log")
    assert said in log, log

    # As if it had been killed behind its first checkpoint.
    shutil.copytree(work / "whole", work / "resumed")
    (work / "resumed/report.json").unlink()
    shutil.rmtree(work / "resumed/model")
    for checkpoint in sorted((work / "resumed/checkpoints").iterdir())[1:]:
        shutil.rmtree(checkpoint)
    resumed = run(hone, config, work / "resumed", "--resume")
    for key in ("steps", "planned_steps", "tokens", "after"):
        assert resumed[key] == report[key], f"{key}: {resumed[key]} and {report[key]}"
    assert (work / "resumed/model/model.safetensors").read_bytes() == (work / "whole/model/model.safetensors").read_bytes()
    return config


def check_hub_name(hone, work, config):
    repository = work / "hub/models--some--tiny"
    snapshot = repository / "snapshots/0a1b2c"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0a1b2c")
    (repository / "blobs").mkdir()
    for file in (work / "whole/model").iterdir():  # the cache's snapshots are links to blobs
        blob = repository / "blobs" / file.name.replace(".", "-")
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    recipe = {key: value for key, value in config.items() if key not in ("architecture", "tokenizer")}
    recipe = {**recipe, "model": "some/tiny", "train": {"steps": 1}}
    path = work / "hub.json"
    path.write_text(json.dumps(recipe))
    cache = {"HF_HUB_CACHE": str(work / "hub")}
    log = call(hone, path, "--out", work / "from-hub", **cache)
    assert f"some/tiny is in {snapshot}" in log, log
    model = work / "from-hub/model"
    assert (model / "tokenizer.json").is_file() and not any(file.is_symlink() for file in model.iterdir())
    path.write_text(json.dumps({**recipe, "model": "some/other"}))
    log = call(hone, path, "--out", work / "none", code=2, **cache)
    assert f"there is no {work}/hub/models--some--other" in log and "`hf download some/other`" in log, log


def main():
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        config = check_epochs(sys.argv[1], work)
        check_hub_name(sys.argv[1], work, config)


if __name__ == "__main__":
    main()
