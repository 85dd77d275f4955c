"""Tickets: deterministic networks trained from given weights under a mask."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import scipy.stats
import tensorflow as tf
import tf_keras

from lotteryhelpers.bayesian import check_fits
from lotteryhelpers.compacting import compact as compact_network
from lotteryhelpers.masks import check_masks, density
from lotteryhelpers.networks import MaskedDense, build_network, put_weights
from lotteryhelpers.storage import PickledByFields
from lotteryhelpers.training import train, trainer_for


@dataclasses.dataclass(frozen=True, eq=False)
class TicketRun(PickledByFields):
    """What :func:`train_ticket` gives.

    Attributes:
        history: a row an evaluation, see :func:`lotteryhelpers.training.train`.
        weights: final kernels, ``[inputs, units]`` a layer; pruned ones are exactly zero.
        biases: final biases, ``[units]`` a layer.
        masks: bool, True = kept; all True for the dense network.
        test_accuracy: of the final weights, 0 to 1.
        best_step: the evaluated step of least validation loss.
        test_accuracy_at_best: at that step, so chosen without the test set.
    """

    history: pd.DataFrame
    weights: tuple
    biases: tuple
    masks: tuple
    test_accuracy: float
    best_step: int
    test_accuracy_at_best: float

    @property
    def density(self):
        """The kept fraction, a ``Density``."""
        return density(self.masks)

    @functools.cached_property
    def network(self):
        """The trained network as a compiled ``tf_keras`` model; ``fit`` trains on under the mask."""
        with tf.init_scope():  # first asked for inside a tf.function, it must not become a part of that
            network = build_network(MaskedDense, (len(self.weights[0]), *(len(b) for b in self.biases)))
            put_weights(network, self.weights, self.biases, self.masks)
        loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile("adam", loss, metrics=["accuracy"])
        return network


def train_ticket(dataset, initial, masks, config, *, compact=False):
    """Train the network from ``initial``'s means and biases with the pruned weights held at zero.

    Runs with the same ``config`` see the same batches in the same order, whatever the mask.

    Args:
        dataset: a ``Dataset``.
        initial: the Posterior whose means and biases are the start (rewinding; Frankle & Carbin 2019).
        masks: bool ``[inputs, units]`` a layer, True = kept; None is the dense network.
        config: a ``TrainConfig``.
        compact: train only the inputs and units that the masks leave connected, see
            :func:`lotteryhelpers.compact`. The same steps up to rounding, each faster; but every new shape
            is compiled first, which takes about as long as a few epochs.

    Returns:
        A :class:`TicketRun`, full-size either way.

    Raises:
        ValueError: names the argument, its value and what would be right.
        FloatingPointError: the loss is not finite; says at which step.
    """
    check_fits(initial, dataset)
    kept = check_masks(masks, initial.means, for_training=True)
    sizes, values = initial.sizes, (initial.means, initial.biases, kept)
    if compact:
        small = compact_network(*values, for_training=True)
        sizes, values = small.sizes, (small.weights, small.biases, small.masks)
        dataset = small.reduce(dataset)
    trainer = trainer_for(MaskedDense, sizes)
    best = {"loss": np.inf}
    with trainer.lock:
        network = trainer.network
        put_weights(network, *values)

        def note_best(step, validation_loss):
            if validation_loss < best["loss"]:
                best.update(loss=validation_loss, step=step, weights=network.get_weights())

        label = "dense network" if masks is None else "masked network"
        history = train(trainer, dataset, config, on_evaluation=note_best, label=label)
        weights = [layer.kernel.numpy() for layer in network.layers]
        biases = [layer.bias.numpy() for layer in network.layers]
        test_accuracy = test_accuracy_at_best = float(trainer.evaluate(*dataset.test.tensors)[1])
        if best["step"] < history.step.iloc[-1]:
            network.set_weights(best["weights"])
            test_accuracy_at_best = float(trainer.evaluate(*dataset.test.tensors)[1])
    if compact:
        weights, biases = small.restore(weights, biases)
    weights = tuple(np.where(m, w, np.float32(0)) for m, w in zip(kept, weights, strict=True))
    return TicketRun(
        history, weights, tuple(biases), kept, test_accuracy, best["step"], test_accuracy_at_best
    )


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean with the ends of its confidence interval."""

    mean: float
    low: float
    high: float

    def verdict(self, margin):
        """What a difference with this interval shows, against a margin chosen beforehand.

        "as good" needs the whole interval inside the margin: not significant is not the same as equal.
        """
        if -margin < self.low and self.high < margin:
            return "as good"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "not decided"


def paired_interval(a, b, confidence=0.95):
    """Interval of the mean of a - b over pairs (one pair a seed), by Student's t."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)  # by place, not by a Series' index
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"a and b have shapes {a.shape} and {b.shape}; an interval needs 2 pairs or more")
    difference = a - b
    if not np.isfinite(difference).all():
        raise ValueError("a and b hold values that are not finite")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} must be between 0 and 1, such as 0.95")
    half = scipy.stats.sem(difference) * scipy.stats.t.ppf((1 + confidence) / 2, len(difference) - 1)
    mean = difference.mean()
    return Interval(float(mean), float(mean - half), float(mean + half))
