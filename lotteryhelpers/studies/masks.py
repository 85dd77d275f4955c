"""Criteria, mask-1 and mask-0 actions, untrained networks, learned supermasks (notebook 07).

07_tickets has tickets that were trained, 07_untrained mask * start weights as they are, at many densities.
Glorot normal start, Adam 1.2e-3, one-shot pruning with the half-rate rule. Zhou et al. prune in rounds of 55
epochs; here masks come from one training of 15 epochs with batch 128, dense or Bayesian, and tickets have 10.
``dense, 55 epochs`` has the paper's length with batch 60: does the length matter?

Written down before the first run, from a look at seed 7 alone. Expected: large_final, magnitude_increase and
snr make tickets as good as dense at 20%, random and variance don't; reinitialised, reshuffled and constant
starts do as well as rewound ones if the sign is kept, worse if not (paper); freezing at the initial value is
worse than zero (paper); same-sign masks are far above the others untrained, snr_same_sign like
large_final_same_sign; 15 epochs give better untrained masks than 55.

07_supermasks (Zhou et al. 2019, section 5): initial weights or signed constants, with and without dynamic
weight rescaling. The paper has plain gradient descent with a rate of 100; here it is Adam on the logits, its
rate, of 0.03, 0.1 and 0.3, the best on validation images after 4 epochs with seed 0."""

import dataclasses
import itertools
import time

import numpy as np

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import gather, masks_of, start_of, ticket, trained

TABLES = {"07_untrained": "source criterion seed density", "07_supermasks": "weights rescale seed",
          "07_tickets": "source criterion pruned action seed density keep_sign"}  # fmt: skip
STORED = {"seeds": range(200, 205), "densities": (0.5, 0.2, 0.1, 0.05), "action_densities": (0.2, 0.05),
          "frozen_densities": (0.5, 0.2, 0.05), "grid": tuple(0.8**k for k in range(1, 19)),
          "lengths": (lh.TrainConfig(15), lh.TrainConfig(55, 60)), "ticket": lh.TrainConfig(10),
          "supermask": lh.TrainConfig(12, 128, 0.1)}  # fmt: skip
LIVE = {"seeds": range(200, 203), "densities": (0.2, 0.05), "action_densities": (0.05,),
        "frozen_densities": (0.05,), "grid": (0.64, 0.4, 0.2, 0.1)}  # fmt: skip
CRITERIA = {"dense": ("large_final", "small_final", "large_init", "magnitude_increase", "movement", "random",
                      "large_final_same_sign", "magnitude_increase_same_sign"),
            "posterior": ("variance", "snr", "variance_same_sign", "snr_same_sign", "large_final_same_sign")}
ACTIONS = [*itertools.product(("rewind", "reinitialise", "reshuffle", "constant"), (True, False))]


def rows(dataset, seeds, densities, action_densities, frozen_densities, grid, lengths=None, ticket=None,
         supermask=None, table="07_tickets", client=None):  # fmt: skip
    """Yield a row a ticket, an untrained mask or a supermask. ``lengths`` are of dense trainings, for
    untrained masks; all other masks come from trainings of the first."""
    usual, chosen = lh.recipe(dataset), (densities, action_densities, frozen_densities)
    lengths, ticket = lengths or (usual.bayesian,), ticket or usual.ticket
    calls = [(tickets, seed, source, criterion, *chosen, lengths[0], ticket)
             for seed in seeds for source, names in CRITERIA.items() for criterion in ("dense", *names)
             if (source, criterion) != ("posterior", "dense")]  # fmt: skip
    if table == "07_untrained":
        sources = [("posterior", lengths[0]), *((f"dense, {c.epochs} epochs", c) for c in lengths)]
        calls = [(untrained, seed, *source, grid) for seed in seeds for source in sources]
    if table == "07_supermasks":
        configs, both = (supermask or dataclasses.replace(ticket, learning_rate=0.1), ticket), (False, True)
        calls = [(learned, *one, *configs)
                 for one in itertools.product(seeds, ("initial", "constant"), both)]  # fmt: skip
    return gather(dataset, calls, client)


