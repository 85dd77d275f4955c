"""The main study of notebook 05: criteria, controls and layer budgets against density.

The comparisons named beforehand have ten seeds: variance minus random and snr minus the dense network, at 20%
of the weights."""

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import swept

TABLES = {"05_criteria": "scope criterion density seed"}
STORED = {"seeds": range(100, 105), "named_seeds": range(100, 110), "bayesian": lh.TrainConfig(15),
          "ticket": lh.TrainConfig(10), "densities": (0.8, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)}  # fmt: skip
LIVE = {"seeds": range(100, 103), "named_seeds": range(100, 105), "densities": (0.5, 0.2, 0.05)}
CRITERIA = {  # by scope
    "layer": ("variance", "snr", "magnitude", "dense_magnitude", "movement", "rms", "kl", "snip", "random",
              "random_live", "inverted", "untrained"),
    "global": ("variance", "snr", "magnitude", "shuffled"),  # shuffled: chance with variance's budget
    "variance": ("snr", "magnitude"), "uniform": ("variance",)}  # fmt: skip


def rows(dataset, seeds, named_seeds, densities, bayesian=None, ticket=None, client=None):
    """Yield a row a run."""
    specs = lh.specs_of(named_seeds, ("dense",), (1.0,))
    specs += lh.specs_of(named_seeds, ("variance", "snr", "random"), (0.2,))
    for scope, criteria in CRITERIA.items():
        specs += lh.specs_of(seeds, criteria, densities, scope=scope)
    return swept(dataset, dict.fromkeys(specs), bayesian, ticket, client)
