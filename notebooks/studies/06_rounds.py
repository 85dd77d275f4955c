"""Iterative pruning with rewinding, and its controls (notebook 06), on MNIST. Writes results/06_rounds.csv.

Frankle & Carbin's settings: Glorot normal, Adam 1.2e-3, batch 60, 20% of each hidden layer's and 10% of the
output layer's remaining weights a round, validation every 100 steps, five trials. Deviations, each in the
table's columns: 55 epochs are 50,380 steps, not 50,000; most trainings but those of iterative magnitude
pruning end after 22 epochs (20,152 steps), which from 3.6% on is before the least validation loss of the
slow ones (so reinitialised and one-shot tickets at 3.6% have 55 epochs too); one new draw a trial for
reinitialised and for random masks, not three; the Bayesian networks train for 15 epochs with batch 128, in
four rounds that end where seven rounds of 20% do.

Written down before the first run: the comparisons are those of the paper's headlines (at 21.1% iterative
tickets reach their least validation loss before the dense network does; at 13.5% they are at least as
accurate as it, at 3.6% as accurate; reinitialised, they are worse from 21.1% on), paired by trial, at the
early-stopping step, with a margin of 0.3 points where something is to be "as good"; and at 21.1% variance and
snr, one-shot and iterative, against iterative magnitude. Expected: the headlines hold; one-shot snr within
the margin of one-shot magnitude down to 13.5%, behind iterative magnitude from 3.6% on; variance as good as a
random mask.
"""

import concurrent.futures
import dataclasses
import time

import lotteryhelpers as lh
import numpy as np
import pandas as pd
from study import kept, mnist, start, workers, write

TRIALS = range(200, 205)
FULL = lh.TrainConfig(55, batch_size=60, learning_rate=1.2e-3, evaluate_every=100)
SHORT = lh.TrainConfig(22, batch_size=60, learning_rate=1.2e-3, evaluate_every=100)
BAYESIAN = lh.TrainConfig(15)
LEVELS = (3, 7, 9, 15, 18)  # rounds at which the controls are trained: 51.3, 21.1, ... 1.9% are left
BAYESIAN_ROUNDS, BAYESIAN_RATE = 4, 1 - 0.8 ** (7 / 4)
TO_THE_END = {("reinitialised", 15), ("one-shot", 15)}  # compared at 3.6%, where they learn slowly
CONTROLS = ("reinitialised", "random mask", "one-shot", "variance", "snr")


def with_seed(config, seed):
    """The configuration of a trial."""
    return lh.TrainConfig(config.epochs, config.batch_size, config.learning_rate, seed, config.evaluate_every)


def describe(ticket, seconds):
    """What the table says of one training; its masks and last weights' sizes are for the next ones."""
    curve = ticket.history.set_index("step")
    by_20k = curve[curve.index <= 20_152]
    return {
        "weights_left": ticket.density.overall,
        "early_stopping_step": int(ticket.best_step),
        "test_accuracy_at_best": ticket.test_accuracy_at_best,
        "test_accuracy": ticket.test_accuracy,
        "validation_loss": float(curve.validation_loss.min()),
        "early_stopping_step_by_20k": int(by_20k.validation_loss.idxmin()),
        "steps": int(curve.index[-1]),
        "seconds": seconds,
    }


def pack(masks):
    """Masks as text, for a kept row."""
    return [np.packbits(m).tobytes().hex() for m in masks]


def unpack(texts, initial):
    """The inverse of :func:`pack`."""
    bits = [np.unpackbits(np.frombuffer(bytes.fromhex(t), np.uint8)) for t in texts]
    return tuple(b[: m.size].reshape(m.shape).astype(bool) for b, m in zip(bits, initial.means, strict=True))


def iterative(seed):
    """Rounds 0 to 18 of one trial, each kept; round 0 keeps the one-shot masks as well."""
    initial, masks, rows = start(seed), None, []
    for number in range(max(LEVELS) + 1):

        def make(masks=masks, number=number):
            began = time.time()
            config = with_seed(FULL, seed)
            this, *_ = lh.iterative_magnitude_pruning(mnist(), initial, config, rounds=0, masks=masks)
            scores = lh.CRITERIA["magnitude"](this.ticket)
            row = describe(this.ticket, time.time() - began)
            row["next"] = pack(lh.prune(this.masks, scores, 0.2))
            if number == 0:
                row["one_shot"] = {n: pack(lh.keep_fraction(scores, 0.8**n)) for n in LEVELS}
            return row

        key = {"study": "06", "trial": seed, "config": FULL, "round": number}
        row = kept(key | ({"levels": LEVELS} if number == 0 else {}), make)
        rows.append(row)
        masks = unpack(row["next"], initial)
        print(f"trial {seed}, round {number}: {row['seconds']:.0f} s", flush=True)
    return rows


def posterior(seed):
    """The Bayesian network of a trial, from the same start."""
    return lh.load_or_train_bayesian(mnist(), with_seed(BAYESIAN, seed), initial=start(seed))


