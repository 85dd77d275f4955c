"""The experiment of notebook 04, and the comparisons that notebook 05 names: ten fresh seeds each.

Each written down before the first run; nothing had used its seeds. Masks after 15 epochs, tickets of 10; both
readings, margin 0.3.

04_thresholds: one threshold of the variance that keeps 50, 20 or 5%; controls with as many weights in each
layer. Named: at 50%, (1) variance minus the dense network and (2) minus random; at 5%, (3) variance minus
random. Expected: (1) and (2) as good, as five seeds were in one reading on each of two machines; (3) behind,
by a third to half a point; inverted at 20% ruinous. The rest is a family.

05_named: 5% of the weights, each layer's by the half-rate rule. Named: (1) variance minus random; (2) snr
minus the dense network; (3) variance minus shuffled_rows: as many weights an input, which by chance; (4)
variance minus pixel_variance, without a posterior. Expected: (1) behind, as in notebook 07, five seeds; (2)
as good; (3) as good: what the variance knows is which pixels vary; (4) worse, since after one epoch that draw
was a point ahead of chance (notebook 08)."""

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import swept

TABLES = {"04_thresholds": "criterion density seed", "05_named": "criterion seed"}
STORED = {"seeds": range(10, 20), "named_seeds": range(110, 120),
          "bayesian": lh.TrainConfig(15), "ticket": lh.TrainConfig(10)}  # fmt: skip
LIVE = {"seeds": range(2), "named_seeds": range(110, 113)}


def rows(dataset, seeds, named_seeds, bayesian=None, ticket=None, table="04_thresholds", client=None):
    """Yield a row a run."""
    specs = lh.specs_of(seeds, ("dense",), (1.0,))
    specs += lh.specs_of(seeds, ("variance", "random"), (0.5, 0.2, 0.05), scope="variance")
    specs += lh.specs_of(seeds, ("inverted",), (0.2,), scope="variance")
    if table == "05_named":
        masks = ("variance", "snr", "random", "shuffled_rows", "pixel_variance")
        specs = lh.specs_of(named_seeds, ("dense",), (1.0,)) + lh.specs_of(named_seeds, masks, (0.05,))
    return swept(dataset, specs, bayesian, ticket, client)
