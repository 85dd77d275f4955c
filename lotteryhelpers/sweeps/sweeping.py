"""Many runs: seeds by criteria by densities, on local processes or a Dask cluster, each kept when it ends."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import sys
import types

import cloudpickle
import loky
import pandas as pd
from tqdm.auto import tqdm

from lotteryhelpers.criteria import CRITERIA
from lotteryhelpers.papers.scores import OURS
from lotteryhelpers.storage import cache_folder, keep_if_possible, key_of
from lotteryhelpers.sweeps.runs import Spec, keep, make_rows, make_start, take_dataset
from lotteryhelpers.training import Recipe, TrainConfig

ATTEMPTS = 3
ENVIRONMENT = {"TF_NUM_INTRAOP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1", "TQDM_DISABLE": "1"}
ROW = [
    "best_epoch", "early_stopping_step", "test_accuracy_at_best", "test_accuracy", "calibration_error",
    "connected_inputs", "connected_units", "seconds", "curve", "error",
]  # fmt: skip
COLUMNS = [field.name for field in dataclasses.fields(Spec)] + ROW


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
    codes = {name: _code(dataset, name) for name in {spec.criterion for spec in specs}}
    paths = {spec: _path(dataset, recipe, spec, codes[spec.criterion]) for spec in specs}
    say = functools.cache(print)  # the same thing once, however many runs it befalls
    rows, lost = _kept(paths, say), {}
    with tqdm(total=len(paths), initial=len(rows), desc="runs", unit="run") as bar:
        for attempt in range(ATTEMPTS):
            todo = [spec for spec in paths if spec not in rows]
            runs_a_task = 1 if attempt or len(todo) < 100 else 4  # few runs: the last task must not be long
            # Runs that were in hand when a worker died are the first of those left. Once more, they come last
            # and one a task. The last time each has its own process, so that one which kills its process
            # takes no other with it; a Dask cluster sees to that itself.
            alone = attempt == ATTEMPTS - 1 and client is None
            groups = [[spec] for spec in todo] if alone else [todo[:: -1 if attempt else 1]]
            for group in filter(None, groups):
                handed_out = _hand_out(dataset, group, recipe, paths, client, workers, runs_a_task)
                try:
                    with contextlib.closing(handed_out):
                        for made in handed_out:
                            for spec, row in made.items():
                                keep_if_possible(functools.partial(keep, row=row), paths[spec], say)
                            rows |= made
                            bar.update(len(made))
                except LostWorker as error:
                    lost |= dict.fromkeys(group, error)
            rows = _kept(paths, say) | rows  # a lost task may have finished some of its runs
    for spec in paths:
        rows.setdefault(spec, {"error": f"lost {ATTEMPTS} times: {lost.get(spec)}"})
    return pd.DataFrame([dataclasses.asdict(spec) | rows[spec] for spec in specs], columns=COLUMNS)


def _path(dataset, recipe, spec, code):
    """The file of a finished run."""
    bayesian, ticket = (dataclasses.replace(c, seed=spec.seed) for c in (recipe.bayesian, recipe.ticket))
    key = key_of(spec=spec, bayesian=bayesian, ticket=ticket, data=dataset.fingerprint, code=code)
    return cache_folder() / "runs" / f"{dataset.name}-{key}.json"


def _is_own(criterion):
    """Whether a reader has put it into ``CRITERIA``."""
    return criterion != "dense" and CRITERIA[criterion] is not OURS.get(criterion)


class _CodePickler(cloudpickle.Pickler):
    """Leaves out where a function was written: another kernel, another line, the same criterion."""

    def reducer_override(self, value):
        """Called for each object."""
        if isinstance(value, types.CodeType):
            counts = value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags
            names = value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars
            return tuple, ([value.co_code, value.co_consts, *counts, *names],)
        return super().reducer_override(value)


def _code(dataset, criterion):
    """A hash of a reader's own criterion, its code and what it uses, because its name may stay; else None."""
    if not _is_own(criterion):
        return None
    function = CRITERIA[criterion]
    module = sys.modules.get(getattr(function, "__module__", None))
    if module is not None and module.__name__.split(".")[0] not in ("__main__", "lotteryhelpers"):
        cloudpickle.register_pickle_by_value(module)  # workers get it as it is now, not as they imported it
    dataset.fingerprint  # noqa: B018 - a criterion may use the dataset, which this completes
    pickled = io.BytesIO()
    pickler = _CodePickler(pickled)
    # else the path of its file would be in it
    pickler.globals_ref[id(getattr(function, "__globals__", None))] = {"__name__": "a reader's"}
    pickler.dump(function)
    return hashlib.sha256(pickled.getvalue()).hexdigest()


def _kept(paths, say):
    """``{spec: row}`` of the runs that have a whole file."""
    rows = {}
    for spec, path in paths.items():
        try:
            row = json.loads(path.read_text())
            if not isinstance(row, dict) or sorted(row) != sorted(ROW):
                raise ValueError("not the columns of a run")
            rows[spec] = row
        except OSError:  # none yet, or none that may be read
            continue
        except ValueError as error:
            say(f"A kept run is thrown away and made again: {path} is damaged ({error}).")
    return rows


class LostWorker(Exception):
    """A task ended by other means than its own: its process died, or the cluster gave it up."""


@contextlib.contextmanager
def _executor(dataset, client, workers):
    """``submit(function, *arguments)``, the dataset put before them, and ``share``, to send a value once."""
    if client is None:
        options = {"initializer": take_dataset, "initargs": (dataset,), "env": ENVIRONMENT}
        pool = loky.ProcessPoolExecutor(workers, **options)
        try:
            yield (lambda function, *rest: pool.submit(function, None, *rest)), lambda value: value
        except BaseException:  # an interruption, for instance: nothing trains on unseen
            pool.shutdown(kill_workers=True)
            raise
        pool.shutdown()
        return
    client.wait_for_workers(1)  # a queue may take its time
    sent, waiting = client.scatter(dataset, broadcast=True, hash=False), set()

    def submit(function, *arguments):
        theirs, ours = client.submit(function, sent, *arguments, pure=False), concurrent.futures.Future()
        waiting.add(theirs)

        def hand_over(_):
            try:
                ours.set_result(theirs.result())
            except BaseException as error:  # cancelled or lost: the caller must hear of it
                ours.set_exception(LostWorker(repr(error)))
            waiting.discard(theirs)

        theirs.add_done_callback(hand_over)
        return ours

    try:
        yield submit, lambda value: client.scatter([value], hash=False)[0]  # a tuple's parts would go apart
    finally:
        client.cancel(list(waiting))


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
            # a second at a time: on Windows nothing interrupts a wait without an end
            done, _ = concurrent.futures.wait(tasks, 1, concurrent.futures.FIRST_COMPLETED)
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
