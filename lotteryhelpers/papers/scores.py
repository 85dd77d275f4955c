"""The criteria of other papers, and the controls: each enters ``CRITERIA`` when it is defined."""

import functools

import numpy as np
import tensorflow as tf

from lotteryhelpers.criteria import CRITERIA, criterion, each, formula, stddevs
from lotteryhelpers.networks import logits

formula("movement", '|mu_final - mu_initial| ("movement" in Zhou et al. 2019).',
        lambda run, **_: each(lambda f, i: abs(f - i), run.final.means, run.initial.means))
formula("magnitude_increase", "|mu_final| - |mu_initial|: what moved away from zero (Zhou et al. 2019).",
        lambda run, **_: each(lambda f, i: abs(f) - abs(i), run.final.means, run.initial.means))
formula("large_init", "|mu| of the start: large weights before any training (Zhou et al. 2019).",
        lambda run, **_: each(abs, run.initial.means))
formula("small_final", "Control: -|mu|, the magnitude's order turned round (Zhou et al. 2019).",
        lambda run, **_: each(lambda m: -abs(m), run.final.means))
formula("untrained", "Control: -sigma^2 of the posterior before the first step.",
        lambda run, **_: each(lambda s: -(s**2), stddevs(run.initial)))
formula("rms", "sqrt(mu^2 + sigma^2), a weight's root mean square under the posterior (Kuhn et al. 2026).",
        lambda run, **_: each(np.hypot, run.final.means, stddevs(run.final)))
formula("log_alpha", "-log(sigma^2 / mu^2): a low dropout rate = keep (Molchanov et al. 2017). As snr.",
        lambda run, **_: each(lambda m, s: 2 * np.log(abs(m) / s), run.final.means, stddevs(run.final)))
formula("kl", "KL(N(mu, sigma^2) || N(0, prior_stddev^2)) of a weight, in nats: what the data changed.",
        lambda run, *, prior_stddev=1.0, **_: each(lambda m, s: np.log(prior_stddev / s)
            + (s**2 + m**2) / (2 * prior_stddev**2) - 0.5, run.final.means, stddevs(run.final)))  # fmt: skip


@criterion
def _snip(run, *, dataset, **_):
    """|w dL/dw| at the initial means, L the loss of all images (Lee et al. 2019, eq. 5, undivided)."""
    weights = [tf.Variable(m) for m in run.initial.means]
    train, gradients = dataset.train, [np.zeros_like(m) for m in run.initial.means]
    parts = 11 if run.initial.convs else 1  # all images' activations of LeNet-5 would take gigabytes
    for images, labels in zip(*(np.array_split(a, parts) for a in (train.images, train.labels)), strict=True):
        with tf.GradientTape() as tape:
            outputs = logits(weights, run.initial.biases, images, run.initial.convs)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))
        share, new = np.float32(len(labels) / len(train.labels)), tape.gradient(loss, weights)
        gradients = [g + share * n.numpy() for g, n in zip(gradients, new, strict=True)]
    return each(lambda w, g: abs(w * g), run.initial.means, gradients)


def check_pixels(run):
    """Raise a ValueError if the first layer is a convolution."""
    if run.final.convs:
        raise ValueError("this criterion looks at pixels, and a convolution's weights belong to none")


@criterion
def _random_live(run, *, dataset, rng, **_):
    """Control: chance, but the weights of pixels that no training image lights come last."""
    check_pixels(run)
    first, *rest = CRITERIA["random"](run, rng=rng)
    return np.where(dataset.train.images.max(axis=0)[:, None] > 0, first, first - 1e3), *rest


@criterion
def _shuffled_rows(run, *, rng, **_):
    """Control: the variance's order shuffled in each row: as many an input, by chance."""
    scores = each(lambda s: rng.permuted(-s, axis=1), stddevs(run.final))
    for score, s, mask in zip(scores, run.final.stddevs, run.masks, strict=True):
        for row in np.flatnonzero(~mask.all(axis=1)):  # what an earlier mask pruned has no part
            score[row, mask[row]] = rng.permutation(-s[row, mask[row]])
    return scores


@criterion
def _shuffled(run, *, rng, **_):
    """Control: the variance's scores shuffled within each layer, so that only their distribution is left:
    chance, and ranked over all layers, chance with the counts that one variance threshold gives."""
    scores = each(lambda s: -(s**2), stddevs(run.final))
    for score, mask in zip(scores, run.masks, strict=True):
        score[mask] = rng.permutation(score[mask])  # what an earlier mask pruned has no part
    return scores


@criterion
def _pixel_variance(run, *, dataset, rng, **_):
    """Control: drawn with a pixel's variance over the images as odds, layer 1 (Efraimidis, Spirakis 2006)."""
    odds = np.maximum(dataset.train.images.var(axis=0), 1e-9)[:, None]
    check_pixels(run)
    first, *rest = each(lambda m: rng.random(m.shape), run.final.means)
    return np.log(first) / odds, *rest


def _same_sign(run, *, name, **extras):
    """The criterion ``name``, but weights whose sign has changed come after all others, in their own order.
    (Zhou et al. 2019, section 2, score those 0: for magnitude_increase, above a weight that shrank.)"""
    scores = [s.astype(np.float64) for s in CRITERIA[name](run, **extras)]
    finite = np.concatenate([s[np.isfinite(s)] for s in scores])
    reach = np.ptp(finite) + 1 if finite.size else 1.0  # one for all layers: they may be ranked together
    return tuple(each(lambda s, a, b: np.where(np.sign(a) == np.sign(b), s, s - reach),
                     scores, run.initial.means, run.final.means))  # fmt: skip


CRITERIA["large_final"] = CRITERIA["magnitude"]  # Zhou et al.'s name for it
for _name in ("large_final", "magnitude_increase", "variance", "snr"):
    CRITERIA[f"{_name}_same_sign"] = functools.partial(_same_sign, name=_name)

OURS = dict(CRITERIA)  #: what this package defines; anything else in CRITERIA is a reader's own
