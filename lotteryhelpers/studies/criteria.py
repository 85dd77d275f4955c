"""The main study of notebook 05: criteria, controls and layer budgets against density.

05_criteria has a row a run, 05_curves validation accuracies by epoch. The comparisons named beforehand have
ten seeds: variance minus random and snr minus the dense network, at 20% of the weights."""

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import swept

TABLES = {"05_criteria": "scope criterion density seed", "05_curves": "criterion density seed epoch"}
STORED = {"seeds": range(100, 105), "named_seeds": range(100, 110), "bayesian": lh.TrainConfig(15),
          "ticket": lh.TrainConfig(10), "densities": (0.8, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)}  # fmt: skip
LIVE = {"seeds": range(100, 103), "named_seeds": range(100, 105), "densities": (0.5, 0.2, 0.05)}
CRITERIA = {  # by scope
    "layer": ("variance", "snr", "magnitude", "dense_magnitude", "movement", "rms", "kl", "snip", "random",
              "random_live", "inverted", "untrained"),
    "global": ("variance", "snr", "magnitude", "shuffled"),  # shuffled: chance with variance's budget
    "variance": ("snr", "magnitude"), "uniform": ("variance",)}  # fmt: skip
CURVES = ("dense", "variance", "snr", "magnitude", "random", "inverted")


def rows(dataset, seeds, named_seeds, densities, bayesian=None, ticket=None, table="05_criteria",
         client=None):  # fmt: skip
    """Yield rows of ``table``."""
    specs = lh.specs_of(named_seeds, ("dense",), (1.0,))
    specs += lh.specs_of(named_seeds, ("variance", "snr", "random"), (0.2,))
    for scope, criteria in CRITERIA.items():
        specs += lh.specs_of(seeds, criteria, densities, scope=scope)
    if table == "05_curves":
        specs = [s for s in specs if s.seed in seeds and s.scope == "layer" and s.criterion in CURVES
                 and s.density in (1.0, 0.5, 0.2, 0.05)]  # fmt: skip
    for row in swept(dataset, dict.fromkeys(specs), bayesian, ticket, client, curves=True):
        run, curve = {name: row[name] for name in ("seed", "criterion", "density")}, row.pop("curve")
        by_epoch = [run | {"epoch": e, "validation_accuracy": a} for e, a in enumerate(curve, start=1)]
        yield from by_epoch if table == "05_curves" else [row]
