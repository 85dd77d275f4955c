"""Iterative pruning with rewinding, and its controls (notebook 06), on MNIST. Writes results/06_rounds.csv.

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

import concurrent.futures
import dataclasses
import time

import lotteryhelpers as lh
import numpy as np
import pandas as pd
from study import kept, mnist, remembered, start, workers, write

TRIALS = range(200, 205)
FULL = lh.TrainConfig(55, batch_size=60, learning_rate=1.2e-3, evaluate_every=100)
CLOCK = lh.TrainConfig(22, batch_size=60, learning_rate=1.2e-3, evaluate_every=100)
BAYESIAN = lh.TrainConfig(15)
AT_ITS_COST = lh.TrainConfig(48)
LEVELS = (3, 7, 9, 15, 18)  # the rounds of the controls: 51.3, 21.1, 13.5, 3.6 and 1.9% are left
LOOP = (2, 4, 6, 7, 9, 11, 13, 15)  # the Bayesian loop's masks keep what these rounds keep
#: kind: what trains the scores, the criterion
SCORES = {
    "one-shot": ("dense", "magnitude"), "variance": ("posterior", "variance"), "snr": ("posterior", "snr"),
    "|mu|": ("posterior", "magnitude"), "one-shot, 15 epochs": ("dense, 15 epochs", "magnitude"),
    "one-shot, map": ("map", "magnitude"), "one-shot, 48 epochs": ("dense, 48 epochs", "magnitude"),
    "one-shot, other order": ("dense, other order", "magnitude"),
}  # fmt: skip
OLD = ("one-shot", "random mask", "variance", "snr")


def with_seed(config, seed):
    """The configuration of a trial."""
    return dataclasses.replace(config, seed=seed)


def describe(ticket, seconds, goal):
    """What the table says of one training; ``goal`` is the dense network's least validation loss."""
    curve = ticket.history.set_index("step").validation_loss
    reached = curve.index[curve <= goal]
    return {
        "weights_left": ticket.density.overall,
        "early_stopping_step": int(ticket.best_step),
        "test_accuracy_at_best": ticket.test_accuracy_at_best,
        "test_accuracy": ticket.test_accuracy,
        "validation_loss": float(curve.min()),
        "early_stopping_step_by_20k": int(curve[curve.index <= 20_152].idxmin()),
        "reaches_dense_loss": int(reached[0]) if len(reached) else None,
        "steps": int(curve.index[-1]),
        "seconds": seconds,
    }


def counts_at(number):
    """How many weights of each layer so many rounds leave."""
    counts = [m.size for m in start(0).means]
    for _ in range(number):
        counts = [n - round(rate * n) for n, rate in zip(counts, (0.2, 0.2, 0.1), strict=True)]
    return counts


def pack(masks):
    """Masks as text, for a kept row."""
    return [np.packbits(m).tobytes().hex() for m in masks]


def unpack(texts):
    """The inverse of :func:`pack`."""
    bits = [np.unpackbits(np.frombuffer(bytes.fromhex(t), np.uint8)) for t in texts]
    return tuple(b[: m.size].reshape(m.shape).astype(bool) for b, m in zip(bits, start(0).means, strict=True))


def train(seed, masks, goal, initial=None):
    """A row of a ticket."""
    began = time.time()
    ticket = lh.train_ticket(mnist(), initial or start(seed), masks, with_seed(FULL, seed))
    return describe(ticket, time.time() - began, goal or ticket.history.validation_loss.min())


def round_of(seed, number, masks, goal):
    """A round of one trial: its row, and the next round's masks."""

    def make():
        began = time.time()
        this, *_ = lh.iterative_magnitude_pruning(
            mnist(), start(seed), with_seed(FULL, seed), rounds=0, masks=masks
        )
        row = describe(this.ticket, time.time() - began, goal or this.ticket.history.validation_loss.min())
        return row | {"next": pack(lh.prune(this.masks, lh.CRITERIA["magnitude"](this.ticket), 0.2))}

    return kept({"study": "06b", "trial": seed, "config": FULL, "round": number}, make)


def iterative(seed):
    """Rounds 0 to 18 of one trial, and the masks of some with new weights."""
    masks, goal = None, None
    for number in range(max(LEVELS) + 1):
        row = round_of(seed, number, masks, goal)
        goal = goal or row["validation_loss"]
        if number in LEVELS:
            fresh = lh.restart(start(seed), masks, "reinitialise", keep_sign=False, seed=seed + 1000,
                               initializer="glorot")  # fmt: skip
            key = {"study": "06b", "trial": seed, "config": FULL, "kind": "reinitialised", "round": number}
            again = kept(key, lambda m=masks, f=fresh, g=goal: train(seed, m, g, f))
            yield {"trial": seed, "kind": "reinitialised", "round": number} | again
        yield {"trial": seed, "kind": "iterative", "round": number} | row
        masks = unpack(row["next"])


def scorer(seed, source):
    """The network whose weights or posterior choose a mask."""
    if source == "dense":
        return lh.train_ticket(mnist(), start(seed), None, with_seed(FULL, seed))
    if source == "dense, other order":
        return lh.train_ticket(mnist(), start(seed), None, with_seed(FULL, seed + 1000))
    if source.startswith("dense"):
        config = BAYESIAN if "15" in source else AT_ITS_COST
        return lh.train_ticket(mnist(), start(seed), None, with_seed(config, seed))
    initial = start(seed)
    if source == "map":  # deviations that stay below 2e-5: the dense network with the prior as its penalty
        initial = lh.Posterior(initial.means, [np.full_like(m, 1.2e-7) for m in initial.means],
                               initial.biases)  # fmt: skip
    return lh.train_bayesian(mnist(), with_seed(BAYESIAN, seed), initial=initial)


