"""Many runs: seeds by criteria by densities, on local processes or a Dask cluster, each kept when it ends."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import warnings

import cloudpickle
import loky
import pandas as pd
from tqdm.auto import tqdm

from lotteryhelpers.criteria import CRITERIA
from lotteryhelpers.runs import Spec, keep, make_rows, make_start, take_dataset
from lotteryhelpers.storage import cache_folder, key_of
from lotteryhelpers.training import Recipe, TrainConfig

ATTEMPTS = 3
ENVIRONMENT = {"TF_NUM_INTRAOP_THREADS": "1", "TQDM_DISABLE": "1"}
COLUMNS = [field.name for field in dataclasses.fields(Spec)] + [
    "best_epoch", "early_stopping_step", "test_accuracy_at_best", "test_accuracy", "calibration_error",
    "connected_inputs", "connected_units", "seconds", "curve", "error",
]  # fmt: skip


def sweep(dataset, specs, config, *, client=None, workers=None):
    """Train a ticket for each spec; interrupted or not, finished runs are kept and never made twice.

    Every worker trains on one thread, so that a row is the same to the last bit wherever it was made on like
    machines. Where a worker dies, its runs are tried again.

    Args:
        dataset: a ``Dataset``.
        specs: :class:`Spec`s, or dicts of their fields.
        config: a ``Recipe``, or one ``TrainConfig`` for the Bayesian and the ticket trainings; the specs'
            seeds replace its own.
        client: a ``dask.distributed.Client`` whose workers have one thread each; None is local processes.
        workers: how many local processes; None is one for each core.

    Returns:
        A DataFrame with a row a spec, in their order: the spec's fields; ``best_epoch`` and
        ``early_stopping_step`` (of least validation loss), ``test_accuracy_at_best`` there and
        ``test_accuracy`` at the end, 0 to 1; ``calibration_error`` (of the final weights, 15 bins; Guo et al.
        2017); ``connected_inputs`` and ``connected_units`` (hidden ones); ``seconds`` of the ticket's
        training; ``curve``, the validation accuracies; ``error``, which is "" for a run that ended well.

    Raises:
        ValueError: names the argument, its value and what would be right, before anything is trained.
    """
    specs, recipe = [s if isinstance(s, Spec) else Spec(**s) for s in specs], config
    if isinstance(config, TrainConfig):
        recipe = Recipe(config, config, ())
    if not isinstance(recipe, Recipe):
        raise ValueError(f"config is a {type(config).__name__}; it must be a Recipe or a TrainConfig")
    if workers is not None and (client is not None or workers < 1):
        raise ValueError(f"workers={workers!r} must be at least 1, and None where there is a client")
    paths = {spec: _path(dataset, recipe, spec) for spec in specs}
    rows, lost = _kept(paths), None
    with tqdm(total=len(paths), initial=len(rows), desc="runs", unit="run") as bar:
        for attempt in range(ATTEMPTS):
            todo, runs_a_task = [spec for spec in paths if spec not in rows], 1 if attempt else 4
            # Runs that were in hand when a worker died are the first of those left. Once more, they come last
            # and one a task; the last time each is alone, so that one which kills its worker takes no other.
            groups = [[spec] for spec in todo] if attempt == ATTEMPTS - 1 else [todo[:: -1 if attempt else 1]]
            for group in filter(None, groups):
                handed_out = _hand_out(dataset, group, recipe, paths, client, workers, runs_a_task)
                try:
                    with contextlib.closing(handed_out):
                        for made in handed_out:
                            for spec, row in made.items():
                                keep(paths[spec], row)
                            rows |= made
                            bar.update(len(made))
                except LostWorker as error:
                    lost = error
            rows = _kept(paths) | rows  # a lost task may have finished some of its runs
    for spec in paths:
        rows.setdefault(spec, {"error": f"lost {ATTEMPTS} times: {lost}"})
    return pd.DataFrame([dataclasses.asdict(spec) | rows[spec] for spec in specs], columns=COLUMNS)


def _path(dataset, recipe, spec):
    """The file of a finished run; a reader's own criterion is known by its code, not by its name."""
    bayesian, ticket = (dataclasses.replace(c, seed=spec.seed) for c in (recipe.bayesian, recipe.ticket))
    own = _is_own(spec.criterion)
    code = hashlib.sha256(cloudpickle.dumps(CRITERIA[spec.criterion])).hexdigest() if own else None
    key = key_of(spec=spec, bayesian=bayesian, ticket=ticket, data=dataset.fingerprint, code=code)
    return cache_folder() / "runs" / f"{dataset.name}-{key}.json"


def _is_own(criterion):
    """Whether a reader has put it into ``CRITERIA``."""
    return criterion in CRITERIA and not CRITERIA[criterion].__module__.startswith("lotteryhelpers.")


def _kept(paths):
    """``{spec: row}`` of the runs that have a whole file."""
    rows = {}
    for spec, path in paths.items():
        try:
            rows[spec] = json.loads(path.read_text())
        except FileNotFoundError:
            continue
        except ValueError as error:
            warnings.warn(f"a kept run is made again: {path} is damaged ({error})", stacklevel=3)
    return rows


class LostWorker(Exception):
    """A task ended by other means than its own: its process died, or the cluster gave it up."""


@contextlib.contextmanager
def _executor(dataset, client, workers):
    """``submit(function, *arguments)``, the dataset put before them, and ``share``, to send a value once."""
    if client is not None:
        sent = client.scatter(dataset, broadcast=True, hash=False)
        pool = client.get_executor(pure=False)
        stop = functools.partial(pool.shutdown, wait=False)
    else:
        sent = None
        options = {"initializer": take_dataset, "initargs": (dataset,), "env": ENVIRONMENT}
        pool = loky.ProcessPoolExecutor(workers, **options)
        stop = functools.partial(pool.shutdown, kill_workers=True)

    def submit(function, *arguments):
        return pool.submit(function, sent, *arguments)

    def share(value):  # in a list, for a tuple's parts would be scattered apart
        return value if client is None else client.scatter([value], hash=False)[0]

    try:
        yield submit, share
    except BaseException:  # an interruption, for instance: nothing trains on unseen
        stop()
        raise
    pool.shutdown()


def _hand_out(dataset, specs, recipe, paths, client, workers, runs_a_task):
    """Yield ``{spec: row}`` as runs end: first each start's Bayesian training, then its tickets.

    Raises:
        LostWorker: when all else has ended, if a task was lost.
    """
    by_start, tasks, lost = {}, {}, None
    for spec in specs:
        by_start.setdefault(spec.start, []).append(spec)
    with _executor(dataset, client, min(workers or loky.cpu_count(), len(specs))) as (submit, share):
        for start, group in by_start.items():
            with_dense = any(s.criterion == "dense_magnitude" or _is_own(s.criterion) for s in group)
            tasks[submit(make_start, recipe, start, with_dense)] = start
        while tasks:
            done, _ = concurrent.futures.wait(tasks, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                start = tasks.pop(future)
                try:
                    made = future.result()
                    if start is None:
                        yield made
                        continue
                    made, left = share(made), iter(by_start[start])
                    while chunk := list(itertools.islice(left, runs_a_task)):
                        asked = [(spec, CRITERIA.get(spec.criterion), paths[spec]) for spec in chunk]
                        tasks[submit(make_rows, recipe, made, asked)] = None
                except Exception as error:  # what goes wrong in a run is in its row
                    lost = error
    if lost is not None:
        raise LostWorker(repr(lost))
