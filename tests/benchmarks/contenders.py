"""Who trains the same network: this module, what people use instead, and the floor beneath them all.

Each contender is a function of (dataset, start) that gives ``run(epochs)``. A run shuffles, takes every
batch of every epoch, evaluates the validation images after each epoch and the test images at the end. The
batch is 128, Adam's rate 1.2e-3, precision float32. The first run compiles what is to be compiled.
"""

import concurrent.futures
import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import lotteryhelpers as lh
from lotteryhelpers import noise
from lotteryhelpers.networks import EPSILON, Flipout, Layer, MaskedDense, build_network, put_weights
from lotteryhelpers.posterior import put_posterior
from lotteryhelpers.training import Trainer, train

BATCH, RATE = 128, 1.2e-3
keras_loss = functools.partial(tf_keras.losses.SparseCategoricalCrossentropy, from_logits=True)


def random_masks(start, density=0.2):
    rng = np.random.default_rng(0)
    return lh.keep_fraction([rng.random(m.shape) for m in start.means], density, convs=len(start.convs))


# --- this module, through the calls that a reader makes


def our_dense(dataset, start):
    return lambda epochs: lh.train_ticket(dataset, start, None, lh.TrainConfig(epochs))


def our_masked(dataset, start):
    masks = random_masks(start)
    return lambda epochs: lh.train_ticket(dataset, start, masks, lh.TrainConfig(epochs))


def our_bayesian(dataset, start):
    return lambda epochs: lh.train_bayesian(dataset, lh.TrainConfig(epochs), initial=start)


def our_ivon(dataset, start, noise="normal"):
    return lambda epochs: lh.train_ivon(dataset, lh.TrainConfig(epochs), initial=start, noise=noise)


# --- Keras' own fit


def keras_run(network, dataset, **options):
    network.compile(tf_keras.optimizers.Adam(RATE), keras_loss(), metrics=["accuracy"], **options)
    train, validation, test = dataset.train, dataset.validation, dataset.test

    def run(epochs):
        network.fit(
            train.images, train.labels, BATCH, epochs, verbose=0, validation_batch_size=1000,
            validation_data=(validation.images, validation.labels),
        )  # fmt: skip
        network.evaluate(test.images, test.labels, 1000, verbose=0)

    return run


def plain_keras(start, conv=tf_keras.layers.Conv2D, dense=tf_keras.layers.Dense):
    """The network of Keras' own layers, from flat images."""
    layers = [tf_keras.layers.Reshape(start.convs[0].image)] if start.convs else []
    for one in start.convs:
        layers.append(conv(one.units, one.kernel, padding=one.padding, activation="relu"))
        layers += [tf_keras.layers.MaxPool2D(one.pool)] * (one.pool > 1)
    hidden = [dense(units, activation="relu") for units in start.sizes[1 + len(start.convs) : -1]]
    network = tf_keras.Sequential([*layers, tf_keras.layers.Flatten(), *hidden, dense(start.sizes[-1])])
    network.build([None, start.sizes[0]])
    return network


def keras_dense(dataset, start, **options):
    return keras_run(plain_keras(start), dataset, **options)


def keras_masked(dataset, start):
    network = build_network(MaskedDense, start.sizes)
    put_weights(network, start.means, start.biases, random_masks(start))
    return keras_run(network, dataset)


def tfp_network(dataset, start):
    """TFP's layers as its documentation has them, the KL divided by the number of images."""
    num_images = len(dataset.train.labels)
    kl = lambda q, p, _: tfp.distributions.kl_divergence(q, p) / num_images  # noqa: E731
    layers = (tfp.layers.Convolution2DFlipout, tfp.layers.DenseFlipout)
    return plain_keras(start, *(functools.partial(layer, kernel_divergence_fn=kl) for layer in layers))


def keras_bayesian(dataset, start):
    return keras_run(tfp_network(dataset, start), dataset)


# --- PyTorch


