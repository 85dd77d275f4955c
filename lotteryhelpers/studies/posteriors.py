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
ALL = "variance", "snr", "magnitude"
NAMED = "settled", "ivon", "dense", "none"
CRITERIA = dict.fromkeys(("settled", "ivon", "flipout", "laplace", "swag", "ensemble"),
                         ("variance", "snr", "magnitude"))  # fmt: skip
CRITERIA |= dict.fromkeys(("dense", "ivon, no noise", "ivon, no prior"), ("magnitude",))
CRITERIA |= {"none": ("pixel_variance", "large_init")}
CRITERIA["settled"] += "shuffled_rows", "margins"
STORED = {
    "seeds": range(600, 610), "other_seeds": range(600, 605), "densities": (0.2, 0.05, 0.02), "lengths": {
        "settled": lh.TrainConfig(80, 128, 3e-3), "flipout": lh.TrainConfig(15), "ivon": lh.TrainConfig(3),
        "dense": lh.TrainConfig(3), "trained": lh.TrainConfig(10), "ticket": lh.TrainConfig(5)}}  # fmt: skip
_DIGITS = {"batch_size": 64, "learning_rate": 3e-3}
LIVE = {"seeds": range(600, 603), "other_seeds": (), "densities": (0.05,), "lengths": {
    "settled": lh.TrainConfig(300, **_DIGITS), "flipout": lh.TrainConfig(150, **_DIGITS),
    "ivon": lh.TrainConfig(30, **_DIGITS), "dense": lh.TrainConfig(30, **_DIGITS),
    "trained": lh.TrainConfig(40, **_DIGITS), "ticket": lh.TrainConfig(40, **_DIGITS)}}  # fmt: skip


def rows(dataset, seeds, other_seeds, densities, lengths, table="11_posteriors", client=None):
    """Yield a row a ticket, or of the other table a row a layer and epoch."""
    what, *how = (settling, lengths) if table == "11_settled" else (tickets, lengths, densities)
    calls = [(what, seed, name, *how) for name in (("settled", "flipout") if what is settling else CRITERIA)
             for seed in (seeds if name in NAMED else other_seeds)]  # fmt: skip
    for config in (dataclasses.replace(lengths["ticket"], seed=s) for s in seeds if what is tickets):
        calls += [(controls, {"seed": config.seed, "posterior": "none"}, densities, config)]
    return gather(dataset, calls, client)


class Noiseless(IvonDense):
    """IVON's step at the mean: nothing is learnt of the curvature, h is forgotten as elsewhere."""

    draw = staticmethod(lambda shape, *_, stream: tf.zeros(shape))


NOISES["none"] = Noiseless


def found(dataset, seed, name, lengths):
    """What masks are made from: a ``BayesianRun``, or a ``TicketRun``."""
    start, kind = start_of(dataset, seed), name.split(",")[0]
    config = dataclasses.replace(lengths.get(kind, lengths["trained"]), seed=seed)
    if kind in ("settled", "flipout"):
        points = [part * config.epochs for part in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)]
        how = "local" if kind == "settled" else "flipout"
        return trained(dataset, start, kind, config, estimator=how, snapshots=points)
    if kind == "ivon":
        begin = lh.Posterior(start.means, [np.full_like(m, 0.02) for m in start.means], start.biases)
        return lh.train_ivon(dataset, config, initial=begin, noise="none" if "noise" in name else "signs",
                             prior_stddev=1e3 if "prior" in name else 1.0)  # fmt: skip
    if kind == "none":
        return lh.BayesianRun(start, start, {}, None)
    if kind == "ensemble":  # of five batch orders
        orders = [dataclasses.replace(lengths["dense"], seed=seed + 1000 * k) for k in range(1, 6)]
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


def tickets(dataset, seed, name, lengths, densities):
    """The tickets of one posterior."""
    run, config = found(dataset, seed, name, lengths), dataclasses.replace(lengths["ticket"], seed=seed)
    for criterion, density in itertools.product(CRITERIA[name], densities):
        rng = np.random.default_rng([seed, round(1e6 * density)])
        known = "variance" if criterion == "margins" else criterion
        masks = lh.masks_for(run, known, density, dataset=dataset, rng=rng)
        if criterion == "margins":
            masks = margins(masks, rng)
        yield {"seed": seed, "posterior": name, "criterion": criterion, "density": density,
               "inputs": int(masks[0].any(1).sum()), "units": int(masks[0].any(0).sum()),
               } | ticket(dataset, start_of(dataset, seed), masks, config)  # fmt: skip


def margins(masks, rng):
    """As many weights a layer, drawn with odds that are the products of how many these masks keep in the row
    and in the column (Efraimidis & Spirakis 2006): the same inputs and units, which weights by chance."""
    odds = [np.outer(m.sum(1), m.sum(0)) for m in masks]
    scores = [np.log(rng.random(o.shape)) / np.maximum(o, 1e-6) for o in odds]
    return lh.keep_counts(scores, [int(m.sum()) for m in masks])


def settling(dataset, seed, name, lengths):
    """Where a posterior's deviations stand on the way to its end, a row a layer and epoch."""
    run, live = found(dataset, seed, name, lengths), dataset.train.images.max(axis=0) > 0
    for epoch, there in run.snapshots.items():
        for layer, (now, end) in enumerate(zip(there.stddevs, run.final.stddevs, strict=True), start=1):
            now, end = (s[live] if layer == 1 else s for s in (now, end))
            held = np.minimum(now, end) < 0.9  # of the prior's 1
            yield {"seed": seed, "posterior": name, "layer": layer, "epoch": epoch,
                   "median": float(np.median(now)), "held": float(np.mean(now < 0.9)),
                   "units": int((now < 0.5).any(0).sum()),
                   "rank_to_end": float(scipy.stats.spearmanr(now[held], end[held]).statistic)}  # fmt: skip