def tickets(dataset, seed, source, criterion, densities, action_densities, frozen_densities, length, config):
    """A criterion's tickets at all densities; for some masks all actions as well."""
    start, config = start_of(dataset, seed), dataclasses.replace(config, seed=seed)
    cases = [(d, "rewind", True, "zero") for d in densities]
    if (source, criterion) in (("dense", "large_final"), ("posterior", "snr")):
        cases += [(d, *action, "zero") for d in action_densities for action in ACTIONS[1:]]
    if criterion in ("large_final", "snr", "variance", "random"):
        cases += [(d, "rewind", True, p) for d in frozen_densities for p in ("freeze", "freeze_increased")]
    if criterion == "dense":  # keeps all, by whatever score
        cases, length = [(1.0, "rewind", True, "zero")], config
    run = trained(dataset, start, source, dataclasses.replace(length, seed=seed))
    for density, action, keep_sign, pruned in cases:
        masks = masks_of(dataset, run, seed, "random" if criterion == "dense" else criterion, density)
        frozen = lh.frozen_values(run, masks, pruned)
        begin = lh.restart(start, masks, action, keep_sign=keep_sign, seed=seed + 1000, initializer="glorot")
        bare = [np.where(m, w, f) for m, w, f in zip(masks, begin.means, frozen, strict=True)]
        row = ticket(dataset, begin, masks, config, frozen if pruned != "zero" else None,
                     also=("early_stopping_step",))  # fmt: skip
        yield {"seed": seed, "source": source, "criterion": criterion, "density": density, "action": action,
               "keep_sign": keep_sign, "pruned": pruned,
               "untrained_accuracy": lh.accuracy(bare, begin.biases, dataset.test)} | row  # fmt: skip


def untrained(dataset, seed, source, config, grid):
    """Accuracies of mask * start weights, and where the weights of each side went in training."""
    config, start = dataclasses.replace(config, seed=seed), start_of(dataset, seed)
    run = trained(dataset, start, source.split(",")[0], config)
    constants = lh.restart(start, None, "constant")
    signed = [abs(c) * np.sign(w) for c, w in zip(constants.means, run.final.means, strict=True)]
    means = {"rewind": start.means, "constant": constants.means, "constant, final sign": signed}
    names = (*CRITERIA["posterior"], "large_final") if source == "posterior" else CRITERIA["dense"]
    for criterion, density in itertools.product(names, grid):
        masks = masks_of(dataset, run, seed, criterion, density)
        row = {"seed": seed, "source": source, "criterion": criterion, "density": density}
        row |= fate(dataset, run, masks)
        for (name, weights), split in itertools.product(means.items(), ("validation", "test")):
            kept = [np.where(m, w, 0) for m, w in zip(masks, weights, strict=True)]
            row[f"{name} {split}"] = lh.accuracy(kept, start.biases, getattr(dataset, split))
        yield row


def fate(dataset, run, masks):
    """Fractions of the kept and the pruned weights that kept their sign, and that moved towards zero. Only
    weights of pixels that are lit in training count: the others have no data."""
    live, found = dataset.train.images.max(axis=0) > 0, {}
    for side, (top, *rest) in {"kept": masks, "pruned": [~m for m in masks]}.items():
        chosen = top & live[:, None], *rest
        first, last = (np.concatenate([w[c] for w, c in zip(p.means, chosen, strict=True)])
                       for p in (run.initial, run.final))  # fmt: skip
        found[f"{side}_same_sign"] = float(np.mean(np.sign(first) == np.sign(last)))
        found[f"{side}_nearer_zero"] = float(np.mean(abs(last) < abs(first)))
    return found


def learned(dataset, seed, weights, rescale, config, ticket_config):
    """One supermask."""
    began, start = time.time(), start_of(dataset, seed)
    if weights == "constant":
        start = lh.restart(start, None, "constant")
    run = lh.train_supermask(dataset, start, dataclasses.replace(config, seed=seed), rescale=rescale)
    seconds = time.time() - began
    trained = ticket(dataset, start, run.masks, dataclasses.replace(ticket_config, seed=seed))
    yield {"seed": seed, "weights": weights, "rescale": rescale, "density": lh.density(run.masks).overall,
        "validation_accuracy": float(run.history.validation_accuracy.iloc[-1]),
        "test_accuracy": run.test_accuracy, "test_accuracy_sampled": run.test_accuracy_sampled,
        "ticket_test_accuracy_at_best": trained["test_accuracy_at_best"], "steps": trained["steps"],
        "seconds": seconds}  # fmt: skip
