"""The six standard functions of hyperparameter search on which samplers are compared, with their
spaces as Optuna's distributions in the order in which parameters are suggested.
Source: Surjanovic & Bingham, Virtual Library of Simulation Experiments; `mixed7` is ours and has
the shape of a fine-tuning space. Each is minimised; `least` is its global minimum."""
import math

import numpy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution


def branin(x0, x1):
    a = x1 - 5.1 / (4 * math.pi**2) * x0**2 + 5 / math.pi * x0 - 6
    return a**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x0) + 10


H6_A = numpy.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14],
                    [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]])
H6_P = 1e-4 * numpy.array([[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
                           [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]])


def hartmann6(**x):
    distances = (H6_A * (numpy.array(list(x.values())) - H6_P)**2).sum(1)
    return -float(numpy.array([1, 1.2, 3, 3.2]) @ numpy.exp(-distances))


def rosenbrock5(**x):
    x = list(x.values())
    return sum(100 * (b - a * a)**2 + (1 - a)**2 for a, b in zip(x, x[1:]))


RASTRIGIN_SHIFT = numpy.random.RandomState(7).uniform(-2, 2, 10)
ACKLEY_SHIFT = numpy.random.RandomState(8).uniform(-10, 10, 10)


def rastrigin10(**x):
    x = numpy.array(list(x.values())) - RASTRIGIN_SHIFT
    return float((x * x - 10 * numpy.cos(2 * math.pi * x) + 10).sum())


def ackley10(**x):
    x = numpy.array(list(x.values())) - ACKLEY_SHIFT
    return float(-20 * math.exp(-0.2 * math.sqrt((x * x).mean()))
                 - math.exp(numpy.cos(2 * math.pi * x).mean()) + 20 + math.e)


def mixed7(lr, wd, bs, rank, sched, opt, drop):
    bits = math.log2(bs)
    best_lr = -3.2 + {"sgd": 1.5, "adamw": 0, "lion": -0.6}[opt] + 0.25 * (bits - 4)
    return ((math.log10(lr) - best_lr)**2 + 0.1 * (math.log10(wd) + 2.5)**2 + 0.05 * (bits - 5)**2
            + 0.15 * (math.log2(rank) - 5)**2 + {"const": 0.4, "linear": 0.1, "cosine": 0, "wsd": 0.05}[sched]
            + {"sgd": 0.5, "adamw": 0, "lion": 0.08}[opt] + 4 * (drop - 0.1)**2)


def box(count, low, high):
    return {f"x{i}": FloatDistribution(low, high) for i in range(count)}


class Function:
    def __init__(self, call, space, least):
        self.call, self.space, self.least = call, space, least


FUNCTIONS = {
    "branin": Function(branin, {"x0": FloatDistribution(-5, 10), "x1": FloatDistribution(0, 15)},
                       0.39788735772973816),
    "hartmann6": Function(hartmann6, box(6, 0, 1), -3.322368011415515),
    "rosenbrock5": Function(rosenbrock5, box(5, -5, 10), 0),
    "rastrigin10": Function(rastrigin10, box(10, -5.12, 5.12), 0),
    "ackley10": Function(ackley10, box(10, -32.768, 32.768), 0),
    "mixed7": Function(mixed7, {
        "lr": FloatDistribution(1e-6, 1e-1, log=True), "wd": FloatDistribution(1e-6, 1e-1, log=True),
        "bs": IntDistribution(1, 256, log=True), "rank": IntDistribution(4, 128, step=4),
        "sched": CategoricalDistribution(["const", "linear", "cosine", "wsd"]),
        "opt": CategoricalDistribution(["sgd", "adamw", "lion"]),
        "drop": FloatDistribution(0, 0.5, step=0.05)}, 0),
}
