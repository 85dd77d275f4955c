"""Was it the variance, or our posterior? One left to settle, others, and tickets for one (notebook 11).

Written down before the first run, after a look at seed 500 alone. A posterior has settled if between half-way
and the end, in every layer, the median of sigma moves by at most 5% and the rank correlation of the sigmas
that the data hold (below 0.9 of the prior's) is at least 0.98. Settled here is the series' posterior, N(0, 1)
for a prior, by local reparameterisation with a larger rate until its sizes stand still. Expected: the sizes
do, the order doesn't, for hidden units go on falling back to the prior, one by one, until a tenth is left.

Written down after that; no study has used these seeds. Tickets of five epochs from the Glorot start, both
readings, margin 0.3, ten seeds. Named, at 5% and at 2% unless it is said: (1) IVON's |mu| minus a dense
network's |w|, three epochs each; (2) minus that of IVON's update without its noise, and (3) the same with the
curvature held at its start, which is gradient descent with momentum; (4) minus IVON's |mu| with a prior of
1,000, so without its pull; at 5%, (5) settled variance minus Flipout's after 15 epochs: is it the settling?
(6) IVON's variance minus shuffled_rows of it, and (7) Laplace's minus chance; (8) settled variance minus
chance at 20, 10, 5 and 2%, with each layer's share and with one threshold. Expected: (1) ahead at 5%, better
at 2%; (2) and (3) as good: the credit is that of a step in proportion to the slope; (4) as good; (5) better;
(6) as good; (7) worse; (8) better, all eight.

Cost, on notebook 09's axes and seeds: tickets found by one epoch, of IVON's |mu| and of a dense |w|, trained
compact, rate 2.4e-3 for all, none searched. Named, after ten epochs: (9) IVON's 20% ticket minus the dense
one's; (10) its gap to the whole network's ten epochs. Expected: as good; it doesn't pay by 09's rule.

Transplants: 15 epochs of Flipout within the mask of a dense network's |w| after three. Named: accuracy and
NLL, of 20 draws, minus (11) the whole Bayesian network's and (12) that within a random mask. Expected: (11)
as good in accuracy at 20%, better at 5%, for fewer weights cost less KL, with a lower NLL at both; (12) as
good at 20%, better at 5%. All else is exploration."""

import dataclasses
import itertools
import time

import numpy as np
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import lotteryhelpers as lh
from lotteryhelpers.studies import frontier
from lotteryhelpers.studies.shared import gather, masks_of, start_of, ticket, trained, unspread

TABLES = {"11_posteriors": "source criterion scope density seed", "11_costs": "finder shape rate seed epochs",
          "11_transplants": "masks density seed", "11_settled": "layer epoch seed"}  # fmt: skip
STORED = {
    "seeds": range(610, 620), "densities": (0.05, 0.02), "thresholds": (0.2, 0.1, 0.05, 0.02),
    "settling_seeds": range(600, 610),
    "lengths": {"settled": lh.TrainConfig(80, 128, 3e-3)} | {n: lh.TrainConfig(epochs) for n, epochs in (
        ("Flipout", 15), ("cheap", 3), ("ticket", 5))},
    "cost_seeds": range(410, 422), "rates": (1.2e-3, 2.4e-3), "budgets": frontier.STORED["budgets"],
    "finders": (("ivon", 55_000, 1, 128), ("dense", 55_000, 1, 128))}  # fmt: skip
LIVE = {
    "seeds": range(600, 603), "densities": (0.05,), "thresholds": (0.05,), "settling_seeds": range(600, 603),
    "lengths": {"settled": lh.TrainConfig(300, 64, 3e-3)} | {name: lh.TrainConfig(epochs, 64, 3e-3)
                for name, epochs in (("Flipout", 60), ("cheap", 15), ("ticket", 20))},  # fmt: skip
    "cost_seeds": range(410, 413), "rates": (3e-3, 3e-3), "budgets": frontier.LIVE["budgets"],
    "finders": (("ivon", 1_257, 10, 64), ("dense", 1_257, 10, 64))}  # fmt: skip
TRAININGS = "lengths", "rates", "budgets", "finders"
SHAPES = (frontier.SPARSE, "5% of the weights")
ALL = "variance", "snr", "magnitude", "shuffled_rows"
CRITERIA = dict.fromkeys(("Flipout", "IVON", "Laplace", "SWAG", "ensemble"), ALL) | {"settled": ALL[:1]}
CRITERIA |= dict.fromkeys(("dense", "IVON without noise", "IVON, curvature held", "IVON without prior"),
                          ALL[2:3]) | {"untrained": ("large_init", "pixel_variance")}  # fmt: skip


def rows(dataset, seeds, densities, thresholds, settling_seeds, lengths, cost_seeds, rates, budgets, finders,
         table="11_posteriors", client=None):  # fmt: skip
    """Yield rows of ``table``; ``rates`` are those of the dense network and of tickets that are to pay. At
    ``thresholds``, which are densities, the settled variance and chance have both budgets: each layer's own,
    and the counts of one threshold."""
    each = [{name: dataclasses.replace(c, seed=seed) for name, c in lengths.items()} for seed in seeds]
    asked = [("dense", "whole", rates[0]), *((*one, rates[1]) for one in itertools.product(finders, SHAPES))]
    calls = {"11_posteriors": [(tickets, of, densities, thresholds) for of in each],
             "11_costs": [(frontier.training, seed, *one, finders[0][-1], budgets)
                          for seed in cost_seeds for one in asked],
             "11_transplants": [(transplants, of) for of in each], "11_settled": [
                 (settling, dataclasses.replace(lengths["settled"], seed=seed)) for seed in settling_seeds]}
    return gather(dataset, calls[table], client)


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


