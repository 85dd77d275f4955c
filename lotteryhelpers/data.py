"""The data sets: MNIST, Fashion-MNIST and scikit-learn's digits, split once and for all."""

import dataclasses
import functools
import hashlib

import numpy as np
import sklearn.datasets
import tensorflow as tf

from lotteryhelpers.masks import check_one_of
from lotteryhelpers.startup.downloads import published
from lotteryhelpers.storage import PickledByFields


@dataclasses.dataclass(frozen=True, eq=False)
class Split(PickledByFields):
    """Images float32 ``[n, inputs]`` in 0 to 1, labels int32 ``[n]``: in a ``Dataset`` they are made so."""

    images: np.ndarray
    labels: np.ndarray

    @functools.cached_property
    def tensors(self):
        """The two as tensors, made once: this is what keeps the data resident."""
        return tf.constant(self.images), tf.constant(self.labels)

    def draw(self, count, seed, name="count"):
        """So many of the images, drawn by ``seed``, in their order; a ValueError calls the count ``name``."""
        if not isinstance(count, int | np.integer) or not 1 <= count <= len(self.labels):
            raise ValueError(f"{name}={count!r} must be an integer from 1 to {len(self.labels):,}")
        chosen = np.random.default_rng([seed, len(self.labels)]).permutation(len(self.labels))[:count]
        return Split(*(array[np.sort(chosen)] for array in (self.images, self.labels)))


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """What :func:`load_dataset` gives: ``name``, ``image_shape``, ``num_classes`` and three splits."""

    name: str
    image_shape: tuple
    num_classes: int
    train: Split
    validation: Split
    test: Split

    def __post_init__(self):
        """Make what training takes of what NumPy gives; a ValueError names what can't be: XLA checks nothing.
        Arrays that must be made are copies; none can be written to, for tensors are made once."""
        inputs, classes = int(np.prod(self.image_shape)), self.num_classes
        for name in ("train", "validation", "test"):
            x, y = (np.asarray(getattr(getattr(self, name), part)) for part in ("images", "labels"))
            if y.ndim != 1 or x.shape != (len(y), inputs) or not x.size:
                right = f"[n, {inputs}] and [n] for image_shape={self.image_shape}, n at least 1"
                raise ValueError(f"{name} has images {x.shape} and labels {y.shape}; they must be {right}")
            if x.dtype.kind not in "biuf" or not 0 <= x.min() <= x.max() <= 1:
                ends = np.sort(x, axis=None)[[0, -1]]
                raise ValueError("{}.images go from {} to {}; they must be from 0 to 1".format(name, *ends))
            if y.dtype.kind not in "biuf" or (y % 1).any() or not 0 <= y.min() <= y.max() < classes:
                ends, right = np.unique(y)[[0, -1]], f"whole, from 0 to {classes - 1} for {classes} classes"
                raise ValueError("{}.labels go from {} to {}; they must be {}".format(name, *ends, right))
            if [x.dtype, x.flags.c_contiguous, y.dtype] != [np.float32, True, np.int32] or (
                    x.flags.writeable or y.flags.writeable):  # fmt: skip
                split = Split(np.array(x, np.float32, order="C"), np.array(y, np.int32))
                split.images.flags.writeable = split.labels.flags.writeable = False
                object.__setattr__(self, name, split)

    @functools.cached_property
    def fingerprint(self):
        """A hash of everything in it, 16 hexadecimal digits: part of the name of a kept result."""
        digest = hashlib.blake2b(f"{self.image_shape} {self.num_classes}".encode(), digest_size=8)
        for split in (self.train, self.validation, self.test):
            digest.update(split.images)
            digest.update(split.labels)
        return digest.hexdigest()


def load_dataset(name: str = "auto", *, num_train: int | None = None, num_validation: int | None = None,
                 seed: int = 0) -> Dataset:  # fmt: skip
    """Load and split a data set: a :class:`Dataset`.
    MNIST and Fashion-MNIST are looked for in the folder that ``$LOTTERYHELPERS_DATA_DIR`` names
    (``mnist.npz`` and ``fashion_mnist.npz``, in Keras' format), then in Keras' cache, else downloaded into
    that. The digits are part of scikit-learn and need no network. A ValueError names a bad argument, or a
    file that is not the data set; a ConnectionError says that it is not at hand and can't be downloaded.

    Args:
        name: ``"mnist"`` (LeCun et al. 1998) and ``"fashion_mnist"`` (Xiao et al. 2017): 55,000 / 5,000 /
            10,000 images of 28 x 28, the last 5,000 training images validating; ``"digits"``: 1,257 / 180 /
            360 of 8 x 8; ``"auto"``: MNIST when at hand or to be downloaded, else digits, saying which.
        num_train, num_validation: how many of those images, drawn by ``seed``; None is all."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed={seed!r} must be an integer of at least 0")
    check_one_of("name", name, ("mnist", "fashion_mnist", "digits", "auto"))
    arrays = None
    if name == "auto":
        try:
            name, (arrays, where) = "mnist", published("mnist")
            print(f"load_dataset('auto'): MNIST, {where}")
        except ConnectionError as error:
            name = "digits"
            print(f"load_dataset('auto'): scikit-learn's digits, because {error}")
    if name == "digits":  # shuffled once: their file runs writer by writer
        digits = sklearn.datasets.load_digits()
        shuffled = np.random.default_rng(0).permutation(len(digits.target))
        images, labels = digits.images[shuffled], digits.target[shuffled]
        arrays = images[:-360], labels[:-360], images[-360:], labels[-360:]
    x_train, y_train, x_test, y_test = arrays or published(name)[0]
    held_out, brightest = (180, 16) if name == "digits" else (5_000, 255)
    made = {}
    for split, images, labels, count in (
        ("train", x_train[:-held_out], y_train[:-held_out], num_train), ("test", x_test, y_test, None),
        ("validation", x_train[-held_out:], y_train[-held_out:], num_validation)):  # fmt: skip
        images = images.reshape(len(images), -1).astype(np.float32) / np.float32(brightest)
        whole = Split(images, labels)
        made[split] = whole if count is None else whole.draw(count, seed, f"num_{split}")
    return Dataset(name, x_train.shape[1:], 10, **made)
