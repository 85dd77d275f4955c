"""Seconds of what 08_frontier.py decided on (notebook 08), on MNIST. Writes results/08_costs.csv.

Whole recipes, finding and training apart, on all of this machine's cores: run it on an idle one. Each recipe
in turn with the dense network's ten epochs, in one run; the turn called "cold" compiles everything anew, the
others find all compiled.
"""

import importlib
import os
import time

import lotteryhelpers as lh
import pandas as pd
from lotteryhelpers.training import trainer_for
from study import RESULTS, mnist, start, write

frontier = importlib.import_module("08_frontier")
TURNS, SEED, EPOCHS = range(3), 410, 10


def timed(make):
    """(seconds, result)."""
    began = time.perf_counter()
    result = make()
    return time.perf_counter() - began, result


def dense():
    """The reference: nothing to find."""
    config = lh.TrainConfig(EPOCHS, frontier.BATCH, seed=SEED)
    return 0.0, timed(lambda: lh.train_ticket(mnist(), start(SEED), None, config))[0]


def ticket(finder, shape):
    """Find a mask and train its compact network, ten epochs like the reference."""

    def find():
        return frontier.masks_of(frontier.found(SEED, finder)[0], shape)

    config = lh.TrainConfig(EPOCHS, frontier.BATCH, seed=SEED)
    finding, masks = timed(find)
    return finding, timed(lambda: lh.train_ticket(mnist(), start(SEED), masks, config, compact=True))[0]


def iterative():
    """Seven rounds of an epoch each."""
    config = lh.TrainConfig(1, frontier.BATCH, seed=SEED)
    rounds = {"rounds": 6, "rate": 0.2}
    finding, done = timed(lambda: lh.iterative_magnitude_pruning(mnist(), start(SEED), config, **rounds))
    masks = lh.prune(done[-1].masks, lh.CRITERIA["magnitude"](done[-1].ticket), 0.2)
    config = lh.TrainConfig(EPOCHS, frontier.BATCH, seed=SEED)
    return finding, timed(lambda: lh.train_ticket(mnist(), start(SEED), masks, config, compact=True))[0]


def supermask():
    """Three epochs; there is nothing to train after that."""
    config = lh.TrainConfig(3, frontier.BATCH, 0.1, SEED)
    return timed(lambda: lh.train_supermask(mnist(), start(SEED), config, rescale=True))[0], 0.0


def recipes():
    """(finder, shape) -> function, for all that twelve seeds decided on but the smaller networks of 20%."""
    table = pd.read_csv(RESULTS / "08_frontier.csv")
    finders = {str(f): f for f in (*frontier.POSTERIOR.values(), *frontier.RIVALS.values(), "snip", "none")}
    made = {}
    for finder, shape in table[["finder", "shape"]].drop_duplicates().itertuples(index=False):
        if finder in finders and not (finder == "none" and "%" in shape):
            made[finder, shape] = lambda f=finders[finder], s=shape: ticket(f, s)
    made["IMP, 7 x 1 epochs", "21% of the weights"] = iterative
    made["supermask, 3 epochs", "learned"] = supermask
    return made


def turns_of(recipe):
    """Cold, then warm in turn with the reference, so that each is compared with its neighbour in time."""
    for turn in ("cold", *TURNS):
        row = {"turn": turn}
        for prefix, make in (("dense_", dense), ("", recipe)):
            if turn == "cold":
                trainer_for.cache_clear()
            row[f"{prefix}finding"], row[f"{prefix}training"] = make()
        yield row


if __name__ == "__main__":
    began, rows = time.time(), []
    dense()  # TensorFlow's own first steps, and the data as tensors, are nobody's cost
    for (finder, shape), recipe in recipes().items():
        rows += [{"finder": finder, "shape": shape} | row for row in turns_of(recipe)]
    about = {"dataset": "mnist", "data": mnist().fingerprint, "threads": os.cpu_count(), "seeds": [SEED]}
    write("08_costs", pd.DataFrame(rows), __file__, began, **about, epochs=EPOCHS)
