"""The posterior over the weights, and the training of the Bayesian network that finds it."""

import dataclasses
import functools
import json

import numpy as np
import pandas as pd
import tensorflow as tf

from lotteryhelpers.masks import check_masks
from lotteryhelpers.networks import EPSILON, Flipout, build_network
from lotteryhelpers.storage import read_npz, write_atomically
from lotteryhelpers.training import check_positive, train, trainer_for


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """A mean-field Gaussian over the kernels, with point estimates for the biases.

    Attributes:
        means: a float32 ``[inputs, units]`` array a layer.
        stddevs: the same shapes, not negative; zero only where a mask pruned.
        biases: a float32 ``[units]`` array a layer.
    """

    means: tuple
    stddevs: tuple
    biases: tuple

    def __post_init__(self):
        """Take float32 arrays of matching shapes and nothing else."""
        for name in ("means", "stddevs", "biases"):
            arrays = tuple(np.asarray(a, np.float32) for a in getattr(self, name))
            if not all(np.isfinite(a).all() for a in arrays):
                raise ValueError(f"{name} holds values that are not finite")
            object.__setattr__(self, name, arrays)
        shapes = [m.shape for m in self.means]
        if not shapes or any(len(s) != 2 for s in shapes):
            raise ValueError(f"means have shapes {shapes}; each layer's must be [inputs, units]")
        if [s.shape for s in self.stddevs] != shapes:
            raise ValueError(f"stddevs have shapes {[s.shape for s in self.stddevs]}, the means {shapes}")
        if [b.shape for b in self.biases] != [s[1:] for s in shapes]:
            raise ValueError(f"biases have shapes {[b.shape for b in self.biases]} for kernels {shapes}")
        if any(a[1] != b[0] for a, b in zip(shapes, shapes[1:], strict=False)):
            raise ValueError(f"means have shapes {shapes}: a layer's units must be the next one's inputs")
        if any((s < 0).any() for s in self.stddevs):
            raise ValueError("stddevs holds negative values; a standard deviation is at least 0")

    @functools.cached_property
    def variances(self):
        """Squared standard deviations, one array a layer."""
        return tuple(s**2 for s in self.stddevs)

    @property
    def sizes(self):
        """(inputs, hidden units ..., classes)."""
        return (self.means[0].shape[0], *(m.shape[1] for m in self.means))

    def to_arrays(self):
        """A flat dict of arrays, for an npz file."""
        fields = dataclasses.asdict(self)
        return {f"{name}_{i}": array for name, arrays in fields.items() for i, array in enumerate(arrays)}

    @classmethod
    def from_arrays(cls, arrays):
        """The inverse of :meth:`to_arrays`."""
        layers = range(sum(name.startswith("means_") for name in arrays))
        names = {f"{field.name}_{i}" for field in dataclasses.fields(cls) for i in layers}
        if not layers or names != set(arrays):
            raise ValueError(f"these are not a posterior's arrays: {sorted(arrays)}")
        return cls(*(tuple(arrays[f"{f.name}_{i}"] for i in layers) for f in dataclasses.fields(cls)))

    def save(self, path):
        """Write an npz file, whole or not at all."""
        write_atomically(path, self.to_arrays())

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; a ValueError says what is wrong with another file."""
        return read_npz(path, cls.from_arrays)


@dataclasses.dataclass(frozen=True, eq=False)
class BayesianRun:
    """What :func:`train_bayesian` gives.

    Attributes:
        initial: the Posterior before the first step.
        final: the Posterior at the end.
        snapshots: dict from epoch (as it was asked for) to Posterior.
        history: a row an evaluation, see :func:`lotteryhelpers.training.train`; accuracies are those
            of the posterior means.
    """

    initial: Posterior
    final: Posterior
    snapshots: dict
    history: pd.DataFrame

    @functools.cached_property
    def network(self):
        """A ``tf_keras`` model of Flipout layers at the final posterior: each call is a new draw."""
        with tf.init_scope():  # first asked for inside a tf.function, it must not become a part of that
            network = build_network(Flipout, self.final.sizes)
            put_posterior(network, self.final, tuple(s > 0 for s in self.final.stddevs))
        return network

    def save(self, path):
        """Write one npz file, whole or not at all."""
        parts = {"initial": self.initial, "final": self.final}
        parts |= {f"at{i}": posterior for i, posterior in enumerate(self.snapshots.values())}
        arrays = {f"{part}/{k}": a for part, p in parts.items() for k, a in p.to_arrays().items()}
        arrays["epochs"] = np.array(list(self.snapshots), np.float64)
        text = json.dumps(self.history.to_dict("list"))  # JSON keeps every digit of a float
        write_atomically(path, arrays | {"history": np.array(text)})

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; a ValueError says what is wrong with another file."""

        def build(arrays):
            def part(name):
                mine = {k.split("/", 1)[1]: a for k, a in arrays.items() if k.startswith(f"{name}/")}
                return Posterior.from_arrays(mine)

            epochs = [int(e) if e == int(e) else float(e) for e in arrays["epochs"]]
            snapshots = {epoch: part(f"at{i}") for i, epoch in enumerate(epochs)}
            history = pd.DataFrame(json.loads(str(arrays["history"])))
            return cls(part("initial"), part("final"), snapshots, history)

        return read_npz(path, build)


