"""Was it the variance, or our posterior? Settled, cheap and other posteriors (notebook 11).

Written down before the first run, after a look at seed 500 alone. A posterior has settled if between half-way
and the end, in every layer, the median of sigma moves by at most 5% and the rank correlation of the sigmas
that the data hold (below 0.9 of the prior's) is at least 0.98. "settled" is the series' posterior, N(0, 1)
for a prior, by local reparameterisation with a larger rate until its sizes stand still. Expected: the sizes
do, the order doesn't, for hidden units go on falling back to the prior, one by one, until a tenth is left.

Named at 5%, ten seeds that nothing has used, tickets of five epochs, both readings, margin 0.3: (1) settled
variance minus chance; (2) minus pixel_variance, without a posterior; (3) minus margins: as many weights an
input and about as many a unit, which by chance; (4) minus the same posterior's |mu|; (5) settled snr minus
|mu|; (6) IVON's |mu| minus |w| of a dense network, three epochs each, which cost the same. Expected: (1)
better, by a point and more; (2) ahead, if anything; (3) as good: it knows which pixels and which units; (4)
worse; (5) as good; (6) ahead, and as much without the noise. All else is exploration.
"""

import dataclasses
import itertools

import numpy as np
import scipy.stats
import tensorflow as tf

import lotteryhelpers as lh
from lotteryhelpers.papers.ivon import NOISES, IvonDense
from lotteryhelpers.studies.shared import controls, gather, start_of, ticket, trained

TABLES = {"11_posteriors": "posterior criterion density seed", "11_settled": "posterior layer epoch seed"}
THREE, MU = ("variance", "snr", "magnitude"), ("magnitude",)
NAMED = {"settled": (*THREE, "shuffled_rows", "margins"), "ivon": THREE, "dense": MU,
         "none": ("pixel_variance", "large_init")}  # fmt: skip
OTHERS = {**dict.fromkeys(("flipout", "laplace", "swag", "ensemble"), THREE), "ivon, no noise": MU,
          "ivon, no prior": MU}  # fmt: skip
STORED = {
    "seeds": range(600, 610), "other_seeds": range(600, 605), "densities": (0.2, 0.05, 0.02), "lengths": {
        "settled": lh.TrainConfig(80, 128, 3e-3), "flipout": lh.TrainConfig(15), "ivon": lh.TrainConfig(3),
        "dense": lh.TrainConfig(3), "trained": lh.TrainConfig(10), "ticket": lh.TrainConfig(5)}}  # fmt: skip
LIVE = {"seeds": range(600, 603), "other_seeds": (), "densities": (0.05,), "lengths": {
    name: lh.TrainConfig(epochs, 64, 3e-3) for name, epochs in (
        ("settled", 300), ("flipout", 150), ("ivon", 30), ("dense", 30), ("trained", 40),
        ("ticket", 40))}}  # fmt: skip


def rows(dataset, seeds, other_seeds, densities, lengths, table="11_posteriors", client=None):
    """Yield a row a ticket, or of the other table a row a layer and epoch."""
    calls = []
    for seed in seeds:
        here = {name: dataclasses.replace(config, seed=seed) for name, config in lengths.items()}
        names = NAMED | (OTHERS if seed in other_seeds else {})
        if table == "11_settled":
            calls += [(settling, here, name) for name in ("settled", "flipout") if name in names]
            continue
        calls += [(tickets, here, *one, densities) for one in names.items()]
        calls += [(controls, {"seed": seed, "posterior": "none"}, densities, here["ticket"])]
    return gather(dataset, calls, client)


class Noiseless(IvonDense):
    """IVON's step at the mean: nothing is learnt of the curvature, h is forgotten as elsewhere."""

    draw = staticmethod(lambda shape, *_, stream: tf.zeros(shape))


NOISES["none"] = Noiseless


