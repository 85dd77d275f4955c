"""Seconds a training step takes with each gradient estimator (notebook 09). Writes results/09_seconds.csv.

All networks in turn, seven rounds, on all of this machine's cores: run it on an idle one. A row a round, the
time of one call of the compiled steps, without its compilation.
"""

import os
import time

import numpy as np
import pandas as pd
import tensorflow as tf
from lotteryhelpers.networks import ESTIMATORS, MaskedDense, put_weights
from lotteryhelpers.posterior import put_posterior
from lotteryhelpers.training import trainer_for
from study import mnist, start, write

ROUNDS = range(7)
STEPS = {32: 400, 128: 300, 512: 100, 2_048: 25}  # by batch size
LAYERS = {"dense": MaskedDense} | ESTIMATORS


def prepared(layer_class):
    """The trainer, its network at the start."""
    trainer, begin = trainer_for(layer_class, (784, 300, 100, 10)), start(300)
    masks = [np.ones(m.shape, bool) for m in begin.means]
    if trainer.bayesian:
        put_posterior(trainer.network, begin, masks)
    else:
        put_weights(trainer.network, begin.means, begin.biases, masks)
    trainer.reset(1.2e-3)
    return trainer


def seconds(trainer, size):
    """Of one step, from a call of many."""
    rng = np.random.default_rng(0)
    order = tf.constant(rng.integers(0, 55_000, (STEPS[size], size)), tf.int32)
    scale = tf.constant(1 / 55_000, tf.float32)
    began = time.perf_counter()
    done = trainer.run_steps(*mnist().train.tensors, order, tf.constant(0), tf.constant(STEPS[size]), scale)
    float(done[0])  # waits for it
    return (time.perf_counter() - began) / STEPS[size]


if __name__ == "__main__":
    began, rows = time.time(), []
    trainers = {name: prepared(layer_class) for name, layer_class in LAYERS.items()}
    for turn in (-1, *ROUNDS):  # the first compiles
        for size in STEPS:
            for name, trainer in trainers.items():
                row = {"turn": turn, "batch": size, "estimator": name, "step_seconds": seconds(trainer, size)}
                rows += [row] if turn >= 0 else []
    about = {"dataset": "mnist", "data": mnist().fingerprint, "threads": os.cpu_count(), "seeds": [300]}
    write("09_seconds", pd.DataFrame(rows), __file__, began, **about, steps=STEPS)