def control(seed, kind, number, rows):
    """One control at one level."""
    initial, masks = start(seed), unpack(rows[number - 1]["next"], start(seed))
    if kind.startswith("one-shot"):
        masks = unpack(rows[0]["one_shot"][str(number)], initial)
    elif kind == "random mask":
        rng = np.random.default_rng([seed, number])
        masks = lh.keep_counts([rng.random(m.shape) for m in masks], [int(m.sum()) for m in masks])
    elif kind in ("variance", "snr"):
        counts = [int(m.sum()) for m in masks]
        masks = lh.keep_counts(lh.CRITERIA[kind](posterior(seed)), counts)
    if kind.endswith("reinitialised"):
        initial = lh.restart(initial, masks, "reinitialise", keep_sign=False, seed=seed + 1000,
                             initializer="glorot")  # fmt: skip

    config = FULL if (kind, number) in TO_THE_END else SHORT

    def make():
        began = time.time()
        ticket = lh.train_ticket(mnist(), initial, masks, with_seed(config, seed))
        return describe(ticket, time.time() - began)

    key = {"study": "06", "trial": seed, "config": config, "full": FULL, "round": number, "kind": kind}
    if kind in ("variance", "snr"):
        key["bayesian"] = BAYESIAN
    return {"trial": seed, "kind": kind, "round": number} | kept(key, make)


def controls(seed, kind, rows):
    """All levels of one control."""
    return [control(seed, kind, number, rows) for number in LEVELS]


def bayesian_rounds(seed, criterion):
    """The Bayesian loop: retrain the masked posterior, prune, rewind."""

    def make():
        began, found = time.time(), []

        def note(this):
            found.append(describe(this.ticket, time.time() - began) | {"round": len(found)})

        lh.iterative_magnitude_pruning(
            mnist(), start(seed), with_seed(SHORT, seed), rounds=BAYESIAN_ROUNDS, rate=BAYESIAN_RATE,
            criterion=criterion, bayesian=with_seed(BAYESIAN, seed), on_round=note,
        )  # fmt: skip
        return {"rounds": found}

    key = {"study": "06", "trial": seed, "config": SHORT, "bayesian": BAYESIAN, "loop": criterion}
    rows = kept(key | {"rounds": BAYESIAN_ROUNDS, "rate": BAYESIAN_RATE}, make)["rounds"]
    for earlier, row in reversed(list(zip(rows, rows[1:], strict=False))):
        row["seconds"] -= earlier["seconds"]  # the clock was read after each round
    return [{"trial": seed, "kind": f"{criterion} iterative"} | row for row in rows]


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


def speed(seed, images, rows):
    """How soon: the dense network and the 21.1% ticket, on these validation images or on others.

    Beside the step of least validation loss, the first at which the dense network's least loss is reached.
    """
    masks = unpack(rows[6]["next"], start(seed))

    def make():
        dataset, began = mnist() if images == "last" else other_validation(images), time.time()
        config, masks_of = with_seed(SHORT, seed), {0: None, 7: masks}
        runs = {n: lh.train_ticket(dataset, start(seed), m, config) for n, m in masks_of.items()}
        goal, found = runs[0].history.validation_loss.min(), []
        for number, run in runs.items():
            curve = run.history.set_index("step").validation_loss
            reached = curve.index[curve <= goal]
            first = int(reached[0]) if len(reached) else None
            found.append(describe(run, time.time() - began) | {"round": number, "reaches_dense_loss": first})
        return {"rows": found}

    key = {"study": "06", "trial": seed, "config": SHORT, "full": FULL, "validation": images}
    rows = kept(key, make)["rows"]  # the two share a clock, so neither has seconds of its own
    return [{"trial": seed, "kind": f"validation {images}"} | row | {"seconds": None} for row in rows]


if __name__ == "__main__":
    began, table = time.time(), []
    with workers() as pool:
        chains = {pool.submit(iterative, seed): seed for seed in TRIALS}
        rest = [pool.submit(bayesian_rounds, s, c) for s in TRIALS for c in ("variance", "snr")]
        for future in concurrent.futures.as_completed(chains):
            rows, seed = future.result(), chains[future]
            for number, row in enumerate(rows):
                table.append({"trial": seed, "kind": "iterative", "round": number} | row)
            rest += [pool.submit(controls, seed, kind, rows) for kind in CONTROLS]
            rest += [pool.submit(speed, seed, images, rows) for images in ("last", "test", "first")]
        for future in concurrent.futures.as_completed(rest):
            table += future.result()
    table = pd.DataFrame(table).drop(columns=["next", "one_shot"]).sort_values(["kind", "trial", "round"])
    write("06_rounds", table, __file__, began, dataset="mnist", data=mnist().fingerprint, full=FULL,
          short=SHORT, bayesian=BAYESIAN, trials=[*TRIALS])  # fmt: skip
