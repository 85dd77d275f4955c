"""Tickets that are really smaller: the inputs and units that a mask leaves connected, as a network."""

import dataclasses
from itertools import pairwise

import numpy as np

from lotteryhelpers.data import Split
from lotteryhelpers.masks import Arrays, check_masks, check_scores, keep_counts


@dataclasses.dataclass(frozen=True, eq=False)
class Compact:
    """What :func:`compact` gives: tuples of arrays."""

    weights: tuple  # kernels between the connected inputs and units, zero where pruned
    biases: tuple  # their biases; a constant unit's output is in the next layer's
    masks: tuple  # bool, the shapes of ``weights``
    kept: tuple  # int: the numbers of the inputs, then of each layer's units, that are still there
    full: tuple  # (weights, biases) of the network that it came from

    sizes = property(lambda self: (*(int(m.any(axis=1).sum()) for m in self.masks), len(self.kept[-1])),
                     doc="(inputs, hidden units ..., classes) that are still connected.")  # fmt: skip

    def reduce(self, dataset):
        """The Dataset with only the inputs that are still there."""
        splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
        fewer = {n: Split(np.take(s.images, self.kept[0], axis=1), s.labels) for n, s in splits.items()}
        return dataclasses.replace(dataset, image_shape=self.kept[0].shape, **fewer)

    def restore(self, weights=None, biases=None):
        """Full-size weights and biases, what is not connected as it was; None takes this network's own.
        A bias into which constants were moved gives them back: ``restore()`` is exactly what it came from."""

        def put_back(now, own, full, where):
            restored = full.copy()
            restored[where] = np.where(now == own, full[where], now - (own - full[where]))
            return restored

        blocks = [np.ix_(*ends) for ends in pairwise(self.kept)]
        kernels = map(put_back, weights or self.weights, self.weights, self.full[0], blocks)
        biases = map(put_back, biases or self.biases, self.biases, self.full[1], self.kept[1:])
        return tuple(kernels), tuple(biases)


def compact(weights: Arrays, biases: Arrays, masks: Arrays, *, for_training: bool = False) -> Compact:
    """A :class:`Compact` without the inputs that no kept weight reads and the units that don't matter.
    The function is the same. A unit matters if kept weights lead from it to a class. In a finished network a
    unit without a kept weight at its entry is a constant: it too is dropped, and moves into the next layer's
    biases. For training it stays, because its bias and its outgoing weights still learn. A layer of which
    nothing is left keeps one unit (or input) without a weight. A ValueError names what doesn't fit.

    Args:
        weights, biases: with ReLU, no convolution's; pruned values are taken as zero. Masks: None keeps all.
        for_training: keep the constants, so that the small network takes the masked one's steps."""
    weights, biases = ([np.array(a, np.float32) for a in arrays] for arrays in (weights, biases))
    shapes = [w.shape for w in weights]
    if not all(len(s) == 2 for s in shapes) or any(a[1] != b[0] for a, b in pairwise(shapes)):
        raise ValueError(f"weights have shapes {shapes}: a layer's units must be the next one's inputs")
    if [b.shape for b in biases] != [s[1:] for s in shapes]:
        raise ValueError(f"biases have shapes {[b.shape for b in biases]} for weights {shapes}")
    masks = [m.copy() for m in check_masks(masks, weights)]
    weights = [np.where(m, w, np.float32(0)) for m, w in zip(masks, weights, strict=True)]
    full = tuple(weights), tuple(b.copy() for b in biases)
    if not for_training:
        for layer in range(len(weights) - 1):
            constant = ~masks[layer].any(axis=0)
            biases[layer + 1] += np.where(constant, np.maximum(biases[layer], 0), 0) @ weights[layer + 1]
            masks[layer + 1][constant] = False
    connected, kept = True, [np.arange(masks[-1].shape[1])]
    for mask in reversed(masks):
        connected = np.logical_and(mask, connected, out=mask).any(axis=1)  # also a placeholder leads nowhere
        kept.insert(0, np.flatnonzero(connected) if connected.any() else np.array([0]))
    blocks = [np.ix_(*ends) for ends in pairwise(kept)]
    masks = tuple(m[block] for m, block in zip(masks, blocks, strict=True))
    small = [np.where(m, w[b], np.float32(0)) for m, w, b in zip(masks, weights, blocks, strict=True)]
    biases = tuple(b[units] for b, units in zip(biases, kept[1:], strict=True))
    return Compact(tuple(small), biases, masks, tuple(kept), full)


def keep_units(scores: Arrays, sizes: tuple) -> tuple[np.ndarray, ...]:
    """Keep whole inputs and units, those of the highest sums of scores: the masks of a smaller dense network.
    ``sizes`` says how many inputs, and units of each hidden layer, such as (400, 150, 50). By ``scores``,
    ``[inputs, units]`` a layer, an input is judged by its outgoing weights, then each layer's units by their
    weights from what is kept so far (magnitudes: Li et al. 2017, section 3.1). Ties by position."""
    scores = check_scores(scores)
    there = [len(s) for s in scores]
    if len(sizes) != len(there) or not all(1 <= n <= most for n, most in zip(sizes, there, strict=True)):
        raise ValueError(f"sizes={sizes} must say how many inputs and hidden units of {there} to keep")
    kept, sums = [], scores[0].sum(axis=1)
    for score, count in zip(scores, sizes, strict=True):
        kept.append(keep_counts([sums[None]], [count])[0][0])
        sums = score[kept[-1]].sum(axis=0)
    kept.append(np.ones(scores[-1].shape[1], bool))
    return tuple(np.outer(*ends) for ends in pairwise(kept))
