"""Iterative pruning with rewinding, and its controls (notebook 06).

Frankle & Carbin's settings: Glorot normal, Adam 1.2e-3, batch 60, 20% of each hidden layer's and 10% of the
output layer's remaining weights a round, validation every 100 steps, five trials. Deviations: 55 epochs are
50,380 steps, not 50,000; one new draw a trial for reinitialised and for random masks, not three; controls at
five levels; the networks that only choose a mask train with batch 128.

Written down before the first run: the comparisons are those of the paper's headlines (at 21.1% iterative
tickets reach their least validation loss before the dense network does; at 13.5% they are at least as
accurate as it, at 3.6% as accurate; reinitialised, they are worse from 21.1% on), paired by trial, at the
early-stopping step, with a margin of 0.3 points where something is to be "as good"; and at 21.1% variance and
snr, one-shot and iterative, against iterative magnitude. Expected: the headlines hold; one-shot snr within
the margin of one-shot magnitude down to 13.5%, behind iterative magnitude from 3.6% on; variance as good as a
random mask.

Written down before the second run. In the first, most controls had 22 epochs (20,152 steps) and the iterative
tickets 55; now every ticket of every kind has 55, and equal counts in every layer. Every comparison is read
twice, at the step of least validation loss and at the end, margin 0.3 points. Named, at 21.1 and at 3.6%, for
kinds that no run has had yet: (1) snr minus |mu| of the same posterior; (2) |mu| minus |w| of a dense network
after the posterior's 15 epochs; (3) |mu| minus |w| after 15 epochs with the prior as weight decay (map);
(4) |mu| minus |w| after 48 dense epochs, which cost the posterior's seconds (an epoch of Flipout took 3.13 to
3.25 times a dense one's, on one thread, in turn); (5) one-shot |w| minus the same from another batch order:
how far two dense networks differ. Expected: (1) as good in all four; (2) better at 3.6%, not at 21.1%; (3) as
good or not decided: weight decay closes more than half of (2); (4) like (2), for longer training doesn't make
|w| a better guide; (5) as good. Of the kinds that are trained again: random masks and variance gain at least
0.2 points at 3.6% at least loss, since 22 epochs had cut them off; snr at 3.6% stays better than one-shot
|w| at least loss; at the end of training both are behind dense there, and so is iterative, a little.
The Bayesian loop goes on to 3.6%, in eight posteriors. Expected: at 3.6% snr as good as its single cut,
variance still within a point of chance.
"""

import dataclasses
import time

import numpy as np

from lotteryhelpers.bayesian import train_bayesian
from lotteryhelpers.criteria import CRITERIA
from lotteryhelpers.data import Split
from lotteryhelpers.masks import keep_counts
from lotteryhelpers.papers.pruning import prune, restart
from lotteryhelpers.posterior import Posterior
from lotteryhelpers.studies.engine import gather, kept
from lotteryhelpers.studies.shared import start_of
from lotteryhelpers.tickets import train_ticket
from lotteryhelpers.training import TrainConfig

LEVELS = (3, 7, 9, 15, 18)  # the rounds of the controls: 51.3, 21.1, 13.5, 3.6 and 1.9% are left
LOOP = (2, 4, 6, 7, 9, 11, 13, 15)  # the Bayesian loop's masks keep what these rounds keep
#: kind: what scores it (a posterior, or a dense network of one of the lengths), and the criterion
SCORES = {
    "one-shot": ("ticket", "magnitude"), "variance": ("posterior", "variance"), "snr": ("posterior", "snr"),
    "magnitude": ("posterior", "magnitude"), "one-shot, 15 epochs": ("bayesian", "magnitude"),
    "map": ("map", "magnitude"), "one-shot, 48 epochs": ("at_its_cost", "magnitude"),
    "one-shot, other order": ("ticket", "magnitude"), "random mask": (None, None),
}  # fmt: skip
FIRST = ("one-shot", "random mask", "variance", "snr")
_LIKE_THE_PAPER = {"batch_size": 60, "learning_rate": 1.2e-3, "evaluate_every": 100}
STORED = {
    "seeds": range(200, 205), "kinds": tuple(SCORES), "loops": ("snr", "variance"), "clocks": True,
    "lengths": {
        "ticket": TrainConfig(55, **_LIKE_THE_PAPER), "clock": TrainConfig(22, **_LIKE_THE_PAPER),
        "bayesian": TrainConfig(15), "at_its_cost": TrainConfig(48),
    },
}  # fmt: skip
LIVE = {
    "seeds": range(200, 203), "kinds": FIRST, "loops": (), "clocks": False,
    "lengths": {
        "ticket": TrainConfig(30, batch_size=60, evaluate_every=20), "bayesian": TrainConfig(150, 64, 3e-3),
    },
}  # fmt: skip
TABLES = {"06_rounds": ["kind", "seed", "round"]}


