#!/usr/bin/env python3
"""hone's divergences beside torch's kl_div and TRL's generalized_jsd_loss, values and gradients.

Usage: kernels_divergence.py <divergence_tool>

TRL's function is read from its source, where `trl` is installed (scripts/setup --oracles, without
what it depends on), since importing it needs a trainer's packages; without it torch alone is asked.
TRL leaves temperature^2 out, and has forward and reverse KL as beta 0 and 1.
"""
import ast
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-12  # float64
BETAS = {0.0: "forward_kl", 1.0: "reverse_kl", 0.1: "jsd", 0.5: "jsd", 0.9: "jsd"}
TEMPERATURES = [0.7, 1.0, 2.0]


def trl_loss():
    """TRL's function, or None."""
    if importlib.util.find_spec("trl") is None:
        return None
    folder = pathlib.Path(importlib.util.find_spec("trl").submodule_search_locations[0])
    source = (folder / "experimental" / "gkd" / "gkd_trainer.py").read_text()
    found = next(node for node in ast.walk(ast.parse(source))
                 if isinstance(node, ast.FunctionDef) and node.name == "generalized_jsd_loss")
    found.decorator_list = []
    space = {"torch": torch, "F": F}
    exec(compile(ast.Module([found], []), str(folder), "exec"), space)  # noqa: S102
    return lambda q, p, beta, temperature: space["generalized_jsd_loss"](
        q, p, beta=beta, temperature=temperature, reduction="none").sum(-1)


def torch_loss(student, teacher, beta, temperature):
    """The definition by F.kl_div, whose target comes second."""
    q, p = (F.log_softmax(x / temperature, -1) for x in (student, teacher))

    def kl(of, against):
        return F.kl_div(against, of, reduction="none", log_target=True).sum(-1)

    if beta == 0:
        return kl(p, q)
    if beta == 1:
        return kl(q, p)
    m = torch.log(beta * p.exp() + (1 - beta) * q.exp())
    return beta * kl(p, m) + (1 - beta) * kl(q, m)


def main(tool):
    torch.manual_seed(20261201)
    cases = [{"divergence": kind, "beta": beta if kind == "jsd" else 0.5, "temperature": t,
              "squared": squared, "trl": beta}
             for beta, kind in BETAS.items() for t in TEMPERATURES for squared in (False, True)]
    student = (torch.randn(64, 300, dtype=torch.float64) * 3).requires_grad_()
    teacher = torch.randn(64, 300, dtype=torch.float64) * 3
    with tempfile.TemporaryDirectory() as folder:
        save_file({"student": student.detach(), "teacher": teacher}, f"{folder}/in",
                  {"options": json.dumps(cases)})
        subprocess.run([tool, f"{folder}/in", f"{folder}/out"], check=True)
        got = load_file(f"{folder}/out")
    trl = trl_loss()
    print("TRL is", "not installed: torch alone is asked" if trl is None else "asked too")
    worst = 0
    for loss in filter(None, [torch_loss, trl]):
        for i, case in enumerate(cases):
            scale = case["temperature"] ** 2 if case["squared"] else 1
            expected = scale * loss(student, teacher, case["trl"], case["temperature"])
            (slope,) = torch.autograd.grad(expected.sum(), student)
            for mine, theirs in ((got[f"value.{i}"], expected), (got[f"slope.{i}"], slope)):
                error = ((mine - theirs).abs().max() / theirs.abs().max()).item()
                assert error < TOLERANCE, (case, error)
                worst = max(worst, error)
    print(f"{len(cases)} divergences of 64 rows and their gradients agree to {worst:.1e}")


if __name__ == "__main__":
    main(sys.argv[1])