def torch_run(network, dataset, optimizer, kl=lambda: 0.0):
    import torch

    parts = (dataset.train, dataset.validation, dataset.test)
    train, validation, test = [
        (torch.tensor(s.images), torch.tensor(s.labels, dtype=torch.int64)) for s in parts
    ]
    cross_entropy = torch.nn.functional.cross_entropy

    def evaluate(images, labels):
        with torch.no_grad():
            logits = network(images)
            return cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()

    def run(epochs):
        for _ in range(epochs):
            sums = torch.zeros(2)
            order = torch.randperm(len(train[1]))
            for batch in order[: len(order) // BATCH * BATCH].view(-1, BATCH):
                x, y = train[0][batch], train[1][batch]
                optimizer.zero_grad()
                logits = network(x)
                loss = cross_entropy(logits, y)
                (loss + kl()).backward()
                optimizer.step()
                sums += torch.stack([loss.detach(), (logits.detach().argmax(1) == y).float().mean()])
            evaluate(*validation)
        evaluate(*test)

    return run


def torch_network(start, layer):
    import torch

    layers = [layer(*ends) for ends in zip(start.sizes, start.sizes[1:], strict=False)]
    hidden = [part for each in layers[:-1] for part in (each, torch.nn.ReLU())]
    return layers, torch.nn.Sequential(*hidden, layers[-1])


def torch_dense(dataset, start, *, masked=False, **adam):
    import torch
    import torch.nn.utils.prune

    layers, network = torch_network(start, torch.nn.Linear)
    if masked:
        for layer, mask in zip(layers, random_masks(start), strict=True):
            torch.nn.utils.prune.custom_from_mask(layer, "weight", torch.tensor(mask.T))
    return torch_run(network, dataset, torch.optim.Adam(network.parameters(), RATE, **adam))


def torch_bayesian(dataset, start, **adam):
    """bayesian-torch's layer; its KL is a mean over the layer's weights, so it is scaled back to a sum."""
    import torch
    from bayesian_torch.layers import LinearFlipout

    kls = []

    class Layer(LinearFlipout):
        def forward(self, x):
            output, kl = super().forward(x)
            kls.append(kl * self.mu_weight.numel())
            return output

    def take_kl():
        kl = sum(kls[-len(layers) :]) / len(dataset.train.labels)
        kls.clear()
        return kl

    layers, network = torch_network(start, Layer)
    return torch_run(network, dataset, torch.optim.Adam(network.parameters(), RATE, **adam), take_kl)


# --- the steps of our own way, one after the other


def with_trainer(trainer, dataset, prepare, *, kl_weight=0.0, jit=True):
    if not jit:
        trainer.run_steps = tf.function(trainer._run_steps)

    def run(epochs):
        prepare(trainer.network)
        train(trainer, dataset, lh.TrainConfig(epochs), kl_weight=kl_weight)
        trainer.evaluate(*dataset.test.tensors)

    return run


class MaskInForwardPass(Layer, tf_keras.layers.Dense):
    """As MaskedDense was before: a product with the mask in every forward pass."""

    def build(self, input_shape):
        super().build(input_shape)
        self.mask = self.add_weight("mask", self.kernel.shape, initializer="ones", trainable=False)

    mean_kernel = property(lambda self: self.kernel * self.mask)

    def call(self, inputs):
        return self.activation(tf.matmul(inputs, self.mean_kernel) + self.bias)


def dense_without_xla(dataset, start):
    return with_trainer(Trainer(MaskedDense, start.sizes), dataset, lambda network: None, jit=False)


def dense_mask_in_forward_pass(dataset, start):
    return with_trainer(Trainer(MaskInForwardPass, start.sizes), dataset, lambda network: None)


class TfpNoise(Flipout):
    """TFP's own draws, compiled by XLA with the rest."""

    def _apply_variational_kernel(self, inputs):
        return tfp.layers.DenseFlipout._apply_variational_kernel(self, inputs)


class PlainSoftplus(Flipout):
    """The gradient of softplus as TensorFlow derives it."""

    def scale(self):
        return EPSILON + tf.nn.softplus(self.rho)


class KlValue(PlainSoftplus):
    """The KL's value worked out in each step and not its gradient alone."""

    def build(self, input_shape):
        super().build(input_shape)
        self.value = self.add_weight("value", [], initializer="zeros", trainable=False)

    def kl(self):
        kl = super().kl()
        self.value.assign(kl)
        return kl


def bayesian_step(layer_class, dataset, start, *, jit=True):
    masks = [np.ones(m.shape, bool) for m in start.means]
    return with_trainer(
        Trainer(layer_class, start.sizes), dataset, lambda network: put_posterior(network, start, masks),
        kl_weight=1.0, jit=jit,
    )  # fmt: skip


# --- the floor


def products(dataset, start):
    """The matrix products of the same steps and evaluations, in batches as they lie, and nothing else."""
    (images, _), evaluated = dataset.train.tensors, [dataset.validation.tensors[0], dataset.test.tensors[0]]
    steps, layers = len(images) // BATCH, range(len(start.means))

    @tf.function(jit_compile=True)
    def epoch(images, kernels):
        step = tf.constant(0)
        while step < steps:
            values = [tf.slice(images, [step * BATCH, 0], [BATCH, images.shape[1]])]
            for kernel in kernels:
                values.append(values[-1] @ kernel)
            back, gradients = values.pop(), []
            for layer in reversed(layers):
                gradients.insert(0, tf.matmul(values[layer], back, transpose_a=True))
                if layer:
                    back = tf.matmul(back, kernels[layer], transpose_b=True)
            kernels = gradients  # so that nothing can be left out
            step += 1
        return kernels

    def chain(kernels, images):
        return functools.reduce(tf.matmul, kernels, images)

    # partial: else TensorFlow takes the many networks' functions for one that is traced again and again
    forward = tf.function(functools.partial(chain), jit_compile=True)

    def run(epochs):
        for _ in range(epochs):
            kernels = epoch(images, [tf.constant(m) for m in start.means])
            forward(kernels, evaluated[0])
        forward(kernels, evaluated[1])[0, 0].numpy()

    return run


def normals_by_numpy(dataset, start):
    """An epoch's normals by NumPy's fastest generator on two threads, each filling its own array."""
    steps, count = len(dataset.train.labels) // BATCH, sum(m.size for m in start.means) // 2
    generators = [np.random.Generator(np.random.SFC64(seed)) for seed in range(2)]
    arrays = [np.empty(count, np.float32) for _ in generators]

    def fill(generator, array):
        for _ in range(steps):
            generator.standard_normal(out=array, dtype=np.float32)

    def run(epochs):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for _ in range(epochs):
                list(pool.map(fill, generators, arrays))

    return run


def normals_in_xla(dataset, start):
    """An epoch's normals by this module's generator, written to memory."""
    steps, shapes = len(dataset.train.labels) // BATCH, [m.shape for m in start.means]

    @tf.function(jit_compile=True)
    def epoch(key):
        drawn, step = [tf.zeros(shape) for shape in shapes], tf.constant(0)
        while step < steps:
            drawn = [noise.standard_normal(shape, key, step, i) for i, shape in enumerate(shapes)]
            step += 1
        return drawn

    def run(epochs):
        for number in range(epochs):
            epoch(tf.constant([number, 0], tf.int64))[0][0, 0].numpy()

    return run
