"""Which weights to keep: criteria, and the controls that take their credit away. Higher score = keep."""

import functools
import inspect
from typing import TYPE_CHECKING

import numpy as np

from lotteryhelpers.masks import check_density, check_one_of, keep_counts, keep_fraction

if TYPE_CHECKING:
    from lotteryhelpers.posterior import BayesianRun, Posterior
    from lotteryhelpers.tickets import TicketRun


class _Criteria(dict):
    """Name -> function(run, *, dataset=None, dense=None, rng=None, prior_stddev=1.0) -> scores."""

    def __getitem__(self, name):
        if not isinstance(name, str) or name not in self:
            raise ValueError(f"criterion {name!r} is unknown; there are {', '.join(sorted(self))}")
        return super().__getitem__(name)


#: run: a ``BayesianRun``, or a ``TicketRun`` where no deviation is needed (mu is then the weight); dense: the
#: ``TicketRun`` of the dense network trained from run.initial; rng: a NumPy Generator; prior_stddev: what the
#: run was trained with. A criterion ignores what it doesn't need and raises a ValueError for what it misses.
#: Scores are a tuple of float arrays ``[inputs, units]``; what the run's masks pruned has the score -inf. A
#: reader's own criterion, ``CRITERIA["mine"] = function``, works everywhere that a name does.
CRITERIA = _Criteria()
#: How :func:`masks_for` shares the weights out among the layers.
SCOPES = ("layer", "uniform", "global", "variance")


def criterion(function):
    """Enter a function of the same name, without its underscore; what has no default is asked for."""
    name, spec = function.__name__.lstrip("_"), inspect.getfullargspec(function)

    @functools.wraps(function)
    def scored(run, **extras):
        for extra in spec.kwonlyargs:
            if extra not in (spec.kwonlydefaults or ()) and extras.get(extra) is None:
                raise ValueError(f"criterion {name!r} needs {extra}=, which is None")
        return pruned_last(run.masks, function(run, **extras), f"{name}'s")

    CRITERIA[name] = scored
    return scored


def pruned_last(masks, scores, whose="the"):
    """The scores, -inf for what the masks prune and for nothing else; a ValueError if they can't be that."""
    shapes, scores = [m.shape for m in masks], [*map(np.asarray, scores if np.iterable(scores) else ())]
    if [s.shape for s in scores] != shapes or any(s.dtype.kind not in "biuf" for s in scores):
        found = [f"{s.dtype} {s.shape}" for s in scores]
        raise ValueError(f"{whose} scores must be numbers of the weights' shapes {shapes}, not {found}")
    pairs = zip(masks, scores, strict=True)
    return tuple(np.where(m, np.maximum(s, np.float32(-3.4e38)), -np.inf) for m, s in pairs)


def each(formula, *layered):
    """The formula's array for each layer."""
    with np.errstate(divide="ignore", invalid="ignore"):  # deviations of 0 are replaced by the caller
        return [formula(*arrays) for arrays in zip(*layered, strict=True)]


def stddevs(posterior):
    """The deviations; a ValueError for a deterministic network, where all would tie."""
    if not any(s.any() for s in posterior.stddevs):
        raise ValueError("this criterion reads posterior deviations, and a deterministic network has none "
                         "(in a pruning loop, bayesian=TrainConfig(...) trains a posterior)")  # fmt: skip
    return posterior.stddevs


def formula(name, says, score):
    """Enter a criterion that is one expression."""
    score.__name__, score.__doc__ = name, says
    criterion(score)


formula("variance", "-sigma^2 of the final posterior: low variance = keep (the blog post's criterion).",
        lambda run, **_: each(lambda s: -(s**2), stddevs(run.final)))
formula("snr", "|mu| / sigma of the final posterior: signal-to-noise ratio (Blundell et al. 2015, sec. 5.1).",
        lambda run, **_: each(lambda m, s: abs(m) / s, run.final.means, stddevs(run.final)))
formula("magnitude", "|mu| of the final posterior (as Han et al. 2015 prune a deterministic network).",
        lambda run, **_: each(abs, run.final.means))
formula("random", "Control: chance, uniform numbers from ``rng``.",
        lambda run, *, rng, **_: each(lambda m: rng.random(m.shape), run.final.means))
formula("inverted", "Control: sigma^2 of the final posterior, the variance's order turned round.",
        lambda run, **_: each(np.square, stddevs(run.final)))
formula("dense_magnitude", "|w| of the dense network trained from the same start (Frankle & Carbin 2019, "
        "section 2, one-shot), where the weights of dead pixels keep the size of their start.",
        lambda run, *, dense, **_: each(abs, dense.weights))


def variance_masks(posterior: "Posterior", threshold: float) -> tuple[np.ndarray, ...]:
    """Keep each weight whose posterior variance is at most ``threshold``, one for the whole network.
    The posterior is as a rule ``run.final``; the threshold is a variance, not a standard deviation. A
    ValueError says that it isn't a number of at least 0, or empties a layer."""
    if not isinstance(threshold, int | float | np.number) or not threshold >= 0:
        raise ValueError(f"threshold={threshold!r} must be a variance: a number of at least 0")
    variances = variances_of_the_kept(posterior)
    limit = np.float32(min(np.asarray(threshold).item(), 3.4e38))  # as the variances are, whatever its type
    for layer, variance in enumerate(variances, start=1):
        if variance.min() > limit:
            raise ValueError(f"threshold={float(threshold):g} prunes all of layer {layer}, whose smallest "
                             f"variance is {variance.min():g}; take a larger one, as variance_quantile gives")
    return tuple(v <= limit for v in variances)  # what is pruned stays so: it is infinite


def variance_quantile(posterior: "Posterior", density: float) -> float:
    """The variance threshold that keeps this fraction of all weights (more only where values tie)."""
    everything = np.sort(np.concatenate([v.ravel() for v in variances_of_the_kept(posterior)]))
    threshold = float(everything[max(1, round(check_density("density", density) * everything.size)) - 1])
    if np.isinf(threshold):
        left = np.isfinite(everything).mean()
        raise ValueError(f"density={density} is above the {left:.4f} that earlier masks have left")
    return threshold


def variances_of_the_kept(posterior):
    """Variances, infinite for weights that an earlier mask pruned: no certainty brings them back."""
    return tuple(np.where(s > 0, s**2, np.inf) for s in posterior.stddevs)


def masks_for(run: "BayesianRun | TicketRun", criterion: str, density: float, *, scope: str = "layer",
              **extras) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Score a ``BayesianRun`` by a criterion, a name in ``CRITERIA``, and keep the best fraction ``density``.

    Args:
        density: above 0, at most 1; a ValueError says if it would leave a layer empty.
        scope: ``"layer"``: in each layer, the output layer and convolutions by the half-rate rule;
            ``"uniform"``: in each layer, these too; ``"global"``: all layers ranked together;
            ``"variance"``: as many in each layer as one variance threshold for the whole network keeps.
        **extras: what the criterion needs: dataset, dense, rng, prior_stddev."""
    check_one_of("scope", scope, SCOPES)
    scores = pruned_last(run.masks, CRITERIA[criterion](run, **extras), f"{criterion}'s")
    if scope == "variance":
        stddevs(run.final)
        budget = variance_masks(run.final, variance_quantile(run.final, density))
        return keep_counts(scores, [int(m.sum()) for m in budget])
    if scope == "uniform":
        return keep_fraction(scores, density, output_density=density)
    return keep_fraction(scores, density, scope=scope, convs=len(run.initial.convs))
