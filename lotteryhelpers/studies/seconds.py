"""Seconds a training step takes with each gradient estimator (notebook 10).

All networks in turn, seven rounds, on all cores of an idle machine; a row is one call of the compiled steps.
"""

import itertools
import time

import numpy as np
import tensorflow as tf

from lotteryhelpers.networks import ESTIMATORS, MaskedDense, put_weights
from lotteryhelpers.posterior import put_posterior
from lotteryhelpers.studies.shared import start_of
from lotteryhelpers.training import padded, trainer_for

TABLES = {"10_seconds": "turn batch estimator"}
STORED = {"seeds": (300,), "turns": 7, "steps": {32: 400, 128: 300, 512: 100, 2_048: 25}}
LIVE = {"seeds": (300,), "turns": 3, "steps": {128: 64}}


def rows(dataset, seeds, turns, steps):
    """Yield a row a measurement, in this process; ``steps`` says how many a call takes, by batch size."""
    networks = {"dense": MaskedDense} | ESTIMATORS
    trainers = {name: prepared(dataset, layer_class, *seeds) for name, layer_class in networks.items()}
    for turn, batch, name in itertools.product(range(-1, turns), steps, trainers):
        taken = seconds(dataset, trainers[name], batch, steps[batch])
        if turn >= 0:  # the one before compiles
            yield {"turn": turn, "batch": batch, "estimator": name, "step_seconds": taken}


def prepared(dataset, layer_class, seed):
    """The trainer, its network at the start."""
    start = start_of(dataset, seed)
    trainer, masks = trainer_for(layer_class, start.sizes), [np.ones(m.shape, bool) for m in start.means]
    whole = (start,) if trainer.bayesian else (start.means, start.biases)
    (put_posterior if trainer.bayesian else put_weights)(trainer.network, *whole, masks)
    trainer.reset(1.2e-3)
    return trainer


def seconds(dataset, trainer, batch, count):
    """Of one step, from a call of many."""
    number, images = len(dataset.train.labels), [padded(t, 2048) for t in dataset.train.tensors]
    order = np.random.default_rng(0).integers(0, number, (max(number // batch, 64), batch))
    order, scale = tf.constant(order, tf.int32), tf.constant(1 / number, tf.float32)
    began = time.perf_counter()
    done = trainer.run_steps(*images, order, tf.constant(0), tf.constant(count), scale)
    float(done[0])  # waits for it
    return (time.perf_counter() - began) / count
