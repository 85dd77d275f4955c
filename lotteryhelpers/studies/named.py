"""The comparisons that notebook 05 names, at 5% of the weights, and the variance's controls: ten fresh seeds.

Written down before the first run; no study has used these seeds. Masks after 15 epochs, tickets of 10, each
layer keeping its 5% (the half-rate rule). Named, in both readings, margin 0.3: (1) variance minus random; (2)
snr minus the dense network; (3) variance minus shuffled_rows: as many weights an input, which by chance; (4)
variance minus pixel_variance, without a posterior. Expected: (1) behind, as in notebook 07, five seeds; (2)
as good; (3) as good: what the variance knows is which pixels vary; (4) worse, since after one epoch that draw
was a point ahead of chance (notebook 08)."""

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import swept

TABLES = {"05_named": "criterion seed"}
STORED = {"seeds": range(110, 120), "bayesian": lh.TrainConfig(15), "ticket": lh.TrainConfig(10)}
LIVE = {"seeds": range(110, 113)}


def rows(dataset, seeds, bayesian=None, ticket=None, client=None):
    """Yield a row a run."""
    masks = ("variance", "snr", "random", "shuffled_rows", "pixel_variance")
    specs = lh.specs_of(seeds, ("dense",), (1.0,)) + lh.specs_of(seeds, masks, (0.05,))
    return swept(dataset, specs, bayesian, ticket, client)
