"""The studies behind the notebooks' tables: which there are, and running them.

python -m lotteryhelpers.studies --list
python -m lotteryhelpers.studies when frugal      (without names: all, some hours)"""

import argparse
import contextlib
import importlib.metadata
import inspect
import json
import os
import platform
import time

import pandas as pd
from tqdm import tqdm

import lotteryhelpers as lh
from lotteryhelpers.storage import replacing, write_json
from lotteryhelpers.studies import STUDIES, shared
from lotteryhelpers.sweeps.cluster import connected

PACKAGES = "lotteryhelpers", "tensorflow", "tf-keras", "tensorflow-probability", "numpy"


def listing(folder, studies):
    """Yield a line a table: its notebook, study, rows, cost and state."""
    line = "{:<9} {:<11} {:<14} {:>5} {:>13}  {}".format
    yield line("notebook", "study", "table", "rows", "core minutes", "state")
    for name, table in ((name, table) for name, study in studies.items() for table in study.TABLES):
        path, about, state = folder / f"{table}.json", {"rows": "", "core_minutes": ""}, "missing"
        if path.exists():
            about = json.loads(path.read_text())
            same = about["configuration"] == plain(studies[name].STORED)
            state = "stored" if same else "stored with another configuration than STORED"
        yield line(table[:2], name, table, about["rows"], about["core_minutes"], state)


def run(study, dataset, client):
    """Make the tables of a study's module, each as CSV and, as JSON, how it was made and what it cost. The
    longest row has all columns. Of a study that was interrupted, ``minutes`` are the last call's, and
    ``core_minutes`` at least what its rows say that they took."""
    spread = "client" in inspect.signature(study.rows).parameters  # else it measures time, in this process
    with connected(client) if spread else contextlib.nullcontext() as client:
        options = {"client": client} if client else {}
        cores = sum(client.nthreads().values()) if client else os.cpu_count()
        for table, by in study.TABLES.items():
            options |= {"table": table} if len(study.TABLES) > 1 else {}
            began, made = time.time(), study.rows(dataset, **study.STORED, **options)
            rows = [*tqdm(made, desc=table, unit="row")]
            frame = pd.DataFrame(rows, columns=list(max(rows, key=len))).sort_values(by.split())
            minutes, told = (time.time() - began) / 60, float(frame.get("seconds", pd.Series(0)).sum()) / 60
            about = {"command": f"python -m lotteryhelpers.studies {study.__name__.rpartition('.')[2]}",
                "rows": len(frame), "minutes": round(minutes, 1), "cores": cores,
                "core_minutes": round(max(minutes * cores, told), 1), "python": platform.python_version(),
                "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
                "dataset": dataset.name, "data": dataset.fingerprint, "configuration": plain(study.STORED)}
            with replacing(shared.RESULTS / f"{table}.csv") as part:
                frame.to_csv(part, index=False, float_format="%.6g")
            write_json(about, shared.RESULTS / f"{table}.json", indent=1)
            print(f"{table}.csv: {about['rows']} rows, {about['minutes']} minutes")


def plain(sizes):
    """A study's sizes as JSON holds them: configurations as dicts, ranges as lists, keys as text."""
    return json.loads(json.dumps(sizes, default=lambda v: [*v] if isinstance(v, range) else vars(v)))


def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser("python -m lotteryhelpers.studies", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(STUDIES)}")
    parser.add_argument("--list", action="store_true", help="say what there is, and what is stored")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster; else this machine's cores")
    asked = parser.parse_args(arguments)
    for name in set(asked.names) - set(STUDIES):
        parser.error(f"there is no study {name!r}; there are {', '.join(STUDIES)}")
    if not shared.RESULTS.is_dir():
        parser.error(f"{shared.RESULTS} isn't there, where tables are written: this is no checkout of the "
                     "repository; clone it and install that, pip install -e")  # fmt: skip
    studies = {name: importlib.import_module(f"lotteryhelpers.studies.{name}") for name in STUDIES}
    if asked.list:
        return print(*listing(shared.RESULTS, studies), sep="\n")
    from distributed import Client  # here: it takes a second

    client = Client(asked.scheduler) if asked.scheduler else None
    dataset = lh.load_dataset("mnist")
    for name in asked.names or STUDIES:
        run(studies[name], dataset, client)


if __name__ == "__main__":
    main()
