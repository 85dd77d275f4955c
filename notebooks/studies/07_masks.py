"""Criteria, mask-1 and mask-0 actions, and untrained networks (notebook 07), on MNIST.

Writes results/07_tickets.csv (tickets that were trained) and results/07_untrained.csv (mask * start weights
as they are, at many densities, with validation accuracies to choose by).

Glorot normal start, Adam 1.2e-3, one-shot pruning with the half-rate rule. Zhou et al. prune in rounds of 55
epochs; here the masks come from one training of 15 epochs with batch 128, dense and Bayesian alike, and the
tickets have 10 epochs. ``dense, 55 epochs`` has the paper's length with batch 60: does the length matter?

Written down before the first run, from a look at seed 7 alone. Expected: large_final, magnitude_increase and
snr make tickets as good as dense at 20%, random and variance don't; reinitialised, reshuffled and constant
starts do as well as rewound ones if the sign is kept, worse if not (paper); freezing at the initial value is
worse than zero (paper); same-sign masks are far above the others untrained, snr_same_sign like
large_final_same_sign; 15 epochs give better untrained masks than 55.
"""

import concurrent.futures
import time

import lotteryhelpers as lh
import numpy as np
import pandas as pd
from study import kept, mnist, start, workers, write

SEEDS = range(200, 205)
DENSITIES = (0.5, 0.2, 0.1, 0.05)
GRID = tuple(0.8**k for k in range(1, 19))
FROM_DENSE = (
    "large_final", "small_final", "large_init", "magnitude_increase", "movement", "random",
    "large_final_same_sign", "magnitude_increase_same_sign",
)  # fmt: skip
FROM_POSTERIOR = ("variance", "snr", "variance_same_sign", "snr_same_sign", "large_final_same_sign")
ACTIONS = [(a, k) for a in ("rewind", "reinitialise", "reshuffle", "constant") for k in (True, False)]
PRUNED = ("freeze", "freeze_increased")


EPOCHS = {"posterior": 15, "dense, 15 epochs": 15, "dense": 15, "dense, 55 epochs": 55, "ticket": 10}


def config(seed, epochs, batch_size=128):
    """The notebooks' training of this length."""
    return lh.TrainConfig(epochs, batch_size, seed=seed)


def trained(seed, source):
    """The training that masks are made from."""
    setting = config(seed, EPOCHS[source], 60 if "55" in source else 128)
    if source == "posterior":
        return lh.load_or_train_bayesian(mnist(), setting, initial=start(seed))
    return lh.train_ticket(mnist(), start(seed), None, setting)


def masks_of(run, seed, criterion, density):
    """One mask; chance depends on seed and density alone."""
    rng = np.random.default_rng([seed, round(1e6 * density)])
    return lh.keep_fraction(lh.CRITERIA[criterion](run, dataset=mnist(), rng=rng), density)


def tickets(seed, source, criterion):
    """A criterion's tickets at all densities; for some masks all actions as well."""
    cases = [(d, "rewind", True, "zero") for d in DENSITIES]
    if (source, criterion) in (("dense", "large_final"), ("posterior", "snr")):
        cases += [(d, a, k, "zero") for d in (0.2, 0.05) for a, k in ACTIONS[1:]]
    if criterion in ("large_final", "snr", "variance", "random"):
        cases += [(d, "rewind", True, p) for d in (0.5, 0.2, 0.05) for p in PRUNED]
    run, rows = None, []

    def make(density, action, keep_sign, pruned):
        nonlocal run
        if criterion == "dense":
            masks, at, begin = None, None, start(seed)
        else:
            run = run or trained(seed, source)
            masks = masks_of(run, seed, criterion, density)
            at = None if pruned == "zero" else lh.frozen_values(run, masks, pruned)
            begin = lh.restart(start(seed), masks, action, keep_sign=keep_sign, seed=seed + 1000,
                               initializer="glorot")  # fmt: skip
        began = time.time()
        ticket = lh.train_ticket(mnist(), begin, masks, config(seed, EPOCHS["ticket"]), frozen=at)
        return {
            "untrained_accuracy": lh.accuracy(ticket.initial.means, ticket.initial.biases, mnist().test),
            "best_step": int(ticket.best_step),
            "test_accuracy_at_best": ticket.test_accuracy_at_best,
            "test_accuracy": ticket.test_accuracy,
            "seconds": time.time() - began,
        }

    if criterion == "dense":
        cases = [(1.0, "rewind", True, "zero")]
    for case in cases:
        named = dict(zip(("density", "action", "keep_sign", "pruned"), case, strict=True))
        key = {"seed": seed, "source": source, "criterion": criterion} | named
        settings = {"study": "07 tickets", "epochs": EPOCHS}
        rows.append(key | kept(settings | key, lambda named=named: make(**named)))
    return rows


