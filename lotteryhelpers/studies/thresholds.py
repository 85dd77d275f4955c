"""The experiment of notebook 04: one threshold of the variance that keeps 50, 20 or 5%, ten fresh seeds.

Written down before the first run; nothing has used these seeds. Masks after 15 epochs, tickets of 10;
controls with as many weights in each layer. Named, in both readings, margin 0.3: at 50%, (1) variance minus
the dense network and (2) minus random; at 5%, (3) variance minus random. Expected: (1) and (2) as good, since
five seeds said so in one reading on each of two machines that round otherwise, in the other reading on each;
(3) behind, by a third to half a point; inverted at 20% ruinous. The rest is a family."""

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import swept

TABLES = {"04_thresholds": "criterion density seed"}
STORED = {"seeds": range(10, 20), "bayesian": lh.TrainConfig(15), "ticket": lh.TrainConfig(10)}
LIVE = {"seeds": range(2)}


def rows(dataset, seeds, bayesian=None, ticket=None, client=None):
    """Yield a row a run."""
    specs = lh.specs_of(seeds, ("dense",), (1.0,))
    specs += lh.specs_of(seeds, ("variance", "random"), (0.5, 0.2, 0.05), scope="variance")
    specs += lh.specs_of(seeds, ("inverted",), (0.2,), scope="variance")
    return swept(dataset, specs, bayesian, ticket, client)
