#!/usr/bin/env python3
"""The plateau controller against torch's ReduceLROnPlateau on the same losses: plateau.py <train_probe>

Same floating-point operations, so that every rate must be equal, bit for bit.
"""
import itertools
import json
import math
import random
import subprocess
import sys

import torch


def series(seed):
    """A falling loss with noise, stretches without a fall, and some values that are no numbers."""
    source = random.Random(seed)
    losses, level = [], 3.0
    for i in range(400):
        if (i // 40) % 2 == 0:
            level *= 0.995
        losses.append(math.nan if source.random() < 0.02 else level + source.gauss(0, 0.003))
    return losses


def torch_scales(losses, factor, patience, threshold, threshold_mode, cooldown, min_scale):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience, threshold=threshold,
        threshold_mode=threshold_mode, cooldown=cooldown, min_lr=min_scale, eps=0)
    scales = []
    for loss in losses:
        scheduler.step(loss)
        scales.append(optimizer.param_groups[0]["lr"])
    return scales


def main():
    asks, wanted = [], []
    for seed, (factor, patience, threshold, mode, cooldown) in enumerate(itertools.product(
            (0.5, 0.9), (0, 3, 10), (0, 1e-3, 0.02), ("rel", "abs"), (0, 5))):
        options = {"factor": factor, "patience": patience, "threshold": threshold,
                   "threshold_mode": mode, "cooldown": cooldown, "min_scale": 0.01}
        losses = series(seed)
        wanted.append(torch_scales(losses, **options))
        asks.append({"options": options, "losses": [None if math.isnan(x) else x for x in losses]})
    done = subprocess.run([sys.argv[1]], input="".join(json.dumps(ask) + "\n" for ask in asks),
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"train_probe failed: {done.stderr}")
    failed, cuts = 0, 0
    for ask, scales, line in zip(asks, wanted, done.stdout.splitlines(), strict=True):
        cuts += len(set(scales)) - 1
        if json.loads(line) != scales:
            failed += 1
            print("FAILED", ask["options"])
    print(f"{len(asks)} runs of 400 evaluations, {cuts} cuts, {failed} differ")
    raise SystemExit(1 if failed or cuts < 100 else 0)


if __name__ == "__main__":
    main()
