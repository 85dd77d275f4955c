"""Three estimators: the variance of their gradients, and what it means for training (notebook 10).

10_gradients, for the means of each layer, at the start and after 15 epochs: the mean over the weights of the
variance of the NLL's gradient. Each batch is computed twice, with other noise: half the mean squared
difference is what the noise alone adds ("noise"); the variance of the first over batches is "total".

Written down before the first run. The slopes of log variance against log batch size, from 64 to 4,096, a line
a seed, five seeds. Expected (Wen et al. 2018, figure 1 and theorem 2): noise of Flipout and of local
reparameterisation -1 within 0.1, of the shared sample above -0.3 where the network is trained; at batch 1,024
the shared sample has more than ten times Flipout's noise.

10_curves: the network with each of the estimators, from the same Glorot start with the same batches, 15
epochs: batches of 128 with Adam 1.2e-3, and of 1,024 with 4.8e-3. A row an epoch, validated at the means.
Written down before the first run. Decides: validation NLL after 15 epochs, Flipout minus the shared sample
and Flipout minus local reparameterisation, paired over five seeds, in each setting. Expected: the shared
sample is worse, more so with 1,024; local and Flipout differ by less than 0.005 nats."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

import lotteryhelpers as lh
from lotteryhelpers.networks import ESTIMATORS, build_network
from lotteryhelpers.posterior import put_posterior
from lotteryhelpers.studies.shared import gather, start_of

TABLES = {"10_gradients": "state estimator batch seed", "10_curves": "batch estimator seed step"}
STORED = {"seeds": range(300, 305), "bayesian": lh.TrainConfig(15),
          "epochs": 15, "rates": {128: 1.2e-3, 1_024: 4.8e-3},
          "draws": {1: 256, 4: 256, 16: 128, 64: 128, 256: 64, 1_024: 48, 4_096: 24}}  # fmt: skip
LIVE = {"seeds": (300,), "draws": {16: 100, 64: 100, 256: 100}, "epochs": 25, "rates": {128: 4e-3}}


def rows(dataset, seeds, draws, epochs, rates, bayesian=None, table="10_gradients", client=None):
    """Yield a row a batch size, or an epoch of 10_curves; ``draws`` are numbers of batches by size, each
    drawn twice, ``rates`` learning rates of curves by size."""
    configs = [dataclasses.replace(bayesian or lh.recipe(dataset).bayesian, seed=seed) for seed in seeds]
    cases = [(variances, config, name, draws) for config in configs for name in ESTIMATORS]
    if table == "10_curves":
        cases = [(histories, name, lh.TrainConfig(epochs, batch, rate, seed))
                 for seed in seeds for name in ESTIMATORS for batch, rate in rates.items()]  # fmt: skip
    return gather(dataset, cases, client)


def histories(dataset, estimator, config):
    """The history of one training."""
    run = lh.train_bayesian(dataset, config, initial=start_of(dataset, config.seed), estimator=estimator)
    named = {"seed": config.seed, "estimator": estimator, "batch": config.batch_size}
    test = {"test_accuracy": lh.accuracy(run.final.means, run.final.biases, dataset.test)}
    yield from (named | row | test for row in run.history.to_dict("records"))


def variances(dataset, config, estimator, draws, which="loc"):
    """All batch sizes of one estimator, at both posteriors; ``which`` gradient: of the means, or "rho"."""
    start, (images, labels) = start_of(dataset, config.seed), dataset.train.tensors
    masks = [np.ones(m.shape, bool) for m in start.means]
    states = {"untrained": start, "trained": lh.load_or_train_bayesian(dataset, config, initial=start).final}
    network = build_network(ESTIMATORS[estimator], start.sizes)
    # Traced once for all sizes, and not by XLA: for so few draws it would compile longer than it saves.
    sums_of = tf.function(functools.partial(moments, network, which, images, labels), autograph=False,
                          input_signature=[tf.TensorSpec([None, None], tf.int32)])  # fmt: skip
    for size, count in draws.items():
        rng = np.random.default_rng([config.seed, size])
        batches = np.stack([rng.choice(len(labels), size, replace=False) for _ in range(count)])
        for state, posterior in states.items():
            put_posterior(network, posterior, masks, seed=config.seed)
            row = {"seed": config.seed, "state": state, "estimator": estimator, "batch": size}
            sums = sums_of(tf.constant(batches, tf.int32))
            for layer, (one, two, noise) in enumerate(zip(*sums, strict=True), start=1):
                row[f"layer {layer} noise"] = float(tf.reduce_mean(noise)) / count
                row[f"layer {layer} total"] = float(tf.reduce_mean((two - one**2 / count) / (count - 1)))
            yield row


def moments(network, which, images, labels, batches):
    """Sums over the batches of g, g^2 and half (g - g')^2, an array a layer each."""
    parameters = [getattr(layer, which) for layer in network.layers]
    zeros = [tf.zeros_like(p) for p in parameters]

    def gradient(rows):
        with tf.GradientTape() as tape:
            logits, answers = network(tf.gather(images, rows), training=True), tf.gather(labels, rows)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(answers, logits))
        return tape.gradient(loss, parameters)

    def add(sums, rows):
        twice = [*zip(gradient(rows), gradient(rows), strict=True)]
        new = [g for g, _ in twice], [g**2 for g, _ in twice], [0.5 * (g - h) ** 2 for g, h in twice]
        return tuple([s + a for s, a in zip(*pair, strict=True)] for pair in zip(sums, new, strict=True))

    return tf.foldl(add, batches, initializer=(zeros, zeros, zeros))  # a worker has no source for AutoGraph
