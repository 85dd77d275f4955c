"""The two networks, as ordinary ``tf_keras`` models: Bayesian with Flipout layers, and masked.

Both are fully connected with ReLU between the layers. Each optimizer step ends by making pruned weights zero.
"""

import os
import warnings

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from lotteryhelpers import noise

tfd = tfp.distributions
EPSILON = 1.1920929e-07  # TFP adds the float32 epsilon to softplus, so that no scale is zero
_forked = []
getattr(os, "register_at_fork", dict)(after_in_child=lambda: _forked.append(True))  # Windows has no forks


class MaskedDense(tf_keras.layers.Dense):
    """``tf_keras``'s Dense layer whose kernel is zero where its mask is 0 (all ones at first). The mask is
    the kernel's constraint: XLA applies it in the pass over the memory that a step takes anyway. A product
    with the mask in the forward pass is one more array to write, an epoch a tenth longer: so only a reader's
    network has it (``guarded``), and no gradient there, whatever an optimizer would make of one."""

    guarded, frozen = True, 0.0

    def call(self, inputs):
        """``[n, inputs]`` to ``[n, units]``."""
        if not self.guarded:
            return super().call(inputs)
        return self.activation(tf.matmul(inputs, self.at_rest(self.kernel)) + self.bias)

    def at_rest(self, kernel):
        """The kernel as each step leaves it."""
        return kernel * self.mask + self.frozen

    def build(self, input_shape):
        """Make the kernel, the bias and the mask."""
        self.kernel_constraint = self.at_rest
        super().build(input_shape)
        self.kernel_constraint = None  # the variable has it now; in a saved configuration it has no place
        self.mean_kernel = self.kernel
        self.mask = self.add_weight("mask", self.kernel.shape, initializer="ones", trainable=False)

    def put(self, kernel, bias, mask):
        """Set the three variables, with zeros where the mask prunes."""
        self.mask.assign(mask)
        self.kernel.assign(self.at_rest(kernel))
        self.bias.assign(bias)


class FrozenDense(MaskedDense):
    """A masked layer whose pruned weights stay at what was put there (Zhou et al. 2019: mask-0 actions).
    ``frozen`` is zero where the mask keeps, so both terms are exact."""

    def build(self, input_shape):
        """Make the frozen values too."""
        super().build(input_shape)
        self.frozen = self.add_weight("frozen", self.kernel.shape, initializer="zeros", trainable=False)

    def put(self, kernel, bias, mask):
        """Set the variables: the kernel moves where the mask keeps."""
        self.frozen.assign(np.where(mask, np.float32(0), kernel))
        super().put(kernel, bias, mask)


@tf.custom_gradient
def softplus(rho):
    """log(1 + e^rho) as ``tf.nn.softplus``; its gradient, 1 / (1 + e^-rho), shares the exponential."""
    e = tf.exp(-tf.abs(rho))
    return tf.maximum(rho, 0.0) + tf.math.log1p(e), lambda g: g * tf.where(rho > 0, 1.0, e) / (1.0 + e)


