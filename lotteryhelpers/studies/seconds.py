"""Seconds a training step takes with each gradient estimator (notebook 10).

All networks in turn, seven rounds, on all cores of an idle machine; a row is one call of the compiled steps.
"""

import itertools

from lotteryhelpers.networks import ESTIMATORS, MaskedDense
from lotteryhelpers.studies.shared import prepared, step_seconds

TABLES = {"10_seconds": "turn batch estimator"}
STORED = {"seeds": (300,), "turns": 7, "steps": {32: 400, 128: 300, 512: 100, 2_048: 25}}
LIVE = {"seeds": (300,), "turns": 3, "steps": {128: 64}}


def rows(dataset, seeds, turns, steps):
    """Yield a row a measurement, in this process; ``steps`` says how many a call takes, by batch size."""
    networks = {"dense": MaskedDense} | ESTIMATORS
    trainers = {name: prepared(dataset, layer_class, *seeds) for name, layer_class in networks.items()}
    for turn, batch, name in itertools.product(range(-1, turns), steps, trainers):
        taken = step_seconds(dataset, trainers[name], batch, steps[batch])
        if turn >= 0:  # the one before compiles
            yield {"turn": turn, "batch": batch, "estimator": name, "step_seconds": taken}
