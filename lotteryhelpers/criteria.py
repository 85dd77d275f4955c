"""Which weights to keep: criteria, and the controls that take their credit away. Higher score = keep."""

import functools

import numpy as np
import tensorflow as tf

from lotteryhelpers.masks import keep_counts, keep_fraction, variance_masks, variance_quantile
from lotteryhelpers.networks import logits


class _Criteria(dict):
    """Name -> function(run, *, dataset=None, dense=None, rng=None, prior_stddev=1.0) -> scores."""

    def __getitem__(self, name):
        if not isinstance(name, str) or name not in self:
            raise ValueError(f"criterion {name!r} is unknown; there are {', '.join(sorted(self))}")
        return super().__getitem__(name)


#: run: a ``BayesianRun``, or a ``TicketRun`` where no deviation is needed (mu is then the weight); dataset:
#: a ``Dataset``; dense: the ``TicketRun`` of the dense network trained from run.initial; rng: a NumPy
#: Generator; prior_stddev: what the run was trained with. A criterion ignores what it doesn't need and
#: raises a ValueError for what it misses. Scores are a tuple of float arrays ``[inputs, units]``; what the
#: run's masks pruned has the score -inf. A reader's own criterion, ``CRITERIA["mine"] = function``, works
#: everywhere that a name does.
CRITERIA = _Criteria()


def _criterion(function):
    @functools.wraps(function)
    def scored(run, **extras):
        scores = function(run, **extras)
        return tuple(np.where(m, s, -np.inf) for m, s in zip(run.masks, scores, strict=True))

    CRITERIA[function.__name__.lstrip("_")] = scored
    return scored


def _need(criterion, name, value):
    if value is None:
        raise ValueError(f"criterion {criterion!r} needs {name}=, which is None")
    return value


def _each(formula, *layered):
    """The formula's array for each layer."""
    with np.errstate(divide="ignore", invalid="ignore"):  # deviations of 0 are replaced by the caller
        return [formula(*arrays) for arrays in zip(*layered, strict=True)]


def _stddevs(posterior):
    """The deviations; a ValueError for a deterministic network, where all would tie."""
    if not any(s.any() for s in posterior.stddevs):
        raise ValueError(
            "this criterion reads posterior deviations, and a deterministic network has none (in a pruning "
            "loop, bayesian=TrainConfig(...) trains a posterior)"
        )
    return posterior.stddevs


@_criterion
def _variance(run, **_):
    """-sigma^2 of the final posterior: low variance = keep (the blog post's criterion)."""
    return _each(lambda s: -(s**2), _stddevs(run.final))


@_criterion
def _snr(run, **_):
    """|mu| / sigma of the final posterior (Blundell et al. 2015, section 5.1: signal-to-noise ratio)."""
    return _each(lambda m, s: abs(m) / s, run.final.means, _stddevs(run.final))


@_criterion
def _magnitude(run, **_):
    """|mu| of the final posterior (as Han et al. 2015 prune a deterministic network)."""
    return _each(abs, run.final.means)


@_criterion
def _dense_magnitude(run, *, dense=None, **_):
    """|w| of the dense network trained from the same start (Frankle & Carbin 2019, section 2, one-shot).

    Nothing moves the weights of dead pixels there, so they keep the size of their start.
    """
    return _each(abs, _need("dense_magnitude", "dense", dense).weights)


@_criterion
def _movement(run, **_):
    """|mu_final - mu_initial| ("movement" in Zhou et al. 2019)."""
    return _each(lambda f, i: abs(f - i), run.final.means, run.initial.means)


@_criterion
def _rms(run, **_):
    """sqrt(mu^2 + sigma^2), the root of the weight's mean square under the posterior (Kuhn et al. 2026)."""
    return _each(np.hypot, run.final.means, _stddevs(run.final))


@_criterion
def _log_alpha(run, **_):
    """-log alpha, alpha = sigma^2 / mu^2: a low dropout rate = keep (Molchanov et al. 2017).

    It is 2 log(snr), so it ranks as snr does.
    """
    return _each(lambda m, s: 2 * (np.log(abs(m)) - np.log(s)), run.final.means, _stddevs(run.final))


@_criterion
def _kl(run, *, prior_stddev=1.0, **_):
    """KL(N(mu, sigma^2) || N(0, prior_stddev^2)) of each weight, in nats: what the data changed."""
    return _each(
        lambda m, s: np.log(prior_stddev / s) + (s**2 + m**2) / (2 * prior_stddev**2) - 0.5,
        run.final.means, _stddevs(run.final),
    )  # fmt: skip


