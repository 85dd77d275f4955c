"""Why does the posterior's magnitude outdo the dense network's? Two suspects (notebook 05).

The dense network's magnitude with the weights of dead pixels last, after the tickets' ten epochs and after
the Bayesian training's fifteen (these with the first seed's batch order).
"""

import dataclasses

import numpy as np

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import swept

TABLES = {"05_magnitude": "criterion density seed"}
STORED = {"seeds": range(100, 105), "densities": (0.05, 0.02), "bayesian": lh.TrainConfig(15),
          "ticket": lh.TrainConfig(10)}  # fmt: skip
LIVE = {"seeds": range(100, 103), "densities": (0.05,)}


def dead_last(weights, dataset):
    """Magnitudes, those of dead pixels behind all others."""
    live, (first, *rest) = dataset.train.images.max(axis=0) > 0, map(abs, weights)
    return [np.where(live[:, None], first, first - 1e3), *rest]


def rows(dataset, seeds, densities, bayesian=None, ticket=None, client=None):
    """Yield a row a run."""
    longer = dataclasses.replace(bayesian or lh.recipe(dataset).bayesian, seed=seeds[0])

    def dense_live(run, *, dataset, dense, **_):
        return dead_last(dense.weights, dataset)

    def dense_live_longer(run, *, dataset, **_):
        return dead_last(lh.train_ticket(dataset, run.initial, None, longer).weights, dataset)

    ours = {"dense_live": dense_live, "dense_live_longer": dense_live_longer}
    lh.CRITERIA.update(ours)
    specs = lh.specs_of(seeds, ours, densities)
    try:
        yield from swept(dataset, specs, bayesian, ticket, client)
    finally:  # they are this study's alone
        for name in ours:
            lh.CRITERIA.pop(name, None)
