"""When is the ticket decided? (notebook 08)

The posterior and the dense network are trained for 40 epochs from the same Glorot start, with their weights
kept after each of ``epochs``. From each, masks by variance, snr and magnitude; tickets of six epochs; rank
correlation and overlap with the mask after 40 epochs.

Written down before the first run. The comparison that decides, at 20% and at 5%: snr after ONE Bayesian epoch
minus dense magnitude after THREE dense epochs (about the same seconds), paired over five seeds, margin 0.3
points. Expected: as good at both densities; snr after one epoch within the margin of snr after 40; its ranks
those of the posterior's magnitude (above 0.95) early on; variance no better than chance before epoch 10."""

import dataclasses
import itertools

import numpy as np
import scipy.stats

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import at, controls, gather, start_of, ticket, trained

TABLES = {"08_when": "source criterion density epoch seed"}
STORED = {"seeds": range(300, 305), "epochs": (0, 0.125, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 40),
          "densities": (0.2, 0.05), "ticket": lh.TrainConfig(6)}  # fmt: skip
LIVE = {"seeds": range(300, 303), "epochs": (0, 2, 10, 30), "densities": (0.05,)}
CRITERIA = {"posterior": ("variance", "snr", "magnitude"), "dense": ("magnitude",)}


def rows(dataset, seeds, epochs, densities, ticket=None, client=None):
    """Yield a row a ticket. Masks come from trainings like ``ticket``, as long as the last of ``epochs``."""
    calls, ticket = [], ticket or lh.recipe(dataset).ticket
    for config in (dataclasses.replace(ticket, seed=seed) for seed in seeds):
        named = {"seed": config.seed, "source": "control", "epoch": 0}
        calls += [(tickets, source, epochs, densities, config) for source in CRITERIA]
        calls += [(controls, named, densities, config)]
    return gather(dataset, calls, client)


def tickets(dataset, source, epochs, densities, config):
    """All masks and tickets of one training."""
    start, longer = start_of(dataset, config.seed), dataclasses.replace(config, epochs=epochs[-1])
    run = trained(dataset, start, source, longer, snapshots=epochs)
    for criterion, density, epoch in itertools.product(CRITERIA[source], densities, epochs):
        here, end = (lh.CRITERIA[criterion](at(run, run.snapshots[e])) for e in (epoch, epochs[-1]))
        size = lh.CRITERIA["magnitude"](at(run, run.snapshots[epoch]))
        masks = lh.keep_fraction(here, density)
        yield {
            "seed": config.seed, "source": source, "criterion": criterion, "density": density, "epoch": epoch,
            "overlap": lh.jaccard(masks, lh.keep_fraction(end, density)),
            "rank_to_end": rank_correlation(dataset, here, end),
            "rank_to_magnitude": rank_correlation(dataset, here, size),
        } | ticket(dataset, start, masks, config)  # fmt: skip


def rank_correlation(dataset, a, b):
    """Spearman's, a mean over the layers by their weights; the pixels that are never lit don't count."""
    live = dataset.train.images.max(axis=0) > 0
    pairs = [(a[0][live], b[0][live]), *zip(a[1:], b[1:], strict=True)]
    each = [scipy.stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in pairs]
    return float(np.average(each, weights=[x.size for x, _ in pairs]))