def draw_initial(sizes, seed, initializer="normal"):
    """A start for training: every layer, kernels and biases, from its own seeded generator.

    Args:
        sizes: (inputs, hidden units ..., classes).
        seed: int of at least 0.
        initializer: ``"normal"``, TFP's own: means and biases N(0, 0.1^2), deviations softplus(rho) with
            rho ~ N(-3, 0.1^2); or ``"glorot"``: means normal with variance 2 / (inputs + units) (Glorot &
            Bengio 2010, eq. 12), biases zero, the deviations as before.
    """
    if initializer not in ("normal", "glorot"):
        raise ValueError(f"initializer={initializer!r} must be 'normal' or 'glorot'")
    means, stddevs, biases = [], [], []
    for layer, (inputs, units) in enumerate(zip(sizes, sizes[1:], strict=False)):
        rng = np.random.default_rng([seed, layer, 2])
        spread = 0.1 if initializer == "normal" else np.sqrt(2 / (inputs + units))
        means.append(rng.normal(0, spread, (inputs, units)))
        stddevs.append(np.logaddexp(0, rng.normal(-3, 0.1, (inputs, units))))
        biases.append(rng.normal(0, 0.1, units) if initializer == "normal" else np.zeros(units))
    return Posterior(means, stddevs, biases)


def put_posterior(network, posterior, masks, *, prior_stddev=1.0, seed=0):
    """Set a Flipout network's variables; pruned weights may have any value behind their mask."""
    parts = zip(network.layers, posterior.means, posterior.stddevs, posterior.biases, masks, strict=True)
    for number, (layer, mean, stddev, bias, mask) in enumerate(parts):
        scale = np.where(mask, stddev, 0.05).astype(np.float64) - EPSILON
        layer.loc.assign(np.where(mask, mean, 0))
        layer.rho.assign(np.log(np.expm1(scale)))
        layer.bias.assign(bias)
        layer.mask.assign(mask)
        layer.prior_stddev.assign(prior_stddev)
        layer.key.assign([seed, number])
        layer.calls.assign(0)


def _take_posterior(network):
    layers = [layer.kernel_posterior.distribution for layer in network.layers]
    return Posterior(
        [tf.convert_to_tensor(layer.loc).numpy() for layer in layers],
        [tf.convert_to_tensor(layer.scale).numpy() for layer in layers],
        [layer.bias.numpy() for layer in network.layers],
    )