def rows(dataset, seeds, *, lengths, kinds, loops, clocks, client=None):
    """Yield a row a ticket: iterative, with new weights, ``kinds``, the Bayesian ``loops``, ``clocks``."""
    calls = [(control, s, lengths, kind) for s in seeds for kind in kinds]
    calls += [(iterative, s, lengths) for s in seeds] + [(loop, s, lengths, c) for s in seeds for c in loops]
    calls += [(clock, s, lengths, images) for s in seeds for images in ("last", "test", "first") if clocks]
    yield from gather(dataset, calls, client)


class Trial:
    """One seed on one data set: its start, its counts, its trainings."""

    def __init__(self, dataset, seed, lengths):
        """``lengths``: of tickets, of those on a clock, of posteriors, of a dense network at their cost."""
        self.dataset, self.seed, self.lengths = dataset, seed, lengths
        self.start = start_of(dataset, seed)

    def counts(self, number):
        """How many weights of each layer so many rounds leave."""
        counts = [m.size for m in self.start.means]
        for _ in range(number):
            counts = [n - round(rate * n) for n, rate in zip(counts, (0.2, 0.2, 0.1), strict=True)]
        return counts

    def train(self, masks, *, length="ticket", initial=None, dataset=None, order=0):
        """A deterministic network of one of the lengths, in this trial's batch order or another."""
        config = dataclasses.replace(self.lengths[length], seed=self.seed + order)
        return train_ticket(dataset or self.dataset, initial or self.start, masks, config)

    def posterior(self, initial=None, masks=None):
        """A Bayesian network from this trial's start."""
        config = dataclasses.replace(self.lengths["bayesian"], seed=self.seed)
        return train_bayesian(self.dataset, config, initial=initial or self.start, masks=masks)

    def dense_loss(self):
        """The dense network's least validation loss."""
        return self.round(0, None)["validation_loss"]

    def round(self, number, masks, goal=None):
        """A round's row, with the next round's masks."""

        def make():
            row, ticket = self.row(masks, goal)
            return row | {"next": pack(prune(ticket.masks, CRITERIA["magnitude"](ticket), 0.2))}

        return self.kept("iterative", number, make)

    def row(self, masks, goal, **training):
        """What the table says of one training, and the ticket.

        ``goal`` is a validation loss to reach, None the ticket's own least.
        """
        began, ticket = time.time(), self.train(masks, **training)
        curve = ticket.history.set_index("step").validation_loss
        reached = curve.index[curve <= (goal or curve.min())]
        return {
            "weights_left": ticket.density.overall,
            "early_stopping_step": int(ticket.best_step),
            "test_accuracy_at_best": ticket.test_accuracy_at_best,
            "test_accuracy": ticket.test_accuracy,
            "validation_loss": float(curve.min()),
            "reaches_dense_loss": int(reached[0]) if len(reached) else None,
            "steps": int(curve.index[-1]),
            "seconds": time.time() - began,
        }, ticket

    def kept(self, kind, number, make):
        """A row of the table, made now or before."""
        key = {"seed": self.seed, "kind": kind, "round": number}
        return key | kept(self.dataset, key | {"lengths": self.lengths}, make)

    def unpack(self, texts):
        """The inverse of :func:`pack`."""
        bits = [np.unpackbits(np.frombuffer(bytes.fromhex(t), np.uint8)) for t in texts]
        pairs = zip(bits, self.start.means, strict=True)
        return tuple(b[: m.size].reshape(m.shape).astype(bool) for b, m in pairs)


def pack(masks):
    """Masks as text, for a kept row."""
    return [np.packbits(m).tobytes().hex() for m in masks]


def shown(row):
    """A row without the masks for the next one."""
    return {name: value for name, value in row.items() if name != "next"}


