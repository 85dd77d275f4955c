"""Do tickets transfer? (notebook 08)

Masks found on the digits 0 to 4 (15 Bayesian epochs, and 45 dense ones, about as many seconds) are trained
on 5 to 9 for ten epochs, beside masks found on 5 to 9 themselves; and masks found on MNIST on Fashion-MNIST,
beside its own. The output layer is kept whole: its columns stand for classes that the new task doesn't have.

Written down before the first run. Decides: found on 0 to 4 minus found on 5 to 9, snr, at 20% and at 5%,
paired over five seeds, margin 0.3 points; and transferred snr minus transferred dense magnitude. Expected: as
good at 20%, at 5% a loss of 0.1 to 0.5 points, still above chance; snr as good as magnitude.

Written down before Fashion-MNIST's first run: found on MNIST minus found on Fashion-MNIST, snr and dense
magnitude, both densities, and found on MNIST minus chance. Expected: behind its own at 20%, worse at 5%, for
MNIST's masks leave out the border, where clothes have pixels; at 5% still better than chance."""

import dataclasses
import itertools

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import controls, gather, start_of, ticket, trained

TABLES = dict.fromkeys(("08_transfer", "12_transfer"), "trained_on source criterion density found_on seed")
STORED = {"seeds": range(300, 305), "densities": (0.2, 0.05), "ticket": lh.TrainConfig(10),
          "pairs": {"08_transfer": ("0 to 4", "5 to 9"), "12_transfer": ("mnist", "fashion_mnist")},
          "finding": {"posterior": lh.TrainConfig(15), "dense": lh.TrainConfig(45)}}  # fmt: skip
LIVE = {"seeds": range(300, 303), "densities": (0.05,), "pairs": {"08_transfer": ("0 to 4", "5 to 9")},
        "finding": {"posterior": lh.TrainConfig(8, 64, 3e-3), "dense": lh.TrainConfig(24, 64, 3e-3)}}
CRITERIA = {"posterior": ("snr", "variance"), "dense": ("magnitude",)}
HALVES = {"0 to 4": (0, 4), "5 to 9": (5, 9)}


def rows(dataset, seeds, pairs, densities, finding, ticket=None, table="08_transfer", client=None):
    """Yield a row a ticket; a pair is (found on, trained on), in ``HALVES`` or names of ``load_dataset``."""
    calls, ticket, (old, new) = [], ticket or lh.recipe(dataset).ticket, pairs[table]
    for seed in seeds:
        config = dataclasses.replace(ticket, seed=seed)
        for source, found_on in itertools.product(CRITERIA, (old, new)):
            length = dataclasses.replace(finding[source], seed=seed)
            calls += [(tickets, source, found_on, new, densities, length, config)]
        calls += [(tickets, "control", "nothing", new, densities, None, config)]
    return gather(dataset, calls, client)


def task(dataset, name):
    """A half of this dataset's classes, labelled from 0, or another dataset."""
    if name not in HALVES:
        return dataset if name == dataset.name else lh.load_dataset(name)
    (first, last), parts = HALVES[name], {}
    for part in ("train", "validation", "test"):
        split = getattr(dataset, part)
        chosen = (split.labels >= first) & (split.labels <= last)
        parts[part] = type(split)(split.images[chosen], split.labels[chosen] - first)
    return dataclasses.replace(dataset, num_classes=last - first + 1, **parts)


def tickets(dataset, source, found_on, trained_on, densities, finding, config):
    """All tickets for one task from one training, or its controls."""
    new, named = task(dataset, trained_on), {"seed": config.seed, "source": source}
    named |= {"found_on": found_on, "trained_on": trained_on}
    if source == "control":
        yield from controls(new, named, densities, config, output_density=1.0)
        return
    old, start = task(dataset, found_on), start_of(new, config.seed)
    run = trained(old, start_of(old, config.seed), source, finding)
    for criterion, density in itertools.product(CRITERIA[source], densities):
        masks = lh.keep_fraction(lh.CRITERIA[criterion](run), density, output_density=1.0)
        yield named | {"criterion": criterion, "density": density} | ticket(new, start, masks, config)
