"""The main study of notebook 05: criteria, controls and layer budgets against density, on MNIST.

Writes results/05_criteria.csv, a row a run, and results/05_curves.csv, validation accuracies by epoch.
"""

import time

import lotteryhelpers as lh
from study import options, write

SEEDS = range(100, 105)
PRIMARY_SEEDS = range(100, 110)  # the comparisons named beforehand have ten
DENSITIES = (0.8, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
CRITERIA = (
    "variance", "snr", "magnitude", "dense_magnitude", "movement", "rms", "kl", "snip",
    "random", "random_live", "inverted", "untrained",
)  # fmt: skip
BUDGETS = {  # scope: criteria
    "global": ("variance", "snr", "magnitude", "shuffled"),  # shuffled: chance with variance's budget
    "variance": ("snr", "magnitude"),
    "uniform": ("variance",),
}
CURVES = ("dense", "variance", "snr", "magnitude", "random", "inverted")


def specs():
    """All runs; those that a comparison was named for come first."""
    found = lh.specs_of(PRIMARY_SEEDS, ("dense",), (1.0,))
    found += lh.specs_of(PRIMARY_SEEDS, ("variance", "snr", "random"), (0.2,))
    found += lh.specs_of(SEEDS, CRITERIA, DENSITIES)
    for scope, criteria in BUDGETS.items():
        found += lh.specs_of(SEEDS, criteria, DENSITIES, scope=scope)
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    began, client = time.time(), options(__doc__)
    dataset = lh.load_dataset("mnist")
    recipe = lh.recipe(dataset)
    rows = lh.sweep(dataset, specs(), recipe, client=client)
    about = {"dataset": dataset.name, "data": dataset.fingerprint, "recipe": recipe}
    write("05_criteria", rows.drop(columns="curve"), __file__, began, **about)
    shown = rows.criterion.isin(CURVES) & rows.density.isin((1.0, 0.5, 0.2, 0.05)) & (rows.scope == "layer")
    curves = rows[shown & rows.seed.isin(SEEDS)].explode("curve")
    curves = curves.rename(columns={"curve": "validation_accuracy"})
    curves["epoch"] = curves.groupby(["seed", "criterion", "density"]).cumcount() + 1
    columns = ["seed", "criterion", "density", "epoch", "validation_accuracy"]
    write("05_curves", curves[columns], __file__, began, **about)