def untrained(seed, source):
    """Accuracies of mask * start weights, and where the weights of each side went in training."""

    def make():
        run, found = trained(seed, source), []
        names = FROM_POSTERIOR + ("large_final",) if source == "posterior" else FROM_DENSE
        sources = {"rewind": run.initial, "constant": lh.restart(run.initial, None, "constant")}
        signs = [np.sign(w) for w in run.final.means]
        final = [abs(c) * s for c, s in zip(sources["constant"].means, signs, strict=True)]
        sources["constant, final sign"] = lh.Posterior(final, run.initial.stddevs, run.initial.biases)
        for criterion in names:
            for density in GRID:
                masks = masks_of(run, seed, criterion, density)
                rows = {"criterion": criterion, "density": density, **fate(run, masks)}
                for name, begin in sources.items():
                    weights = [np.where(m, w, 0) for m, w in zip(masks, begin.means, strict=True)]
                    for split in ("validation", "test"):
                        rows[f"{name} {split}"] = lh.accuracy(weights, begin.biases, getattr(mnist(), split))
                found.append(rows)
        return {"rows": found}

    key = {"study": "07 untrained", "seed": seed, "source": source, "epochs": EPOCHS, "densities": GRID}
    rows = kept(key, make)["rows"]
    return [{"seed": seed, "source": source} | row for row in rows]


def fate(run, masks):
    """Fractions of the kept and the pruned weights that kept their sign, and that moved towards zero.

    Only weights of pixels that are lit in training count: the others have no data.
    """
    live, counts = mnist().train.images.max(axis=0) > 0, {}
    for side in ("kept", "pruned"):
        same, nearer, of = 0, 0, 0
        for number, (a, b, m) in enumerate(zip(run.initial.means, run.final.means, masks, strict=True)):
            chosen = (m if side == "kept" else ~m) & (live[:, None] if number == 0 else True)
            same += int((np.sign(a) == np.sign(b))[chosen].sum())
            nearer += int((abs(b) < abs(a))[chosen].sum())
            of += int(chosen.sum())
        counts[f"{side}_same_sign"], counts[f"{side}_nearer_zero"] = same / of, nearer / of
    return counts


if __name__ == "__main__":
    began, table, bare = time.time(), [], []
    with workers() as pool:
        looked = [pool.submit(untrained, seed, source) for seed in SEEDS
                  for source in ("posterior", "dense, 15 epochs", "dense, 55 epochs")]  # fmt: skip
        chosen = [("dense", name) for name in ("dense", *FROM_DENSE)]
        chosen += [("posterior", name) for name in FROM_POSTERIOR]
        todo = [pool.submit(tickets, seed, *one) for seed in SEEDS for one in chosen]
        for future in concurrent.futures.as_completed(looked):
            bare += future.result()
        about = {"dataset": "mnist", "data": mnist().fingerprint, "seeds": [*SEEDS]}
        bare = pd.DataFrame(bare).sort_values(["source", "criterion", "seed"])
        write("07_untrained", bare, __file__, began, **about)
        for future in concurrent.futures.as_completed(todo):
            table += future.result()
        table = pd.DataFrame(table).sort_values(["source", "criterion", "pruned", "action", "seed"])
        write("07_tickets", table, __file__, began, **about)
