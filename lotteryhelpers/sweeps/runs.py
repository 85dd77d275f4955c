"""One run of a sweep, and what a worker does for it: its start's trainings, then its own."""

import copy
import dataclasses
import pickle
import time

import numpy as np
import tensorflow_probability as tfp

from lotteryhelpers.bayesian import INITIALIZERS
from lotteryhelpers.criteria import CRITERIA, SCOPES, masks_for
from lotteryhelpers.masks import check_one_of
from lotteryhelpers.networks import logits
from lotteryhelpers.papers.compacting import compact
from lotteryhelpers.storage import kept, key_of, read_json
from lotteryhelpers.tickets import train_ticket
from lotteryhelpers.training import TrainConfig, check_positive

#: The columns that a run adds to its spec's.
ROW = ["best_epoch", "early_stopping_step", "test_accuracy_at_best", "test_accuracy", "calibration_error",
       "connected_inputs", "connected_units", "seconds", "curve", "error"]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Spec:
    """One run of a :func:`sweep`: of a name in ``CRITERIA``, or ``"dense"`` for the whole network.

    The seed redraws the start, the Bayesian noise and the batch order; density and scope are ``masks_for``'s,
    prior_stddev, kl_weight and initializer ``train_bayesian``'s.
    """

    seed: int
    criterion: str
    density: float = 1.0
    scope: str = "layer"
    prior_stddev: float = 1.0
    kl_weight: float = 1.0
    initializer: str = "normal"

    def __post_init__(self):
        """Refuse what no run could be made of."""
        if self.criterion != "dense":
            CRITERIA[self.criterion]
        check_one_of("scope", self.scope, SCOPES)
        if not 0 < self.density <= 1 or (self.criterion == "dense" and self.density != 1):
            raise ValueError(f"density={self.density!r} must be above 0 and at most 1, and 1 for 'dense'")
        TrainConfig(1, seed=self.seed)  # refuses a bad seed
        check_positive("prior_stddev", self.prior_stddev)
        check_positive("kl_weight", self.kl_weight, or_zero=True)
        check_one_of("initializer", self.initializer, INITIALIZERS)


def specs_of(seeds, criteria, densities, **fields):
    """A :class:`Spec` for each seed, density and criterion; ``fields`` are the same in all."""
    return [Spec(s, c, d, **fields) for s in seeds for d in densities for c in criteria]


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
    row = dict(zip(ROW, [
        float(history.epoch[history.step == ticket.best_step].iloc[0]), int(ticket.best_step),
        ticket.test_accuracy_at_best, ticket.test_accuracy,
        float(tfp.stats.expected_calibration_error(15, logits=outputs, labels_true=labels)),
        connected[0], sum(connected[1:-1]), seconds, [float(a) for a in history.validation_accuracy], "",
    ], strict=True))  # fmt: skip
    return row, path
