"""The posterior over the weights: what it holds, how it is kept, and its way in and out of a network."""

import dataclasses
import functools
import json

import numpy as np
import pandas as pd
import tensorflow as tf

from lotteryhelpers.masks import Arrays
from lotteryhelpers.networks import EPSILON, Flipout, build_network
from lotteryhelpers.papers.convolutions import Conv, kernel_shapes, on_images
from lotteryhelpers.storage import InOneFile, PickledByFields


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior(InOneFile):
    """A mean-field Gaussian over the kernels, with point estimates for the biases.
    Each is a float32 array a layer: ``means`` and ``stddevs`` ``[inputs, units]``, ``biases`` ``[units]``. A
    deviation is at least 0, and 0 only where a mask pruned. ``convs``: the first layers, if convolutions."""

    means: Arrays
    stddevs: Arrays
    biases: Arrays
    convs: tuple = ()

    def __post_init__(self):
        for name in ("means", "stddevs", "biases"):
            arrays = tuple(np.array(a, np.float32) for a in getattr(self, name))  # copies: nobody else's
            if not all(np.isfinite(a).all() for a in arrays):
                raise ValueError(f"{name} holds values that are not finite")
            object.__setattr__(self, name, arrays)
        object.__setattr__(self, "convs", convs := tuple(self.convs))
        good = all(isinstance(conv, Conv) for conv in convs)
        if not good or (convs and on_images((convs[0].image, *convs, 1))[1:-1] != convs):
            raise ValueError(f"convs={convs} must be Convs, the image of each what the one before gives")
        shapes = [m.shape for m in self.means]
        if not shapes or any(len(s) != 2 for s in shapes):
            raise ValueError(f"means have shapes {shapes}; each layer's must be [inputs, units]")
        if [s.shape for s in self.stddevs] != shapes:
            raise ValueError(f"stddevs have shapes {[s.shape for s in self.stddevs]}, the means {shapes}")
        if [b.shape for b in self.biases] != [s[1:] for s in shapes]:
            raise ValueError(f"biases have shapes {[b.shape for b in self.biases]} for kernels {shapes}")
        if shapes != kernel_shapes(self.sizes):
            raise ValueError(f"means have shapes {shapes}: a layer's units must be the next one's inputs; "
                             f"with convs={convs} they must be {kernel_shapes(self.sizes)}")  # fmt: skip
        if any((s < 0).any() for s in self.stddevs):
            raise ValueError("stddevs holds negative values; a standard deviation is at least 0")

    @functools.cached_property
    def variances(self):
        """Squared standard deviations, one array a layer."""
        return tuple(s**2 for s in self.stddevs)

    @property
    def sizes(self):
        """(inputs, hidden units ..., classes), with a Conv for a convolution."""
        inputs = int(np.prod(self.convs[0].image)) if self.convs else len(self.means[0])
        return inputs, *self.convs, *(m.shape[1] for m in self.means[len(self.convs) :])

    def to_arrays(self, part=""):
        """A flat dict of arrays, for an npz file; ``part`` is before their names."""
        names, convs = ("means", "stddevs", "biases"), [vars(conv) for conv in self.convs]
        arrays = {f"{part}{name}_{i}": a for name in names for i, a in enumerate(getattr(self, name))}
        return arrays | ({f"{part}convs": np.array(json.dumps(convs))} if convs else {})

    @classmethod
    def from_arrays(cls, arrays, part=""):
        """The inverse of :meth:`to_arrays`."""
        layers = range(sum(name.startswith(f"{part}means_") for name in arrays))
        parts = [[arrays[f"{part}{n}_{i}"] for i in layers] for n in ("means", "stddevs", "biases")]
        convs = json.loads(str(arrays.get(f"{part}convs", "[]")))
        return cls(*parts, tuple(Conv(**conv) for conv in convs))


@dataclasses.dataclass(frozen=True, eq=False)
class BayesianRun(InOneFile, PickledByFields):
    """What :func:`train_bayesian` gives: the Posterior before the first step, and at the end.
    ``snapshots`` is a dict from epoch (as it was asked for) to Posterior; ``history``, a row an evaluation,
    is that of :func:`lotteryhelpers.training.train`, with the accuracies of the posterior means."""

    initial: Posterior
    final: Posterior
    snapshots: dict
    history: pd.DataFrame

    masks = property(lambda self: tuple(s > 0 for s in self.final.stddevs),
                     doc="What the masks of the training kept.")  # fmt: skip

    @functools.cached_property
    def network(self):
        """A ``tf_keras`` model of Flipout layers at the final posterior: each call is a new draw."""
        with tf.init_scope():  # first asked for inside a tf.function, it must not become a part of that
            network = build_network(Flipout, self.final.sizes)
            put_posterior(network, self.final, self.masks)
        return network

    def to_arrays(self):
        """A flat dict of arrays, for an npz file."""
        arrays = self.initial.to_arrays("initial/") | self.final.to_arrays("final/")
        for i, posterior in enumerate(self.snapshots.values()):
            arrays |= posterior.to_arrays(f"at{i}/")
        arrays["epochs"] = np.array(list(self.snapshots), np.float64)
        return arrays | {"history": np.array(json.dumps(self.history.to_dict("list")))}  # with every digit

    @classmethod
    def from_arrays(cls, arrays):
        """The inverse of :meth:`to_arrays`."""
        part = functools.partial(Posterior.from_arrays, arrays)
        epochs = [int(e) if e == int(e) else float(e) for e in arrays["epochs"]]
        snapshots = {epoch: part(f"at{i}/") for i, epoch in enumerate(epochs)}
        history = pd.DataFrame(json.loads(str(arrays["history"])))
        return cls(part("initial/"), part("final/"), snapshots, history)


def put_posterior(network, posterior, masks, *, prior_stddev=1.0, seed=0):
    """Set a Flipout network's variables; pruned weights may have any value behind their mask."""
    parts = zip(network.layers, posterior.means, posterior.stddevs, posterior.biases, masks, strict=True)
    for number, (layer, mean, stddev, bias, mask) in enumerate(parts):
        scale = np.maximum(np.where(mask, stddev, 0.05).astype(np.float64) - EPSILON, 1e-12)
        layer.loc.assign(np.where(mask, mean, 0))
        layer.rho.assign(scale + np.log(-np.expm1(-scale)))  # softplus backwards, for any size
        layer.bias.assign(bias)
        layer.mask.assign(mask)
        layer.prior_stddev.assign(prior_stddev)
        layer.key.assign([seed, number])
        layer.calls.assign(0)


def take_posterior(network):
    """The Posterior that a Bayesian network's variables hold; zero where pruned."""
    layers = network.layers
    means, biases = [layer.mean_kernel.numpy() for layer in layers], [layer.bias.numpy() for layer in layers]
    stddevs = [(layer.scale() * layer.mask).numpy() for layer in layers]
    return Posterior(means, stddevs, biases, tuple(n.conv for n in layers if n.conv))