def found(dataset, source, of):
    """What masks are made from: a ``BayesianRun``, or a ``TicketRun``."""
    start, config = start_of(dataset, of["ticket"].seed), of["cheap"]
    if source == "settled":
        return posterior(dataset, of[source])
    if source == "Flipout":
        return trained(dataset, start, source, of[source])
    if source == "untrained":
        return lh.BayesianRun(start, start, {}, None)
    if "IVON" in source:
        how = {"noise": "none" if {"noise", "held"} & {*source.split()} else "signs",
               "prior_stddev": 1e3 if "prior" in source else 1, "b2": 1 - 1e-12 if "held" in source else None}
        return lh.train_ivon(dataset, config, initial=unspread(start, 0.02), **how)
    if source == "ensemble":  # of five batch orders
        orders = [dataclasses.replace(config, seed=config.seed + 1000 * k) for k in range(1, 6)]
        return spread(start, [lh.train_ticket(dataset, start, None, order).final for order in orders])
    if source == "SWAG":  # Maddox et al. 2019, the diagonal: twenty points of half as many epochs more
        points = np.linspace(config.epochs, 1.5 * config.epochs, 21)[1:]
        config = dataclasses.replace(config, epochs=-(-3 * config.epochs // 2))
        run = lh.train_ticket(dataset, start, None, config, snapshots=points)
        return spread(start, run.snapshots.values())
    run = lh.train_ticket(dataset, start, None, config)
    return lh.laplace(dataset, run) if source == "Laplace" else run


def spread(start, points):
    """The Gaussian of several networks' means and deviations; what never moved keeps the prior's, 1."""
    layers = [np.stack(kernels) for kernels in zip(*(p.means for p in points), strict=True)]
    stddevs = [np.where(k.std(0) > 0, k.std(0), 1) for k in layers]
    return lh.BayesianRun(start, lh.Posterior([k.mean(0) for k in layers], stddevs, start.biases), {}, None)


def tickets(dataset, of, densities, thresholds):
    """A seed's tickets. ``overlap`` is with the mask of iterative magnitude pruning in eight rounds, ``rank``
    the correlation of the first layer's deviations, of pixels that are ever lit, with Flipout's."""
    config, live = of["ticket"], dataset.train.images.max(axis=0) > 0
    start, runs = start_of(dataset, config.seed), {source: found(dataset, source, of) for source in CRITERIA}
    first = {source: run.final.stddevs[0][live].ravel() for source, run in runs.items()}
    asked = [(source, name, "layer", d) for source, names in (CRITERIA | {"iterative": ALL[2:3]}).items()
             for name in names for d in densities] + [("control", "dense network", "layer", 1.0)]  # fmt: skip
    asked += itertools.product(("settled",), ("variance", "random"), ("layer", "variance"), thresholds)
    best = {}
    for density in densities:
        rate = 1 - density ** (1 / 8)
        last = lh.iterative_magnitude_pruning(dataset, start, of["cheap"], rounds=7, rate=rate)[-1]
        best[density] = lh.prune(last.masks, lh.CRITERIA["magnitude"](last.ticket), rate)
    for source, criterion, scope, density in dict.fromkeys(asked):
        masks = best.get(density)
        if source in runs:
            masks = masks_of(dataset, runs[source], config.seed, criterion, density, scope=scope)
        row = {"source": source, "criterion": criterion, "scope": scope, "density": density}
        row |= {"overlap": lh.jaccard(masks, best[density])} if density in best else {}
        if (criterion, scope) == ("variance", "layer"):
            row["rank"] = float(scipy.stats.spearmanr(first[source], first["Flipout"]).statistic)
        yield {"seed": config.seed} | row | ticket(dataset, start, masks, config)


def transplants(dataset, of):
    """Bayesian networks within masks: what 20 draws predict. Masked layers compute as whole ones do, so that
    ``products`` counts the multiply-adds of what the mask leaves connected."""
    config, dense = of["Flipout"], found(dataset, "dense", of)
    start, (images, labels) = start_of(dataset, config.seed), dataset.test.tensors
    for name, density in (("whole", 1.0), *itertools.product(("magnitude", "random"), (0.2, 0.05))):
        began = time.time()
        masks = None if name == "whole" else masks_of(dataset, dense, config.seed, name, density)
        run = lh.train_bayesian(dataset, config, initial=start, masks=masks)
        seconds = time.time() - began
        drawn = [tf.nn.log_softmax(run.network(images)) for _ in range(20)]
        told = tf.reduce_logsumexp(drawn, axis=0) - np.log(20)
        sizes = lh.compact(start.means, start.biases, masks, for_training=True).sizes
        yield {"seed": config.seed, "masks": name, "density": density,
               "test_accuracy": float(np.mean(np.argmax(told, 1) == labels.numpy())),
               "nll": float(-np.mean(tf.gather(told, labels, batch_dims=1))),
               "calibration_error": float(tfp.stats.expected_calibration_error(15, told, labels_true=labels)),
               "steps": int(run.history.step.iloc[-1]), "seconds": seconds,
               "products": frontier.products([a * b for a, b in itertools.pairwise(sizes)])}  # fmt: skip
