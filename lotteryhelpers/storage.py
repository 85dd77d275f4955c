"""Results on disk: whole files or none, and no pickle."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import tempfile

import numpy as np
import platformdirs

CACHE_DIR = "LOTTERYHELPERS_CACHE_DIR"


@contextlib.contextmanager
def replacing(path):
    """Give a temporary path beside ``path``, and move it there only if the block ends well."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        yield pathlib.Path(name)
        os.replace(name, path)
    finally:
        pathlib.Path(name).unlink(missing_ok=True)


def write_atomically(path, arrays):
    """Write a dict of arrays as npz at ``path``; an interruption leaves what was there before."""
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, **arrays)


def read_npz(path, build):
    """Read an npz without pickle and return ``build(arrays)``; a ValueError names a file that isn't one.

    An OSError means that there is no file, or that it may not be read.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with open(path, "rb") as raw:
        try:
            file = np.lib.npyio.NpzFile(raw, allow_pickle=False)
            arrays = {name: file[name] for name in file.files}
        except Exception as error:  # a damaged file can make NumPy and zipfile raise nearly anything
            wrong = f"is not a whole npz file ({error})"
            if "Object arrays" in str(error):
                wrong = "holds pickled objects, which can run anyone's code when read; only numbers are"
            raise ValueError(f"{path} {wrong}") from error
    try:
        return build(arrays)
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(f"{path}: {'it lacks ' * isinstance(error, KeyError)}{error}") from error


def cache_folder():
    """Where results are kept: ``$LOTTERYHELPERS_CACHE_DIR``, else the user's cache folder."""
    named = os.environ.get(CACHE_DIR)
    return pathlib.Path(named or platformdirs.user_cache_dir("lotteryhelpers", appauthor=False))


def keep_if_possible(save, path, say=print):
    """Call ``save(path)``; where nothing can be written, say so: the result is there, only not kept."""
    try:
        save(path)
    except OSError as error:
        if multiprocessing.parent_process() is None:  # the workers of a sweep leave the word to it
            say(f"Results are not kept: {cache_folder()} can't be written to ({error.strerror or error}); "
                f"set {CACHE_DIR} to a folder that can.")  # fmt: skip


def key_of(**asked):
    """20 hexadecimal digits that change with any of what was asked, with this package and with TensorFlow."""
    asked = {name: describe(value) for name, value in asked.items()} | {"made by": _maker()}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:20]


#: Folders that decide no result: when the readers' checks or the verdicts change, nothing is trained again.
NO_PART = ("teaching", "evidence", "studies", "startup")


@functools.cache
def _maker():
    """What else decides a result: the text of this package, which readers may edit, and the versions."""
    digest = hashlib.sha256()
    home = pathlib.Path(__file__).parent
    for file in sorted(home.rglob("*.py")):
        if file.relative_to(home).parts[0] not in NO_PART:
            digest.update(file.read_bytes())
    packages = ("tensorflow", "tensorflow-probability", "numpy")
    return [digest.hexdigest(), *map(importlib.metadata.version, packages)]


class PickledByFields:
    """A dataclass that leaves its model or tensors behind when pickled: the receiver makes its own."""

    def __getstate__(self):
        """The fields alone."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def describe(value):
    """Something JSON can hold that changes whenever the value does."""
    if dataclasses.is_dataclass(value):
        return {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray) and value.dtype == object:
        raise ValueError("an array of objects has no contents to name a kept result by; use numbers")
    if isinstance(value, np.ndarray):
        digest = hashlib.blake2b(np.ascontiguousarray(value), digest_size=16).hexdigest()
        return [value.dtype.str, value.shape, digest]
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    if isinstance(value, dict):
        return {name: describe(v) for name, v in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f"a {type(value).__name__} can't name a kept result; use numbers, text, tuples or arrays"
    )