def found(dataset, lengths, name):
    """What masks are made from: a ``BayesianRun``, or a ``TicketRun``."""
    start, kind = start_of(dataset, lengths["ticket"].seed), name.split(",")[0]
    config = lengths.get(kind, lengths["trained"])
    if kind == "none":
        return lh.BayesianRun(start, start, {}, None)
    if kind in ("settled", "flipout"):
        points = [part * config.epochs for part in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)]
        how = "local" if kind == "settled" else kind
        return trained(dataset, start, kind, config, estimator=how, snapshots=points)
    if kind == "ivon":
        begin = lh.Posterior(start.means, [np.full_like(m, 0.02) for m in start.means], start.biases)
        return lh.train_ivon(dataset, config, initial=begin, noise="none" if "noise" in name else "signs",
                             prior_stddev=1e3 if "prior" in name else 1.0)  # fmt: skip
    if kind == "ensemble":  # of five batch orders
        orders = [dataclasses.replace(lengths["dense"], seed=config.seed + 1000 * k) for k in range(1, 6)]
        return spread(start, [lh.train_ticket(dataset, start, None, order).final for order in orders])
    if kind == "swag":  # twenty points of half as many epochs more
        longer = dataclasses.replace(config, epochs=config.epochs * 3 // 2)
        points = np.linspace(config.epochs, longer.epochs, 21)[1:]
        run = lh.train_ticket(dataset, start, None, longer, snapshots=points)
        return spread(start, run.snapshots.values())
    run = lh.train_ticket(dataset, start, None, config)
    return lh.laplace(dataset, run) if kind == "laplace" else run


def spread(start, points):
    """The Gaussian with the means and deviations of several networks: SWAG's diagonal (Maddox et al. 2019),
    or an ensemble's. What never moved keeps the prior's deviation: the data say nothing of it."""
    layers = [np.stack(kernels) for kernels in zip(*(p.means for p in points), strict=True)]
    stddevs = [np.where(k.std(0) > 0, k.std(0), 1) for k in layers]
    return lh.BayesianRun(start, lh.Posterior([k.mean(0) for k in layers], stddevs, start.biases), {}, None)


def tickets(dataset, lengths, name, criteria, densities):
    """The tickets of one posterior."""
    run, config = found(dataset, lengths, name), lengths["ticket"]
    for criterion, density in itertools.product(criteria, densities):
        rng = np.random.default_rng([config.seed, round(1e6 * density)])
        known = "variance" if criterion == "margins" else criterion
        masks = lh.masks_for(run, known, density, dataset=dataset, rng=rng)
        if criterion == "margins":
            masks = margins(masks, rng)
        yield {"seed": config.seed, "posterior": name, "criterion": criterion, "density": density,
               "inputs": int(masks[0].any(1).sum()), "units": int(masks[0].any(0).sum()),
               } | ticket(dataset, start_of(dataset, config.seed), masks, config)  # fmt: skip


def margins(masks, rng):
    """As many weights a layer, drawn with odds that are the products of how many these masks keep in the row
    and in the column (Efraimidis & Spirakis 2006): the same inputs and units, which weights by chance."""
    odds = [np.outer(m.sum(1), m.sum(0)) for m in masks]
    scores = [np.log(rng.random(o.shape)) / np.maximum(o, 1e-6) for o in odds]
    return lh.keep_counts(scores, [int(m.sum()) for m in masks])


def settling(dataset, lengths, name):
    """Where the deviations stand on the way to their end, a row a layer and epoch."""
    run, live = found(dataset, lengths, name), dataset.train.images.max(axis=0) > 0
    for (epoch, there), layer in itertools.product(run.snapshots.items(), range(3)):
        lit = live if layer == 0 else slice(None)
        now, end = (p.stddevs[layer][lit] for p in (there, run.final))
        held = np.minimum(now, end) < 0.9  # of the prior's 1
        yield {"seed": lengths["ticket"].seed, "posterior": name, "layer": layer + 1, "epoch": epoch,
               "median": float(np.median(now)), "held": float(np.mean(now < 0.9)),
               "units": int((now < 0.5).any(0).sum()),
               "rank_to_end": float(scipy.stats.spearmanr(now[held], end[held]).statistic)}  # fmt: skip
