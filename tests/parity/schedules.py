#!/usr/bin/env python3
"""Learning-rate schedules against torch's and transformers' over 10,000 steps: schedules.py <train_probe>

Rates are compared relative to the peak. While warming up ours at step s equals theirs at s + 1, for
they begin at 0; after it the steps are the same.
"""
import json
import subprocess
import sys
import warnings

import torch
import transformers

warnings.filterwarnings("ignore", message="Detected call of")
STEPS = 10_000
TOLERANCE = 1e-12  # of the peak; both compute in double


def optimizer(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def torch_rates(make, lr, steps):
    """The rates that steps 0, 1, ... of a scheduler made by `make` are taken with."""
    sgd = optimizer(lr)
    scheduler, rates = make(sgd), []
    for _ in range(steps):
        rates.append(sgd.param_groups[0]["lr"])
        scheduler.step()
    return rates


def with_warmup(rates, warmup, lr):
    """Ours for a schedule of theirs that begins after a warm-up of ours."""
    return [lr * (step + 1) / warmup for step in range(warmup)] + rates


def shifted(rates, warmup):
    """Ours for a schedule of transformers with a warm-up: see the head of this file."""
    return rates[1:warmup + 1] + rates[warmup:STEPS]


def cases():
    lr = 3e-4
    common = {"steps": STEPS, "lr": lr}
    for t_0, t_mult, floor, warmup in ((10, 1, 0, 0), (700, 1, 0.1, 0), (100, 2, 0.05, 1000),
                                       (33, 3, 0, 0), (1, 2, 0.5, 500), (20_000, 2, 0, 0)):
        theirs = torch_rates(lambda sgd: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
            sgd, t_0, t_mult, eta_min=lr * floor), lr, STEPS - warmup)
        yield (f"restarts t_0 {t_0} t_mult {t_mult} floor {floor} warmup {warmup}",
               {**common, "decay": "cosine_restarts", "min_lr_ratio": floor,
                "warmup_ratio": warmup / STEPS, "restarts": {"t_0": t_0, "t_mult": t_mult}},
               with_warmup(theirs, warmup, lr))
    for anneal in ("cos", "linear"):
        for three_phase in (False, True):
            for pct, div, final in ((0.3, 25, 1e4), (0.017, 3, 10), (0.5, 1, 1), (0.33333, 100, 7)):
                options = {"pct_start": pct, "div_factor": div, "final_div_factor": final,
                           "three_phase": three_phase}
                theirs = torch_rates(lambda sgd: torch.optim.lr_scheduler.OneCycleLR(
                    sgd, lr, total_steps=STEPS, anneal_strategy=anneal,
                    cycle_momentum=False, **options), lr, STEPS)
                yield (f"one cycle {anneal} {options}",
                       {**common, "decay": "one_cycle", "one_cycle": {"anneal": anneal, **options}},
                       theirs)
    for form in ("linear", "cosine", "1-sqrt"):
        for share, warmup, floor in ((0.2, 1000, 0), (0.1, 0, 0.1), (0.9, 1000, 0), (0.0003, 7, 0)):
            theirs = torch_rates(lambda sgd: transformers.get_wsd_schedule(
                sgd, warmup, round(share * STEPS), STEPS, decay_type=form, min_lr_ratio=floor),
                lr, STEPS)
            yield (f"wsd {form} share {share} warmup {warmup} floor {floor}",
                   {**common, "decay": "wsd", "warmup_ratio": warmup / STEPS, "min_lr_ratio": floor,
                    "wsd": {"decay_share": share, "form": form}}, shifted(theirs, warmup))
    warmup = 600
    for decay, make in (("cosine", transformers.get_cosine_schedule_with_warmup),
                        ("linear", transformers.get_linear_schedule_with_warmup)):
        theirs = torch_rates(lambda sgd: make(sgd, warmup, STEPS), lr, STEPS)
        yield (decay, {**common, "decay": decay, "warmup_ratio": warmup / STEPS},
               shifted(theirs, warmup))


def main():
    names, asks, theirs = zip(*cases())
    done = subprocess.run([sys.argv[1]], input="".join(json.dumps(ask) + "\n" for ask in asks),
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"train_probe failed: {done.stderr}")
    failed, worst = 0, 0.0
    for name, ask, wanted, line in zip(names, asks, theirs, done.stdout.splitlines(), strict=True):
        got = json.loads(line)
        assert len(got) == len(wanted) == STEPS, (name, len(got), len(wanted))
        error = max(abs(a - b) for a, b in zip(got, wanted)) / ask["lr"]
        worst = max(worst, error)
        if not error <= TOLERANCE:
            step = max(range(STEPS), key=lambda i: abs(got[i] - wanted[i]))
            failed += 1
            print(f"FAILED {name}: step {step}: {got[step]!r}, theirs {wanted[step]!r}")
    print(f"{len(names)} schedules of {STEPS} steps, {failed} failed, worst {worst:.1e} of the peak")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
