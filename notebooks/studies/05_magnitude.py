"""Why does the posterior's magnitude outdo the dense network's? Two suspects (notebook 05), on MNIST.

Writes results/05_magnitude.csv: the dense network's magnitude with the weights of dead pixels last, after the
tickets' ten epochs and after the Bayesian training's fifteen (these with the first seed's batch order).
"""

import time

import lotteryhelpers as lh
import numpy as np
from study import options, write

SEEDS = range(100, 105)
DENSITIES = (0.05, 0.02)


def dead_last(weights, dataset):
    """|w|, but the weights of pixels that no training image lights come after all others."""
    live = dataset.train.images.max(axis=0) > 0
    sizes = [abs(w) for w in weights]
    return [np.where(live[:, None], sizes[0], sizes[0] - 1e3), *sizes[1:]]


def dense_live(run, *, dataset, dense, **_):
    """After as many epochs as a ticket has."""
    return dead_last(dense.weights, dataset)


def dense_live_longer(run, *, dataset, **_):
    """After as many epochs as the posterior has."""
    longer = lh.train_ticket(dataset, run.initial, None, lh.recipe(dataset, SEEDS[0]).bayesian)
    return dead_last(longer.weights, dataset)


if __name__ == "__main__":
    began, client = time.time(), options(__doc__)
    dataset = lh.load_dataset("mnist")
    recipe = lh.recipe(dataset)
    lh.CRITERIA["dense_live"], lh.CRITERIA["dense_live_longer"] = dense_live, dense_live_longer
    specs = lh.specs_of(SEEDS, ("dense_live", "dense_live_longer"), DENSITIES)
    rows = lh.sweep(dataset, specs, recipe, client=client).drop(columns="curve")
    about = {"dataset": dataset.name, "data": dataset.fingerprint, "recipe": recipe}
    write("05_magnitude", rows, __file__, began, **about)
