"""How little data does a ticket need? (notebook 08), on MNIST. Writes results/08_data.csv.

Posteriors (KL divided by the number of images they see) and dense networks from subsets of the training
images, batches of 100; tickets of six epochs for the whole data set. A posterior's step costs about three
dense ones, so a dense network has three times the steps: 2,750 posterior steps beside 8,250 dense ones
("equal steps" for each size of subset), and 15 posterior epochs beside 45 dense ones ("equal epochs").

Written down before the first run. The comparison that decides, at 20% and at 5%: snr from 3,000 images minus
dense magnitude from the same 3,000, in each of the two budgets, paired over five seeds, margin 0.3 points.
Expected: at 20% both within the margin of the ticket from all images from 3,000 images on; at 5% a loss of
half a point or more at 100 images; snr as good as magnitude from 3,000 on; variance no better than chance.

Added when the first table was there, for at 5% snr from few images was ahead of the rival by half a point
and more: is it the uncertainty, or only the prior's pull to zero? At 300 and 3,000 images the posterior's
own magnitude, and "map": a posterior whose deviations start at 1e-7 and stay below 2e-5, so the dense
network with the prior as its penalty, as long as the dense one. Expected: map closes more than half of the
gap.
"""

import concurrent.futures
import math
import time

import lotteryhelpers as lh
import numpy as np
import pandas as pd
from study import at, half_rate_chance, kept, mnist, remembered, start, ticket, workers, write

SEEDS = range(300, 305)
IMAGES = (100, 300, 1_000, 3_000, 10_000, 55_000)
BATCH = 100
STEPS = {"posterior": 2_750, "dense": 8_250}
EPOCHS = {"posterior": 15, "dense": 45}
DENSITIES = (0.2, 0.05)
CRITERIA = {"posterior": ("snr", "variance"), "dense": ("magnitude",)}
ADDED, AT_IMAGES = {"posterior": ("magnitude",), "map": ("magnitude",)}, (300, 3_000)
TICKET_EPOCHS = 6


def trained(seed, source, images):
    """``{budget: run}`` of one training."""
    dataset = lh.load_dataset("mnist", num_train=images, seed=seed)
    an_epoch = images // BATCH
    budget = "posterior" if source == "posterior" else "dense"
    epochs = {"equal steps": STEPS[budget] / an_epoch, "equal epochs": EPOCHS[budget]}
    length = math.ceil(max(epochs.values()))
    config = lh.TrainConfig(length, BATCH, seed=seed, evaluate_every=length * an_epoch)
    options = {"snapshots": (*epochs.values(),)}
    if source == "dense":
        run = lh.train_ticket(dataset, start(seed), None, config, **options)
    else:
        begin = start(seed)
        if source == "map":
            begin = lh.Posterior(begin.means, [np.full_like(m, 1.2e-7) for m in begin.means], begin.biases)
        run = lh.train_bayesian(dataset, config, initial=begin, **options)
    return {budget: at(run, run.snapshots[epoch]) for budget, epoch in epochs.items()}


def rows_of(seed, source, images):
    """All tickets from one subset."""
    config, rows = lh.TrainConfig(TICKET_EPOCHS, seed=seed), []

    def make(criterion, density, budget):
        if source == "control":
            return ticket(half_rate_chance(seed, density) if criterion == "random" else None, config)
        scores = lh.CRITERIA[criterion](remembered(trained, seed, source, images)[budget])
        return ticket(lh.keep_fraction(scores, density), config)

    cases = [
        (c, d, b)
        for c in CRITERIA.get(source, ()) + (ADDED.get(source, ()) if images in AT_IMAGES else ())
        for d in DENSITIES
        for b in ("equal steps", "equal epochs")
    ]
    if source == "control":
        cases = [("dense network", 1.0, "none"), *(("random", d, "none") for d in DENSITIES)]
    for case in cases:
        key = {"seed": seed, "source": source, "images": images}
        key |= dict(zip(("criterion", "density", "budget"), case, strict=True))
        settings = {"study": "08 data", "steps": STEPS, "epochs": EPOCHS}
        rows.append(key | kept(settings | key, lambda case=case: make(*case)))
    return rows


if __name__ == "__main__":
    began, table = time.time(), []
    with workers() as pool:
        todo = [pool.submit(rows_of, s, source, n) for s in SEEDS for source in CRITERIA for n in IMAGES]
        todo += [pool.submit(rows_of, s, "map", n) for s in SEEDS for n in AT_IMAGES]
        todo += [pool.submit(rows_of, s, "control", 0) for s in SEEDS]
        for future in concurrent.futures.as_completed(todo):
            table += future.result()
    table = pd.DataFrame(table).sort_values(["source", "criterion", "density", "budget", "images", "seed"])
    about = {
        "dataset": "mnist",
        "data": mnist().fingerprint,
        "seeds": [*SEEDS],
        "ticket_epochs": TICKET_EPOCHS,
    }
    write("08_data", table, __file__, began, **about, batch=BATCH, steps=STEPS, epochs=EPOCHS)