def iterative(dataset, seed, lengths):
    """Rounds 0 to 18 of one trial, and the masks of some with new weights."""
    trial, masks, goal = Trial(dataset, seed, lengths), None, None
    for number in range(max(LEVELS) + 1):
        row = trial.round(number, masks, goal)
        goal = goal or row["validation_loss"]
        yield shown(row)
        if number in LEVELS:

            def make(masks=masks, goal=goal):
                fresh = restart(trial.start, masks, "reinitialise", keep_sign=False, seed=seed + 1000,
                                initializer="glorot")  # fmt: skip
                return trial.row(masks, goal, initial=fresh)[0]

            yield trial.kept("reinitialised", number, make)
        masks = trial.unpack(row["next"])


def scores_of(trial, kind):
    """The scores by which a control keeps."""
    source, criterion = SCORES[kind]
    if source == "map":  # deviations that stay below 2e-5: a dense network with the prior as its penalty
        still = [np.full_like(m, 1.2e-7) for m in trial.start.means]
        return CRITERIA[criterion](trial.posterior(Posterior(trial.start.means, still, trial.start.biases)))
    if source == "posterior":
        return CRITERIA[criterion](trial.posterior())
    return CRITERIA[criterion](trial.train(None, length=source, order=1000 if "other" in kind else 0))


def control(dataset, seed, lengths, kind):
    """A control at all levels, those of the second run from 21.1% on."""
    trial, found = Trial(dataset, seed, lengths), None
    for number in LEVELS[0 if kind in FIRST else 1 :]:

        def make(number=number):
            nonlocal found
            if kind == "random mask":
                rng = np.random.default_rng([seed, number])
                found = [rng.random(m.shape) for m in trial.start.means]
            found = found or scores_of(trial, kind)
            return trial.row(keep_counts(found, trial.counts(number)), trial.dense_loss())[0]

        yield trial.kept(kind, number, make)
    if "other order" in kind:  # and the whole network
        yield trial.kept("dense, other order", 0, lambda: trial.row(None, trial.dense_loss(), order=1000)[0])


def loop(dataset, seed, lengths, criterion):
    """The Bayesian loop: retrain the masked posterior, prune, rewind; tickets at 21.1 and 3.6%."""
    trial, masks = Trial(dataset, seed, lengths), None
    for number in LOOP:

        def make(number=number, masks=masks):
            found = keep_counts(CRITERIA[criterion](trial.posterior(masks=masks)), trial.counts(number))
            row = trial.row(found, trial.dense_loss())[0] if number in (7, 15) else {}
            return row | {"next": pack(found)}

        row = trial.kept(f"{criterion} iterative", number, make)
        masks = trial.unpack(row["next"])
        if "steps" in row:
            yield shown(row)


def clock(dataset, seed, lengths, images):
    """How soon: the dense network, the 21.1% ticket and a random mask, by these validation images.

    "last" are the data set's own; "test" as many test images; "first" the first training images, the last
    ones to train on in their place. The masks have seen those: they were found with them.
    """
    trial, masks, size = Trial(dataset, seed, lengths), None, len(dataset.validation.labels)
    splits = dataset.train, dataset.validation, dataset.test
    train, validation, test = ((s.images, s.labels) for s in splits)
    if images == "test":
        dataset = dataclasses.replace(dataset, validation=Split(test[0][:size], test[1][:size]))
    if images == "first":
        others = [np.concatenate([a[size:], b]) for a, b in zip(train, validation, strict=True)]
        first = Split(train[0][:size], train[1][:size])
        dataset = dataclasses.replace(dataset, train=Split(*others), validation=first)
    for number in range(7):
        masks = trial.unpack(trial.round(number, masks, trial.dense_loss() if number else None)["next"])
    rng, goal = np.random.default_rng([seed, 7]), None
    chance = keep_counts([rng.random(m.shape) for m in trial.start.means], trial.counts(7))
    for number, name, mask in ((0, "", None), (7, "", masks), (7, ", random mask", chance)):

        def make(mask=mask, goal=goal):
            return trial.row(mask, goal, length="clock", dataset=dataset)[0]

        row = trial.kept(f"validation {images}{name}", number, make)
        goal = goal or row["validation_loss"]
        yield row
