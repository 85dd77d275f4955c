"""How little data does a ticket need? (notebook 08)

Posteriors (KL divided by the number of images they see) and dense networks from subsets of the training
images, batches of 100; tickets of six epochs for the whole data set. A posterior's step costs about three
dense ones, so a dense network has three times the steps: 2,750 posterior steps beside 8,250 dense ones
("equal steps" for each size of subset), and 15 posterior epochs beside 45 dense ones ("equal epochs").

Written down before the first run. The comparison that decides, at 20% and at 5%: snr from 3,000 images minus
dense magnitude from the same 3,000, in each of the two budgets, paired over five seeds, margin 0.3 points.
Expected: at 20% both within the margin of the ticket from all images from 3,000 images on; at 5% a loss of
half a point or more at 100 images; snr as good as magnitude from 3,000 on; variance no better than chance.

Added when the first table was there, for at 5% snr from few images was ahead by half a point and more: is it
the uncertainty, or the prior's pull to zero? At 300 and 3,000 images the posterior's own magnitude, and
"map": the dense network with the prior as its penalty. Expected: map closes more than half of the gap."""

import dataclasses
import itertools
import math

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import at, controls, gather, start_of, subset, ticket, trained

TABLES = {"08_data": "source criterion density budget images seed"}
STORED = {"seeds": range(300, 305), "densities": (0.2, 0.05), "added_images": (300, 3_000), "batch": 100,
          "images": (100, 300, 1_000, 3_000, 10_000, 55_000), "rate": 1.2e-3, "ticket": lh.TrainConfig(6),
          "steps": {"posterior": 2_750, "dense": 8_250}, "epochs": {"posterior": 15, "dense": 45}}
LIVE = {"seeds": range(300, 303), "images": (64, 256, 1_216), "added_images": (256,), "densities": (0.05,),
        "batch": 64, "rate": 3e-3, "steps": {"posterior": 120, "dense": 360},
        "epochs": {"posterior": 8, "dense": 24}}  # fmt: skip
CRITERIA = {"posterior": ("snr", "variance"), "dense": ("magnitude",)}
ADDED = {"posterior": ("magnitude",), "map": ("magnitude",)}


def rows(dataset, seeds, images, added_images, densities, batch, rate, steps, epochs, ticket=None,
         client=None):  # fmt: skip
    """Yield a row a ticket; ``steps`` and ``epochs`` are a posterior's and a dense network's two budgets."""
    calls, ticket = [], ticket or lh.recipe(dataset).ticket
    for config in (dataclasses.replace(ticket, seed=seed) for seed in seeds):
        named = {"seed": config.seed, "source": "control", "images": 0, "budget": "none"}
        chosen = [(*one, n) for one in CRITERIA.items() for n in images]
        chosen += [(*one, n) for one in ADDED.items() for n in added_images]
        calls += [(tickets, *one, densities, batch, rate, steps, epochs, config) for one in chosen]
        calls += [(controls, named, densities, config)]
    return gather(dataset, calls, client)


def tickets(dataset, source, criteria, images, densities, batch, rate, steps, epochs, config):
    """All tickets from one subset; one training, as long as the longer budget."""
    start, few = start_of(dataset, config.seed), subset(dataset, images, config.seed)
    kind, an_epoch = "dense" if source == "map" else source, images // batch
    budgets = {"equal steps": steps[kind] / an_epoch, "equal epochs": epochs[kind]}
    length = math.ceil(max(budgets.values()))
    finding = lh.TrainConfig(length, batch, rate, config.seed, evaluate_every=length * an_epoch)
    run = trained(few, start, source, finding, snapshots=tuple(budgets.values()))
    for criterion, density, budget in itertools.product(criteria, densities, budgets):
        scores = lh.CRITERIA[criterion](at(run, run.snapshots[budgets[budget]]))
        yield {"seed": config.seed, "source": source, "images": images, "criterion": criterion,
            "density": density, "budget": budget,
            } | ticket(dataset, start, lh.keep_fraction(scores, density), config)  # fmt: skip
