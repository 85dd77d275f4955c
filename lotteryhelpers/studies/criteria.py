"""The main study of notebook 05: criteria, controls and layer budgets against density.

The comparisons named beforehand have ten seeds: variance minus random and snr minus the dense network, at 20%
of the weights. 05_arms has what the main table lacks: prior, KL weight and start against ticket quality."""

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import swept

TABLES = {"05_criteria": "scope criterion density seed",
          "05_arms": "initializer prior_stddev kl_weight criterion density seed"}
STORED = {"seeds": range(100, 105), "named_seeds": range(100, 110), "bayesian": lh.TrainConfig(15),
          "ticket": lh.TrainConfig(10), "densities": (0.8, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01),
          "arm_densities": (0.2, 0.05), "priors": (0.1, 0.3, 1.0), "kl_weights": (0.1, 1.0)}  # fmt: skip
LIVE = {"seeds": range(100, 103), "named_seeds": range(100, 105), "densities": (0.5, 0.2, 0.05),
        "arm_densities": (0.2,), "priors": (0.3,), "kl_weights": (1.0,)}  # fmt: skip
CRITERIA = {  # by scope
    "layer": ("variance", "snr", "magnitude", "dense_magnitude", "movement", "rms", "kl", "snip", "random",
              "random_live", "inverted", "untrained"),
    "global": ("variance", "snr", "magnitude", "shuffled"),  # shuffled: chance with variance's budget
    "variance": ("snr", "magnitude"), "uniform": ("variance",)}  # fmt: skip


def rows(dataset, seeds, named_seeds, densities, arm_densities, priors, kl_weights, bayesian=None,
         ticket=None, table="05_criteria", client=None):  # fmt: skip
    """Yield a row a run."""
    specs = lh.specs_of(named_seeds, ("dense",), (1.0,))
    specs += lh.specs_of(named_seeds, ("variance", "snr", "random"), (0.2,))
    for scope, criteria in CRITERIA.items():
        specs += lh.specs_of(seeds, criteria, densities, scope=scope)
    if table == "05_arms":
        chosen = ("variance", "snr", "magnitude", "dense_magnitude", "random")
        specs = lh.specs_of(seeds, ("dense",), (1.0,), initializer="glorot")
        specs += lh.specs_of(seeds, chosen, arm_densities, initializer="glorot")
        for prior, weight in ((p, w) for p in priors for w in kl_weights if (p, w) != (1.0, 1.0)):
            specs += lh.specs_of(seeds, chosen[:2], arm_densities, prior_stddev=prior, kl_weight=weight)
    return swept(dataset, dict.fromkeys(specs), bayesian, ticket, client)
