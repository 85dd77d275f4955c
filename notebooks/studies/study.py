"""What the studies share: where they run, and how a table is written beside its configuration."""

import argparse
import dataclasses
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import time

import loky
import numpy as np
import pandas as pd

import lotteryhelpers as lh
from lotteryhelpers.sweeps.runs import take_dataset
from lotteryhelpers.storage import cache_folder, key_of, replacing

RESULTS = pathlib.Path(__file__).parents[1] / "results"
PACKAGES = ("lotteryhelpers", "tensorflow", "tf-keras", "tensorflow-probability", "numpy")


def options(doc):
    """``--scheduler ADDRESS`` runs on a Dask cluster; without it, on this machine's cores."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scheduler", help="address of a Dask scheduler; its workers have one thread each")
    arguments = parser.parse_args()
    if arguments.scheduler is None:
        return None
    from dask.distributed import Client

    return Client(arguments.scheduler)


def write(name, frame, script, began, **configuration):
    """Write results/NAME.csv, and results/NAME.json: how it was made and what it cost."""
    about = {
        "command": f"python notebooks/studies/{pathlib.Path(script).name}",
        "rows": len(frame),
        "minutes": round((time.time() - began) / 60, 1),  # of this call: a resumed study took more
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
        "core_minutes": round(float(frame.get("seconds", pd.Series(dtype=float)).sum()) / 60, 1),
    } | {k: dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for k, v in configuration.items()}
    RESULTS.mkdir(exist_ok=True)
    with replacing(RESULTS / f"{name}.csv") as part:
        frame.to_csv(part, index=False, float_format="%.6g")
    with replacing(RESULTS / f"{name}.json") as part:
        part.write_text(json.dumps(about, indent=1) + "\n")
    print(f"{RESULTS.name}/{name}.csv: {len(frame)} rows, {about['minutes']} minutes", flush=True)


def kept(key, make):
    """``make()``, a dict of numbers and text, or what it gave before for this key: a study can be resumed.

    The key must hold every setting that the result depends on; MNIST's contents are added here.
    """
    path = cache_folder() / "studies" / f"{key_of(**key, data=mnist().fingerprint)}.json"
    if not path.exists():
        row = make()
        with replacing(path) as part:
            part.write_text(json.dumps(row))
    return json.loads(path.read_text())


@functools.lru_cache(maxsize=4)
def remembered(make, *arguments):
    """``make(*arguments)``, the last few remembered: a cached function of a script can't reach a worker."""
    return make(*arguments)


@functools.cache
def mnist():
    """The dataset, loaded once a process."""
    return lh.load_dataset("mnist")


def start(seed):
    """The initial weights of a trial."""
    return lh.draw_initial((784, 300, 100, 10), seed, "glorot")


def at(run, snapshot):
    """The run as if it had ended with this snapshot: what criteria read."""
    if isinstance(run, lh.TicketRun):
        return dataclasses.replace(run, weights=snapshot.means, biases=snapshot.biases)
    return dataclasses.replace(run, final=snapshot)


def half_rate_chance(seed, density):
    """A random mask of the notebooks' 784-300-100-10 network."""
    rng = np.random.default_rng([seed, round(1e6 * density)])
    return lh.keep_fraction([rng.random(m.shape) for m in start(seed).means], density)


def ticket(masks, config, dataset=None, initial=None):
    """A ticket's row: the notebooks' two accuracies, and how long its training took."""
    began = time.time()
    run = lh.train_ticket(dataset or mnist(), initial or start(config.seed), masks, config)
    return {
        "test_accuracy_at_best": run.test_accuracy_at_best,
        "test_accuracy": run.test_accuracy,
        "seconds": time.time() - began,
    }


def workers():
    """One single-threaded process a core, as in ``sweep``: a row doesn't depend on how many there are."""
    environment = {"TF_NUM_INTRAOP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1", "TQDM_DISABLE": "1"}
    return loky.ProcessPoolExecutor(env=environment, initializer=take_dataset, initargs=(None,))
