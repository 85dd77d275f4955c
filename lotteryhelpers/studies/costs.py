"""Seconds of what the study frontier decided on (notebook 09).

Whole recipes, finding and training apart, on all cores of an idle machine, each in turn with the dense
network's ten epochs, in one run; only the turn called "cold" compiles everything anew."""

import time

import lotteryhelpers as lh
from lotteryhelpers.studies import frontier
from lotteryhelpers.studies.shared import start_of
from lotteryhelpers.training import kept_trainer

TABLES = {"09_costs": "finder shape turn"}
STORED = {"seeds": (410,), "turns": 3, "epochs": 10, "batch": 128,
          "recipes": tuple((finder, shape) for finder, shape, _ in frontier.STORED["tickets"] if
                           finder != "supermask, 12 epochs" and not (finder == "none" and "%" in shape))}
LIVE = {"seeds": (410,), "turns": 3, "epochs": 20, "batch": 64,
        "recipes": ((("flipout", 300, 10, 60), "40-100-50"), ("none", "40-100-50"))}  # fmt: skip


def rows(dataset, seeds, turns, epochs, batch, recipes):
    """Yield a row a recipe and turn, made in this process; a recipe is a finder and a shape."""
    (seed,), config = seeds, lh.TrainConfig(epochs, batch, seed=seeds[0])

    def spent(finder, shape):
        began = time.perf_counter()
        masks, _ = frontier.found(dataset, seed, finder, shape, batch)
        between = time.perf_counter()
        if shape != "learned":  # there finding is all there is
            lh.train_ticket(dataset, start_of(dataset, seed), masks, config, compact=finder != "dense")
        ended = time.perf_counter()
        return (finder != "dense") * (between - began), (shape != "learned") * (ended - between)

    spent("dense", "whole")  # TensorFlow's own first steps, and the data as tensors, are nobody's cost
    for finder, shape in recipes:
        for turn in ("cold", *map(str, range(turns))):
            row = {"finder": str(finder), "shape": shape, "turn": turn}
            for prefix, recipe in (("dense_", ("dense", "whole")), ("", (finder, shape))):
                if turn == "cold":
                    kept_trainer.cache_clear()
                row[f"{prefix}finding"], row[f"{prefix}training"] = spent(*recipe)
            yield row
