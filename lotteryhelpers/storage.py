"""Results on disk: whole files or none, and no pickle."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import tempfile
from hashlib import sha256

import numpy as np
import platformdirs

CACHE_DIR = "LOTTERYHELPERS_CACHE_DIR"
#: What decides no result: when a reader's check, a verdict or a colour changes, nothing is trained again.
NO_PART = ("teaching", "evidence", "startup", "plots.py")


def _text(no_part):
    """A hash of this package's text on disk."""
    home = pathlib.Path(__file__).parent
    files = [f for f in sorted(home.rglob("*.py")) if f.relative_to(home).parts[0] not in no_part]
    return sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


#: What this process runs, while the files may be edited; the first is in the name of a result.
_IMPORTED, _WITH_STUDIES = _text((*NO_PART, "studies")), _text(NO_PART)
_once = functools.cache(print)


@contextlib.contextmanager
def replacing(path):
    """Give a temporary path beside ``path``, and move it there only if the block ends well."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        yield (part := pathlib.Path(folder, path.name))
        os.replace(part, path)


def read_npz(path, build):
    """Read an npz without pickle and return ``build(arrays)``; a ValueError names a file that isn't one."""
    with open(path, "rb") as raw:
        try:
            file = np.lib.npyio.NpzFile(raw, allow_pickle=False)
            arrays = {name: file[name] for name in file.files}
        except Exception as error:  # a damaged file can make NumPy and zipfile raise nearly anything
            pickled = "holds pickled objects, which can run anyone's code when read; only numbers are"
            wrong = pickled if "Object arrays" in str(error) else f"is not a whole npz file ({error})"
            raise ValueError(f"{path} {wrong}") from error
    try:
        return build(arrays)
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(f"{path}: {'it lacks ' * isinstance(error, KeyError)}{error}") from error


def cache_folder():
    """Where results are kept: ``$LOTTERYHELPERS_CACHE_DIR``, else the user's cache folder."""
    return pathlib.Path(os.environ.get(CACHE_DIR) or platformdirs.user_cache_dir("lotteryhelpers", False))


def as_imported():
    """Whether the text on disk is what this process runs. If not, a kept result's name is wrong: say so."""
    if not (same := _text(NO_PART) == _WITH_STUDIES):
        _once("lotteryhelpers has changed on disk since its import: until this kernel is started again, "
              "no result is kept, and none that is kept is used.")  # fmt: skip
    return same


def kept(read, path, say=print):
    """``read(path)``, or None where there is none that may be read; one that is damaged is reported."""
    try:
        return read(path) if as_imported() else None
    except ValueError as error:
        say(f"A kept result is thrown away and made again: {error}.")
    except OSError:
        pass


def read_json(path):
    """What a JSON file holds; a ValueError names one that is damaged."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from None


def write_json(value, path, **options):
    """Write a whole file or none; ``options`` are ``json.dumps``'s."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, **options) + "\n")


def keep_if_possible(save, path, say=print):
    """Call ``save(path)``; where nothing can be written, say so: the result is there, only not kept."""
    try:
        if as_imported():
            save(path)
    except OSError as error:
        if multiprocessing.parent_process() is None:  # the workers of a sweep leave the word to it
            say(f"Results are not kept: {cache_folder()} can't be written to ({error.strerror or error}); "
                f"set {CACHE_DIR} to a folder that can.")  # fmt: skip


def key_of(**asked):
    """20 hexadecimal digits that change with any of what was asked, with this package and with TensorFlow."""
    return sha256(json.dumps([asked, _maker()], sort_keys=True, default=_in_json).encode()).hexdigest()[:20]


def _in_json(value):
    """What stands for a value that JSON lacks; a list and a tuple, or 1 and np.int64(1), ask the same."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}]
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return [value.dtype.str, value.shape, sha256(value.tobytes()).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    raise ValueError(f"a {type(value).__name__} can't name a kept result; use numbers, text, numeric arrays")


@functools.cache
def _maker():
    """What else decides a result: the text of this package, which readers may edit, and the versions."""
    return [_IMPORTED, *map(importlib.metadata.version, ("tensorflow", "tensorflow-probability", "numpy"))]


class InOneFile:
    """What gives ``to_arrays()``, a flat dict, and is made of that again by ``from_arrays``."""

    def save(self, path):
        """Write an npz file, whole or not at all: an interruption leaves what was there before."""
        with replacing(path) as part, open(part, "wb") as file:
            np.savez(file, **self.to_arrays())

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; a ValueError says what is wrong with another file."""
        return read_npz(path, cls.from_arrays)


class PickledByFields:
    """A dataclass that leaves its model or tensors behind when pickled: the receiver makes its own."""

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
