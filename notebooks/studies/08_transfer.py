"""Do tickets transfer? (notebook 08). Writes results/08_transfer.csv.

Masks found on the digits 0 to 4 (15 Bayesian epochs, and 45 dense ones, about as many seconds) are trained
on 5 to 9 for ten epochs, beside masks found on 5 to 9 themselves; where Fashion-MNIST's files are at hand,
masks found on MNIST are trained on it, beside its own. The output layer is kept whole: its columns stand for
classes that the new task doesn't have.

Written down before the first run. Decides: found on 0 to 4 minus found on 5 to 9, snr, at 20% and at 5%,
paired over five seeds, margin 0.3 points; and transferred snr minus transferred dense magnitude. Expected: as
good at 20%, at 5% a loss of 0.1 to 0.5 points, still above chance; snr as good as magnitude.
"""

import concurrent.futures
import dataclasses
import time

import lotteryhelpers as lh
import numpy as np
import pandas as pd
from lotteryhelpers.data import Split
from study import kept, mnist, remembered, ticket, workers, write

SEEDS = range(300, 305)
DENSITIES = (0.2, 0.05)
CRITERIA = {"posterior": ("snr", "variance"), "dense": ("magnitude",)}
PAIRS = {"digits": ("0 to 4", "5 to 9"), "fashion": ("mnist", "fashion_mnist")}


def digits(first, last):
    """The images of these digits, labelled from 0."""

    def part(split):
        chosen = (split.labels >= first) & (split.labels <= last)
        return Split(split.images[chosen], split.labels[chosen] - np.int32(first))

    parts = {name: part(getattr(mnist(), name)) for name in ("train", "validation", "test")}
    return dataclasses.replace(mnist(), num_classes=last - first + 1, **parts)


def task(name):
    """A data set by its name here."""
    halves = {"0 to 4": (0, 4), "5 to 9": (5, 9)}
    return digits(*halves[name]) if name in halves else lh.load_dataset(name)


def trained(seed, source, found_on):
    """The training that masks are made from."""
    dataset = remembered(task, found_on)
    initial = lh.draw_initial((784, 300, 100, dataset.num_classes), seed, "glorot")
    if source == "dense":
        return lh.train_ticket(dataset, initial, None, lh.TrainConfig(45, seed=seed))
    return lh.train_bayesian(dataset, lh.TrainConfig(15, seed=seed), initial=initial)


def rows_of(seed, source, found_on, trained_on):
    """All tickets for one task from one training, or the controls for that task."""
    dataset = remembered(task, trained_on)
    initial = lh.draw_initial((784, 300, 100, dataset.num_classes), seed, "glorot")

    def make(criterion, density):
        if criterion == "dense network":
            masks = None
        elif criterion == "random":
            rng = np.random.default_rng([seed, round(1e6 * density)])
            masks = lh.keep_fraction(
                [rng.random(m.shape) for m in initial.means], density, output_density=1.0
            )
        else:
            scores = lh.CRITERIA[criterion](remembered(trained, seed, source, found_on))
            masks = lh.keep_fraction(scores, density, output_density=1.0)
        return ticket(masks, lh.TrainConfig(10, seed=seed), dataset, initial)

    cases = [(c, d) for c in CRITERIA.get(source, ("random",)) for d in DENSITIES]
    cases += [("dense network", 1.0)] * (source == "control")
    rows = []
    for criterion, density in cases:
        key = {"seed": seed, "source": source, "found_on": found_on, "trained_on": trained_on}
        key |= {"criterion": criterion, "density": density}
        settings = {"study": "08 transfer", "trained data": dataset.fingerprint}
        rows.append(key | kept(settings | key, lambda c=criterion, d=density: make(c, d)))
    return rows


if __name__ == "__main__":
    began, table, pairs = time.time(), [], [PAIRS["digits"]]
    try:
        task("fashion_mnist")
        pairs.append(PAIRS["fashion"])
    except ConnectionError as error:
        print("without Fashion-MNIST:", error)
    with workers() as pool:
        todo = [
            pool.submit(rows_of, seed, source, found_on, new)
            for old, new in pairs for seed in SEEDS for source in CRITERIA for found_on in (old, new)
        ]  # fmt: skip
        todo += [pool.submit(rows_of, seed, "control", "nothing", new) for _, new in pairs for seed in SEEDS]
        for future in concurrent.futures.as_completed(todo):
            table += future.result()
    table = pd.DataFrame(table).sort_values(
        ["trained_on", "source", "criterion", "density", "found_on", "seed"]
    )
    write("08_transfer", table, __file__, began, dataset="mnist", data=mnist().fingerprint, seeds=[*SEEDS])
