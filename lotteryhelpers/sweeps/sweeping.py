"""Many runs: seeds by criteria by densities, each kept when it ends; and what a worker does for one."""

import contextlib
import copy
import dataclasses
import functools
import inspect
import pickle
import sys
import time
from collections.abc import Sequence

import cloudpickle
import numpy as np
import pandas as pd
import tensorflow_probability as tfp
from tqdm.auto import tqdm

from lotteryhelpers.bayesian import INITIALIZERS, load_or_train_bayesian
from lotteryhelpers.criteria import CRITERIA, SCOPES, masks_for
from lotteryhelpers.data import Dataset
from lotteryhelpers.masks import check_one_of
from lotteryhelpers.networks import logits
from lotteryhelpers.papers.compacting import compact
from lotteryhelpers.papers.scores import OURS
from lotteryhelpers.storage import cache_folder, keep_if_possible, kept, key_of, read_json, write_json
from lotteryhelpers.sweeps.cluster import connected, ended, on_one_thread
from lotteryhelpers.tickets import train_ticket
from lotteryhelpers.training import Recipe, TrainConfig, as_tuple, check_positive, is_integer

ROW = ["best_epoch", "early_stopping_step", "test_accuracy_at_best", "test_accuracy", "calibration_error",
       "connected_inputs", "connected_units", "seconds", "curve", "error"]  # what a run adds to its spec's


@dataclasses.dataclass(frozen=True)
class Spec:
    """One run of a :func:`sweep`: of a name in ``CRITERIA``, or ``"dense"`` for the whole network.
    The seed redraws the start, the Bayesian noise and the batch order; density and scope are ``masks_for``'s,
    prior_stddev, kl_weight and initializer ``train_bayesian``'s."""

    seed: int
    criterion: str
    density: float = 1.0
    scope: str = "layer"
    prior_stddev: float = 1.0
    kl_weight: float = 1.0
    initializer: str = "normal"

    def __post_init__(self):
        if self.criterion != "dense":
            CRITERIA[self.criterion]
        check_one_of("scope", self.scope, SCOPES)
        if not 0 < self.density <= 1 or (self.criterion == "dense" and self.density != 1):
            raise ValueError(f"density={self.density!r} must be above 0 and at most 1, and 1 for 'dense'")
        TrainConfig(1, seed=self.seed)  # refuses a bad seed
        check_positive("prior_stddev", self.prior_stddev)
        check_positive("kl_weight", self.kl_weight, or_zero=True)
        check_one_of("initializer", self.initializer, INITIALIZERS)


def specs_of(seeds: Sequence[int], criteria: Sequence, densities: Sequence[float], **fields) -> list[Spec]:
    """A :class:`Spec` for each seed, density and criterion; ``fields`` are the same in all."""
    return [Spec(s, c, d, **fields) for s in seeds for d in densities for c in criteria]


FIELDS = [field.name for field in dataclasses.fields(Spec)]
COLUMNS = [*FIELDS, *ROW]


def sweep(dataset: Dataset, specs: Sequence[Spec], config: Recipe | TrainConfig, *,
          client: object = None, workers: int | None = None) -> pd.DataFrame:  # fmt: skip
    """Train a ticket for each spec; interrupted or not, finished runs are kept and never made twice.
    Every worker trains on one thread, so that a row is the same to the last bit wherever it was made on like
    machines. Where a worker dies, its runs are tried again. A reader's own criterion gets the dense network
    if it names it: ``mine(run, *, dense, **_)``.
    ``specs`` may be dicts of their fields; one ``TrainConfig`` is for both trainings, specs replace its seed;
    ``client`` is a ``dask.distributed.Client`` of workers with one thread each, None ``workers`` processes,
    as a rule one a core. A ValueError names a bad argument before anything is trained, a RuntimeError a
    worker with another text of this package.
    Gives a DataFrame with a row a spec, in their order: the spec's fields; ``best_epoch`` and
    ``early_stopping_step`` (of least validation loss), ``test_accuracy_at_best`` there and ``test_accuracy``
    at the end, 0 to 1; ``calibration_error`` (of the final weights, 15 bins; Guo et al. 2017);
    ``connected_inputs`` and ``connected_units`` (hidden ones); ``seconds`` of the ticket's training;
    ``curve``, the validation accuracies; ``error``, which is "" for a run that ended well."""
    specs, rows = as_tuple("specs", specs), {}
    if not all(isinstance(s, Spec | dict) for s in specs):
        raise ValueError(f"specs={specs!r} must be Specs, or dicts of their fields")
    specs = [s if isinstance(s, Spec) else Spec(**s) for s in specs]
    with contextlib.closing(sweep_rows(dataset, specs, config, client=client, workers=workers)) as made:
        for row in tqdm(made, total=len(set(specs)), desc="runs", unit="run"):
            rows[Spec(*(row[name] for name in FIELDS))] = row
    return pd.DataFrame([rows[spec] for spec in specs], columns=COLUMNS)


def sweep_rows(dataset, specs, config, *, client=None, workers=None):
    """Yield the rows of :func:`sweep` as dicts, kept ones first; to be closed, so that no worker stays."""
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
            yield dict.fromkeys(COLUMNS, np.nan) | dataclasses.asdict(spec) | row


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


def make_dense(dataset, config, run):
    """The dense network of a start."""
    return train_ticket(dataset, run.initial, None, config)


def make_row(dataset, config, run, dense, spec, criterion, path):
    """A ticket's row, and its file; ``criterion`` is a reader's own as bytes, None is one of ours."""
    masks, name, given = None, spec.criterion, (run, dense, dataset)
    if criterion:  # under a name of its own: the worker may be asked for ours later; it may write to its copy
        CRITERIA[name := "a reader's"] = pickle.loads(criterion)
        given = copy.deepcopy(given)
    if spec.criterion != "dense":
        rng = np.random.default_rng([spec.seed, round(1e6 * spec.density)])
        masks = masks_for(given[0], name, spec.density, scope=spec.scope, dense=given[1], dataset=given[2],
                          rng=rng, prior_stddev=spec.prior_stddev)  # fmt: skip
    if criterion:
        path = path.with_name(f"{dataset.name}-{key_of(run=path.name, masks=masks)}.json")
        if row := kept(read_json, path):
            return row, path
    began = time.perf_counter()
    ticket = train_ticket(dataset, run.initial, masks, config)
    seconds = time.perf_counter() - began
    history, (images, labels) = ticket.history, dataset.test.tensors
    outputs = logits(ticket.weights, ticket.biases, images)
    connected = compact(ticket.weights, ticket.biases, ticket.masks, for_training=True).sizes
    values = [float(history.epoch[history.step == ticket.best_step].iloc[0]), int(ticket.best_step),
        ticket.test_accuracy_at_best, ticket.test_accuracy,
        float(tfp.stats.expected_calibration_error(15, logits=outputs, labels_true=labels)),
        connected[0], sum(connected[1:-1]), seconds, [float(a) for a in history.validation_accuracy], ""]
    return dict(zip(ROW, values, strict=True)), path
