"""Masks from scores, and densities. Masks are tuples of bool arrays, True = kept; higher score = keep."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

Arrays = Sequence[np.ndarray]  #: one a layer, as a rule ``[inputs, units]``

#: k rounds of pruning 20% of the hidden layers' weights are k rounds of 10% for the output layer's
#: (Frankle & Carbin 2019, section 2), so output density = density ** HALF_RATE. In their Conv-2 and Conv-4
#: the convolutions lose 10% a round as well (figure 2).
HALF_RATE = math.log(0.9) / math.log(0.8)


@dataclasses.dataclass(frozen=True)
class Density:
    """The kept fraction of the weights: ``overall`` and, a number a layer, ``layers``."""

    overall: float
    layers: tuple


def density(masks: Arrays) -> Density:
    """Count what masks keep: a :class:`Density` with fractions from 0 to 1."""
    masks = check_masks(masks, masks)
    kept, sizes = [int(m.sum()) for m in masks], [m.size for m in masks]
    return Density(sum(kept) / sum(sizes), tuple(k / n for k, n in zip(kept, sizes, strict=True)))


def check_masks(masks, weights, *, for_training=False):
    """Masks as a tuple of bool arrays with the weights' shapes; None keeps all. Else a ValueError. In a
    network to be trained kept weights must lead from an input to a class, or it would learn nothing."""
    if masks is None:
        return tuple(np.ones(w.shape, bool) for w in weights)
    arrays, shapes = tuple(np.asarray(m) for m in masks), [w.shape for w in weights]
    if [m.shape for m in arrays] != shapes:
        raise ValueError(f"masks have shapes {[m.shape for m in arrays]}; the weights have {shapes}")
    reached = slice(None)
    for layer, mask in enumerate(arrays, start=1):
        if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
            raise ValueError(f"masks hold values other than True and False in layer {layer}")
        if layer > 1:  # after a convolution a row is a unit's at one of the pixels
            reached = np.resize(reached, len(mask))
        if for_training and not (reached := mask.astype(bool)[reached].any(axis=0)).any():
            raise ValueError(f"masks leave no path from an input through layer {layer}; nothing passes it")
    return tuple(m.astype(bool) for m in arrays)


def keep_counts(scores: Arrays, counts: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Keep exactly ``counts[i]`` weights of layer i, those of the highest score; ties by position.
    With ``counts = [m.sum() for m in masks]`` this fills another mask's budget by another score."""
    scores = check_scores(scores)
    if np.shape(counts) != (len(scores),):
        raise ValueError(f"counts={counts!r} must have a number for each of {len(scores)} layers")
    masks = []
    for layer, (score, count) in enumerate(zip(scores, counts, strict=True), start=1):
        left = int((score > -np.inf).sum())  # -inf is what an earlier mask pruned: it stays so
        if not isinstance(count, int | np.integer) or not 1 <= count <= left:
            raise ValueError(f"counts={counts!r}: layer {layer} would keep {count!r} weights; it must be an "
                             f"integer from 1 to {left}, the scores above -inf")  # fmt: skip
        mask = np.zeros(score.size, bool)
        # float64 before the sign: that of an unsigned or of the smallest integer would wrap around
        mask[np.argsort(-score.ravel().astype(np.float64), kind="stable")[:count]] = True
        masks.append(mask.reshape(score.shape))
    return tuple(masks)


def keep_fraction(scores: Arrays, density: float, *, scope: str = "layer",
                  output_density: float | None = None, convs: int = 0) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Keep the fraction ``density`` of the weights: those of the highest scores, ties by position.

    Args:
        scores: an array ``[inputs, units]`` a layer, without NaN; higher = keep.
        density: above 0, at most 1; a ValueError says if it would leave a layer empty.
        scope: ``"layer"`` keeps exactly round(density * size) in each layer; ``"global"`` ranks all layers
            together and keeps exactly round(density * all).
        output_density: the last layer's, with scope="layer"; None is the half-rate, ``density ** HALF_RATE``.
        convs: how many of the first layers are convolutions: with scope="layer", at the half-rate too."""
    check_one_of("scope", scope, ("layer", "global"))
    scores = check_scores(scores)
    sizes, density = [s.size for s in scores], check_density("density", density)
    slower = at_half_rate(scores, convs)
    if scope == "layer":
        last = density**HALF_RATE if output_density is None else output_density
        densities = [density**HALF_RATE if i in slower else density for i in range(len(scores) - 1)]
        densities.append(check_density("output_density", last))
        counts = [round(d * size) for d, size in zip(densities, sizes, strict=True)]
    else:
        if output_density is not None:
            raise ValueError("output_density has no meaning with scope='global'")
        in_a_row = np.concatenate([s.ravel() for s in scores])[None]
        (kept,) = keep_counts([in_a_row], [max(1, round(density * sum(sizes)))])
        counts = [int(part.sum()) for part in np.split(kept[0], np.cumsum(sizes)[:-1])]
    if 0 in counts:
        raise ValueError(f"density={density} with scope={scope!r} leaves layer {counts.index(0) + 1} empty")
    return keep_counts(scores, counts)


def is_integer(value, least, most):
    """Whether it is an integer, and none of Python's True and False, from ``least`` to ``most``."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and least <= value <= most


def at_half_rate(layers, convs):
    """The numbers of the layers that are pruned at half the rate: the last, and as many convolutions."""
    if not is_integer(convs, 0, len(layers) - 1):
        raise ValueError(f"convs={convs!r} must be an integer from 0 to {len(layers) - 1}")
    return {*range(convs), len(layers) - 1}


def check_one_of(name, value, words):
    """Raise a ValueError that names the argument unless it is one of these words."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(words)}")


def check_density(name, value):
    """The value; a ValueError unless it is a fraction to keep."""
    if not isinstance(value, int | float | np.number) or not 0 < value <= 1:
        raise ValueError(f"{name}={value!r} must be above 0 and at most 1")
    return float(value)  # a float16's product with a layer's size would be infinite


def check_scores(scores):
    """A score array a layer, ``[inputs, units]``, without NaN; else a ValueError."""
    scores = tuple(np.asarray(s) for s in scores)
    for layer, score in enumerate(scores, start=1):
        name = f"scores of layer {layer}"
        if score.ndim != 2 or score.dtype.kind not in "iuf":
            raise ValueError(f"{name} are {score.dtype} {score.shape}; need numbers [inputs, units]")
        if np.isnan(score).any():
            raise ValueError(f"{name} hold {np.isnan(score).sum()} NaN; each needs a rank")
    return scores


def jaccard(a: Arrays, b: Arrays) -> float:
    """The overlap of two masks: weights that both keep over weights that either keeps, 0 to 1."""
    pairs = [*zip(check_masks(a, a), check_masks(b, a), strict=True)]
    either = sum(int((x | y).sum()) for x, y in pairs)
    return sum(int((x & y).sum()) for x, y in pairs) / either if either else 1.0
