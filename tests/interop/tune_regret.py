"""hone's simple regret on the standard functions against Optuna's, seed by seed.

    tune_regret.py <sampler_probe> <sampler> <seeds> [<function>...]

Optuna's numbers lie in tune_regret.json (scripts/bench/optuna_regret.py). hone runs the same number
of trials from the same random first trials. A function fails if the one-sided Mann-Whitney test
finds hone's regrets larger than Optuna's 20 (p < 0.05), and the test as a whole if the mean over the
functions of A12, the probability that a regret of hone's is the smaller of two, is below 0.48: the
gate of reference/tuning.md 3.3 B. Seeds are fixed: the outcome does not change from run to run."""
import json
import pathlib
import statistics
import sys
import time

from optuna.distributions import distribution_to_json
from scipy.stats import mannwhitneyu

from tune_functions import FUNCTIONS
from tune_samplers import Probe

FIXTURE = json.loads(pathlib.Path(__file__).with_name("tune_regret.json").read_text())


def regret(program, sampler, function, seed, trials):
    """Least value after `trials` trials above the function's minimum, and seconds in the sampler."""
    probe = Probe(program, sampler, seed)
    best, seconds = float("inf"), 0
    for number in range(trials):
        start = time.perf_counter()
        answer = probe.relative(number)
        internal = {name: float(answer["values"][name]) if name in answer["values"]
                    else probe.independent(number, name, d) for name, d in function.space.items()}
        seconds += time.perf_counter() - start
        value = function.call(**{name: d.to_external_repr(internal[name])
                                 for name, d in function.space.items()})
        best = min(best, value)
        probe.ask(op="trial", number=number, state="complete", values=[value],
                  params=[[name, internal[name], distribution_to_json(d)]
                          for name, d in function.space.items()], system_attrs=answer["attrs"])
    probe.process.stdin.close()
    probe.process.wait()
    return best - function.least, seconds


def main(program, sampler, seeds, *functions):
    table = FIXTURE[sampler]
    chances, failed = [], []
    functions = functions or [name for name in table if name != "trials"]
    print(f"median simple regret after {table['trials']} trials\n"
          f"{'function':12} {'hone':>10} {'Optuna':>10} {'p':>6} {'A12':>6} {'ms/trial':>9}")
    for name in functions:
        runs = [regret(program, sampler, FUNCTIONS[name], seed, table["trials"])
                for seed in range(int(seeds))]
        ours, theirs = [r for r, _ in runs], table[name]["regret"]
        test = mannwhitneyu(ours, theirs, alternative="greater")
        chances.append(1 - test.statistic / (len(ours) * len(theirs)))
        ms = 1e3 * sum(s for _, s in runs) / len(runs) / table["trials"]
        print(f"{name:12} {statistics.median(ours):10.3g} {statistics.median(theirs):10.3g} "
              f"{test.pvalue:6.2f} {chances[-1]:6.2f} {ms:9.2f}", flush=True)
        failed += [name] if test.pvalue < 0.05 else []
    assert not failed, f"hone's regret is larger than Optuna's on {failed}"
    assert statistics.mean(chances) >= 0.48, f"mean A12 {statistics.mean(chances):.3f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
