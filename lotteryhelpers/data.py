"""The data sets: MNIST, Fashion-MNIST and scikit-learn's digits, split once and for all."""

import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import socket
import threading
import urllib.request

import numpy as np
import sklearn.datasets
import tensorflow as tf
import tf_keras

from lotteryhelpers.storage import PickledByFields, read_npz

NAMES = ("mnist", "fashion_mnist", "digits")
DATA_DIR = "LOTTERYHELPERS_DATA_DIR"
_DOWNLOADS_FROM = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_STALL_SECONDS = 10
_LENGTHS = {"train": 60_000, "test": 10_000}
#: blake2b of the pixels and labels of MNIST, in Keras' order, however the file is packed.
_MNIST = "a24db530c2b55d279a0b1acd50711887"


@dataclasses.dataclass(frozen=True, eq=False)
class Split(PickledByFields):
    """Images float32 ``[n, inputs]`` in 0 to 1, labels int32 ``[n]``."""

    images: np.ndarray
    labels: np.ndarray

    @functools.cached_property
    def tensors(self):
        """The two as tensors, made once: this is what keeps the data resident."""
        return tf.constant(self.images), tf.constant(self.labels)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """What :func:`load_dataset` gives: ``name``, ``image_shape``, ``num_classes`` and three splits."""

    name: str
    image_shape: tuple
    num_classes: int
    train: Split
    validation: Split
    test: Split

    @functools.cached_property
    def fingerprint(self):
        """A hash of everything in it, 16 hexadecimal digits: part of the name of a kept result."""
        digest = hashlib.blake2b(f"{self.image_shape} {self.num_classes}".encode(), digest_size=8)
        for split in (self.train, self.validation, self.test):
            digest.update(split.images)
            digest.update(split.labels)
        return digest.hexdigest()


def load_dataset(name="auto", *, num_train=None, num_validation=None, seed=0):
    """Load and split a data set.

    MNIST and Fashion-MNIST are looked for in the folder that ``$LOTTERYHELPERS_DATA_DIR`` names
    (``mnist.npz`` and ``fashion_mnist.npz``, in Keras' format), then in Keras' cache, then downloaded
    through ``tf_keras.datasets``. The digits are part of scikit-learn and need no network.

    Args:
        name: ``"mnist"`` (LeCun et al. 1998) and ``"fashion_mnist"`` (Xiao et al. 2017): 55,000 / 5,000 /
            10,000 images of 28 x 28, the last 5,000 training images validating; ``"digits"``: 1,257 / 180 /
            360 of 8 x 8; ``"auto"``: MNIST when at hand or to be downloaded, else digits, saying which.
        num_train: how many of the training images; None is all.
        num_validation: how many of the validation images; None is all.
        seed: which images a subset holds. The test images never change.

    Returns:
        A :class:`Dataset`.

    Raises:
        ValueError: an argument is bad, or a file is not the data set (the message names it).
        ConnectionError: the data set is not at hand and can't be downloaded.
    """
    if name not in (*NAMES, "auto"):
        raise ValueError(f"name={name!r} must be one of {', '.join(NAMES)}, auto")
    if name == "auto":
        name, arrays = _mnist_or_digits()
    else:
        arrays = _digits() if name == "digits" else _from_keras(name)[0]
    x_train, y_train, x_test, y_test = arrays
    num_held_out = 180 if name == "digits" else 5_000
    splits = {
        "train": (x_train[:-num_held_out], y_train[:-num_held_out], num_train),
        "validation": (x_train[-num_held_out:], y_train[-num_held_out:], num_validation),
        "test": (x_test, y_test, None),
    }
    made = {}
    for split, (images, labels, count) in splits.items():
        if count is not None:
            if not isinstance(count, int | np.integer) or not 1 <= count <= len(labels):
                raise ValueError(f"num_{split}={count!r} must be an integer from 1 to {len(labels):,}")
            chosen = np.sort(np.random.default_rng([seed, len(labels)]).permutation(len(labels))[:count])
            images, labels = images[chosen], labels[chosen]
        scale = 16 if name == "digits" else 255
        flat = images.reshape(len(images), -1).astype(np.float32) / np.float32(scale)
        made[split] = Split(flat, labels.astype(np.int32))
        for array in (made[split].images, made[split].labels):
            array.flags.writeable = False  # tensors and fingerprint are made once
    return Dataset(name, x_train.shape[1:], 10, **made)


def _digits():
    """scikit-learn's digits, shuffled once: their file runs writer by writer."""
    digits = sklearn.datasets.load_digits()
    shuffled = np.random.default_rng(0).permutation(len(digits.target))
    images, labels = digits.images[shuffled], digits.target[shuffled]
    return images[:-360], labels[:-360], images[-360:], labels[-360:]