@_criterion
def _snip(run, *, dataset=None, **_):
    """|w dL/dw| at the initial means, L the loss of all training images (Lee et al. 2019, eq. 5,
    without its division by the sum)."""
    images, labels = _need("snip", "dataset", dataset).train.tensors
    weights = [tf.constant(m) for m in run.initial.means]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        outputs = logits(weights, run.initial.biases, images)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))
    gradients = [g.numpy() for g in tape.gradient(loss, weights)]
    return _each(lambda w, g: abs(w * g), run.initial.means, gradients)


@_criterion
def _random(run, *, rng=None, **_):
    """Control: chance, uniform numbers from ``rng``."""
    return _each(lambda m: _need("random", "rng", rng).random(m.shape), run.final.means)


@_criterion
def _random_live(run, *, dataset=None, rng=None, **_):
    """Control: chance, but the weights of pixels that no training image lights come last."""
    live = _need("random_live", "dataset", dataset).train.images.max(axis=0) > 0
    scores = _random(run, rng=_need("random_live", "rng", rng))
    return scores[0] + live[:, None], *(s + 1 for s in scores[1:])


@_criterion
def _inverted(run, **_):
    """Control: sigma^2 of the final posterior, the variance's order turned round."""
    return _each(np.square, _stddevs(run.final))


@_criterion
def _shuffled(run, *, rng=None, **_):
    """Control: the variance's scores shuffled within each layer, so that only their distribution is left.

    With a count for each layer that is chance; ranked over all layers it is chance with the counts that
    one variance threshold gives.
    """
    rng, scores = _need("shuffled", "rng", rng), _each(lambda s: -(s**2), _stddevs(run.final))
    for score, mask in zip(scores, run.masks, strict=True):
        score[mask] = rng.permutation(score[mask])  # what an earlier mask pruned has no part
    return scores


@_criterion
def _untrained(run, **_):
    """Control: -sigma^2 of the posterior before the first step."""
    return _each(lambda s: -(s**2), _stddevs(run.initial))


@_criterion
def _small_final(run, **_):
    """Control: -|mu| of the final weights, the magnitude's order turned round (Zhou et al. 2019)."""
    return _each(lambda m: -abs(m), run.final.means)


@_criterion
def _large_init(run, **_):
    """|mu| of the start: large weights before any training (Zhou et al. 2019)."""
    return _each(abs, run.initial.means)


@_criterion
def _magnitude_increase(run, **_):
    """|mu_final| - |mu_initial|: what moved away from zero (Zhou et al. 2019)."""
    return _each(lambda f, i: abs(f) - abs(i), run.final.means, run.initial.means)


def _same_sign(name):
    """The criterion ``name``, but weights whose sign is no longer the initial one come after all others.

    Zhou et al. 2019 (section 2) give those the score 0, which for magnitude_increase is better than that of a
    weight that shrank; here they come last by any criterion, in their own order.
    """

    def scored(run, **extras):
        scores = [s.astype(np.float64) for s in CRITERIA[name](run, **extras)]
        finite = np.concatenate([s[np.isfinite(s)] for s in scores])
        reach = np.ptp(finite) + 1 if finite.size else 1.0  # one for all layers: they may be ranked together
        return _each(
            lambda s, a, b: np.where(np.sign(a) == np.sign(b), s, s - reach),
            scores, run.initial.means, run.final.means,
        )  # fmt: skip

    scored.__name__ = f"_{name}_same_sign"
    _criterion(scored)


CRITERIA["large_final"] = CRITERIA["magnitude"]  # Zhou et al.'s name for it
for _name in ("large_final", "magnitude_increase", "variance", "snr"):
    _same_sign(_name)

#: What this file defines; anything else in CRITERIA is a reader's own.
OURS = dict(CRITERIA)
#: How :func:`masks_for` shares the weights out among the layers.
SCOPES = ("layer", "uniform", "global", "variance")


def masks_for(run, criterion, density, *, scope="layer", **extras):
    """Score by a criterion and keep the best fraction ``density``.

    Args:
        run: a ``BayesianRun``.
        criterion: a name in ``CRITERIA``.
        density: above 0, at most 1.
        scope: ``"layer"``: in each layer, the output layer by the half-rate rule; ``"uniform"``: in each
            layer, the output layer too; ``"global"``: all layers ranked together; ``"variance"``: as many in
            each layer as one variance threshold for the whole network keeps.
        **extras: what the criterion needs: dataset, dense, rng, prior_stddev.

    Raises:
        ValueError: names the argument; also when a layer would be left empty.
    """
    if scope not in SCOPES:
        raise ValueError(f"scope={scope!r} must be one of {', '.join(SCOPES)}")
    scores = CRITERIA[criterion](run, **extras)
    if scope == "variance":
        _stddevs(run.final)
        budget = variance_masks(run.final, variance_quantile(run.final, density))
        return keep_counts(scores, [int(m.sum()) for m in budget])
    if scope == "uniform":
        return keep_fraction(scores, density, output_density=density)
    return keep_fraction(scores, density, scope=scope)
