"""The same recipes on a CUDA device: gpu_run.py HONE_DOMAIN; exit code 77 (skipped) without one.

Full tuning, LoRA with a grown vocabulary, and scoring run in bfloat16 with float32 masters; their
held-out perplexities must lie within 5 % of the CPU's, which computes in float32.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

from support import data_sets, run, small_base

SKIPPED = 77


def main():
    hone = sys.argv[1]
    if shutil.which("nvidia-smi") is None or subprocess.run(["nvidia-smi", "-L"]).returncode != 0:
        print("skipped: no CUDA device")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        data, _ = data_sets(work)
        recipe = small_base(data)
        for device in ("cpu", "cuda"):
            run(hone, {**recipe, "device": device}, work / f"{device}-base")
        model = str(work / "cpu-base/model")
        recipes = {
            "full": {"about": "full", "model": model, "data": data, "train": {"steps": 20, "lr": 2e-3}},
            "lora": {"about": "lora", "model": model, "data": data, "tuning": "lora",
                     "vocabulary": {"new_tokens": 40, "domains": ["medicine"]}, "train": {"steps": 20, "lr": 5e-3}},
            "score": {"about": "score", "model": model, "data": {"held_out": data["held_out"]}, "train": {"steps": 0}},
        }
        for label, config in recipes.items():
            reports = [run(hone, {**config, "device": device}, work / f"{device}-{label}") for device in ("cpu", "cuda")]
            for cpu, cuda in zip(*(report["after"]["domains"] for report in reports)):
                ratio = cuda["perplexity"] / cpu["perplexity"]
                print(f"{label}, {cpu['name']}: cpu {cpu['perplexity']:.3f}, cuda {cuda['perplexity']:.3f}")
                assert 0.95 < ratio < 1.05, (label, cpu, cuda)


if __name__ == "__main__":
    main()
