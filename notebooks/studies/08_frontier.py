"""Tickets that pay (notebook 08), on MNIST. Writes results/08_pilot.csv and results/08_frontier.csv.

Accuracy against the multiply-adds of everything: finding the mask and training with it. The opponent is the
dense network at every shorter budget, its learning rate chosen on validation for each. Tickets are trained
compact, from the same Glorot start, at one of three rates. ``products`` counts what is computed: the compact
network's multiplications, its pruned weights too. ``products_kept`` counts those of kept weights alone, as a
machine that skips zeros would have it.

The pilot (two seeds, validation images) trains the posterior finders' tickets in all SHAPES. Its end-of-
budget accuracies wavered by a quarter of a point from one budget to the next, so the rule was changed after
it, and before any other run: accuracy within a budget is that of the snapshot with the best validation
accuracy so far, for the dense network too (the whole budget is paid); and the rate and the posterior finder
of each finalist are those of best mean validation accuracy over all budgets from three epochs on. The
finalists' shapes are tried with finders that train no posterior as well, each at its own best rate. The two
shapes furthest behind in the pilot are no finalists. (The pilot's test accuracies had been looked at
too by then.)

Twelve fresh seeds then train all finalists. Points are chosen by their validation accuracy, in the
notebook: "cheapest", the posterior ticket of least total cost whose validation accuracy is at most 0.05
points below that of the reference, the dense network's ten epochs; "best", the most accurate one that costs
less than the reference; "sparse", as "cheapest" but by products_kept. Test images decide: a ticket pays if
it costs less than the reference and the whole 95% interval of its paired difference is above -0.1 points.
Beside them: iterative magnitude pruning in seven rounds of an epoch, and learned supermasks.

Expected before the pilot: no unit-wise ticket reaches the reference within 0.1 points; a sparse one does at
about its price; magnitude at equal cost does as well as the posterior; dense training at half the budget is
hard to beat.
"""

import concurrent.futures
import time

import lotteryhelpers as lh
import numpy as np
import pandas as pd
from study import kept, mnist, remembered, start, workers, write

PILOT, SEEDS = range(400, 402), range(410, 422)
BUDGETS = (0.25, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20)  # epochs
DENSE_RATES, RATES = (6e-4, 1.2e-3, 2.4e-3, 4.8e-3), (1.2e-3, 2.4e-3, 4.8e-3)
FULL, WEIGHTS, BATCH = (784, 300, 100, 10), (235_200, 30_000, 1_000), 128
#: name: (estimator or "dense", images, epochs, batch size). The dense finders have three times the epochs:
#: about the same seconds as the posterior they stand beside.
POSTERIOR = {
    "posterior, 3,000 images": ("flipout", 3_000, 3, 128),
    "posterior, 12,800 images": ("local", 12_800, 1, 128),
    "posterior, large batches": ("local", 51_200, 1, 512),
    "posterior, one epoch": ("flipout", 55_000, 1, 128),
}
RIVALS = {
    "posterior, 3,000 images": ("dense", 3_000, 9, 128),
    "posterior, 12,800 images": ("dense", 12_800, 3, 128),
    "posterior, large batches": ("dense", 51_200, 3, 512),
    "posterior, one epoch": ("dense", 55_000, 3, 128),
}
#: name: (inputs and hidden units kept, density of what is kept in the whole network's weights).
SHAPES = {
    "20% of the weights": (None, 0.2),
    "5% of the weights": (None, 0.05),
    "400-150-50": ((400, 150, 50), None),
    "500-200-100": ((500, 200, 100), None),
    "500-300-100": ((500, 300, 100), None),
    "500-300-100, 20% of the weights": ((500, 300, 100), 0.2),
    "400-200-100, 10% of the weights": ((400, 200, 100), 0.1),
}


#: The shapes that twelve seeds decide on.
FINALISTS = (
    "20% of the weights", "500-300-100, 20% of the weights", "500-300-100", "500-200-100", "400-150-50",
)  # fmt: skip


def step_products(weights, factor=1):
    """Multiply-adds of a training step: forward, the weights' gradient, the activations' but the first's.

    ``weights`` holds a number a layer.
    """
    return factor * BATCH * (3 * sum(weights) - weights[0])


