"""Seconds a training step takes with each gradient estimator (notebook 10), and how long a page takes here.

All networks in turn, seven rounds, on all cores of an idle machine; a row is a call of the compiled steps."""

import itertools
import time

import numpy as np
import tensorflow as tf

import lotteryhelpers as lh
from lotteryhelpers.networks import ESTIMATORS, MaskedDense
from lotteryhelpers.training import SMALL, padded, trainer_for

TABLES = {"10_seconds": "turn batch estimator"}
STORED = {"seeds": (300,), "turns": 7, "steps": {32: 400, 128: 300, 512: 100, 2_048: 25}}
LIVE = {"seeds": (300,), "turns": 3, "steps": {128: 64}}


def rows(dataset, seeds, turns, steps):
    """Yield a row a measurement, in this process; ``steps`` says how many a call takes, by batch size."""
    networks = {"dense": MaskedDense} | ESTIMATORS
    for turn, batch, name in itertools.product(range(-1, turns), steps, networks):
        taken = step_seconds(dataset, networks[name], batch, steps[batch], *seeds)
        if turn >= 0:  # the one before compiles
            yield {"turn": turn, "batch": batch, "estimator": name, "step_seconds": taken}


def how_long(dataset, tickets, posteriors):
    """Say how long a page's trainings take here, by a few dense steps; a Bayesian one is as long as four."""
    usual = lh.recipe(dataset)
    *_, step = [step_seconds(dataset, MaskedDense, usual.ticket.batch_size, 20) for _ in range(3)]
    epochs = tickets * usual.ticket.epochs + 4 * posteriors * usual.bayesian.epochs
    minutes = max(1, round(epochs * (len(dataset.train.labels) // usual.ticket.batch_size) * step / 60))
    print(f"to train, if not kept: {tickets} ticket(s), {posteriors} posterior(s); here about {minutes} min")


def step_seconds(dataset, layer_class, batch, count, seed=0):
    """Of one step, from a call of many; the first of a size compiles."""
    trainer = trainer_for(layer_class, (dataset.train.images.shape[1], 300, 100, dataset.num_classes))
    number, images = len(dataset.train.labels), [padded(t, SMALL[0]) for t in dataset.train.tensors]
    order = np.random.default_rng(seed).integers(0, number, (max(number // batch, SMALL[1]), batch))
    order, scale = tf.constant(order, tf.int32), tf.constant(1 / number, tf.float32)
    with trainer.lock:
        trainer.reset(1.2e-3)
        began = time.perf_counter()
        done = trainer.run_steps(*images, order, tf.constant(0), tf.constant(count), scale)
        float(done[0])  # waits for it
    return (time.perf_counter() - began) / count
