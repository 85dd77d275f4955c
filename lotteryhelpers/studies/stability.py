"""Would the same mask come out again? Overlaps of masks (notebook 05).

One start, five Bayesian trainings that differ in noise and batch order; the overlap of a criterion with
itself between them, and with the others on the same training."""

import dataclasses
import itertools

import numpy as np

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import gather, start_of, trained

TABLES = {"05_stability": "between density a b run_a run_b"}
STORED = {"seeds": range(100, 105), "densities": (0.5, 0.2, 0.05), "bayesian": lh.TrainConfig(15)}
LIVE = {"seeds": range(100, 103), "densities": (0.2,)}
NAMES = ("variance", "snr", "magnitude", "movement", "rms", "kl", "snip", "random")


def rows(dataset, seeds, densities, bayesian=None, client=None):
    """Yield a row a pair of masks."""
    call = overlaps, tuple(seeds), densities, bayesian or lh.recipe(dataset).bayesian
    return gather(dataset, [call], client)


def overlaps(dataset, seeds, densities, config):
    """The pairs of all trainings."""
    start, numbers = start_of(dataset, seeds[0], "normal"), range(len(seeds))
    runs = [trained(dataset, start, "posterior", dataclasses.replace(config, seed=seed)) for seed in seeds]
    pairs = [("noise", n, n, i, j) for n in NAMES for i, j in itertools.combinations(numbers, 2)]
    pairs += [("criteria", a, b, i, i) for i in numbers for a, b in itertools.combinations(NAMES, 2)]
    for density in densities:
        masks = [{n: lh.masks_for(run, n, density, dataset=dataset, rng=rng) for n in NAMES}
                 for run, rng in zip(runs, map(np.random.default_rng, seeds), strict=True)]  # fmt: skip
        for between, a, b, i, j in pairs:
            yield {"between": between, "density": density, "a": a, "b": b, "run_a": i, "run_b": j,
                   "jaccard": lh.jaccard(masks[i][a], masks[j][b])}  # fmt: skip
