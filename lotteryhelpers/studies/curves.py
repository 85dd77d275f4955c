"""What the estimator means for training (notebook 10).

The Bayesian network with each of three gradient estimators, from the same Glorot start with the same batches,
15 epochs: batches of 128 with Adam 1.2e-3, and of 1,024 with 4.8e-3. A row an epoch, validated at the means.

Written down before the first run. Decides: validation NLL after 15 epochs, Flipout minus the shared sample
and Flipout minus local reparameterisation, paired over five seeds, in each setting. Expected: the shared
sample is worse, more so with 1,024; local and Flipout differ by less than 0.005 nats."""

import lotteryhelpers as lh
from lotteryhelpers.networks import ESTIMATORS
from lotteryhelpers.studies.shared import gather, start_of

TABLES = {"10_curves": "batch estimator seed step"}
STORED = {"seeds": range(300, 305), "epochs": 15, "rates": {128: 1.2e-3, 1_024: 4.8e-3}}
LIVE = {"seeds": range(300, 303), "epochs": 25, "rates": {128: 4e-3}}


def rows(dataset, seeds, epochs, rates, client=None):
    """Yield a row an epoch; ``rates`` are learning rates by batch size."""
    calls = [(histories, estimator, lh.TrainConfig(epochs, batch, rate, seed))
             for seed in seeds for estimator in ESTIMATORS for batch, rate in rates.items()]  # fmt: skip
    return gather(dataset, calls, client)


def histories(dataset, estimator, config):
    """The history of one training."""
    run = lh.train_bayesian(dataset, config, initial=start_of(dataset, config.seed), estimator=estimator)
    named = {"seed": config.seed, "estimator": estimator, "batch": config.batch_size}
    test = {"test_accuracy": lh.accuracy(run.final.means, run.final.biases, dataset.test)}
    yield from (named | row | test for row in run.history.to_dict("records"))
