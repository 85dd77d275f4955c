"""One compiled trainer for every network.

An epoch is a single call, XLA's unless there are convolutions: shuffling, forward pass, gradients and Adam in
one loop over resident images. A trainer is made once for each architecture: another mask, start, seed or rate
compiles nothing again. A run repeats to the last bit; with convolutions, on as many threads."""

import dataclasses
import functools
import threading

import numpy as np
import pandas as pd
import tensorflow as tf
import tf_keras
from tqdm.auto import tqdm

from lotteryhelpers.data import Dataset
from lotteryhelpers.masks import is_integer
from lotteryhelpers.networks import build_network, check_not_forked, mean_logits
from lotteryhelpers.papers.convolutions import Conv


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How long and how to train, with Adam (Kingma & Ba 2015; TensorFlow's defaults but the rate)."""

    epochs: int  # passes over the training images, at least 1
    batch_size: int = 128  # images a step; the last partial batch of an epoch is dropped
    learning_rate: float = 1.2e-3  # Adam's step size (Frankle & Carbin's)
    seed: int = 0  # fixes the batch order, the noise and, where none is given, the start; below 2**31
    evaluate_every: int | None = None  # steps between evaluations; None evaluates once an epoch

    def __post_init__(self):
        for name in ("epochs", "batch_size", "evaluate_every"):
            value = getattr(self, name)
            if not (value is None and name == "evaluate_every") and not is_integer(value, 1, 10**6):
                raise ValueError(f"{name}={value!r} must be an integer of at least 1, at most 1,000,000")
        if not is_integer(self.seed, 0, 2**31 - 1):
            raise ValueError(f"seed={self.seed!r} must be an integer from 0 to 2**31 - 1")
        check_positive("learning_rate", self.learning_rate)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What the notebooks train with: two configurations and the epochs at which to keep the posterior."""

    bayesian: TrainConfig
    ticket: TrainConfig
    snapshots: tuple


def recipe(dataset: Dataset, seed: int = 0) -> Recipe:
    """The notebooks' settings: as long as a sitting allows; a digits epoch is cheap, so it has more."""
    if dataset.name == "digits":
        config = functools.partial(TrainConfig, batch_size=64, learning_rate=3e-3, seed=seed)
        return Recipe(config(150), config(40), (0, 5, 10, 20, 40, 80, 150))
    return Recipe(TrainConfig(15, seed=seed), TrainConfig(10, seed=seed), (0, 0.25, 1, 2, 4, 8, 15))


def check_positive(name, value, *, or_zero=False):
    """Raise a ValueError that names the argument unless it is a finite number above zero."""
    good = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not good or not 0 <= value <= 3.4e38 or (value == 0 and not or_zero):
        least = "of at least 0" if or_zero else "above 0"
        raise ValueError(f"{name}={value!r} must be a finite number {least}, in the range of float32")


def as_tuple(name, values):
    """The values as a tuple, so that they can be gone through twice; a ValueError for a single one."""
    try:
        return tuple(values)
    except TypeError:
        raise ValueError(f"{name}={values!r} must be a tuple, such as ({values!r},)") from None


def batch_order(num_images, batch_size, seed, epoch):
    """The image numbers of an epoch's batches, int32 ``[steps, batch_size]``; the rest is left out."""
    shuffled = np.random.default_rng([seed, epoch]).permutation(num_images)
    return shuffled[: num_images - num_images % batch_size].reshape(-1, batch_size).astype(np.int32)


SMALL = 2048, 64  #: images, and steps an epoch: a set with fewer is ``padded`` to these


def padded(array, rows):
    """The array, zeros beyond its end up to ``rows``: XLA compiles for each shape; small sets share one."""
    beyond = [[0, max(0, rows - len(array))], *[[0, 0]] * (len(array.shape) - 1)]
    return tf.pad(array, beyond) if len(array) < rows else tf.convert_to_tensor(array)


class Trainer:
    """A network of ``layer_class`` layers, its optimizer and its compiled epoch; use :func:`trainer_for`."""

    def __init__(self, layer_class, sizes):
        self.network = build_network(layer_class, sizes)
        for layer in self.network.layers:
            layer.guarded = False  # Adam alone moves these weights, and each step ends with the constraint
        self.variables = self.network.trainable_variables
        self.optimizer = getattr(layer_class, "optimizer", tf_keras.optimizers.Adam)()
        self.optimizer.build(self.variables)
        self.bayesian = hasattr(layer_class, "kl")
        self.lock = threading.Lock()
        # partial: TensorFlow counts tracings by code and would take many networks for one traced many times
        # XLA's convolutions are some ten times slower on a CPU than TensorFlow's own, oneDNN's
        how = {"jit_compile": not any(isinstance(n, Conv) for n in sizes), "autograph": False}
        self.run_steps = tf.function(functools.partial(self._run_steps), **how)
        self.evaluate = tf.function(functools.partial(self._evaluate), **how)

    def _run_steps(self, images, labels, order, start, stop, kl_scale):
        """Take the steps ``start <= step < stop`` of an epoch's ``order``: the sums over the steps of the
        batch's nll (nats an image) and accuracy, and the first step whose nll is not finite, or -1."""
        @tf.autograph.experimental.do_not_convert
        def take(step, nll_sum, accuracy_sum, bad_step):
            x, y = tf.gather(images, order[step]), tf.gather(labels, order[step])
            with tf.GradientTape() as tape:
                logits = self.network(x, training=True)
                nll = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
                kl = tf.add_n(self.network.losses) if self.bayesian else 0.0
                loss = nll + kl_scale * kl  # XLA leaves out what only its value needs: the KL's logarithms
            gradients = tape.gradient(loss, self.variables)
            self.optimizer.apply_gradients(zip(gradients, self.variables, strict=True))
            accuracy = tf.reduce_mean(tf.cast(_correct(logits, y), tf.float32))
            bad_step = tf.where((bad_step < 0) & ~tf.math.is_finite(nll), step, bad_step)
            return step + 1, nll_sum + nll, accuracy_sum + accuracy, bad_step

        # not over a tf.range: XLA takes its ends for constants and compiles for each
        return tf.while_loop(lambda step, *_: step < stop, take, [start, 0.0, 0.0, -1])[1:]

    def _evaluate(self, images, labels):
        """Mean loss (nats), accuracy (0 to 1) with the weights at their means, and the KL (nats) or 0."""
        logits = mean_logits(self.network, images)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        kl = tf.add_n([layer.kl() for layer in self.network.layers]) if self.bayesian else 0.0
        return loss, tf.reduce_mean(tf.cast(_correct(logits, labels), tf.float32)), kl

    def reset(self, learning_rate):
        """A fresh optimizer: a run must not inherit another's moments."""
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        self.optimizer.learning_rate = learning_rate  # after the zeros: the rate is one of the variables


def _correct(logits, labels):
    return tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)


