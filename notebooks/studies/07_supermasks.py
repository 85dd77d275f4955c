"""Learned supermasks (notebook 07), on MNIST. Writes results/07_supermasks.csv.

Zhou et al. 2019, section 5: initial weights or signed constants, with and without dynamic weight rescaling.
They have plain gradient descent with a rate of 100; here it is Adam on the logits with a rate that was chosen
from 0.03, 0.1 and 0.3 on validation images after 4 epochs with another seed (0). With seed 7, forty epochs
gained at most 0.3 points of validation accuracy over twelve.
"""

import concurrent.futures
import itertools
import time

import lotteryhelpers as lh
import pandas as pd
from study import kept, mnist, workers, write

SEEDS = range(200, 205)
CONFIG = lh.TrainConfig(12, learning_rate=0.1)
TICKET_EPOCHS = 10


def learn(seed, weights, rescale):
    """One supermask, and the ticket that its mask makes when the weights may move."""

    def make():
        began = time.time()
        initial = lh.draw_initial((784, 300, 100, 10), seed, "glorot")
        if weights == "constant":
            initial = lh.restart(initial, None, "constant")
        config = lh.TrainConfig(CONFIG.epochs, CONFIG.batch_size, CONFIG.learning_rate, seed)
        run = lh.train_supermask(mnist(), initial, config, rescale=rescale)
        seconds = time.time() - began
        ticket = lh.train_ticket(mnist(), initial, run.masks, lh.TrainConfig(TICKET_EPOCHS, seed=seed))
        return {
            "density": lh.density(run.masks).overall,
            "validation_accuracy": float(run.history.validation_accuracy.iloc[-1]),
            "test_accuracy": run.test_accuracy,
            "test_accuracy_sampled": run.test_accuracy_sampled,
            "ticket_test_accuracy_at_best": ticket.test_accuracy_at_best,
            "seconds": seconds,
        }

    key = {"seed": seed, "weights": weights, "rescale": rescale}
    settings = {"study": "07 supermasks", "config": CONFIG, "ticket_epochs": TICKET_EPOCHS}
    return key | kept(settings | key, make)


if __name__ == "__main__":
    began, cases = time.time(), itertools.product(SEEDS, ("initial", "constant"), (False, True))
    with workers() as pool:
        found = [pool.submit(learn, *case) for case in cases]
        rows = [future.result() for future in concurrent.futures.as_completed(found)]
    table = pd.DataFrame(rows).sort_values(["weights", "rescale", "seed"])
    write("07_supermasks", table, __file__, began, dataset="mnist", data=mnist().fingerprint, config=CONFIG,
          seeds=[*SEEDS])  # fmt: skip
