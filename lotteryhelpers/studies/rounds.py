"""Iterative pruning with rewinding, and its controls (notebook 06).

Frankle & Carbin's settings: Glorot normal, Adam 1.2e-3, batch 60, 20% of each hidden layer's and 10% of the
output layer's weights a round, validation every 100 steps, five trials. Deviations: 50,380 steps, not 50,000;
one new draw a trial, not three; controls at five levels; what only chooses a mask trains with batch 128.

Written down before the first run, paired by trial, at the early-stopping step, margin 0.3 points where
something is to be "as good": the paper's headlines (at 21.1% iterative tickets reach their least validation
loss before dense does; at 13.5% they are at least as accurate as it, at 3.6% as accurate; reinitialised, they
are worse from 21.1% on); and at 21.1% variance and snr, one-shot and iterative, against iterative magnitude.
Expected: the headlines hold; one-shot snr within the margin of one-shot magnitude down to 13.5%, behind
iterative magnitude from 3.6% on; variance as good as a random mask.

Written down before the second run. In the first, most controls had 22 epochs; now every ticket has 55, and
equal counts in every layer. Both readings, margin 0.3. Named, at 21.1 and at 3.6%, for kinds that no run has
had yet: (1) snr minus |mu| of the same posterior; |mu| minus |w| of a dense network after (2) the posterior's
15 epochs, (3) as many with the prior as weight decay (map), (4) 48, which cost the posterior's seconds (3.13
to 3.25 dense epochs for one of Flipout, on a thread); (5) one-shot |w| minus the same from another batch
order. Expected: (1) as good; (2) better at 3.6%, not at 21.1%; (3) as good or not decided: weight decay
closes more than half of (2); (4) like (2); (5) as good. Of the kinds that are trained again, random masks and
variance gain at least 0.2 points at 3.6% at least loss, since 22 epochs had cut them off; snr at 3.6% stays
better than one-shot |w| at least loss; at the end both are behind dense there, and iterative a little.

12_rounds, LeNet-5 on MNIST: convolutions lose 10% a round like the output layer (figure 2); five trials.
Deviations from their Conv-2: another network, MNIST, batch 128, five epochs. Written down before the first
run (seeds 620 to 624, 15 rounds, 4.5% left): after 7 iterative is as good as dense and reaches dense's least
loss no later; after 15, minus one-shot, better; new weights are worse than old ones after both. Before the
second, of five other trials to 18 rounds (2.5%; 3.6% is passed after 16), both readings, margin 0.3: the same
words (minus dense: after 7 ahead at least loss, not decided at the end; after 15 behind, not decided); after
18 minus dense worse (by some 0.7 points), minus one-shot better (by 2 to 3), new weights worse than old."""

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
                      "at_its_cost": lh.TrainConfig(48)},
          "lenet": {"seeds": range(625, 630), "hidden": lh.LENET_5,
                    "lengths": {"ticket": lh.TrainConfig(5, evaluate_every=100)}}}
LIVE = {"seeds": range(200, 203), "kinds": tuple(KINDS), "lenet": {
    "seeds": range(620, 623), "lengths": {"ticket": lh.TrainConfig(15, 64, 3e-3)},
    "hidden": (lh.Conv(6, 3, padding="same"), lh.Conv(16, 3, padding="same"), 120, 84)}}  # fmt: skip
TABLES = dict.fromkeys(("06_rounds", "12_rounds"), "kind seed round")


def rows(dataset, seeds, kinds, lenet, lengths=None, table="06_rounds", client=None):
    """Yield a row a ticket: iterative, with new weights, and of ``kinds``. ``lengths`` are of tickets, of
    posteriors, and of a dense network at their cost; ``lenet`` is what 12_rounds has in place of all that."""
    like_the_paper = dataclasses.replace(lh.recipe(dataset).ticket, batch_size=60, learning_rate=1.2e-3)
    lengths = lengths or vars(lh.recipe(dataset)) | {"ticket": like_the_paper}
    how = LEVELS, lengths, (300, 100)
    if table == "12_rounds":
        seeds, kinds, how = lenet["seeds"], ("one-shot",), (LEVELS, lenet["lengths"], lenet["hidden"])
    calls = [(control, seed, kind, *how) for seed in seeds for kind in kinds]
    return gather(dataset, calls + [(iterative, seed, *how) for seed in seeds], client)


def train(dataset, start, seed, config, masks, goal=None):
    """A ticket and its row; ``goal`` is a validation loss to reach, None the ticket's own least."""
    began = time.time()
    ticket = lh.train_ticket(dataset, start, masks, dataclasses.replace(config, seed=seed))
    curve = ticket.history.set_index("step").validation_loss
    reached = curve.index[curve <= (goal or curve.min())]
    return ticket, {"weights_left": ticket.density.overall, "early_stopping_step": int(ticket.best_step),
        "test_accuracy_at_best": ticket.test_accuracy_at_best, "test_accuracy": ticket.test_accuracy,
        "validation_loss": float(curve.min()), "reaches_dense_loss": next(map(int, reached), None),
        "steps": int(curve.index[-1]), "seconds": time.time() - began}  # fmt: skip


def iterative(dataset, seed, levels, lengths, hidden):
    """All rounds of one trial, and the masks of some with new weights."""
    start, masks, goal = start_of(dataset, seed, hidden=hidden), None, None
    for number in range(max(levels) + 1):
        ticket, row = train(dataset, start, seed, lengths["ticket"], masks, goal)
        goal = goal or row["validation_loss"]
        yield {"seed": seed, "kind": "iterative", "round": number} | row
        if number in levels:
            fresh = lh.restart(start, masks, "reinitialise", keep_sign=False, seed=seed + 1000,
                               initializer="glorot")  # fmt: skip
            _, row = train(dataset, fresh, seed, lengths["ticket"], masks, goal)
            yield {"seed": seed, "kind": "reinitialised", "round": number} | row
        masks = lh.prune(ticket.masks, lh.CRITERIA["magnitude"](ticket), 0.2, len(start.convs))


def control(dataset, seed, kind, levels, lengths, hidden):
    """A kind at all levels, named ones from 21.1% on."""
    (source, criterion), start = (KINDS | NAMED)[kind], start_of(dataset, seed, hidden=hidden)
    goal = kept(dataset, [seed, lengths["ticket"], hidden],
                lambda: train(dataset, start, seed, lengths["ticket"], None)[1]["validation_loss"])
    order = 1000 if "other order" in kind else 0
    if source in ("posterior", "map"):
        run = trained(dataset, start, source, dataclasses.replace(lengths["bayesian"], seed=seed))
        scores = lh.CRITERIA[criterion](run)
    elif source:
        ticket, row = train(dataset, start, seed + order, lengths[source], None, goal)
        scores = lh.CRITERIA[criterion](ticket)
        if order:
            yield {"seed": seed, "kind": "dense, other order", "round": 0} | row
    for number in levels if kind in KINDS else levels[1:]:
        if not source:  # a random mask a level
            rng = np.random.default_rng([seed, number])
            scores = [rng.random(m.shape) for m in start.means]
        masks = None
        for _ in range(number):  # as many in each layer as the iterative rounds leave
            masks = lh.prune(masks, scores, 0.2, len(start.convs))
        _, row = train(dataset, start, seed, lengths["ticket"], masks, goal)
        yield {"seed": seed, "kind": kind, "round": number} | row
