"""Prior, KL weight and start against ticket quality (notebook 05), on MNIST. Writes results/05_arms.csv."""

import time

import lotteryhelpers as lh
from study import options, write

SEEDS = range(100, 105)
DENSITIES = (0.2, 0.05)


def specs():
    """The settings that the main study doesn't have."""
    found = []
    for prior_stddev in (0.1, 0.3, 1.0):
        for kl_weight in (0.1, 1.0):
            if (prior_stddev, kl_weight) != (1.0, 1.0):
                found += lh.specs_of(SEEDS, ("variance", "snr"), DENSITIES, prior_stddev=prior_stddev,
                                 kl_weight=kl_weight)  # fmt: skip
    found += lh.specs_of(SEEDS, ("dense",), (1.0,), initializer="glorot")
    criteria = ("variance", "snr", "magnitude", "dense_magnitude", "random")
    return found + lh.specs_of(SEEDS, criteria, DENSITIES, initializer="glorot")


if __name__ == "__main__":
    began, client = time.time(), options(__doc__)
    dataset = lh.load_dataset("mnist")
    recipe = lh.recipe(dataset)
    rows = lh.sweep(dataset, specs(), recipe, client=client).drop(columns="curve")
    write("05_arms", rows, __file__, began, dataset=dataset.name, data=dataset.fingerprint, recipe=recipe)
