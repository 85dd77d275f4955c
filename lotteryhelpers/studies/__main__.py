"""The studies behind the notebooks' tables: which there are, and running them.

python -m lotteryhelpers.studies --list
python -m lotteryhelpers.studies when frugal      (without names: all, some hours)
"""

import argparse
import contextlib
import importlib
import inspect
import json
import os
import time

from tqdm import tqdm

import lotteryhelpers as lh
from lotteryhelpers.studies import STUDIES
from lotteryhelpers.studies.engine import plain, results_folder, write
from lotteryhelpers.sweeps.cluster import connected


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
    """Make the tables of a study and write them."""
    options = {}
    with contextlib.ExitStack() as ending:
        if "client" in inspect.signature(study.rows).parameters:  # else it measures time, in this process
            options["client"] = ending.enter_context(connected(client))
        cores = sum(options["client"].nthreads().values()) if options else os.cpu_count()
        for table in study.TABLES:
            options |= {"table": table} if len(study.TABLES) > 1 else {}
            began, made = time.time(), study.rows(dataset, **study.STORED, **options)
            about = write(study, table, [*tqdm(made, desc=table, unit="row")], dataset, began, cores)
            print(f"{table}.csv: {about['rows']} rows, {about['minutes']} minutes")


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
    try:
        folder = results_folder()
    except FileNotFoundError as error:
        parser.error(str(error))
    studies = {name: importlib.import_module(f"lotteryhelpers.studies.{name}") for name in STUDIES}
    if asked.list:
        return print(*listing(folder, studies), sep="\n")
    from distributed import Client  # here: it takes a second

    client = Client(asked.scheduler) if asked.scheduler else None
    dataset = lh.load_dataset("mnist")
    for name in asked.names or STUDIES:
        run(studies[name], dataset, client)


if __name__ == "__main__":
    main()
