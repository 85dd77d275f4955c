"""The two networks, as ordinary ``tf_keras`` models: Bayesian with Flipout layers, and masked.

Convolutions, if any, then fully connected layers, with ReLU between them. All layers read and give flat
images ``[n, pixels]``. Each optimizer step ends by making pruned weights zero."""

import itertools
import os
import warnings

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from lotteryhelpers import noise
from lotteryhelpers.papers.convolutions import Conv, product, with_bias

tfd = tfp.distributions
EPSILON = 1.1920929e-07  # TFP adds the float32 epsilon to softplus, so that no scale is zero
_forked = []
getattr(os, "register_at_fork", dict)(after_in_child=lambda: _forked.append(True))  # Windows has no forks


class Layer:
    """What our layers share: a ``conv``, a Conv that makes theirs a convolution, or None."""

    def __init__(self, *args, conv=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.conv = Conv(**conv) if isinstance(conv, dict) else conv  # a saved configuration has a dict

    def build(self, input_shape):
        """Make what the Keras layer makes, for the kernel's shape."""
        super().build(input_shape if self.conv is None else [None, self.conv.shape[0]])
        if self.conv is not None:  # not as many inputs as the kernel has rows
            self.input_spec = tf_keras.layers.InputSpec(axes={-1: input_shape[-1]})

    def get_config(self):
        """For Keras' way of saving."""
        return super().get_config() | {"conv": self.conv and {**vars(self.conv)}}

    def with_kernel(self, inputs, kernel):
        """What the layer gives with this kernel."""
        return self.activation(with_bias(product(inputs, kernel, self.conv), self.bias, self.conv))


class MaskedDense(Layer, tf_keras.layers.Dense):
    """``tf_keras``'s Dense layer whose kernel is zero where its mask is 0 (all ones at first). The mask is
    the kernel's constraint: XLA applies it in the pass over the memory that a step takes anyway. A product
    with the mask in the forward pass is one more array to write, an epoch a tenth longer: so only a reader's
    network has it (``guarded``), and no gradient there, whatever an optimizer would make of one."""

    guarded, frozen = True, 0.0

    def call(self, inputs):
        """``[n, inputs]`` to ``[n, units]``."""
        return self.with_kernel(inputs, self.at_rest(self.kernel) if self.guarded else self.kernel)

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


class Flipout(Layer, tfp.layers.DenseFlipout):
    """TFP's ``DenseFlipout`` (Wen et al. 2018), or ``Convolution2DFlipout``, with three choices of ours.
    The noise comes from :mod:`lotteryhelpers.noise`, keyed by ``key`` and counted by ``calls``: every call
    draws anew, and a run repeats to the last bit. Pruned weights are zero in mean and deviation. The KL to
    the prior N(0, prior_stddev^2) is the closed form, in nats, over the kept weights; biases are points."""

    def __init__(self, units, activation=None, **kwargs):
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
        self.kernel_posterior_tensor = self.bias_posterior_tensor = None  # no samples
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
        """The noise of one call: normals ``[inputs, units]``, signs ``[rows, inputs]``, ``[rows, units]``; of
        a convolution's, an image and channel share one, as in TFP."""
        (inputs, units), normals, step = self.loc.shape, self.draw_normals(self.loc.shape), self.calls
        inputs = inputs if self.conv is None else self.conv.image[-1]
        signs = [noise.random_signs([rows, n], self.key, step, i) for i, n in ((1, inputs), (2, units))]
        return normals, *(signs if self.conv is None else [s[:, None, None] for s in signs])

    def _apply_variational_kernel(self, inputs):
        """TFP's own equations (Wen et al. 2018, eq. 4), with the noise from ``draw_noise``."""
        posterior = self.kernel_posterior.distribution
        normals, input_signs, output_signs = self.draw_noise(tf.shape(inputs)[0])
        perturbation = posterior.scale * normals
        if self.conv is not None:
            inputs = tf.reshape(inputs, [tf.shape(inputs)[0], *self.conv.image])
        perturbed = product(inputs * input_signs, perturbation, self.conv) * output_signs
        return product(inputs, posterior.loc, self.conv) + perturbed

    def _apply_variational_bias(self, inputs):
        return with_bias(inputs, self.bias, self.conv)


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
    """An untrained ``tf_keras.Sequential``; sizes such as (784, 300, 100, 10), Convs may be among them."""
    float32, layers = {"dtype": "float32"}, []  # whatever policy or floatx a reader has set
    for number, size in enumerate(sizes[1:], start=2):
        units, how = (size.units, {"conv": size}) if isinstance(size, Conv) else (size, {})
        activation = "relu" if number < len(sizes) else "linear"
        layers.append(layer_class(units, activation=activation, **how, **float32))
    network_class = BayesianNetwork if hasattr(layer_class, "kl") else tf_keras.Sequential
    with warnings.catch_warnings():  # TFP 0.25 makes its variables by a method that tf_keras calls deprecated
        warnings.filterwarnings("ignore", message=".*add_variable.* is deprecated", category=UserWarning)
        return network_class([tf_keras.Input([sizes[0]], **float32), *layers])


def put_weights(network, weights, biases, masks):
    """Set the variables of a network of MaskedDense layers."""
    for layer, *values in zip(network.layers, weights, biases, masks, strict=True):
        layer.put(*values)


def mean_logits(network: tf_keras.Model, images: np.ndarray | tf.Tensor) -> tf.Tensor:
    """The network's logits ``[n, classes]`` with every weight at its mean: no noise."""
    layers, images = network.layers, tf.convert_to_tensor(images)
    if not images.dtype.is_floating:
        raise ValueError(f"images are {images.dtype.name}; they must be float, 0 to 1")
    weights, biases = [n.mean_kernel for n in layers], [n.bias for n in layers]
    return logits(weights, biases, tf.cast(images, tf.float32), [n.conv for n in layers if n.conv])


def logits(kernels, biases, images, convs=()):
    """Logits ``[n, classes]`` of the network with these weights, its first layers ``convs``."""
    check_not_forked()
    *hidden_layers, last = itertools.zip_longest(kernels, biases, convs)
    for kernel, bias, conv in hidden_layers:
        images = tf.nn.relu(with_bias(product(images, kernel, conv), bias, conv))
    return with_bias(product(images, last[0]), last[1])
