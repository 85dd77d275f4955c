"""Supermasks (Zhou et al. 2019, section 5): the weights stay as they were drawn, the mask is what learns."""

import dataclasses

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras

from lotteryhelpers import noise
from lotteryhelpers.bayesian import check_fits
from lotteryhelpers.data import Dataset
from lotteryhelpers.masks import Arrays
from lotteryhelpers.networks import Layer
from lotteryhelpers.posterior import Posterior
from lotteryhelpers.tickets import accuracy
from lotteryhelpers.training import TrainConfig, train, trainer_for


class SupermaskDense(Layer, tf_keras.layers.Dense):
    """A layer of fixed weights w that are kept with probability p = sigmoid(logit); the logits learn. Each
    call draws masks b ~ Bernoulli(p) and computes with w * b. Backwards, b counts as p: the straight-through
    estimator (Bengio et al. 2013, arXiv:1308.3432), which is exact where the loss is linear in each b.
    ``rescale`` multiplies the kernel by (all weights) / (kept ones): dynamic weight rescaling."""

    def build(self, input_shape):
        """Make the fixed weights, the logits, and the noise's key and counter."""
        shape = [input_shape[-1], self.units] if self.conv is None else [*self.conv.shape]
        self.logit = self.add_weight("logit", shape, initializer="zeros")
        for name, size, kind in (("kernel", shape, None), ("bias", shape[1:], None), ("rescale", [], None),
                                 ("key", [2], tf.int64), ("calls", [], tf.int64)):  # fmt: skip
            setattr(self, name, self.add_weight(name, size, kind, initializer="zeros", trainable=False))
        self.built = True

    def masked(self, mask):
        """The kernel under a mask of ones and zeros, rescaled if that is asked for."""
        factor = tf.size(mask, tf.float32) / tf.maximum(tf.reduce_sum(mask), 1.0)
        return self.kernel * mask * (1.0 + self.rescale * (factor - 1.0))

    def draw(self):
        """A mask, other at each call."""
        step, p = self.calls.assign_add(1), tf.sigmoid(self.logit)
        drawn = tf.cast(noise.uniform(self.kernel.shape, self.key, step, stream=0) < p, tf.float32)
        return drawn + p - tf.stop_gradient(p)

    @property
    def mean_kernel(self):
        """What evaluations see: the mask that keeps where p is above one half."""
        return self.masked(tf.cast(self.logit > 0.0, tf.float32))

    def call(self, inputs):
        """One draw for the whole batch, as in the paper."""
        return self.with_kernel(inputs, self.masked(self.draw()))


@dataclasses.dataclass(frozen=True, eq=False)
class SupermaskRun:
    """What :func:`train_supermask` gives."""

    history: pd.DataFrame  # a row an evaluation, see ``lotteryhelpers.training.train``; with ``masks``
    weights: Arrays  # the fixed kernels, ``[inputs, units]`` a layer
    biases: Arrays  # the fixed biases, ``[units]`` a layer
    probabilities: tuple  # of being kept, the shapes of ``weights``
    rescale: bool  # whether kernels are multiplied by (all weights) / (kept ones)
    test_accuracy: float = np.nan  # with ``masks``, 0 to 1
    test_accuracy_sampled: float = np.nan  # the mean over ten drawn masks, which the paper reports

    masks = property(lambda self: tuple(p > 0.5 for p in self.probabilities),
                     doc="What is kept with a probability above one half.")  # fmt: skip

    def sample(self, seed):
        """Masks drawn from the probabilities."""
        rng = np.random.default_rng([seed, 4])
        return tuple(rng.random(p.shape) < p for p in self.probabilities)

    def kernels(self, masks):
        """The untrained kernels under these masks, rescaled if the run was."""
        factors = [m.size / max(1, m.sum()) if self.rescale else 1 for m in masks]
        return tuple(np.float32(w * m * f) for w, m, f in zip(self.weights, masks, factors, strict=True))


def train_supermask(dataset: Dataset, initial: Posterior, config: TrainConfig, *,
                    rescale: bool = False) -> SupermaskRun:  # fmt: skip
    """Learn which of the initial weights to keep; the weights themselves never move. A :class:`SupermaskRun`.
    A ValueError names a bad argument, a FloatingPointError the step at which the loss is not finite.

    Args:
        initial: the Posterior whose means and biases are the weights; ``restart(initial, None, "constant")``
            makes them signed constants.
        config: Adam moves the logits, which start at 0; its rate wants to be some hundred times a weight's
            (the paper has plain gradient descent with a rate of 100).
        rescale: dynamic weight rescaling."""
    check_fits(initial, dataset)
    if not isinstance(rescale, bool | np.bool_):
        raise ValueError(f"rescale={rescale!r} must be True or False")
    trainer = trainer_for(SupermaskDense, initial.sizes)
    with trainer.lock:
        layers = trainer.network.layers
        for number, (kernel, bias) in enumerate(zip(initial.means, initial.biases, strict=True)):
            logit, key = np.zeros_like(kernel), np.array([config.seed, number])
            layers[number].set_weights([logit, kernel, bias, rescale, key, 0])  # in the order of ``build``
        _, history = train(trainer, dataset, config, label="supermask")
        probabilities = tuple(tf.sigmoid(layer.logit).numpy() for layer in layers)
    run = SupermaskRun(history, initial.means, initial.biases, probabilities, bool(rescale))
    at_rest, *sampled = [accuracy(run.kernels(masks), run.biases, dataset.test, initial.convs)
                         for masks in (run.masks, *map(run.sample, range(10)))]  # fmt: skip
    return dataclasses.replace(run, test_accuracy=at_rest, test_accuracy_sampled=float(np.mean(sampled)))
