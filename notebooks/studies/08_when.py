"""When is the ticket decided? (notebook 08), on MNIST. Writes results/08_when.csv.

The posterior and the dense network are trained for 40 epochs from the same Glorot start, with their weights
kept after each of EPOCHS. From each, masks by variance, snr and magnitude; tickets of six epochs; rank
correlation and overlap with the mask after 40 epochs.

Written down before the first run. The comparison that decides, at 20% and at 5%: snr after ONE Bayesian epoch
minus dense magnitude after THREE dense epochs (about the same seconds), paired over five seeds, margin 0.3
points. Expected: as good at both densities; snr after one epoch within the margin of snr after 40; its ranks
those of the posterior's magnitude (above 0.95) early on; variance no better than chance before epoch 10.
"""

import concurrent.futures
import time

import lotteryhelpers as lh
import numpy as np
import pandas as pd
import scipy.stats
from study import at, half_rate_chance, kept, mnist, start, ticket, workers, write

SEEDS = range(300, 305)
EPOCHS = (0, 0.125, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 40)
DENSITIES = (0.2, 0.05)
CRITERIA = {"posterior": ("variance", "snr", "magnitude"), "dense": ("magnitude",)}
TICKET_EPOCHS = 6


def trained(seed, source):
    """The training whose snapshots the masks are made from."""
    config = lh.TrainConfig(40, seed=seed)
    if source == "dense":
        return lh.train_ticket(mnist(), start(seed), None, config, snapshots=EPOCHS)
    return lh.load_or_train_bayesian(mnist(), config, initial=start(seed), snapshots=EPOCHS)


def rank_correlation(a, b):
    """Spearman's, a mean over the layers by their weights; the pixels that are never lit don't count."""
    live = mnist().train.images.max(axis=0) > 0
    pairs = [(a[0][live], b[0][live]), *zip(a[1:], b[1:], strict=True)]
    each = [scipy.stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in pairs]
    return float(np.average(each, weights=[x.size for x, _ in pairs]))


def rows_of(seed, source):
    """All masks and tickets of one training."""
    run = None

    def make(criterion, density, epoch):
        nonlocal run
        config = lh.TrainConfig(TICKET_EPOCHS, seed=seed)
        if source == "control":
            return ticket(half_rate_chance(seed, density) if criterion == "random" else None, config)
        run = run or trained(seed, source)
        here, end = (lh.CRITERIA[criterion](at(run, run.snapshots[e])) for e in (epoch, 40))
        size = lh.CRITERIA["magnitude"](at(run, run.snapshots[epoch]))
        masks = lh.keep_fraction(here, density)
        return {
            "overlap": lh.jaccard(masks, lh.keep_fraction(end, density)),
            "rank_to_end": rank_correlation(here, end),
            "rank_to_magnitude": rank_correlation(here, size),
        } | ticket(masks, config)

    cases = [(c, d, e) for c in CRITERIA.get(source, ()) for d in DENSITIES for e in EPOCHS]
    if source == "control":
        cases = [("dense network", 1.0, 0), *(("random", d, 0) for d in DENSITIES)]
    rows = []
    for case in cases:
        key = {"seed": seed, "source": source} | dict(
            zip(("criterion", "density", "epoch"), case, strict=True)
        )
        rows.append(key | kept({"study": "08 when"} | key, lambda case=case: make(*case)))
    return rows


if __name__ == "__main__":
    began, table = time.time(), []
    with workers() as pool:
        todo = [
            pool.submit(rows_of, s, source) for s in SEEDS for source in ("posterior", "dense", "control")
        ]
        for future in concurrent.futures.as_completed(todo):
            table += future.result()
    table = pd.DataFrame(table).sort_values(["source", "criterion", "density", "epoch", "seed"])
    about = {
        "dataset": "mnist",
        "data": mnist().fingerprint,
        "seeds": [*SEEDS],
        "ticket_epochs": TICKET_EPOCHS,
    }
    write("08_when", table, __file__, began, **about)
