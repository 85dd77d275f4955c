"""MNIST and Fashion-MNIST as they were published: from a folder, from Keras' cache, or downloaded into it."""

import gzip
import hashlib
import os
import pathlib
from multiprocessing import TimeoutError as NoAnswer
from multiprocessing.pool import ThreadPool

import numpy as np
import pooch

from lotteryhelpers.storage import read_npz

DATA_DIR = "LOTTERYHELPERS_DATA_DIR"
_SERVER = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_ANSWER_SECONDS, _STALL_SECONDS = 6, 10
_SECOND_HOME = "/tmp/.keras"  # Keras' own choice where ~/.keras can't be written to
#: blake2b of the pixels and labels, in Keras' order, however the file is packed.
_CONTENTS = {"mnist": "a24db530c2b55d279a0b1acd50711887", "fashion_mnist": "206d529bc5e9e9408e4696917e54d5e2"}
#: sha256 of Keras' files: MNIST's is in Keras; Fashion-MNIST's four have the md5 sums that Zalando published.
_FILES = {
    "mnist": {"mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
    "fashion_mnist": {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"}}
_SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}


def published(name):
    """The four uint8 arrays of ``"mnist"`` or ``"fashion_mnist"``, checked, and where they were found."""
    folder = os.environ.get(DATA_DIR)
    if folder and not os.path.isdir(folder):
        raise ValueError(f"{DATA_DIR}={folder!r} is not a folder")
    if folder and (path := pathlib.Path(folder, f"{name}.npz")).exists():
        arrays = read_npz(path, _checked)
        raw = b"".join(map(np.ascontiguousarray, arrays))
        if hashlib.blake2b(raw, digest_size=16).hexdigest() != _CONTENTS[name]:
            print(f"{path} does not hold {name} as it was published, but other images or labels. "
                  f"They are used; results from them are kept apart from {name}'s.")  # fmt: skip
        return arrays, f"found in ${DATA_DIR}"
    paths, where = _keras_files(name)
    if name == "mnist":
        return read_npz(paths[0], _checked), where
    raw = [np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8) for path in paths]
    return [raw[0][16:].reshape(-1, 28, 28), raw[1][8:], raw[2][16:].reshape(-1, 28, 28), raw[3][8:]], where


def _checked(arrays):
    """The arrays in Keras' order; a ValueError says what isn't as it must be."""
    if sorted(arrays) != sorted(_SHAPES):
        raise ValueError(f"holds the arrays {sorted(arrays)}; Keras' format has {list(_SHAPES)}")
    for name, shape in _SHAPES.items():
        array, (least, most) = arrays[name], ((0, 9) if name[0] == "y" else (128, 255))
        if (array.shape, array.dtype) != (shape, np.uint8):
            raise ValueError(f"{name} is {array.dtype} {array.shape}; it must be uint8 {shape}")
        if not least <= array.max() <= most:
            raise ValueError(f"{name} has values up to {array.max()}; the largest must be {least} to {most}")
    return [arrays[name] for name in _SHAPES]


def _keras_files(name):
    """The paths of the data set's whole files in Keras' cache, and whether they were there or downloaded. One
    that is not what was published is downloaded again, and replaced only by one that is."""
    files, homes = _FILES[name], (os.path.expanduser("~/.keras"), _SECOND_HOME)
    folders = [pathlib.Path(home, "datasets", "fashion-mnist" * (name != "mnist")) for home in homes]
    for folder in folders:
        try:
            if all(os.access(folder / f, os.R_OK) and pooch.file_hash(folder / f) == files[f] for f in files):
                return [folder / f for f in files], "found in Keras' cache"
        except OSError as error:  # a failing disk: nothing that a download would mend
            raise OSError(f"{folder} has {name}, but it can't be read: {error}") from error
    folder = folders[not os.access(homes[0], os.W_OK)]
    dog = pooch.create(folder, _SERVER, registry=files, retry_if_failed=1)
    get = pooch.HTTPDownloader(progressbar=True, timeout=_STALL_SECONDS)
    try:
        with ThreadPool(1) as thread:  # no time-out reaches a name look-up: it took 20 s where 3 were allowed
            thread.apply_async(dog.is_available, (next(iter(files)), get)).get(_ANSWER_SECONDS)
        return [pathlib.Path(dog.fetch(f, downloader=get)) for f in files], "downloaded"
    except (OSError, ValueError, NoAnswer) as error:
        reason = error
        while reason.__context__:  # what happened, without the libraries' layers
            reason = reason.__context__
        reason = str(reason) or f"no answer within {_ANSWER_SECONDS} seconds"
        if kept := [str(f / file) for f in folders for file in files if (f / file).exists()]:
            reason = f"{', '.join(kept)}: not all of what was published; {reason}"
        raise ConnectionError(f"{name} is not at hand and can't be downloaded ({reason}); put {name}.npz, in "
                              f"Keras' format, into the folder that ${DATA_DIR} names, try again with a "
                              "network, or use load_dataset('digits')") from error  # fmt: skip
