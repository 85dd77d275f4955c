"""What studies do alike: tables, rows (made here or on a cluster, and kept), starts, tickets, controls."""

import dataclasses
import functools
import inspect
import pathlib
import time
import types

import numpy as np
import pandas as pd

import lotteryhelpers as lh
from lotteryhelpers import storage
from lotteryhelpers.evidence import Table
from lotteryhelpers.sweeps.cluster import ended
from lotteryhelpers.sweeps.sweeping import sweep_rows

RESULTS = pathlib.Path(__file__).parents[2] / "notebooks" / "results"  # of a checkout


def table_of(dataset, study, name, seeds=None):
    """A study's ``Table``: of MNIST as it is stored, else made now in the sizes ``LIVE``, which are for the
    digits; on other images what its ``TRAININGS`` names is as it is stored."""
    if dataset.name == "mnist":
        return Table(pd.read_csv(RESULTS / f"{name}.csv"))
    sizes = study.LIVE | {key: seeds for key in study.LIVE if seeds and "seeds" in key}
    if dataset.name != "digits":
        sizes |= {key: study.STORED[key] for key in getattr(study, "TRAININGS", ())}
    options = {"table": name} if len(study.TABLES) > 1 else {}
    return Table(pd.DataFrame(study.rows(dataset, **sizes, **options)))


def gather(dataset, calls, client=None):
    """Yield the rows of many calls, as these end; those of a call that ended before are read, not made. A
    call is ``(function, *arguments)``, and ``function(dataset, *arguments)`` yields rows, as dicts. On a
    ``distributed.Client`` a call is a task; without one rows are made when asked."""
    if client is None:
        for call in calls:
            yield from _rows(dataset, *call)
        return
    there = client.scatter(dataset, broadcast=True, hash=False)
    for _, task in ended(client, ((None, _rows, there, *call) for call in calls)):
        yield from task.result()


def _rows(dataset, function, *arguments):
    return kept(dataset, [function.__name__, arguments], lambda: [*function(dataset, *arguments)], function)


def kept(dataset, key, make, study=None):
    """``make()``, what JSON can hold but not None, or what it gave before: an interrupted call goes on.
    ``key`` is what it depends on beside the dataset's contents and the texts of the package, of this file and
    of the one that ``study``, else ``make``, is from."""
    texts = [inspect.getsource(inspect.getmodule(one)) for one in (study or make, kept)]
    name = storage.key_of(key=key, data=dataset.fingerprint, texts=texts)
    path = storage.cache_folder() / "studies" / f"{name}.json"
    if (value := storage.kept(storage.read_json, path)) is None:
        storage.keep_if_possible(functools.partial(storage.write_json, value := make()), path)
    return value


def start_of(dataset, seed, initializer="glorot", hidden=(300, 100)):
    """The start of a trial."""
    return lh.draw_initial((dataset.image_shape, *hidden, dataset.num_classes), seed, initializer)


def trained(dataset, start, source, config, **options):
    """The training that masks come from: of the ``"dense"`` network, of the same with the prior as penalty,
    ``"map"``, or of any other source's posterior."""
    if source == "dense":
        return lh.train_ticket(dataset, start, None, config, **options)
    start = unspread(start) if source == "map" else start
    return lh.load_or_train_bayesian(dataset, config, initial=start, **options)


def masks_of(dataset, run, seed, criterion, density, **options):
    """One mask; chance depends on seed and density alone. ``options`` are ``masks_for``'s."""
    rng = np.random.default_rng([seed, round(1e6 * density)])
    return lh.masks_for(run, criterion, density, dataset=dataset, rng=rng, **options)


def unspread(start, stddev=1.2e-7):
    """A start with these deviations. The least stay below 2e-5: a network with the prior as penalty, MAP."""
    return dataclasses.replace(start, stddevs=[np.full_like(m, stddev) for m in start.means])


def at(run, snapshot):
    """The run as if it had ended with this snapshot: what criteria read."""
    return types.SimpleNamespace(initial=run.initial, final=snapshot, masks=run.masks)


def subset(dataset, images, seed):
    """The dataset with the training images of ``load_dataset(..., num_train=images, seed=seed)``."""
    return dataclasses.replace(dataset, train=dataset.train.draw(images, seed, "images"))


def ticket(dataset, start, masks, config, frozen=None, also=()):
    """Train a ticket, or read its row: accuracies, steps, seconds; if asked ``also`` the
    ``"early_stopping_step"``, of least validation loss, or the ``"curve"`` of validation accuracies."""

    def make():
        began = time.time()
        run = lh.train_ticket(dataset, start, masks, config, frozen=frozen)
        row = {"early_stopping_step": run.best_step, "test_accuracy_at_best": run.test_accuracy_at_best,
               "test_accuracy": run.test_accuracy, "steps": int(run.history.step.iloc[-1]),
               "curve": " ".join(map("{:.4f}".format, run.history.validation_accuracy))}
        unasked = {"early_stopping_step", "curve"} - {*also}
        return {k: row[k] for k in row if k not in unasked} | {"seconds": time.time() - began}

    key = {"masks": masks, "config": config, "frozen": frozen, "also": also}
    return kept(dataset, key | {"start": [start.means, start.biases, start.convs]}, make)


def controls(dataset, named, densities, config, **options):
    """Yield rows of the dense network and of a random mask a density, which seed and density decide alone.
    ``named`` is how a row begins, ``options`` are ``keep_fraction``'s."""
    start = start_of(dataset, config.seed)
    for density in (1.0, *densities):
        rng = np.random.default_rng([config.seed, round(1e6 * density)])
        scores = [rng.random(m.shape) for m in start.means]
        masks = lh.keep_fraction(scores, density, **options) if density < 1 else None
        what = {"criterion": "random" if density < 1 else "dense network", "density": density}
        yield named | what | ticket(dataset, start, masks, config)


def swept(dataset, specs, bayesian, ticket, client):
    """Yield a sweep's rows, with a ticket's steps for its curve; None is the notebooks' setting."""
    usual = lh.recipe(dataset)
    recipe = lh.Recipe(bayesian or usual.bayesian, ticket or usual.ticket, ())
    steps = recipe.ticket.epochs * (len(dataset.train.labels) // recipe.ticket.batch_size)
    for row in sweep_rows(dataset, specs, recipe, client=client):
        yield {name: row[name] for name in row if name != "curve"} | {"steps": steps}
