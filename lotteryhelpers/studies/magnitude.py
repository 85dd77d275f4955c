"""Why does the posterior's magnitude outdo the dense network's? Two suspects (notebook 05).

The dense network's magnitude with the weights of dead pixels last, after the tickets' ten epochs and after
the Bayesian training's fifteen (these with the first seed's batch order)."""

import dataclasses

import lotteryhelpers as lh
from lotteryhelpers.papers.scores import dead_last
from lotteryhelpers.studies.shared import swept

TABLES = {"05_magnitude": "criterion density seed"}
STORED = {"seeds": range(100, 105), "densities": (0.05, 0.02), "bayesian": lh.TrainConfig(15),
          "ticket": lh.TrainConfig(10)}  # fmt: skip
LIVE = {"seeds": range(100, 103), "densities": (0.05,)}


def rows(dataset, seeds, densities, bayesian=None, ticket=None, client=None):
    """Yield a row a run."""
    longer = dataclasses.replace(bayesian or lh.recipe(dataset).bayesian, seed=seeds[0])

    def dense_live_longer(run, *, dataset, **_):
        return dead_last(map(abs, lh.train_ticket(dataset, run.initial, None, longer).weights), dataset)

    ours = {"dense_live": lambda run, *, dataset, dense, **_: dead_last(map(abs, dense.weights), dataset),
            "dense_live_longer": dense_live_longer}  # fmt: skip
    lh.CRITERIA.update(ours)
    try:
        yield from swept(dataset, lh.specs_of(seeds, ours, densities), bayesian, ticket, client)
    finally:  # they are this study's alone
        for name in ours:
            lh.CRITERIA.pop(name, None)
