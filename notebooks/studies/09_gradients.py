"""Gradient variance of three estimators against batch size (notebook 09). Writes results/09_gradients.csv.

For the posterior means of each layer, at the start and after 15 epochs: the mean over the weights of the
variance of the NLL's gradient. Each batch is computed twice, with other noise: half the mean squared
difference is what the noise alone adds ("noise"); the variance over batches of the first is all of it
("total"), for the images differ too.

Written down before the first run. The slopes of log variance against log batch size, from 64 to 4,096, a line
a seed, five seeds. Expected (Wen et al. 2018, figure 1 and theorem 2): noise of Flipout and of local
reparameterisation -1 within 0.1, of the shared sample above -0.3 where the network is trained; at batch 1,024
the shared sample has more than ten times Flipout's noise.
"""

import concurrent.futures
import time

import lotteryhelpers as lh
import numpy as np
import pandas as pd
import tensorflow as tf
from lotteryhelpers.networks import ESTIMATORS, build_network
from lotteryhelpers.posterior import put_posterior
from study import kept, mnist, start, workers, write

SEEDS = range(300, 305)
#: batch size: how many batches, each drawn twice.
DRAWS = {1: 256, 4: 256, 16: 128, 64: 128, 256: 64, 1_024: 48, 4_096: 24}


@tf.function(jit_compile=True, autograph=False)
def moments(network, images, labels, batches):
    """Sums over the batches of g, g^2 and half (g - g')^2, an array a layer each."""
    means = [layer.loc for layer in network.layers]
    zeros = [tf.zeros_like(m) for m in means]

    def gradient(rows):
        with tf.GradientTape() as tape:
            logits, answers = network(tf.gather(images, rows), training=True), tf.gather(labels, rows)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(answers, logits))
        return tape.gradient(loss, means)

    def add(sums, rows):
        g, h = gradient(rows), gradient(rows)
        return (
            [s + a for s, a in zip(sums[0], g, strict=True)],
            [s + a**2 for s, a in zip(sums[1], g, strict=True)],
            [s + 0.5 * (a - b) ** 2 for s, a, b in zip(sums[2], g, h, strict=True)],
        )

    return tf.foldl(add, batches, initializer=(zeros, zeros, zeros))  # a worker has no source for AutoGraph


def variances(posterior, estimator, size, seed):
    """{"layer 1 noise": ..., "layer 1 total": ..., ...} for one batch size."""
    network = build_network(ESTIMATORS[estimator], posterior.sizes)
    put_posterior(network, posterior, [np.ones(m.shape, bool) for m in posterior.means], seed=seed)
    rng, count = np.random.default_rng([seed, size]), DRAWS[size]
    images, labels = mnist().train.tensors
    batches = np.stack([rng.choice(len(labels), size, replace=False) for _ in range(count)])
    row = {}
    for layer, (one, two, noise) in enumerate(
        zip(*moments(network, images, labels, tf.constant(batches, tf.int32)), strict=True)
    ):
        total = (two - one**2 / count) / (count - 1)
        row[f"layer {layer + 1} noise"] = float(tf.reduce_mean(noise)) / count
        row[f"layer {layer + 1} total"] = float(tf.reduce_mean(total))
    return row


def rows_of(seed, state, estimator):
    """All batch sizes of one estimator at one posterior."""
    key = {
        "study": "09 gradients",
        "seed": seed,
        "state": state,
        "estimator": estimator,
        "draws": list(DRAWS.items()),
    }

    def make():
        posterior = start(seed)
        if state == "trained":
            config = lh.TrainConfig(15, seed=seed)
            posterior = lh.load_or_train_bayesian(mnist(), config, initial=posterior).final
        return {"rows": [{"batch": n} | variances(posterior, estimator, n, seed) for n in DRAWS]}

    named = {"seed": seed, "state": state, "estimator": estimator}
    return [named | row for row in kept(key, make)["rows"]]


if __name__ == "__main__":
    began, table = time.time(), []
    with workers() as pool:
        todo = [
            pool.submit(rows_of, seed, state, estimator)
            for seed in SEEDS for state in ("untrained", "trained") for estimator in ESTIMATORS
        ]  # fmt: skip
        for future in concurrent.futures.as_completed(todo):
            table += future.result()
    table = pd.DataFrame(table).sort_values(["state", "estimator", "batch", "seed"])
    about = {"dataset": "mnist", "data": mnist().fingerprint, "seeds": [*SEEDS], "draws": DRAWS}
    write("09_gradients", table, __file__, began, **about)
