"""Prior, KL weight and start against ticket quality (notebook 05): the settings that the main study lacks."""

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import swept

TABLES = {"05_arms": "initializer prior_stddev kl_weight criterion density seed"}
STORED = {"seeds": range(100, 105), "densities": (0.2, 0.05), "priors": (0.1, 0.3, 1.0),
          "kl_weights": (0.1, 1.0), "bayesian": lh.TrainConfig(15), "ticket": lh.TrainConfig(10)}  # fmt: skip
LIVE = {"seeds": range(100, 103), "densities": (0.2,), "priors": (0.3,), "kl_weights": (1.0,)}
CRITERIA = ("variance", "snr", "magnitude", "dense_magnitude", "random")


def rows(dataset, seeds, densities, priors, kl_weights, bayesian=None, ticket=None, client=None):
    """The rows, one a run."""
    specs = lh.specs_of(seeds, ("dense",), (1.0,), initializer="glorot")
    specs += lh.specs_of(seeds, CRITERIA, densities, initializer="glorot")
    for prior, weight in ((p, w) for p in priors for w in kl_weights if (p, w) != (1.0, 1.0)):
        specs += lh.specs_of(seeds, CRITERIA[:2], densities, prior_stddev=prior, kl_weight=weight)
    return swept(dataset, specs, bayesian, ticket, client)
