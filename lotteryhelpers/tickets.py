"""Tickets: deterministic networks trained from given weights under a mask."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras

from lotteryhelpers.bayesian import check_fits
from lotteryhelpers.data import Dataset, Split
from lotteryhelpers.masks import Arrays, check_masks, density
from lotteryhelpers.networks import FrozenDense, MaskedDense, build_network, logits, put_weights
from lotteryhelpers.papers.compacting import compact as compact_network
from lotteryhelpers.posterior import Posterior
from lotteryhelpers.storage import PickledByFields
from lotteryhelpers.training import TrainConfig, train, trainer_for


@dataclasses.dataclass(frozen=True, eq=False)
class TicketRun(PickledByFields):
    """What :func:`train_ticket` gives."""

    history: pd.DataFrame  # a row an evaluation, see ``lotteryhelpers.training.train``
    weights: Arrays  # the final ones; what is pruned is exactly zero, or as frozen
    biases: Arrays  # the final ones
    masks: Arrays  # bool, True = kept; all True for the dense network
    initial: Posterior  # the start, without spread: mask * initial weights, frozen ones as they are
    snapshots: dict  # from epoch (as it was asked for) to such a Posterior
    test_accuracy: float  # of the final weights, 0 to 1
    best_step: int  # the evaluated step of least validation loss
    test_accuracy_at_best: float  # at that step, so chosen without the test set

    final = property(lambda self: point(self.weights, self.biases, self.initial.convs),
                     doc="The end, a Posterior without spread: what criteria read.")  # fmt: skip
    density = property(lambda self: density(self.masks), doc="The kept fraction, a ``Density``.")

    @functools.cached_property
    def network(self):
        """The trained network as a compiled ``tf_keras`` model; ``fit`` trains on under the mask."""
        with tf.init_scope():  # first asked for inside a tf.function, it must not become a part of that
            frozen = any(w[~m].any() for w, m in zip(self.weights, self.masks, strict=True))
            network = build_network(FrozenDense if frozen else MaskedDense, self.initial.sizes)
            put_weights(network, self.weights, self.biases, self.masks)
        loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile("adam", loss, metrics=[tf_keras.metrics.SparseCategoricalAccuracy("accuracy")])
        return network


def point(weights, biases, convs=()):
    """A deterministic network as a Posterior: all its mass on these weights."""
    return Posterior(weights, [np.zeros_like(w) for w in weights], biases, convs)


def accuracy(weights: Arrays, biases: Arrays, split: Split, convs: tuple = ()) -> float:
    """The fraction of a split's images that a network gets right, with its Posterior's ``convs``."""
    images, labels = split.tensors
    return float(np.mean(np.argmax(logits(weights, biases, images, convs), axis=1) == labels.numpy()))


def train_ticket(
    dataset: Dataset, initial: Posterior, masks: Arrays | None, config: TrainConfig, *, compact: bool = False,
    frozen: Arrays | None = None, snapshots: tuple = (),
    on_evaluation: Callable | None = None) -> TicketRun:  # fmt: skip
    """Train from ``initial``'s means and biases with the pruned weights held at zero: a :class:`TicketRun`.
    Runs with the same ``config`` see the same batches in the same order, whatever the mask. A ValueError
    names a bad argument; a FloatingPointError names the step at which the loss is not finite.

    Args:
        initial: the Posterior whose means and biases are the start (rewinding; Frankle & Carbin 2019).
        masks: bool ``[inputs, units]`` a layer, True = kept; None is the dense network.
        compact: train only what the masks leave connected, see :func:`lotteryhelpers.compact`. The same steps
            up to rounding, each faster, and a full-size run; but a new shape is compiled first, for epochs.
        frozen: what the pruned weights are held at in place of zero, ``[inputs, units]`` a layer (Zhou et
            al. 2019, section 4: mask-0 actions); what it holds where the masks keep has no part.
        snapshots: epochs (0 and fractions too) after which to keep the weights.
        on_evaluation: called with each new row of the history, a dict, while the training goes on."""
    check_fits(initial, dataset)
    kept = check_masks(masks, initial.means, for_training=True)
    if compact and initial.convs:
        raise ValueError(f"compact=True: initial has {initial.convs}, and convolutions can't be made compact")
    if frozen is not None and compact:
        raise ValueError("compact=True drops the pruned weights, so they can't be frozen at other values")
    at_rest, right = tuple(np.zeros_like(m) for m in initial.means), [m.shape for m in kept]
    try:
        at_rest = at_rest if frozen is None else tuple(np.array(f, np.float32) for f in frozen)
    except (TypeError, ValueError) as error:
        raise ValueError(f"frozen must hold an array of numbers a layer, {right}: {error}") from None
    if [f.shape for f in at_rest] != right or not all(np.isfinite(f).all() for f in at_rest):
        raise ValueError(f"frozen has shapes {[f.shape for f in at_rest]}; it must be finite, {right}")

    def whole(weights, biases):  # exact zeros, or the frozen values, whatever a compact network left there
        weights = [np.where(m, w, f) for m, w, f in zip(kept, weights, at_rest, strict=True)]
        return point(weights, biases, initial.convs)

    start = whole(initial.means, initial.biases)
    sizes, values = initial.sizes, (start.means, start.biases, kept)
    if compact:
        small = compact_network(*values, for_training=True)
        sizes, values = small.sizes, (small.weights, small.biases, small.masks)
        dataset = small.reduce(dataset)
    trainer = trainer_for(MaskedDense if frozen is None else FrozenDense, sizes)
    best: dict = {"loss": np.inf}
    with trainer.lock:
        network = trainer.network
        put_weights(network, *values)

        def take():
            weights = [layer.kernel.numpy() for layer in network.layers]
            biases = [layer.bias.numpy() for layer in network.layers]
            return whole(*(small.restore(weights, biases) if compact else (weights, biases)))

        def note_best(row):
            if row["validation_loss"] < best["loss"]:
                best.update(loss=row["validation_loss"], step=row["step"], weights=network.get_weights())
            if on_evaluation:
                on_evaluation(row)

        kept_at, history = train(
            trainer, dataset, config, on_evaluation=note_best, snapshots=snapshots, start=start, take=take,
            label="dense network" if masks is None else "masked network")  # fmt: skip
        final, test_accuracy = take(), float(trainer.evaluate(*dataset.test.tensors)[1])
        network.set_weights(best["weights"])
        test_accuracy_at_best = float(trainer.evaluate(*dataset.test.tensors)[1])
    return TicketRun(history, final.means, final.biases, kept, start, kept_at,
                     test_accuracy, best["step"], test_accuracy_at_best)  # fmt: skip
