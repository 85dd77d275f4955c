"""Was it the variance, or our posterior? One that is left to settle (notebook 11).

Written down before the first run, after a look at seed 500 alone. A posterior has settled if between half-way
and the end, in every layer, the median of sigma moves by at most 5% and the rank correlation of the sigmas
that the data hold (below 0.9 of the prior's) is at least 0.98. Settled here is the series' posterior, N(0, 1)
for a prior, by local reparameterisation with a larger rate until its sizes stand still. Expected: the sizes
do, the order doesn't, for hidden units go on falling back to the prior, one by one, until a tenth is left.
Its tickets are the study ``posteriors``'."""

import dataclasses
import itertools

import numpy as np
import scipy.stats

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import gather, start_of, trained

TABLES = {"11_settled": "layer epoch seed"}
STORED = {"seeds": range(600, 610), "settled": lh.TrainConfig(80, 128, 3e-3)}
LIVE = {"seeds": range(600, 603), "settled": lh.TrainConfig(300, 64, 3e-3)}
TRAININGS = ("settled",)


def rows(dataset, seeds, settled, client=None):
    """Yield a row a layer and epoch."""
    return gather(dataset, [(settling, dataclasses.replace(settled, seed=seed)) for seed in seeds], client)


def posterior(dataset, config):
    """One that has settled, as far as it does, with what it was on the way."""
    points = [part * config.epochs for part in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)]
    start = start_of(dataset, config.seed)
    return trained(dataset, start, "settled", config, estimator="local", snapshots=points)


def settling(dataset, config):
    """Where the deviations stand on the way to their end."""
    run, live = posterior(dataset, config), dataset.train.images.max(axis=0) > 0
    for (epoch, there), layer in itertools.product(run.snapshots.items(), range(3)):
        lit = live if layer == 0 else slice(None)
        now, end = (p.stddevs[layer][lit] for p in (there, run.final))
        held = np.minimum(now, end) < 0.9  # of the prior's 1
        yield {"seed": config.seed, "layer": layer + 1, "epoch": epoch, "median": float(np.median(now)),
               "held": float(np.mean(now < 0.9)), "units": int((now < 0.5).any(0).sum()),
               "rank_to_end": float(scipy.stats.spearmanr(now[held], end[held]).statistic)}  # fmt: skip
