"""Seconds of what the study frontier decided on (notebook 08).

Whole recipes, finding and training apart, on all of this machine's cores: run it on an idle one. Each recipe
in turn with the dense network's ten epochs, in one run; the turn called "cold" compiles everything anew, the
others find all compiled.
"""

import time

import lotteryhelpers as lh
from lotteryhelpers.studies.frontier import found
from lotteryhelpers.studies.shared import start_of
from lotteryhelpers.training import trainer_for

TABLES = {"08_costs": "finder shape turn"}
SPARSE = ("20% of the weights", "500-300-100, 20% of the weights", "400-150-50")
STORED = {
    "seeds": (410,), "turns": 3, "epochs": 10, "batch": 128,
    "recipes": (  # what twelve seeds decided on, but for the smaller networks of 20% that no finder chose
        (("dense", 3_000, 9, 128), ("500-200-100",)), (("dense", 51_200, 3, 512), ("500-300-100",)),
        (("dense", 55_000, 3, 128), SPARSE), (("flipout", 3_000, 3, 128), ("500-200-100",)),
        (("flipout", 55_000, 1, 128), SPARSE), (("local", 51_200, 1, 512), ("500-300-100",)),
        ("none", ("400-150-50", "500-200-100", "500-300-100")), ("snip", SPARSE[:1]),
        ("IMP, 7 x 1 epochs", ("21% of the weights",)), ("supermask, 3 epochs", ("learned",)),
    ),
}  # fmt: skip
LIVE = {"seeds": (410,), "turns": 3, "epochs": 20, "batch": 64,
        "recipes": ((("flipout", 300, 10, 60), ("40-100-50",)), ("none", ("40-100-50",)))}  # fmt: skip


def rows(dataset, seeds, turns, epochs, batch, recipes):
    """Yield a row a recipe and turn, made in this process; ``recipes`` are finders with their shapes."""
    (seed,), config = seeds, lh.TrainConfig(epochs, batch, seed=seeds[0])

    def spent(finder, shape):
        began = time.perf_counter()
        masks, _ = found(dataset, seed, finder, shape, batch)
        between = time.perf_counter()
        if shape != "learned":  # there finding is all there is
            lh.train_ticket(dataset, start_of(dataset, seed), masks, config, compact=finder != "dense")
        return (finder != "dense") * (between - began), time.perf_counter() - between

    spent("dense", "whole")  # TensorFlow's own first steps, and the data as tensors, are nobody's cost
    for finder, shape in ((f, s) for f, shapes in recipes for s in shapes):
        for turn in ("cold", *map(str, range(turns))):
            row = {"finder": str(finder), "shape": shape, "turn": turn}
            for prefix, recipe in (("dense_", ("dense", "whole")), ("", (finder, shape))):
                if turn == "cold":
                    trainer_for.cache_clear()
                row[f"{prefix}finding"], row[f"{prefix}training"] = spent(*recipe)
            yield row
