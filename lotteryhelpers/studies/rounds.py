"""Iterative pruning with rewinding, and its controls (notebook 06).

Frankle & Carbin's settings: Glorot normal, Adam 1.2e-3, batch 60, 20% of each hidden layer's and 10% of the
output layer's remaining weights a round, validation every 100 steps, five trials. Deviations: 55 epochs are
50,380 steps, not 50,000; one new draw a trial for reinitialised and for random masks, not three; controls at
five levels; the networks that only choose a mask train with batch 128.

Written down before the first run, paired by trial, at the early-stopping step, margin 0.3 points where
something is to be "as good": the paper's headlines (at 21.1% iterative tickets reach their least validation
loss before dense does; at 13.5% they are at least as accurate as it, at 3.6% as accurate; reinitialised, they
are worse from 21.1% on); and at 21.1% variance and snr, one-shot and iterative, against iterative magnitude.
Expected: the headlines hold; one-shot snr within the margin of one-shot magnitude down to 13.5%, behind
iterative magnitude from 3.6% on; variance as good as a random mask.

Written down before the second run. In the first, most controls had 22 epochs; now every ticket has 55, and
equal counts in every layer. Read twice, at the step of least validation loss and at the end, margin 0.3.
Named, at 21.1 and at 3.6%, for kinds that no run has had yet: (1) snr minus |mu| of the same posterior; |mu|
minus |w| of a dense network after (2) the posterior's 15 epochs, (3) 15 epochs with the prior as weight decay
(map), (4) 48 epochs, which cost the posterior's seconds (an epoch of Flipout took 3.13 to 3.25 times a dense
one's, on one thread, in turn); (5) one-shot |w| minus the same from another batch order: how far two dense
networks differ. Expected: (1) as good in all four; (2) better at 3.6%, not at 21.1%; (3) as good or not
decided: weight decay closes more than half of (2); (4) like (2): longer training makes |w| no better guide;
(5) as good. Of the kinds that are trained again, random masks and variance gain at least 0.2 points at 3.6%
at least loss, since 22 epochs had cut them off; snr at 3.6% stays better than one-shot |w| at least loss; at
the end both are behind dense there, and so is iterative, a little. The Bayesian loop was to go on to 3.6%
too; its eight posteriors a seed and criterion were left out, for time."""

import dataclasses
import time

import numpy as np

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import gather, kept, start_of, trained

LEVELS = (3, 7, 9, 15, 18)  # the rounds of the controls: 51.3, 21.1, 13.5, 3.6 and 1.9% are left
#: kind: what scores it (a posterior, or a dense network of one of the lengths), and the criterion
KINDS = {"one-shot": ("ticket", "magnitude"), "random mask": (None, "random"),
         "variance": ("posterior", "variance"), "snr": ("posterior", "snr")}  # fmt: skip
NAMED = {
    "magnitude": ("posterior", "magnitude"), "map": ("map", "magnitude"),
    "one-shot, 15 epochs": ("bayesian", "magnitude"), "one-shot, 48 epochs": ("at_its_cost", "magnitude"),
    "one-shot, other order": ("ticket", "magnitude")}  # fmt: skip
STORED = {"seeds": range(200, 205), "kinds": (*KINDS, *NAMED),
          "lengths": {"ticket": lh.TrainConfig(55, 60, evaluate_every=100), "bayesian": lh.TrainConfig(15),
                      "at_its_cost": lh.TrainConfig(48)}}
LIVE = {"seeds": range(200, 203), "kinds": tuple(KINDS)}
TABLES = {"06_rounds": "kind seed round"}


def rows(dataset, seeds, kinds, lengths=None, client=None):
    """Yield a row a ticket: iterative, with new weights, and of ``kinds``. ``lengths`` are of tickets, of
    posteriors, and of a dense network at their cost."""
    like_the_paper = dataclasses.replace(lh.recipe(dataset).ticket, batch_size=60, learning_rate=1.2e-3)
    lengths = lengths or vars(lh.recipe(dataset)) | {"ticket": like_the_paper}
    calls = [(control, seed, lengths, kind) for seed in seeds for kind in kinds]
    return gather(dataset, calls + [(iterative, seed, lengths) for seed in seeds], client)


def train(dataset, seed, config, masks, goal=None, initial=None, order=0):
    """A ticket and its row; ``goal`` is a validation loss to reach, None the ticket's own least."""
    began, config = time.time(), dataclasses.replace(config, seed=seed + order)
    ticket = lh.train_ticket(dataset, initial or start_of(dataset, seed), masks, config)
    curve = ticket.history.set_index("step").validation_loss
    reached = curve.index[curve <= (goal or curve.min())]
    return ticket, {"weights_left": ticket.density.overall, "early_stopping_step": int(ticket.best_step),
        "test_accuracy_at_best": ticket.test_accuracy_at_best, "test_accuracy": ticket.test_accuracy,
        "validation_loss": float(curve.min()), "reaches_dense_loss": next(map(int, reached), None),
        "steps": int(curve.index[-1]), "seconds": time.time() - began}  # fmt: skip


def iterative(dataset, seed, lengths):
    """Rounds 0 to 18 of one trial, and the masks of some with new weights."""
    start, masks, goal = start_of(dataset, seed), None, None
    for number in range(max(LEVELS) + 1):
        ticket, row = train(dataset, seed, lengths["ticket"], masks, goal)
        goal = goal or row["validation_loss"]
        yield {"seed": seed, "kind": "iterative", "round": number} | row
        if number in LEVELS:
            fresh = lh.restart(start, masks, "reinitialise", keep_sign=False, seed=seed + 1000,
                               initializer="glorot")  # fmt: skip
            _, row = train(dataset, seed, lengths["ticket"], masks, goal, fresh)
            yield {"seed": seed, "kind": "reinitialised", "round": number} | row
        masks = lh.prune(ticket.masks, lh.CRITERIA["magnitude"](ticket), 0.2)


def control(dataset, seed, lengths, kind):
    """A kind at all levels, named ones from 21.1% on."""
    (source, criterion), start = (KINDS | NAMED)[kind], start_of(dataset, seed)
    goal = kept(dataset, [seed, lengths["ticket"]],
                lambda: train(dataset, seed, lengths["ticket"], None)[1]["validation_loss"])
    order = 1000 if "other order" in kind else 0
    if source in ("posterior", "map"):
        run = trained(dataset, start, source, dataclasses.replace(lengths["bayesian"], seed=seed))
        scores = lh.CRITERIA[criterion](run)
    elif source:
        ticket, row = train(dataset, seed, lengths[source], None, goal, order=order)
        scores = lh.CRITERIA[criterion](ticket)
        if order:
            yield {"seed": seed, "kind": "dense, other order", "round": 0} | row
    for number in LEVELS if kind in KINDS else LEVELS[1:]:
        if not source:  # a random mask a level
            rng = np.random.default_rng([seed, number])
            scores = [rng.random(m.shape) for m in start.means]
        masks = None
        for _ in range(number):  # as many in each layer as the iterative rounds leave
            masks = lh.prune(masks, scores, 0.2)
        _, row = train(dataset, seed, lengths["ticket"], masks, goal)
        yield {"seed": seed, "kind": kind, "round": number} | row
