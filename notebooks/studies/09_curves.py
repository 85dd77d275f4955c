"""What the estimator means for training (notebook 09), on MNIST. Writes results/09_curves.csv.

The Bayesian network with each of three gradient estimators, from the same Glorot start with the same batches,
15 epochs: batches of 128 with Adam 1.2e-3, and of 1,024 with 4.8e-3. A row an epoch, validation with the
weights at their means.

Written down before the first run. Decides: validation NLL after 15 epochs, Flipout minus the shared sample
and Flipout minus local reparameterisation, paired over five seeds, in each setting. Expected: the shared
sample is worse, more so with 1,024; local and Flipout differ by less than 0.005 nats.
"""

import concurrent.futures
import time

import lotteryhelpers as lh
import pandas as pd
from lotteryhelpers.networks import ESTIMATORS
from study import kept, mnist, start, workers, write

SEEDS = range(300, 305)
RATES = {128: 1.2e-3, 1_024: 4.8e-3}  # by batch size


def rows_of(seed, estimator, batch_size):
    """The history of one training."""

    def make():
        config = lh.TrainConfig(15, batch_size, RATES[batch_size], seed)
        run = lh.train_bayesian(mnist(), config, initial=start(seed), estimator=estimator)
        test = lh.accuracy(run.final.means, run.final.biases, mnist().test)
        return {"rows": run.history.to_dict("records"), "test_accuracy": test}

    key = {"seed": seed, "estimator": estimator, "batch": batch_size}
    result = kept({"study": "09 curves", "rates": list(RATES.items())} | key, make)
    return [key | row | {"test_accuracy": result["test_accuracy"]} for row in result["rows"]]


if __name__ == "__main__":
    began, table = time.time(), []
    with workers() as pool:
        todo = [
            pool.submit(rows_of, s, estimator, n) for s in SEEDS for estimator in ESTIMATORS for n in RATES
        ]
        for future in concurrent.futures.as_completed(todo):
            table += future.result()
    table = pd.DataFrame(table).sort_values(["batch", "estimator", "seed", "step"])
    about = {"dataset": "mnist", "data": mnist().fingerprint, "seeds": [*SEEDS], "rates": RATES}
    write("09_curves", table, __file__, began, **about)
