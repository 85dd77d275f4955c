"""One run of a sweep, and what a worker process does: the start of a seed, then its tickets."""

import contextlib
import dataclasses
import json
import os
import time

import loky
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from lotteryhelpers.bayesian import check_initializer, load_or_train_bayesian
from lotteryhelpers.criteria import CRITERIA, SCOPES, masks_for
from lotteryhelpers.networks import logits
from lotteryhelpers.papers.compacting import compact
from lotteryhelpers.papers.scores import OURS
from lotteryhelpers.startup.quiet import wake_xla
from lotteryhelpers.storage import replacing
from lotteryhelpers.tickets import train_ticket
from lotteryhelpers.training import TrainConfig, check_positive


@dataclasses.dataclass(frozen=True)
class Spec:
    """One run of a :func:`sweep`.

    Attributes:
        seed: redraws the start, the Bayesian noise and the batch order.
        criterion: a name in ``CRITERIA``, or ``"dense"`` for the whole network.
        density: above 0, at most 1.
        scope: see :func:`lotteryhelpers.masks_for`.
        prior_stddev, kl_weight, initializer: of the Bayesian training, see ``train_bayesian``.
    """

    seed: int
    criterion: str
    density: float = 1.0
    scope: str = "layer"
    prior_stddev: float = 1.0
    kl_weight: float = 1.0
    initializer: str = "normal"

    @property
    def start(self):
        """What decides the Bayesian training: runs with equal starts share it."""
        return self.seed, self.prior_stddev, self.kl_weight, self.initializer

    def __post_init__(self):
        """Refuse what no run could be made of."""
        if self.criterion != "dense":
            CRITERIA[self.criterion]
        if self.scope not in SCOPES:
            raise ValueError(f"scope={self.scope!r} must be one of {', '.join(SCOPES)}")
        if not 0 < self.density <= 1 or (self.criterion == "dense" and self.density != 1):
            raise ValueError(f"density={self.density!r} must be above 0 and at most 1, and 1 for 'dense'")
        TrainConfig(1, seed=self.seed)  # refuses a bad seed
        check_positive("prior_stddev", self.prior_stddev)
        check_positive("kl_weight", self.kl_weight, or_zero=True)
        check_initializer(self.initializer)


def specs_of(seeds, criteria, densities, **fields):
    """A :class:`Spec` for each seed, density and criterion; ``fields`` are the same in all."""
    return [Spec(s, c, d, **fields) for s in seeds for d in densities for c in criteria]


def keep(path, row):
    """Write a finished run's row. A failed run is not kept: the next call tries again."""
    if not row["error"]:
        with replacing(path) as part:
            part.write_text(json.dumps(row))


_of_this_process = {}


def take_dataset(dataset):
    """How a local worker gets its dataset, once."""
    # Where psutil is installed, loky takes 300 MB of growth for a leak and restarts the worker. The data's
    # tensors and the first compilation are as much, and a restart would pay for them again.
    loky.process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")
    _of_this_process["dataset"] = dataset


def _on_one_thread():
    """The same rows everywhere: one thread, and no GPU, which the workers of a machine would fight for."""
    try:
        tf.config.set_visible_devices([], "GPU")
        if os.environ.get("TF_NUM_INTRAOP_THREADS") != "1":
            tf.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:
        raise RuntimeError(
            "TensorFlow already runs on several threads or a GPU in this worker; start fresh worker "
            "processes, under a nanny or with TF_NUM_INTRAOP_THREADS=1 and CUDA_VISIBLE_DEVICES=-1 in their "
            "environment"
        ) from None
    wake_xla()


def make_start(dataset, recipe, start, with_dense):
    """The Bayesian run of a start and, where a criterion needs it, its dense network; each, or its error."""
    seed, prior_stddev, kl_weight, initializer = start
    try:
        _on_one_thread()
        dataset = dataset or _of_this_process["dataset"]
        run = load_or_train_bayesian(
            dataset, dataclasses.replace(recipe.bayesian, seed=seed), prior_stddev=prior_stddev,
            kl_weight=kl_weight, initializer=initializer,
        )  # fmt: skip
    except Exception as error:
        return error, None
    try:
        config = dataclasses.replace(recipe.ticket, seed=seed)
        return run, train_ticket(dataset, run.initial, None, config) if with_dense else None
    except Exception as error:
        return run, error


def make_rows(dataset, recipe, made, asked):
    """Train a start's tickets, one after the other; ``{spec: row}``."""
    rows = {}
    for spec, function, path in asked:
        try:
            _on_one_thread()
            row = _make_row(dataset or _of_this_process["dataset"], recipe, *made, spec, function)
        except Exception as error:  # the others go on
            row = {"error": f"{type(error).__name__}: {error}"}
        rows[spec] = row
        with contextlib.suppress(OSError):  # the caller keeps it too; this one survives an interruption
            keep(path, row)
    return rows


def _make_row(dataset, recipe, run, dense, spec, function):
    if isinstance(run, Exception):
        raise run
    masks = None
    if spec.criterion != "dense":
        if isinstance(dense, Exception) and OURS.get(spec.criterion) in (None, OURS["dense_magnitude"]):
            raise dense
        CRITERIA[spec.criterion] = function  # a reader's own isn't known in another process
        holders = run.initial, run.final, dense, getattr(dense, "initial", None)
        for array in _arrays(*holders, dataset.train, dataset.validation, dataset.test):
            array.flags.writeable = False  # a criterion that writes into them would change the others' rows
        rng = np.random.default_rng([spec.seed, round(1e6 * spec.density)])
        masks = masks_for(run, spec.criterion, spec.density, scope=spec.scope, dataset=dataset, dense=dense,
                          rng=rng, prior_stddev=spec.prior_stddev)  # fmt: skip
    config = dataclasses.replace(recipe.ticket, seed=spec.seed)
    began = time.perf_counter()
    ticket = train_ticket(dataset, run.initial, masks, config)
    seconds = time.perf_counter() - began
    history, (images, labels) = ticket.history, dataset.test.tensors
    connected = compact(ticket.weights, ticket.biases, ticket.masks, for_training=True).sizes
    return {
        "best_epoch": float(history.epoch[history.step == ticket.best_step].iloc[0]),
        "early_stopping_step": int(ticket.best_step),
        "test_accuracy_at_best": ticket.test_accuracy_at_best,
        "test_accuracy": ticket.test_accuracy,
        "calibration_error": float(tfp.stats.expected_calibration_error(
            15, logits=logits(ticket.weights, ticket.biases, images), labels_true=labels)),
        "connected_inputs": connected[0],
        "connected_units": sum(connected[1:-1]),
        "seconds": seconds,
        "curve": [float(a) for a in history.validation_accuracy],
        "error": "",
    }  # fmt: skip


def _arrays(*holders):
    """The NumPy arrays that these dataclasses hold."""
    for holder in filter(dataclasses.is_dataclass, holders):
        for value in vars(holder).values():
            values = value if isinstance(value, tuple) else [value]
            yield from (v for v in values if isinstance(v, np.ndarray))
