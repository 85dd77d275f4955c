"""How a study runs: its rows one by one, here or on a cluster, and kept; and how its tables are written."""

import functools
import importlib.metadata
import inspect
import json
import pathlib
import platform
import sys
import time

import pandas as pd

from lotteryhelpers import storage
from lotteryhelpers.sweeps.cluster import on_one_thread

PACKAGES = ("lotteryhelpers", "tensorflow", "tf-keras", "tensorflow-probability", "numpy")


def gather(dataset, calls, client=None):
    """Yield the rows of many calls, as they come; those of a call that ended before are read, not made.

    A call is ``(function, *arguments)``, and ``function(dataset, *arguments)`` yields rows, dicts that share
    what it trains. On a ``distributed.Client`` a call is a task, tried again where it fails; without one the
    rows are made here, one by one, when they are asked for.
    """
    if client is None:
        for call in calls:
            yield from _resumed(dataset, *call)
        return
    from distributed import as_completed  # here: it takes a second

    there = client.scatter(dataset, broadcast=True, hash=False)
    tasks = [client.submit(on_one_thread, _all, there, *call, pure=False, retries=2) for call in calls]
    try:
        for task in as_completed(tasks, loop=client.loop):
            yield from task.result()
    finally:  # where the caller stops, nothing trains on unseen
        client.cancel(tasks)


def _all(*call):
    return list(_resumed(*call))


def _resumed(dataset, function, *arguments):
    path = _path(dataset, function, [function.__name__, arguments])
    if (rows := storage.kept(storage.read_json, path)) is None:
        rows = []
        for row in function(dataset, *arguments):
            rows.append(row)
            yield row
        storage.keep_if_possible(functools.partial(storage.write_json, rows), path)
    else:
        yield from rows


def kept(dataset, key, make):
    """``make()``, what JSON can hold but not None, or what it gave before: an interrupted call goes on.

    ``key`` is what the result depends on beside the contents of the dataset and the texts of the package, of
    ``shared.py`` and of the study that ``make`` is a function of.
    """
    path = _path(dataset, make, key)
    if (value := storage.kept(storage.read_json, path)) is None:
        storage.keep_if_possible(functools.partial(storage.write_json, value := make()), path)
    return value


def _path(dataset, function, key):
    texts = [inspect.getsource(sys.modules[name]) for name in (function.__module__, f"{__package__}.shared")]
    name = storage.key_of(key=key, data=dataset.fingerprint, texts=texts)
    return storage.cache_folder() / "studies" / f"{name}.json"


def results_folder():
    """``notebooks/results`` of this checkout; a FileNotFoundError where there is only the package."""
    home = pathlib.Path(__file__).parents[2]
    if not (home / "notebooks").is_dir():
        raise FileNotFoundError(f"{home} is no checkout of the repository, and studies are written into its "
                                "notebooks/results; clone it and install that, pip install -e")  # fmt: skip
    return home / "notebooks" / "results"


def plain(sizes):
    """A study's sizes as JSON holds them: configurations as dicts, ranges as lists, keys as text."""
    return json.loads(json.dumps(sizes, default=lambda v: [*v] if isinstance(v, range) else vars(v)))


def write(study, table, rows, dataset, began, cores):
    """Write a table of a study's module as CSV and, as JSON, how it was made and what it cost.

    The longest row has all columns. ``began`` is a ``time.time()``; of a study that was interrupted,
    ``minutes`` are the last call's, and ``core_minutes`` at least what its rows say that they took.
    """
    frame = pd.DataFrame(rows, columns=list(max(rows, key=len))).sort_values(study.TABLES[table].split())
    minutes, told = (time.time() - began) / 60, float(frame.get("seconds", pd.Series(0)).sum()) / 60
    about = {
        "command": f"python -m lotteryhelpers.studies {study.__name__.rpartition('.')[2]}",
        "rows": len(frame), "minutes": round(minutes, 1), "cores": cores,
        "core_minutes": round(max(minutes * cores, told), 1), "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "dataset": dataset.name, "data": dataset.fingerprint, "configuration": plain(study.STORED),
    }  # fmt: skip
    with storage.replacing(results_folder() / f"{table}.csv") as part:
        frame.to_csv(part, index=False, float_format="%.6g")
    storage.write_json(about, results_folder() / f"{table}.json", indent=1)
    return about
