"""Many runs: seeds by criteria by densities, each kept when it ends."""

import contextlib
import dataclasses
import functools
import inspect
import math
import pickle
import sys

import cloudpickle
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lotteryhelpers.bayesian import load_or_train_bayesian
from lotteryhelpers.criteria import CRITERIA
from lotteryhelpers.papers.scores import OURS
from lotteryhelpers.storage import cache_folder, keep_if_possible, kept, key_of, read_json, write_json
from lotteryhelpers.sweeps.cluster import connected, ended, on_one_thread
from lotteryhelpers.sweeps.runs import ROW, Spec, make_dense, make_row
from lotteryhelpers.training import Recipe, TrainConfig, as_tuple, is_integer

FIELDS = [field.name for field in dataclasses.fields(Spec)]
COLUMNS = [*FIELDS, *ROW]


def sweep(dataset, specs, config, *, client=None, workers=None):
    """Train a ticket for each spec; interrupted or not, finished runs are kept and never made twice.

    Every worker trains on one thread, so that a row is the same to the last bit wherever it was made on like
    machines. Where a worker dies, its runs are tried again. A reader's own criterion gets the dense network
    if it names it: ``mine(run, *, dense, **_)``.

    ``specs`` are :class:`Spec`s, or dicts of their fields; ``config`` is a ``Recipe``, or one ``TrainConfig``
    for both trainings, whose seed the specs' replace; ``client`` a ``dask.distributed.Client`` whose workers
    have one thread each, None is ``workers`` processes here, as a rule one a core. A ValueError names a bad
    argument before anything is trained, a RuntimeError a worker with another text of this package.

    Gives a DataFrame with a row a spec, in their order: the spec's fields; ``best_epoch`` and
    ``early_stopping_step`` (of least validation loss), ``test_accuracy_at_best`` there and ``test_accuracy``
    at the end, 0 to 1; ``calibration_error`` (of the final weights, 15 bins; Guo et al. 2017);
    ``connected_inputs`` and ``connected_units`` (hidden ones); ``seconds`` of the ticket's training;
    ``curve``, the validation accuracies; ``error``, which is "" for a run that ended well.
    """
    specs, rows = _specs(specs), {}
    with contextlib.closing(sweep_rows(dataset, specs, config, client=client, workers=workers)) as made:
        for row in tqdm(made, total=len(set(specs)), desc="runs", unit="run"):
            rows[Spec(*(row[name] for name in FIELDS))] = row
    return pd.DataFrame([rows[spec] for spec in specs], columns=COLUMNS)


def sweep_rows(dataset, specs, config, *, client=None, workers=None):
    """Yield the rows of :func:`sweep` as dicts, kept ones first; to be closed, so that no worker stays."""
    specs = _specs(specs)
    recipe = Recipe(config, config, ()) if isinstance(config, TrainConfig) else config
    if not isinstance(recipe, Recipe):
        raise ValueError(f"config is a {type(config).__name__}; it must be a Recipe or a TrainConfig")
    if workers is not None and (client is not None or not is_integer(workers, 1, np.inf)):
        raise ValueError(f"workers={workers!r} must be an integer of at least 1, and None with a client")
    say, todo = functools.cache(print), {}  # the same thing once, however many runs it befalls
    own = {name: _sent(name) for name in {spec.criterion for spec in specs}}
    for spec in dict.fromkeys(specs):
        configs = [dataclasses.replace(c, seed=spec.seed) for c in (recipe.bayesian, recipe.ticket)]
        key = key_of(spec=spec, configs=configs, data=dataset.fingerprint)
        path = cache_folder() / "runs" / f"{dataset.name}-{key}.json"
        # A reader's own may be another function by the same name: its rows are known by their masks.
        if not own[spec.criterion] and (row := kept(read_json, path, say)):
            yield dataclasses.asdict(spec) | row
        else:
            todo[spec] = *configs, path
    if not todo:
        return
    import dask.system  # here: it takes a second, which only a sweep should cost

    with connected(client, min(workers or dask.system.CPU_COUNT, len(todo))) as client:
        # A task and not scattered: when a dying worker takes the last copy with it, Dask makes another.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            sent = client.submit(pickle.loads, pickle.dumps(dataset), pure=False)
        client.replicate(sent)
        for spec, future in ended(client, _jobs(client, sent, todo, own)):
            try:
                row, path = future.result()
                keep_if_possible(functools.partial(write_json, row), path, say)
            except Exception as error:  # not kept: the next call tries again
                row = {"error": f"{type(error).__name__}: {error}"}
            yield dict.fromkeys(COLUMNS, math.nan) | dataclasses.asdict(spec) | row


def _specs(specs):
    specs = as_tuple("specs", specs)
    if not all(isinstance(s, Spec | dict) for s in specs):
        raise ValueError(f"specs={specs!r} must be Specs, or dicts of their fields")
    return [s if isinstance(s, Spec) else Spec(**s) for s in specs]


def _jobs(client, dataset, todo, own):
    """Yield each spec and what makes its row; the tickets of a start share its trainings."""
    once = functools.cache(functools.partial(client.submit, on_one_thread, pure=False))
    for spec in sorted(todo, key=lambda s: (s.criterion, s.density)):  # the starts in turn, a worker each
        bayesian, ticket, path = todo[spec]
        run = once(load_or_train_bayesian, dataset, bayesian, prior_stddev=spec.prior_stddev,
                   kl_weight=spec.kl_weight, initializer=spec.initializer)  # fmt: skip
        function = CRITERIA.get(spec.criterion)  # none for "dense"
        needs_dense = function and "dense" in inspect.signature(function).parameters
        dense = once(make_dense, dataset, ticket, run) if needs_dense else None
        yield spec, make_row, dataset, ticket, run, dense, spec, own[spec.criterion], path


def _sent(criterion):
    """A reader's own criterion as bytes; None for one of ours. A ValueError names one that can't be sent."""
    function = inner = CRITERIA.get(criterion)
    if function is OURS.get(criterion):
        return None
    inner = getattr(inner, "func", inner)  # a partial's
    inner = inner if hasattr(inner, "__globals__") else type(inner).__call__  # an object's
    module = sys.modules.get(getattr(inner, "__module__", None))
    if module is not None and module.__name__.split(".")[0] not in ("__main__", "lotteryhelpers"):
        cloudpickle.register_pickle_by_value(module)  # workers get it as it is now, not as they imported it
    try:
        return cloudpickle.dumps(function)
    except Exception as error:  # whatever a reader's object may raise
        raise ValueError(f"criterion {criterion!r} can't be sent to a worker: {error}") from error
