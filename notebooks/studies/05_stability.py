"""Would the same mask come out again? Overlaps of masks (notebook 05), on MNIST.

Writes results/05_stability.csv: one start, five Bayesian trainings that differ in noise and batch order; the
overlap of a criterion with itself between them, and with the others on the same training.
"""

import dataclasses
import itertools
import time

import lotteryhelpers as lh
import numpy as np
import pandas as pd
from study import write

SEEDS = range(100, 105)
DENSITIES = (0.5, 0.2, 0.05)
NAMES = ("variance", "snr", "magnitude", "movement", "rms", "kl", "snip", "random")


def masks_of(run, dataset, seed, density):
    """The criteria's masks on one training."""
    rng = np.random.default_rng(seed)
    return {n: lh.masks_for(run, n, density, dataset=dataset, rng=rng) for n in NAMES}


if __name__ == "__main__":
    began = time.time()
    dataset = lh.load_dataset("mnist")
    recipe, rows = lh.recipe(dataset), []
    sizes = (dataset.train.images.shape[1], 300, 100, dataset.num_classes)
    start = lh.draw_initial(sizes, SEEDS[0])
    configs = [dataclasses.replace(recipe.bayesian, seed=seed) for seed in SEEDS]
    same_start = [lh.load_or_train_bayesian(dataset, config, initial=start) for config in configs]
    for density in DENSITIES:
        made = [masks_of(run, dataset, seed, density) for seed, run in zip(SEEDS, same_start, strict=True)]
        for name in NAMES:
            for (i, a), (j, b) in itertools.combinations(enumerate(made), 2):
                rows.append(["noise", density, name, name, i, j, lh.jaccard(a[name], b[name])])
        for i, masks in enumerate(made):
            for a, b in itertools.combinations(NAMES, 2):
                rows.append(["criteria", density, a, b, i, i, lh.jaccard(masks[a], masks[b])])
    table = pd.DataFrame(rows, columns=["between", "density", "a", "b", "run_a", "run_b", "jaccard"])
    about = {"dataset": dataset.name, "data": dataset.fingerprint, "recipe": recipe}
    write("05_stability", table, __file__, began, **about)
