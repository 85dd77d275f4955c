"""Learned supermasks (notebook 07).

Zhou et al. 2019, section 5: initial weights or signed constants, with and without dynamic weight rescaling.
They have plain gradient descent with a rate of 100; here it is Adam on the logits with a rate that was chosen
from 0.03, 0.1 and 0.3 on validation images after 4 epochs with another seed (0). With seed 7, forty epochs
gained at most 0.3 points of validation accuracy over twelve."""

import dataclasses
import time

import lotteryhelpers as lh
from lotteryhelpers.studies.shared import gather, start_of, ticket

TABLES = {"07_supermasks": "weights rescale seed"}
STORED = {"seeds": range(200, 205), "config": lh.TrainConfig(12, 128, 0.1), "ticket": lh.TrainConfig(10)}
LIVE = {"seeds": range(200, 203)}


def rows(dataset, seeds, config=None, ticket=None, client=None):
    """Yield a row a supermask, with the ticket that its mask makes when the weights may move."""
    ticket = ticket or lh.recipe(dataset).ticket
    configs = config or dataclasses.replace(ticket, learning_rate=0.1), ticket
    calls = [(learned, seed, weights, rescale, *configs) for seed in seeds
             for weights in ("initial", "constant") for rescale in (False, True)]  # fmt: skip
    return gather(dataset, calls, client)


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