def train_bayesian(
    dataset, config, *, initial=None, prior_stddev=1.0, kl_weight=1.0, initializer="normal",
    hidden=(300, 100), masks=None, snapshots=(),
):  # fmt: skip
    """Fit a Gaussian to every weight by maximising the ELBO with Flipout gradients.

    The loss is NLL + kl_weight * KL / N, N the number of training images (Blundell et al. 2015, eq. 2;
    gradients by Wen et al. 2018, eq. 4).

    Args:
        dataset: a ``Dataset``.
        config: a ``TrainConfig``.
        initial: the Posterior to start from; None draws one, see :func:`draw_initial`.
        prior_stddev: standard deviation of every kept weight's N(0, .) prior.
        kl_weight: 1 is the ELBO; 0 leaves the prior out.
        initializer: ``"normal"`` or ``"glorot"``; not used when ``initial`` is given.
        hidden: the hidden layers' units; not used when ``initial`` is given.
        masks: bool ``[inputs, units]`` a layer, True = kept; pruned weights are zero, in mean and
            deviation, and have no part in the KL.
        snapshots: epochs (0 and fractions too) after which to keep the Posterior.

    Returns:
        A :class:`BayesianRun`.

    Raises:
        ValueError: names the argument, its value and what would be right.
        FloatingPointError: the loss is not finite; says at which step.
    """
    check_positive("prior_stddev", prior_stddev)
    check_positive("kl_weight", kl_weight, or_zero=True)
    inputs, classes = dataset.train.images.shape[1], dataset.num_classes
    if initial is None:
        if not hidden or not all(isinstance(n, int | np.integer) and n > 0 for n in hidden):
            raise ValueError(f"hidden={hidden!r} must be a tuple of unit counts above 0, such as (300, 100)")
        initial = draw_initial((inputs, *hidden, classes), config.seed, initializer)
    check_fits(initial, dataset)
    masks = check_masks(masks, initial.means)
    initial = Posterior(
        [np.where(m, a, 0) for m, a in zip(masks, initial.means, strict=True)],
        [np.where(m, a, 0) for m, a in zip(masks, initial.stddevs, strict=True)],
        initial.biases,
    )
    if any((s[m] <= EPSILON).any() for s, m in zip(initial.stddevs, masks, strict=True)):
        raise ValueError("initial.stddevs holds zeros where the masks keep; training needs all above 0")
    steps_per_epoch = len(dataset.train.labels) // config.batch_size
    wanted = {}
    for epoch in snapshots:
        check_positive("snapshots", epoch, or_zero=True)
        if epoch > config.epochs:
            raise ValueError(f"snapshots has epoch {epoch}, but the training ends after {config.epochs}")
        wanted.setdefault(round(epoch * steps_per_epoch), []).append(epoch)

    kept = {}
    trainer = trainer_for(Flipout, initial.sizes)
    with trainer.lock:
        network = trainer.network
        put_posterior(network, initial, masks, prior_stddev=prior_stddev, seed=config.seed)

        def watch(step, validation_loss):
            if validation_loss is None:
                posterior = _take_posterior(network) if step else initial
                kept.update(dict.fromkeys(wanted[step], posterior))

        history = train(
            trainer, dataset, config, kl_weight=kl_weight, watch=watch, watch_steps=set(wanted),
            label="Bayesian network",
        )  # fmt: skip
        final = _take_posterior(network)
    return BayesianRun(initial, final, {epoch: kept[epoch] for epoch in snapshots}, history)


def check_fits(initial, dataset):
    """Raise unless the posterior's network reads this dataset's images and tells its classes."""
    if not isinstance(initial, Posterior):
        raise ValueError(
            f"initial is a {type(initial).__name__}; it must be a Posterior, such as run.initial"
        )
    ends, needed = (initial.sizes[0], initial.sizes[-1]), (dataset.train.images.shape[1], dataset.num_classes)
    if ends != needed:
        raise ValueError(f"initial has {ends} (inputs, classes), but {dataset.name} needs {needed}")