kept_trainer = functools.lru_cache(maxsize=8)(Trainer)


def trainer_for(layer_class, sizes):
    """The trainer of an architecture, made once and kept; while that one trains, in a callback, a new one."""
    check_not_forked()
    trainer = kept_trainer(layer_class, sizes)
    return Trainer(layer_class, sizes) if trainer.lock.locked() else trainer


def train(trainer, dataset, config, *, kl_weight=0.0, on_evaluation=None, snapshots=(), start=None,
          take=None, label="training"):  # fmt: skip
    """Train a network whose start was put into ``trainer.network``; the caller holds ``trainer.lock``. Gives
    a dict from each epoch of ``snapshots`` to what ``take()`` gives then (``start`` for 0), and the history,
    a row an evaluation: step, epoch, loss, accuracy (both over the steps since the row before),
    validation_loss, validation_accuracy; and for a Bayesian network nll and kl, in nats an image, with
    loss = nll + kl_weight * kl, the KL as it is at that step, divided by the number of training images.
    ``on_evaluation(row)`` is called with each new row, a dict. A ValueError says that the batch is larger
    than the training set, a FloatingPointError at which step the loss was no longer finite."""
    images, labels = (padded(tensor, SMALL[0]) for tensor in dataset.train.tensors)
    validation = dataset.validation.tensors
    num_images = len(dataset.train.labels)
    if config.batch_size > num_images:
        raise ValueError(f"batch_size={config.batch_size} is larger than the {num_images} training images")
    an_epoch = num_images // config.batch_size
    last, every = an_epoch * config.epochs, config.evaluate_every or an_epoch
    for epoch in (snapshots := as_tuple("snapshots", snapshots)):
        check_positive("snapshots", epoch, or_zero=True)
        if epoch > config.epochs:
            raise ValueError(f"snapshots has epoch {epoch}, but the training ends after {config.epochs}")
    step_of, taken = {epoch: round(epoch * an_epoch) for epoch in snapshots}, {0: start}
    steps = {*step_of.values()} - {0}
    stops = sorted({*range(every, last, every), *range(an_epoch, last, an_epoch), last, *steps})
    trainer.reset(config.learning_rate)

    blame = f"of {last}; learning_rate={config.learning_rate} may be too large, or the start"
    if trainer.bayesian:
        blame += f", or kl_weight={kl_weight}; or prior_stddev may be too small or too large"
    rows, sums, done, seen = [], np.zeros(2), 0, 0
    quiet = {"disable": True} if last < 1000 else {}  # hundreds of short bars would flood a notebook
    with tqdm(total=last, desc=label, unit="step", mininterval=0.5, leave=False, **quiet) as bar:
        for stop in stops:
            epoch = done // an_epoch
            if done % an_epoch == 0:
                order = padded(batch_order(num_images, config.batch_size, config.seed, epoch), SMALL[1])
            first = tf.constant(done - epoch * an_epoch, tf.int32)  # NumPy 1 makes 64 // int32(32) an int64
            kl_scale = tf.constant(kl_weight / num_images, tf.float32)
            *new, bad = trainer.run_steps(images, labels, order, first, first + int(stop - done), kl_scale)
            if bad >= 0:
                step = epoch * an_epoch + int(bad) + 1
                raise FloatingPointError(f"the training loss is not finite at step {step} {blame}")
            sums += np.array(new, np.float64)
            bar.update(stop - done)
            done = stop
            if done % every == 0 or done == last:
                validation_loss, validation_accuracy, kl = (float(v) for v in trainer.evaluate(*validation))
                if not np.isfinite(validation_loss + kl):
                    found = f"the validation loss is {validation_loss}, the KL {kl}, after step {done}"
                    raise FloatingPointError(f"{found} {blame}")
                nll, accuracy = sums / (done - seen)
                row = {"step": done, "epoch": done / an_epoch, "loss": nll, "accuracy": accuracy}
                row |= {"validation_loss": validation_loss, "validation_accuracy": validation_accuracy}
                if trainer.bayesian:
                    row |= {"loss": nll + kl_weight * kl / num_images, "nll": nll, "kl": kl / num_images}
                rows.append(row)
                sums, seen = np.zeros(2), done
                if on_evaluation:
                    on_evaluation(row)
            if done in steps:
                taken[done] = take()
    return {epoch: taken[step] for epoch, step in step_of.items()}, pd.DataFrame(rows)
