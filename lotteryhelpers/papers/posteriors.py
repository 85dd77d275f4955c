"""Posteriors by other ways: two more estimators of Flipout's gradient, IVON, and Laplace's."""

import numpy as np
import tensorflow as tf
import tf_keras

from lotteryhelpers import noise as numbers
from lotteryhelpers.bayesian import begin, fit
from lotteryhelpers.data import Dataset
from lotteryhelpers.masks import Arrays, check_one_of
from lotteryhelpers.networks import EPSILON, ESTIMATORS, Flipout, MaskedDense, put_weights
from lotteryhelpers.papers.convolutions import product
from lotteryhelpers.posterior import BayesianRun, Posterior
from lotteryhelpers.tickets import TicketRun
from lotteryhelpers.training import TrainConfig, check_positive, trainer_for


class Reparameterization(Flipout):
    """One draw of the weights for the whole batch (Blundell et al. 2015, section 3.2): TFP's
    ``DenseReparameterization``. One product, but all images of the batch share their noise."""

    def _apply_variational_kernel(self, inputs):
        posterior = self.kernel_posterior.distribution
        drawn = posterior.loc + posterior.scale * self.draw_normals(self.loc.shape)
        return product(inputs, drawn, self.conv)


class LocalReparameterization(Flipout):
    """Noise for each image's activations instead of the weights (Kingma et al. 2015, eq. 6): TFP's
    ``DenseLocalReparameterization``. Two products, and a normal number an activation."""

    def _apply_variational_kernel(self, inputs):
        posterior = self.kernel_posterior.distribution
        mean = product(inputs, posterior.loc, self.conv)
        variance = product(inputs**2, posterior.scale**2, self.conv)
        stddev = tf.sqrt(variance + EPSILON**2)  # an image of zeros must not make the gradient infinite
        normals = self.draw_normals([tf.size(mean) // self.units, self.units])
        return mean + stddev * tf.reshape(normals, tf.shape(mean))


ESTIMATORS |= {"local": LocalReparameterization, "shared": Reparameterization}


class IvonStep(tf_keras.optimizers.Adam):
    """IVON's step (there, algorithm 1) for kernels; biases, which are points, move by Adam's."""

    def update_step(self, gradient, variable):
        """Move a variable; with a kernel its precision, by the gradient at the weights that were drawn."""
        layer = getattr(variable, "layer", None)
        if layer is None:
            return super().update_step(gradient, variable)
        size, delta, rate, b2, steps = tf.unstack(layer.settings)
        step, limit = (tf.cast(v, tf.float32) for v in (self.iterations, self.learning_rate))
        average = self._momentums[self._index_dict[self._var_key(variable)]]
        average.assign_add((1 - self.beta_1) * (gradient - average))
        change = (1 - b2) * (size * layer.precision * layer.shift * gradient - (layer.precision - delta))
        precision = layer.precision.assign_add(change + 0.5 * change**2 / layer.precision)  # stays above 0
        slope = average / (1 - self.beta_1 ** (step + 1)) + delta * variable
        move = tf.clip_by_value(rate * slope / precision, -limit, limit)
        variable.assign_sub(0.5 * (1 + tf.cos(np.pi * step / steps)) * move)


class IvonDense(MaskedDense):
    """A masked layer that computes with one draw of its kernel a step, N(kernel, scale^2) for each weight."""

    optimizer, draw = IvonStep, staticmethod(numbers.standard_normal)

    def build(self, input_shape):
        """Make the precision h + delta, the settings, and the noise's key and counter."""
        super().build(input_shape)
        self.kernel.layer = self  # IvonStep's way from the one to the other
        for name, shape, kind in (("precision", self.kernel.shape, None), ("settings", [5], None),
                                  ("key", [2], tf.int64), ("calls", [], tf.int64)):  # fmt: skip
            setattr(self, name, self.add_weight(name, shape, kind, initializer="zeros", trainable=False))

    def scale(self):
        """The posterior's standard deviations, 1 / sqrt(N (h + delta)), ``[inputs, units]``."""
        return tf.math.rsqrt(self.settings[0] * self.precision)

    def call(self, inputs):
        """One draw for the whole batch, as in the paper."""
        drawn = self.draw(self.kernel.shape, self.key, self.calls.assign_add(1), stream=0)
        self.shift = self.scale() * self.mask * drawn
        return self.with_kernel(inputs, self.kernel + self.shift)


class SignedIvonDense(IvonDense):
    """Draws kernel + scale or kernel - scale, each as likely: the same mean and variance, no Gaussian. Where
    the loss is quadratic, the expected gradient and h are the same too, and a single h is less noisy."""

    draw = staticmethod(numbers.random_signs)


class NoiselessIvonDense(IvonDense):
    """Computes at the mean, a control: it learns no curvature, and forgets the start's as the others do."""

    draw = staticmethod(lambda shape, key, step, stream: tf.zeros(shape))


NOISES = {"normal": IvonDense, "signs": SignedIvonDense, "none": NoiselessIvonDense}


def train_ivon(
    dataset: Dataset, config: TrainConfig, *, initial: Posterior | None = None, prior_stddev: float = 1.0,
    initializer: str = "normal", hidden: tuple = (300, 100), masks: Arrays | None = None,
    snapshots: tuple = (), noise: str = "normal", rate: float = 0.05,
    b2: float | None = None) -> BayesianRun:  # fmt: skip
    """Fit a Gaussian to every weight as :func:`train_bayesian` does, by a variational Newton method.
    IVON estimates the curvature h of an image's loss from one draw of the weights a step (algorithm 1;
    delta = 1 / (N prior_stddev^2)). The deviations, 1 / sqrt(N (h + delta)), are ``initial``'s at first.
    Errors as there; the history has no KL.

    Args:
        config: its learning rate is Adam's, for the biases, and the most that a weight moves in a step.
        noise: ``"normal"``; ``"signs"``, which cost less (``SignedIvonDense``); ``"none"``, a control.
        rate: of a weight's step, rate * slope / (h + delta), which falls to zero by a cosine.
        b2: what h keeps of itself in a step. None is 1 - 3 / steps: a twentieth of the start's is left, so a
            weight without a gradient ends with at most 4.5 times the start's deviation. Where more than half
            is left, that is said. (The published 0.99999 is for 100,000 steps.)"""
    check_positive("prior_stddev", prior_stddev)
    check_positive("rate", rate)
    check_one_of("noise", noise, NOISES)
    initial, masks = begin(dataset, config, initial, initializer, hidden, masks)
    size = len(dataset.train.labels)
    steps, delta = config.epochs * (size // config.batch_size), np.float64(prior_stddev) ** -2 / size
    usual = 1 - 3 / max(steps, 4)
    check_positive("b2", b2 := usual if b2 is None else b2, or_zero=True)
    if b2 >= 1:
        raise ValueError(f"b2={b2!r} must be below 1, such as {usual:.5f}")
    trainer = trainer_for(NOISES[noise], initial.sizes)
    with trainer.lock:
        put_weights(trainer.network, initial.means, initial.biases, masks)
        for number, layer in enumerate(trainer.network.layers):
            stddev = np.where(masks[number], initial.stddevs[number], np.float64(1))
            layer.precision.assign(1 / (size * stddev**2))
            layer.settings.assign([size, delta, rate, b2, steps])
            layer.key.assign([config.seed, number])
            layer.calls.assign(0)
        run = fit(trainer, initial, dataset, config, snapshots, label="Bayesian network (IVON)")
    if noise != "none" and (left := ((1 + b2**2) / 2) ** steps) > 0.5:  # of the start's h, without a gradient
        print(f"sigma is mostly what was put in: after {steps} steps with b2={b2} the start weighs "
              f"{left:.2f} in h; more steps, or b2 nearer to {usual:.5f}, leave less")  # fmt: skip
    return run


def laplace(dataset: Dataset, ticket: TicketRun, *, prior_stddev: float = 1.0) -> BayesianRun:
    """A Gaussian around a ``TicketRun``'s weights, narrow where the loss is curved (MacKay 1992), diagonal.
    The deviations are 1 / sqrt(N h + 1 / prior_stddev^2), h the second derivative of the mean loss of the N
    training images by the weight: exact, for the logits of a ReLU network are linear in any single weight, so
    that the diagonal is Gauss-Newton's. One pass. What the ticket's masks prune has the deviation 0;
    ``initial`` is its start. A ValueError names a bad argument."""
    check_positive("prior_stddev", prior_stddev)
    if not isinstance(ticket, TicketRun):
        raise ValueError(f"ticket is a {type(ticket).__name__}; it must be what train_ticket gives")
    if ticket.initial.convs:
        raise ValueError(f"ticket has the convolutions {ticket.initial.convs}; laplace knows none")
    precisions = [np.full(w.shape, np.float64(prior_stddev) ** -2) for w in ticket.weights]
    for images in np.array_split(dataset.train.images, -(-len(dataset.train.labels) // 1000)):
        inputs = [tf.convert_to_tensor(images)]
        for kernel, bias in zip(ticket.weights, ticket.biases, strict=True):
            inputs.append(tf.nn.relu(outputs := tf.matmul(inputs[-1], kernel) + bias))
        odds = tf.nn.softmax(outputs)
        slopes = tf.eye(odds.shape[1], batch_shape=[len(images)])  # of logits by sums: [n, classes, units]
        for kernel, x, precision in [*zip(ticket.weights, inputs, precisions, strict=False)][::-1]:
            apart = slopes - tf.einsum("nc,ncj->nj", odds, slopes)[:, None]
            precision += tf.matmul(x**2, tf.einsum("nc,ncj->nj", odds, apart**2), transpose_a=True).numpy()
            slopes = tf.einsum("ncj,ij->nci", slopes, kernel) * tf.cast(x > 0, tf.float32)[:, None]
    stddevs = [np.where(m, p**-0.5, 0) for m, p in zip(ticket.masks, precisions, strict=True)]
    return BayesianRun(ticket.initial, Posterior(ticket.weights, stddevs, ticket.biases), {}, ticket.history)
