"""Which weights to keep: criteria, and the controls that take their credit away. Higher score = keep."""

import functools
import inspect

import numpy as np

from lotteryhelpers.masks import check_one_of, keep_counts, keep_fraction, variance_masks, variance_quantile


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
        return pruned_last(run.masks, function(run, **extras))

    CRITERIA[name] = scored
    return scored


def pruned_last(masks, scores):
    """The scores, -inf for what the masks prune and for nothing else."""
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


def masks_for(run, criterion, density, *, scope="layer", **extras):
    """Score a ``BayesianRun`` by a criterion, a name in ``CRITERIA``, and keep the best fraction ``density``.

    Args:
        density: above 0, at most 1; a ValueError says if it would leave a layer empty.
        scope: ``"layer"``: in each layer, the output layer and convolutions by the half-rate rule;
            ``"uniform"``: in each layer, these too; ``"global"``: all layers ranked together;
            ``"variance"``: as many in each layer as one variance threshold for the whole network keeps.
        **extras: what the criterion needs: dataset, dense, rng, prior_stddev.
    """
    check_one_of("scope", scope, SCOPES)
    scores = pruned_last(run.masks, CRITERIA[criterion](run, **extras))  # by a reader's criterion too
    if scope == "variance":
        stddevs(run.final)
        budget = variance_masks(run.final, variance_quantile(run.final, density))
        return keep_counts(scores, [int(m.sum()) for m in budget])
    if scope == "uniform":
        return keep_fraction(scores, density, output_density=density)
    return keep_fraction(scores, density, scope=scope, convs=len(run.initial.convs))
