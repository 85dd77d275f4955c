"""Pruning in rounds with rewinding (Frankle & Carbin), and what a ticket may start from (Zhou et al.)."""

import dataclasses
import types

import numpy as np

from lotteryhelpers.bayesian import check_fits, draw_initial, train_bayesian
from lotteryhelpers.criteria import CRITERIA, pruned_last
from lotteryhelpers.data import Dataset
from lotteryhelpers.masks import Arrays, at_half_rate, check_masks, check_one_of, density, keep_counts
from lotteryhelpers.posterior import BayesianRun, Posterior
from lotteryhelpers.tickets import TicketRun, point, train_ticket
from lotteryhelpers.training import TrainConfig, is_integer


@dataclasses.dataclass(frozen=True, eq=False)
class PruningRound:
    """A round of :func:`iterative_magnitude_pruning`."""

    masks: Arrays  # what is left, bool ``[inputs, units]`` a layer; all True in the first round
    start: Posterior  # what all rounds rewind to
    ticket: TicketRun  # of masks * start; the first round's began at the first start of all
    bayesian: BayesianRun | None = None  # its scores chose the next masks; None if the ticket's did, and last

    density = property(lambda self: density(self.masks), doc="The kept fraction, a ``Density``.")


def iterative_magnitude_pruning(
    dataset: Dataset, initial: Posterior, config: TrainConfig, *, rounds: int = 18, rate: float = 0.2,
    criterion: str = "magnitude", bayesian: TrainConfig | None = None, rewind_step: int = 0,
    masks: Arrays | None = None, compact: bool = False) -> list[PruningRound]:  # fmt: skip
    """Train, :func:`prune`, rewind, repeat (Frankle & Carbin 2019, section 2 and appendix B, strategy 1).
    ``rounds=1`` and ``rate=1 - density`` is one-shot pruning. Gives a list of ``rounds + 1``
    :class:`PruningRound`. A ValueError names a bad argument, or a layer that would be empty.

    Args:
        config, compact: as for :func:`train_ticket`; every ticket is trained in full.
        rounds: how often to prune; there is one training more than that.
        rate: the fraction of a hidden layer's remaining weights that goes each time, above 0 and below 1.
        criterion: a name in ``CRITERIA``. It scores the trained ticket, or the Bayesian network.
        bayesian: in each round, train the masked Bayesian network too and score that; None: the ticket.
        rewind_step: rewind to the weights after this many steps of the first training, of the Bayesian
            network where there is one (late rewinding: Frankle et al. 2019, arXiv:1903.01611). 0: the start.
        masks: what an earlier call has left, to go on from; None begins with the whole network. After late
            rewinding, go on with ``initial=rounds[0].start``."""
    check_fits(initial, dataset)
    if masks is not None and rewind_step:
        raise ValueError("with masks, give initial=rounds[0].start of the earlier call and rewind_step=0")
    masks = check_masks(masks, initial.means, for_training=True)
    if not is_integer(rounds, 0, np.inf):
        raise ValueError(f"rounds={rounds!r} must be an integer of at least 0")
    if bayesian is not None and not isinstance(bayesian, TrainConfig):
        raise ValueError(f"bayesian={bayesian!r} must be a TrainConfig, or None for a deterministic loop")
    first = bayesian or config
    an_epoch = max(1, len(dataset.train.labels) // first.batch_size)
    if not isinstance(rewind_step, int | np.integer) or not 0 <= rewind_step <= an_epoch * first.epochs:
        raise ValueError(f"rewind_step={rewind_step!r} must be a step, 0 to {an_epoch * first.epochs}")
    function, epoch, done = CRITERIA[criterion], rewind_step / an_epoch, []
    untrained = initial if bayesian else point(initial.means, initial.biases, initial.convs)
    stand_in = types.SimpleNamespace(initial=untrained, final=untrained, masks=masks)
    # what either refuses is refused before training
    convs = len(initial.convs)
    prune(masks, function(stand_in, dataset=dataset, rng=np.random.default_rng(0)), rate, convs)
    start = None if rewind_step else initial
    for number in range(rounds + 1):
        last, origin = number == rounds, start or initial
        snapshots = () if start else (epoch,)
        wanted = () if bayesian else snapshots
        run = ticket = train_ticket(dataset, origin, masks, config, compact=compact, snapshots=wanted)
        if bayesian and (not last or start is None):
            run = train_bayesian(dataset, bayesian, initial=origin, masks=masks, snapshots=snapshots)
        start = start or run.snapshots[epoch]
        scored = run if isinstance(run, BayesianRun) and not last else None
        done.append(PruningRound(masks, start, ticket, scored))
        if not last:
            rng = np.random.default_rng([config.seed, sum(int(m.sum()) for m in masks)])  # resumed, the same
            masks = prune(masks, function(run, dataset=dataset, rng=rng), rate, convs)
    return done


def prune(masks: Arrays | None, scores: Arrays, rate: float, convs: int = 0) -> tuple[np.ndarray, ...]:
    """Prune round(rate * remaining) of each hidden layer's weights and round(rate / 2 * remaining) of the
    output layer's, and of the first ``convs`` layers', which are convolutions (Frankle & Carbin 2019, figure
    2: Conv-2 and Conv-4); those of the lowest score. What is pruned stays pruned."""
    if not isinstance(rate, int | float | np.number) or not 0 < rate < 1:
        raise ValueError(f"rate={rate!r} must be above 0 and below 1, such as 0.2")
    masks = check_masks(masks, [np.asarray(s) for s in scores])
    counts, slower = [int(m.sum()) for m in masks], at_half_rate(masks, convs)
    counts = [n - round((rate / 2 if i in slower else rate) * n) for i, n in enumerate(counts)]
    return keep_counts(pruned_last(masks, scores), counts)


def restart(initial: Posterior, masks: Arrays, action: str = "rewind", *, keep_sign: bool = True,
            seed: int = 0, initializer: str = "normal") -> Posterior:  # fmt: skip
    """The start of a ticket, a Posterior, after a mask-1 action (Zhou et al. 2019, section 3).
    Deviations, biases and pruned weights are ``initial``'s. A ValueError names a bad argument.

    Args:
        initial: the Posterior that the mask was found from.
        masks: only kept weights are changed; None keeps all.
        action: ``"rewind"``: their initial values; ``"reinitialise"``: new draws of ``initializer``;
            ``"reshuffle"``: these exchanged within the layer; ``"constant"``: their standard deviation.
        keep_sign: with the sign of the initial weight. False leaves new and exchanged values their own sign,
            and gives rewound and constant ones a random sign.
        seed, initializer: of whatever is random here, and of new draws, see :func:`draw_initial`."""
    check_one_of("action", action, ("rewind", "reinitialise", "reshuffle", "constant"))
    TrainConfig(1, seed=seed)  # refuses a bad seed
    if not isinstance(initial, Posterior):
        raise ValueError(f"initial is a {type(initial).__name__}; it must be a Posterior: run.initial, say")
    masks, rng = check_masks(masks, initial.means), np.random.default_rng([seed, 3])
    fresh, means = draw_initial(initial.sizes, seed, initializer).means, [m.copy() for m in initial.means]
    old, new = (np.concatenate([w[m] for w, m in zip(p, masks, strict=True)]) for p in (initial.means, fresh))
    if action == "reinitialise" and old.size > 9 and (old @ new) ** 2 > 0.8 * (old @ old) * (new @ new):
        raise ValueError(f"seed={seed} draws initial's own weights again, or nearly; take another")
    for old, new, mask, mean in zip(initial.means, fresh, masks, means, strict=True):
        values = {"rewind": old[mask], "reinitialise": new[mask], "reshuffle": rng.permutation(old[mask]),
                  "constant": np.full_like(old[mask], old.std())}[action]  # fmt: skip
        if keep_sign:
            values = abs(values) * np.where(old[mask] < 0, -1, 1)
        elif action in ("rewind", "constant"):
            values = abs(values) * rng.choice([-1, 1], values.shape)
        mean[mask] = values
    return Posterior(means, initial.stddevs, initial.biases, initial.convs)


def frozen_values(run: BayesianRun | TicketRun, masks: Arrays, action: str) -> tuple[np.ndarray, ...]:
    """What ``train_ticket(frozen=)`` holds pruned weights at: mask-0 actions (Zhou et al. 2019, section 4).
    ``"zero"``; ``"freeze"``: their initial values; ``"freeze_increased"``: the initial values of those whose
    size grew in training, zero for the others. Arrays ``[inputs, units]``, zero where the masks keep. ``run``
    is the ``BayesianRun`` or ``TicketRun`` that the masks were made from, trained without a mask."""
    check_one_of("action", action, ("zero", "freeze", "freeze_increased"))
    if not all(m.all() for m in run.masks):
        raise ValueError("run was trained under masks; what they pruned has no initial values any more")
    first, last, held = run.initial.means, run.final.means, []
    for a, b, mask in zip(first, last, check_masks(masks, first), strict=True):
        frozen = {"zero": False, "freeze": True, "freeze_increased": abs(b) > abs(a)}[action]
        held.append(np.where(frozen & ~mask, a, np.float32(0)))
    return tuple(held)