def weights_between(sizes):
    """How many weights each layer of a dense network has."""
    return [a * b for a, b in zip(sizes, sizes[1:], strict=False)]


def subset(images, seed):
    """Some of the training images."""
    return lh.load_dataset("mnist", num_train=images, seed=seed)


def found(seed, finder):
    """(scores, multiply-adds) of a finder."""
    if finder == "none":  # no training: the pixels that vary most, the first units, any weight
        rng = np.random.default_rng([seed, 8])
        spread = mnist().train.images.std(axis=0)[:, None]
        chance = [1e-6 * rng.random(m.shape) for m in start(seed).means]
        return (spread + chance[0], *chance[1:]), 0
    if finder == "snip":
        run = lh.BayesianRun(start(seed), start(seed), {}, None)
        return lh.CRITERIA["snip"](run, dataset=mnist()), 55_000 / BATCH * step_products(WEIGHTS)
    kind, images, epochs, batch = finder
    data = remembered(subset, images, seed)
    config, seen = lh.TrainConfig(epochs, batch, seed=seed), epochs * (images // batch) * batch
    if kind == "dense":
        run = lh.train_ticket(data, start(seed), None, config)
        return lh.CRITERIA["magnitude"](run), seen / BATCH * step_products(WEIGHTS)
    run = lh.train_bayesian(data, config, initial=start(seed), estimator=kind)
    return lh.CRITERIA["snr"](run), seen / BATCH * step_products(WEIGHTS, 2)


def masks_of(scores, shape):
    """Units first, then the best weights between them."""
    sizes, density = SHAPES[shape]
    if density is None:
        return lh.keep_units(scores, sizes)
    if sizes is None:
        return lh.keep_fraction(scores, density)
    units = lh.keep_units(scores, sizes)
    within = [np.where(m, s, -np.inf) for m, s in zip(units, scores, strict=True)]
    best = lh.keep_fraction(within, density)
    return tuple(a & b for a, b in zip(units, best, strict=True))


def budgets(run, finding, sizes, config):
    """A row for each length of a training: what it would have given, had it ended there."""
    rows, an_epoch = [], 55_000 // BATCH
    for epoch, there in run.snapshots.items():
        steps = round(epoch * an_epoch)
        row = {"epochs": epoch, "rate": config.learning_rate, "finding": finding, "inputs": sizes[0]}
        left = [int(m.sum()) for m in run.masks]
        row |= {"units_1": sizes[1], "units_2": sizes[2], "weights": sum(left)}
        row["products"] = finding + steps * step_products(weights_between(sizes))
        row["products_kept"] = finding + steps * step_products(left)
        for split in ("validation", "test"):
            row[split] = lh.accuracy(there.means, there.biases, getattr(mnist(), split))
        rows.append(row)
    return rows


def dense(seed, rate):
    """The dense network at all budgets."""

    def make():
        config = lh.TrainConfig(BUDGETS[-1], BATCH, rate, seed)
        run = lh.train_ticket(mnist(), start(seed), None, config, snapshots=BUDGETS)
        return {"rows": budgets(run, 0, FULL, config)}

    return rows_for({"seed": seed, "finder": "dense", "shape": "whole", "rate": rate}, make)


def ticket(seed, finder, shape, rate):
    """One ticket at all budgets. The finder is "none", "snip", or (estimator, images, epochs, batch size)."""

    def make():
        scores, finding = found(seed, finder)
        return train(seed, masks_of(scores, shape), finding, rate)

    return rows_for({"seed": seed, "finder": str(finder), "shape": shape, "rate": rate}, make)


def train(seed, masks, finding, rate):
    """Train a mask's compact network at all budgets."""
    config = lh.TrainConfig(BUDGETS[-1], BATCH, rate, seed)
    run = lh.train_ticket(mnist(), start(seed), masks, config, compact=True, snapshots=BUDGETS)
    sizes = lh.compact(run.initial.means, run.initial.biases, masks, for_training=True).sizes
    return {"rows": budgets(run, finding, sizes, config)}


def iterative(seed, epochs, rate):
    """Seven rounds of iterative magnitude pruning of so many epochs each, down to 21.1%."""

    def make():
        config = lh.TrainConfig(epochs, BATCH, seed=seed)
        rounds = lh.iterative_magnitude_pruning(mnist(), start(seed), config, rounds=6)
        masks = lh.prune(rounds[-1].masks, lh.CRITERIA["magnitude"](rounds[-1].ticket), 0.2)
        return train(seed, masks, 7 * epochs * (55_000 // BATCH) * step_products(WEIGHTS), rate)

    return rows_for({"seed": seed, "finder": f"IMP, 7 x {epochs} epochs", "shape": "21% of the weights",
                     "rate": rate}, make)  # fmt: skip


def supermask(seed, epochs):
    """A learned supermask, rescaled: finding is all there is."""

    def make():
        config = lh.TrainConfig(epochs, BATCH, 0.1, seed)
        run = lh.train_supermask(mnist(), start(seed), config, rescale=True)
        products = epochs * (55_000 // BATCH) * step_products(WEIGHTS)
        row = {"epochs": 0, "rate": 0.1, "finding": products, "products": products, "test": run.test_accuracy,
               "products_kept": products}  # fmt: skip
        row |= {"validation": float(run.history.validation_accuracy.iloc[-1])}
        return {"rows": [row | {"weights": int(sum(m.sum() for m in run.masks))}]}

    return rows_for(
        {"seed": seed, "finder": f"supermask, {epochs} epochs", "shape": "learned", "rate": 0.1}, make
    )


def rows_for(key, make):
    """The kept rows, each with its key."""
    settings = {"study": "08 frontier", "budgets": BUDGETS}
    return [key | row for row in kept(settings | key, make)["rows"]]


def gather(pool, calls):
    """The rows of all calls as a table."""
    rows = []
    for future in concurrent.futures.as_completed([pool.submit(*call) for call in calls]):
        rows += future.result()
    return pd.DataFrame(rows).sort_values(["finder", "shape", "rate", "seed", "epochs"])


def best(table, by):
    """The best finder and rate for each of ``by``, by validation accuracy from three epochs on."""
    late = table[table.epochs >= 3].groupby(["finder", "shape", "rate"], as_index=False).validation.mean()
    return late.loc[late.groupby(by).validation.idxmax()]


if __name__ == "__main__":
    began = time.time()
    about = {"dataset": "mnist", "data": mnist().fingerprint, "start": "glorot"}
    finders = {str(finder): finder for finder in (*POSTERIOR.values(), *RIVALS.values(), "snip", "none")}
    rivals = {str(POSTERIOR[name]): str(rival) for name, rival in RIVALS.items()}
    with workers() as pool:
        calls = [(dense, seed, rate) for seed in PILOT for rate in DENSE_RATES]
        calls += [(ticket, seed, finder, shape, rate) for seed in PILOT for finder in POSTERIOR.values()
                  for shape in SHAPES for rate in RATES]  # fmt: skip
        pilot = gather(pool, calls)
        tickets = best(pilot[pilot.finder != "dense"], "shape")
        final = {(row.finder, row["shape"]) for _, row in tickets.iterrows() if row["shape"] in FINALISTS}
        others = {(other, shape) for finder, shape in final for other in (rivals[finder], "none")}
        others.add(("snip", FINALISTS[0]))
        calls = [(ticket, seed, finders[name], shape, rate) for seed in PILOT
                 for name, shape in sorted(others) for rate in RATES]  # fmt: skip
        calls += [(iterative, seed, 1, rate) for seed in PILOT for rate in RATES]
        pilot = pd.concat([pilot, gather(pool, calls)])
        write("08_pilot", pilot, __file__, began, **about, seeds=[*PILOT])

        rates = best(pilot, ["finder", "shape"]).set_index(["finder", "shape"]).rate
        calls = [(dense, seed, rate) for seed in SEEDS for rate in DENSE_RATES]
        calls += [(ticket, seed, finders[name], shape, float(rates[name, shape]))
                  for seed in SEEDS for name, shape in sorted(final | others)]  # fmt: skip
        iterated = float(rates["IMP, 7 x 1 epochs", "21% of the weights"])
        calls += [(iterative, seed, 1, iterated) for seed in SEEDS]
        calls += [(supermask, seed, epochs) for seed in SEEDS for epochs in (3, 12)]
        table = gather(pool, calls)
        write("08_frontier", table, __file__, began, **about, seeds=[*SEEDS])