def control(seed, kind, number):
    """One control at one level."""
    goal = round_of(seed, 0, None, None)["validation_loss"]

    def make():
        if kind == "random mask":
            rng = np.random.default_rng([seed, number])
            scores = [rng.random(m.shape) for m in start(seed).means]
        else:
            source, criterion = SCORES[kind]
            scores = lh.CRITERIA[criterion](remembered(scorer, seed, source))
        return train(seed, lh.keep_counts(scores, counts_at(number)), goal)

    key = {"study": "06b", "trial": seed, "config": FULL, "round": number, "kind": kind}
    settings = {"bayesian": BAYESIAN, "at its cost": AT_ITS_COST}
    return {"trial": seed, "kind": kind, "round": number} | kept(key | settings, make)


def other_dense(seed):
    """The dense network in another batch order."""
    goal = round_of(seed, 0, None, None)["validation_loss"]

    def make():
        began = time.time()
        ticket = remembered(scorer, seed, "dense, other order")
        return describe(ticket, time.time() - began, goal)

    row = kept({"study": "06b", "trial": seed, "config": FULL, "kind": "dense, other order"}, make)
    return {"trial": seed, "kind": "dense, other order", "round": 0} | row


def controls(seed, kinds):
    """All levels of some controls."""
    for kind in kinds:
        if kind == "one-shot, other order":
            yield other_dense(seed)
        for number in LEVELS[0 if kind in OLD else 1 :]:
            yield control(seed, kind, number)


def loop(seed, criterion):
    """The Bayesian loop: retrain the masked posterior, prune, rewind; tickets at 21.1 and 3.6%."""
    goal, masks = round_of(seed, 0, None, None)["validation_loss"], None
    for number in LOOP:

        def make(number=number, masks=masks):
            began = time.time()
            run = lh.train_bayesian(mnist(), with_seed(BAYESIAN, seed), initial=start(seed), masks=masks)
            found = lh.keep_counts(lh.CRITERIA[criterion](run), counts_at(number))
            seconds = time.time() - began
            row = train(seed, found, goal) if number in LEVELS and number != 9 else {}
            return row | {"next": pack(found), "finding_seconds": seconds}

        key = {"study": "06b", "trial": seed, "config": FULL, "loop": criterion, "round": number}
        row = kept(key | {"bayesian": BAYESIAN, "levels": LOOP}, make)
        masks = unpack(row["next"])
        if "steps" in row:
            yield {"trial": seed, "kind": f"{criterion} iterative", "round": number} | row


def other_validation(images):
    """MNIST with 5,000 other images for validation.

    ``"test"``: test images, and the same training set. ``"first"``: the first training images, and the last
    ones to train on in their place. The masks have seen those: they were found with them.
    """
    dataset, parts = mnist(), {}
    if images == "test":
        part = type(dataset.test)(dataset.test.images[:5000], dataset.test.labels[:5000])
        return dataclasses.replace(dataset, validation=part)
    for name in ("images", "labels"):
        train, validation = getattr(dataset.train, name), getattr(dataset.validation, name)
        size = len(validation)
        parts[name] = np.concatenate([train[size:], validation]), train[:size]
    train, validation = (type(dataset.train)(*pair) for pair in zip(*parts.values(), strict=True))
    return dataclasses.replace(dataset, train=train, validation=validation)


def clock(seed, images):
    """How soon: the dense network, the 21.1% ticket and a random mask, on one or other validation images.

    Beside the step of least validation loss, the first at which the dense network's least loss is reached.
    """
    masks = None
    for number in range(7):
        row = round_of(seed, number, masks, None)
        masks = unpack(row["next"])

    def make():
        dataset = mnist() if images == "last" else other_validation(images)
        rng, found, goal = np.random.default_rng([seed, 7]), [], None
        chance = lh.keep_counts([rng.random(m.shape) for m in masks], counts_at(7))
        for number, name, mask in ((0, "", None), (7, "", masks), (7, ", random mask", chance)):
            run = lh.train_ticket(dataset, start(seed), mask, with_seed(CLOCK, seed))
            goal = goal or run.history.validation_loss.min()
            found.append({"kind": f"validation {images}{name}", "round": number} | describe(run, None, goal))
        return {"rows": found}

    key = {"study": "06b", "trial": seed, "config": CLOCK, "full": FULL, "validation": images}
    for row in kept(key, make)["rows"]:
        yield {"trial": seed} | row


def listed(function, *arguments):
    """A generator's rows, in a worker."""
    rows = []
    for row in function(*arguments):
        rows.append(row)
        print(row["trial"], row["kind"], row["round"], row["test_accuracy"], flush=True)
    return rows


if __name__ == "__main__":
    began, table = time.time(), []
    added = [kind for kind in SCORES if kind not in OLD]
    calls = [(controls, seed, OLD) for seed in TRIALS]
    calls += [call for seed in TRIALS for call in ((iterative, seed), (controls, seed, added))]
    calls += [(loop, seed, criterion) for seed in TRIALS for criterion in ("snr", "variance")]
    calls += [(clock, seed, images) for seed in TRIALS for images in ("last", "test", "first")]
    with workers() as pool:
        for future in concurrent.futures.as_completed([pool.submit(listed, *call) for call in calls]):
            table += future.result()
            frame = pd.DataFrame(table).drop(columns=["next"], errors="ignore")
            write("06_rounds", frame.sort_values(["kind", "trial", "round"]), __file__, began,
                  dataset="mnist", data=mnist().fingerprint, full=FULL, clock=CLOCK, bayesian=BAYESIAN,
                  at_its_cost=AT_ITS_COST, trials=[*TRIALS])  # fmt: skip
