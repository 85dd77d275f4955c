"""The training of the Bayesian network, and the call that keeps its result on disk."""

import numpy as np

from lotteryhelpers.data import Dataset
from lotteryhelpers.masks import Arrays, check_masks, check_one_of
from lotteryhelpers.networks import EPSILON, ESTIMATORS
from lotteryhelpers.papers.convolutions import Conv, kernel_shapes, on_images
from lotteryhelpers.posterior import BayesianRun, Posterior, put_posterior, take_posterior
from lotteryhelpers.storage import cache_folder, keep_if_possible, kept, key_of
from lotteryhelpers.training import TrainConfig, as_tuple, check_positive, is_integer, train, trainer_for

INITIALIZERS = ("normal", "glorot")


def draw_initial(sizes: tuple, seed: int, initializer: str = "normal") -> Posterior:
    """A start for ``sizes`` (inputs, hidden units ..., classes), or (image shape, Conv ..., hidden units ...,
    classes): every layer from its own seeded generator. The initializer ``"normal"`` is TFP's own: means and
    biases N(0, 0.1^2), deviations softplus(rho) with rho ~ N(-3, 0.1^2). ``"glorot"``: means normal with
    variance 2 / (inputs + units), a convolution's units times its kernel's pixels (Glorot & Bengio 2010, eq.
    12), biases zero, the deviations as before."""
    check_one_of("initializer", initializer, INITIALIZERS)
    sizes, means, stddevs, biases = on_images(sizes), [], [], []
    for layer, (inputs, units) in enumerate(kernel_shapes(sizes)):
        rng, conv = np.random.default_rng([seed, layer, 2]), sizes[layer + 1]
        outputs = conv.kernel**2 * units if isinstance(conv, Conv) else units
        spread = 0.1 if initializer == "normal" else np.sqrt(2 / (inputs + outputs))
        means.append(rng.normal(0, spread, (inputs, units)))
        stddevs.append(np.logaddexp(0, rng.normal(-3, 0.1, (inputs, units))))
        biases.append(rng.normal(0, 0.1, units) if initializer == "normal" else np.zeros(units))
    return Posterior(means, stddevs, biases, tuple(size for size in sizes if isinstance(size, Conv)))


def train_bayesian(
    dataset: Dataset, config: TrainConfig, *, initial: Posterior | None = None, prior_stddev: float = 1.0,
    kl_weight: float = 1.0, initializer: str = "normal", hidden: tuple = (300, 100), snapshots: tuple = (),
    masks: Arrays | None = None, estimator: str = "flipout") -> BayesianRun:  # fmt: skip
    """Fit a Gaussian to every weight by maximising the ELBO; the result is a :class:`BayesianRun`.
    The loss is NLL + kl_weight * KL / N, N the number of training images: 1 is the ELBO (Blundell et al.
    2015, eq. 2), 0 leaves the prior out. A ValueError names a bad argument, a FloatingPointError a bad step.

    Args:
        initial: the Posterior to start from; None draws one, see :func:`draw_initial`.
        prior_stddev: standard deviation of every kept weight's N(0, .) prior.
        initializer, hidden: of a drawn start: ``"normal"`` or ``"glorot"``; units, convolutions before them.
        masks: bool ``[inputs, units]`` a layer, True = kept; what is pruned is zero, and not in the KL.
        estimator: of the gradient: ``"flipout"`` (Wen et al. 2018, eq. 4), ``"local"`` (reparameterisation,
            Kingma et al. 2015) or ``"shared"`` (one draw of the weights a batch, Blundell et al. 2015).
        snapshots: epochs (0 and fractions too) after which to keep the Posterior."""
    check_positive("prior_stddev", prior_stddev)
    check_positive("kl_weight", kl_weight, or_zero=True)
    check_one_of("estimator", estimator, ESTIMATORS)
    initial, masks = begin(dataset, config, initial, initializer, hidden, masks)
    trainer = trainer_for(ESTIMATORS[estimator], initial.sizes)
    with trainer.lock:
        put_posterior(trainer.network, initial, masks, prior_stddev=prior_stddev, seed=config.seed)
        return fit(trainer, initial, dataset, config, snapshots, kl_weight=kl_weight)


def begin(dataset, config, initial, initializer, hidden, masks):
    """The start, given or drawn, under the masks, and these; a ValueError names what can't be trained."""
    hidden = as_tuple("hidden", hidden)
    if initial is None:
        if not hidden or not all(isinstance(n, Conv) or is_integer(n, 1, 10**5) for n in hidden):
            raise ValueError(f"hidden={hidden!r} must be a tuple of unit counts from 1 to 100,000, or Convs")
        initial = draw_initial((dataset.image_shape, *hidden, dataset.num_classes), config.seed, initializer)
    check_fits(initial, dataset)
    masks = check_masks(masks, initial.means, for_training=True)
    means, stddevs = ([np.where(m, w, 0) for m, w in zip(masks, part, strict=True)]
                      for part in (initial.means, initial.stddevs))  # fmt: skip
    if any((s[m] <= EPSILON).any() for s, m in zip(stddevs, masks, strict=True)):
        raise ValueError("initial.stddevs holds zeros where the masks keep; training needs all above 0")
    return Posterior(means, stddevs, initial.biases, initial.convs), masks


def fit(trainer, initial, dataset, config, snapshots, label="Bayesian network", **how):
    """Train what was put into the trainer's network, whose lock the caller holds: a :class:`BayesianRun`."""
    how |= {"start": initial, "take": lambda: take_posterior(trainer.network), "label": label}
    parts = train(trainer, dataset, config, snapshots=snapshots, **how)
    return BayesianRun(initial, take_posterior(trainer.network), *parts)


def check_fits(initial, dataset):
    """Raise unless the posterior's network reads this dataset's images and tells its classes."""
    if not isinstance(initial, Posterior):
        raise ValueError(f"initial is a {type(initial).__name__}; it must be a Posterior such as run.initial")
    ends, needed = (initial.sizes[0], initial.sizes[-1]), (dataset.train.images.shape[1], dataset.num_classes)
    if initial.convs:
        ends, needed = (*ends, initial.convs[0].image), (*needed, (*dataset.image_shape, 1)[:3])
    if ends != needed:
        raise ValueError(f"initial has {ends} (inputs, classes), but {dataset.name} needs {needed}")


def load_or_train_bayesian(dataset: Dataset, config: TrainConfig, **options) -> BayesianRun:
    """``train_bayesian(dataset, config, **options)``, or what it gave when it was last asked the same.
    A result is kept in :func:`cache_folder` under a hash of the dataset's contents, what was asked, this
    package and the versions. A damaged file, or a folder that can't be written to, is reported, no more."""
    for name in {"hidden", "snapshots"} & set(options):
        options[name] = as_tuple(name, options[name])
    key = key_of(config=config, options=options, data=dataset.fingerprint)
    path = cache_folder() / f"bayesian-{dataset.name}-{key}.npz"
    if not (run := kept(BayesianRun.load, path)):
        run = train_bayesian(dataset, config, **options)
        keep_if_possible(run.save, path)
    return run
