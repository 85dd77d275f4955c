"""Was it the variance, or our posterior? One that has settled, and a cheap one (notebook 11).

Written down before the first run, after a look at seed 500 alone. A posterior has settled if between half-way
and the end, in every layer, the median of sigma moves by at most 5% and the rank correlation of the sigmas
that the data hold (below 0.9 of the prior's) is at least 0.98. Settled here is the series' posterior, N(0, 1)
for a prior, by local reparameterisation with a larger rate until its sizes stand still. Expected: the sizes
do, the order doesn't, for hidden units go on falling back to the prior, one by one, until a tenth is left.

Named at 5%, ten seeds that nothing has used, tickets of five epochs, both readings, margin 0.3: (1) settled
variance minus chance; (2) minus pixel_variance, without a posterior; (3) minus margins: as many weights an
input and about as many a unit, which by chance; (4) minus the same posterior's |mu|; (5) settled snr minus
|mu|; (6) IVON's |mu| minus |w| of a dense network, three epochs each, which cost the same. Expected: (1)
better, by a point and more; (2) ahead, if anything; (3) as good: it knows which pixels and which units; (4)
worse; (5) as good; (6) ahead, and as much without the noise (not made yet). All else is exploration."""

import dataclasses
import itertools

import numpy as np
import scipy.stats

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import controls, gather, start_of, ticket, trained, unspread

TABLES = {"11_tickets": "source criterion density seed", "11_settled": "layer epoch seed"}
STORED = {"seeds": range(600, 610), "densities": (0.2, 0.05, 0.02), "settled": lh.TrainConfig(80, 128, 3e-3),
          "cheap": lh.TrainConfig(3), "ticket": lh.TrainConfig(5)}  # fmt: skip
LIVE = {"seeds": range(600, 603), "densities": (0.05,), "settled": lh.TrainConfig(300, 64, 3e-3),
        "cheap": lh.TrainConfig(30, 64, 3e-3), "ticket": lh.TrainConfig(40, 64, 3e-3)}  # fmt: skip
TRAININGS = "settled", "cheap", "ticket"
CRITERIA = {"settled": ("variance", "snr", "magnitude", "shuffled_rows", "pixel_variance", "margins"),
            "IVON": ("variance", "snr", "magnitude"), "dense": ("magnitude",)}  # fmt: skip


def rows(dataset, seeds, densities, settled, cheap, ticket, table="11_tickets", client=None):
    """Yield a row a ticket, or of the other table a row a layer and epoch."""
    every = [[dataclasses.replace(c, seed=seed) for c in (settled, cheap, ticket)] for seed in seeds]
    calls = [(tickets, *some, densities) if table == "11_tickets" else (settling, some[0]) for some in every]
    return gather(dataset, calls, client)


def posterior(dataset, config):
    """One that has settled, as far as it does, with what it was on the way."""
    points = [part * config.epochs for part in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)]
    start = start_of(dataset, config.seed)
    return trained(dataset, start, "settled", config, estimator="local", snapshots=points)


def tickets(dataset, settled, cheap, config, densities):
    """A seed's tickets."""
    start = start_of(dataset, config.seed)
    runs = {"settled": posterior(dataset, settled), "dense": trained(dataset, start, "dense", cheap),
            "IVON": lh.train_ivon(dataset, cheap, initial=unspread(start, 0.02), noise="signs")}  # fmt: skip
    names = [(source, criterion) for source in CRITERIA for criterion in CRITERIA[source]]
    for (source, criterion), density in itertools.product(names, densities):
        rng = np.random.default_rng([config.seed, round(1e6 * density)])
        of = {"margins": "variance"}.get(criterion, criterion)
        masks = lh.masks_for(runs[source], of, density, dataset=dataset, rng=rng)
        if criterion == "margins":
            masks = margins(masks, rng)
        source = "control" if criterion == "pixel_variance" else source  # it reads no posterior
        yield {"seed": config.seed, "source": source, "criterion": criterion, "density": density,
               "inputs": int(masks[0].any(1).sum()), "units": int(masks[0].any(0).sum()),
               } | ticket(dataset, start, masks, config)  # fmt: skip
    yield from controls(dataset, {"seed": config.seed, "source": "control"}, densities, config)


def margins(masks, rng):
    """As many weights a layer, drawn with odds that are the products of how many these masks keep in the row
    and in the column (Efraimidis & Spirakis 2006): the same inputs and units, which weights by chance."""
    odds = [np.outer(m.sum(1), m.sum(0)) for m in masks]
    scores = [np.log(rng.random(o.shape)) / np.maximum(o, 1e-6) for o in odds]
    return lh.keep_counts(scores, [int(m.sum()) for m in masks])


def settling(dataset, config):
    """Where the deviations stand on the way to their end, a row a layer and epoch."""
    run, live = posterior(dataset, config), dataset.train.images.max(axis=0) > 0
    for (epoch, there), layer in itertools.product(run.snapshots.items(), range(3)):
        lit = live if layer == 0 else slice(None)
        now, end = (p.stddevs[layer][lit] for p in (there, run.final))
        held = np.minimum(now, end) < 0.9  # of the prior's 1
        yield {"seed": config.seed, "layer": layer + 1, "epoch": epoch, "median": float(np.median(now)),
               "held": float(np.mean(now < 0.9)), "units": int((now < 0.5).any(0).sum()),
               "rank_to_end": float(scipy.stats.spearmanr(now[held], end[held]).statistic)}  # fmt: skip