def _mnist_or_digits():
    try:
        arrays, where = _from_keras("mnist")
    except ConnectionError as error:
        print(f"load_dataset('auto'): scikit-learn's digits, because {error}")
        return "digits", _digits()
    print(f"load_dataset('auto'): MNIST, {where}")
    return "mnist", arrays


def _from_keras(name):
    """The four arrays of MNIST or Fashion-MNIST, checked, and where they were found."""
    folder = os.environ.get(DATA_DIR)
    if folder and not pathlib.Path(folder).is_dir():
        raise ValueError(f"{DATA_DIR}={folder!r} is not a folder")
    path = pathlib.Path(folder or ".", f"{name}.npz")
    if folder and path.exists():
        arrays = read_npz(path, _check_arrays)
        raw = b"".join(map(np.ascontiguousarray, arrays))
        if name == "mnist" and hashlib.blake2b(raw, digest_size=16).hexdigest() != _MNIST:
            print(f"{path} does not hold MNIST as LeCun et al. published it, but other images or labels. "
                  "They are used; results from them are kept apart from MNIST's.")  # fmt: skip
        return arrays, f"found in ${DATA_DIR}"
    kept, where = _in_keras_cache(name), "found in Keras' cache"
    if not kept:
        where = "downloaded through tf_keras.datasets"
        _require_network(name)
    try:
        with _stalls_end_after(_STALL_SECONDS):
            (x_train, y_train), (x_test, y_test) = getattr(tf_keras.datasets, name).load_data()
    except Exception as error:  # tf_keras raises a bare Exception for a failed download
        if kept and not isinstance(error, OSError):
            raise ValueError(f"{kept} is not a whole file ({error}); delete it and load again") from error
        _remove_parts(name)
        raise ConnectionError(_what_to_do(name, error)) from error
    except KeyboardInterrupt:
        if not kept:
            _remove_parts(name)
        raise
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    return _check_arrays(arrays), where


def _check_arrays(arrays):
    needed = ["x_train", "y_train", "x_test", "y_test"]
    if sorted(arrays) != sorted(needed):
        raise ValueError(f"holds the arrays {sorted(arrays)}; Keras' format has {needed}")
    for split, length in _LENGTHS.items():
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        for array, name, shape in ((images, "x", (length, 28, 28)), (labels, "y", (length,))):
            if array.shape != shape:
                raise ValueError(f"{name}_{split} has shape {array.shape}; it must be {shape}")
            if array.dtype != np.uint8:
                raise ValueError(f"{name}_{split} has type {array.dtype}; it must be uint8")
        if labels.max() > 9:
            raise ValueError(f"y_{split} has labels up to {labels.max()}; they must be 0 to 9")
        if images.max() < 128:
            raise ValueError(f"x_{split} has values up to {images.max()}; they must reach over 0 to 255")
    return [arrays[name] for name in needed]


def _keras_files(name):
    """The files that Keras has of a data set; whether they are whole is another question."""
    homes = (pathlib.Path(os.path.expanduser("~"), ".keras"), pathlib.Path("/tmp/.keras"))
    pattern = "mnist.npz" if name == "mnist" else "fashion-mnist/*-ubyte.gz"
    return [file for home in homes for file in (home / "datasets").glob(pattern)]


def _in_keras_cache(name):
    """The data set's place in Keras' cache, or None; Keras checks MNIST's hash when it loads it."""
    files = _keras_files(name)
    if len(files) < (1 if name == "mnist" else 4):
        return None
    return files[0] if name == "mnist" else files[0].parent


def _remove_parts(name):
    """Keras leaves what came of a download that broke off, and may later take it for the file."""
    for file in _keras_files(name):
        file.unlink(missing_ok=True)


def _what_to_do(name, reason):
    return (
        f"{name} is not at hand and can't be downloaded ({reason}); put {name}.npz, in Keras' format, into "
        f"the folder that ${DATA_DIR} names, try again with a network, or use load_dataset('digits')"
    )


def _require_network(name, seconds=6):
    """Ask the server for the file's header; raise a ConnectionError soon when nothing answers.

    In a thread, because looking up a name can hang where no time-out reaches.
    """
    outcome = [f"no answer within {seconds} seconds"]

    def ask():
        try:
            request = urllib.request.Request(_DOWNLOADS_FROM, method="HEAD")
            with urllib.request.urlopen(request, timeout=seconds):
                outcome[0] = None
        except OSError as error:
            outcome[0] = f"no network: {getattr(error, 'reason', error)}"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if outcome[0]:
        raise ConnectionError(_what_to_do(name, outcome[0]))


@contextlib.contextmanager
def _stalls_end_after(seconds):
    """Let a download that stops sending raise instead of hanging; Keras sets no time-out of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