class Flipout(tfp.layers.DenseFlipout):
    """TFP's ``DenseFlipout`` (Wen et al. 2018) with three choices of ours, and its mathematics.
    The noise comes from :mod:`lotteryhelpers.noise`, keyed by ``key`` and counted by ``calls``: every call
    draws anew, and a run repeats to the last bit. Pruned weights are zero in mean and deviation. The KL to
    the prior N(0, prior_stddev^2) is the closed form, in nats, over the kept weights; biases are points."""

    def __init__(self, units, activation=None, **kwargs):
        """Args: units and activation as for Dense."""
        points = tfp.layers.default_mean_field_normal_fn(is_singular=True, loc_initializer="zeros")
        super().__init__(units, activation, kernel_posterior_fn=self._masked_posterior, kernel_prior_fn=None,
                         bias_posterior_fn=points, **kwargs)  # fmt: skip

    def _masked_posterior(self, dtype, shape, name, trainable, add_variable_fn):
        at_zero = {"shape": shape, "dtype": dtype, "initializer": "zeros", "trainable": trainable}
        self.loc = add_variable_fn(name + "_loc", constraint=lambda loc: loc * self.mask, **at_zero)
        self.rho = add_variable_fn(name + "_rho", **at_zero)
        self.mask = add_variable_fn(name + "_mask", **at_zero | {"initializer": "ones", "trainable": False})
        scale = tfp.util.DeferredTensor(self.rho, lambda _: self.scale() * self.mask)
        return tfd.Independent(tfd.Normal(self.loc, scale), reinterpreted_batch_ndims=2)

    def build(self, input_shape):
        """Make the variational parameters, the prior's deviation, and the noise's key and counter."""
        super().build(input_shape)
        self.prior_stddev = self.add_weight("prior_stddev", [], initializer="ones", trainable=False)
        self.add_loss(self.kl)
        self.mean_kernel, self.bias = self.loc, self.bias_posterior.distribution.loc  # biases are points
        # 64 bits although 32 would do: TensorFlow keeps 32-bit integers on the CPU, beside a GPU's XLA
        self.key = self.add_weight("key", [2], tf.int64, initializer="zeros", trainable=False)
        self.calls = self.add_weight("calls", [], tf.int64, initializer="zeros", trainable=False)

    def get_config(self):
        """Keras' way of saving would lose the distributions."""
        raise ValueError("Keras can't save a Bayesian network: keep the BayesianRun, run.save(path)")

    def scale(self):
        """The posterior's standard deviations, ``[inputs, units]``, also behind the mask."""
        return EPSILON + softplus(self.rho)

    def kl(self):
        """KL(posterior || prior) of the kept weights in nats (Blundell et al. 2015, eq. 2; closed form)."""
        scale, precision = self.scale(), self.prior_stddev**-2.0  # one division a weight, and its gradient's
        nats = 0.5 * ((scale**2 + self.loc**2) * precision - 1.0) - tf.math.log(scale / self.prior_stddev)
        return tf.reduce_sum(nats * self.mask)

    def draw_normals(self, shape):
        """The standard normals of one call, another draw each time."""
        return noise.standard_normal(shape, self.key, self.calls.assign_add(1), stream=0)

    def draw_noise(self, rows):
        """The noise of one call: normals ``[inputs, units]``, signs ``[rows, inputs]``, ``[rows, units]``."""
        (inputs, units), normals, step = self.loc.shape, self.draw_normals(self.loc.shape), self.calls
        signs = [noise.random_signs([rows, n], self.key, step, i) for i, n in ((1, inputs), (2, units))]
        return normals, *signs

    def _apply_variational_kernel(self, inputs):
        """TFP's own equations (Wen et al. 2018, eq. 4), with the noise from ``draw_noise``."""
        posterior = self.kernel_posterior.distribution
        normals, input_signs, output_signs = self.draw_noise(tf.shape(inputs)[0])
        perturbation = posterior.scale * normals
        self.kernel_posterior_tensor = None  # the analytic KL needs no sample
        perturbed = tf.matmul(inputs * input_signs, perturbation) * output_signs
        return tf.matmul(inputs, posterior.loc) + perturbed


#: How the gradient is estimated; ``papers.posteriors`` adds "local" and "shared".
ESTIMATORS = {"flipout": Flipout}


class BayesianNetwork(tf_keras.Sequential):
    """Keras would add the whole KL to the loss of each batch: not divided by the number of images."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        """Of ``evaluate``: the loss that was compiled, without the KL."""
        return self.compiled_loss(y, y_pred, sample_weight)

    def make_train_function(self, force=False):
        """Refuse ``fit`` and ``train_on_batch``."""
        raise ValueError("fit would count the KL whole in each batch, not divided by the number of images; "
                         "to train on: train_bayesian(dataset, config, initial=run.final)")  # fmt: skip


def check_not_forked():
    """Raise a RuntimeError in a process forked from one with TensorFlow, whose threads it lacks."""
    if _forked:
        raise RuntimeError("this process was forked after TensorFlow had started, and would wait forever for "
                           "its threads; use lh.sweep, or multiprocessing.get_context('spawn')")  # fmt: skip


@tf.autograph.experimental.do_not_convert  # nothing here needs it, and it takes a second
def build_network(layer_class, sizes):
    """An untrained ``tf_keras.Sequential`` of ``layer_class`` layers, e.g. sizes (784, 300, 100, 10)."""
    activations = ["relu"] * (len(sizes) - 2) + ["linear"]
    float32 = {"dtype": "float32"}  # whatever policy or floatx a reader has set
    layers = [layer_class(n, activation=a, **float32) for n, a in zip(sizes[1:], activations, strict=True)]
    network_class = BayesianNetwork if hasattr(layer_class, "kl") else tf_keras.Sequential
    with warnings.catch_warnings():  # TFP 0.25 makes its variables by a method that tf_keras calls deprecated
        warnings.filterwarnings("ignore", message=".*add_variable.* is deprecated", category=UserWarning)
        return network_class([tf_keras.Input([sizes[0]], **float32), *layers])


def put_weights(network, weights, biases, masks):
    """Set the variables of a network of MaskedDense layers."""
    for layer, *values in zip(network.layers, weights, biases, masks, strict=True):
        layer.put(*values)


def mean_logits(network, images):
    """The network's logits ``[n, classes]`` with every weight at its mean: no noise."""
    layers, images = network.layers, tf.convert_to_tensor(images)
    if not images.dtype.is_floating:
        raise ValueError(f"images are {images.dtype.name}; they must be float, 0 to 1")
    return logits([n.mean_kernel for n in layers], [n.bias for n in layers], tf.cast(images, tf.float32))


def logits(kernels, biases, images):
    """Logits ``[n, classes]`` of the network with these weights, ReLU between the layers."""
    check_not_forked()
    *hidden_layers, last = zip(kernels, biases, strict=True)
    for kernel, bias in hidden_layers:
        images = tf.nn.relu(tf.matmul(images, kernel) + bias)
    return tf.matmul(images, last[0]) + last[1]
