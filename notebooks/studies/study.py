"""What the studies share: where they run, and how a table is written beside its configuration."""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import time

from lotteryhelpers.storage import replacing

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
    } | {k: dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for k, v in configuration.items()}
    RESULTS.mkdir(exist_ok=True)
    with replacing(RESULTS / f"{name}.csv") as part:
        frame.to_csv(part, index=False, float_format="%.6g")
    with replacing(RESULTS / f"{name}.json") as part:
        part.write_text(json.dumps(about, indent=1) + "\n")
    print(f"{RESULTS.name}/{name}.csv: {len(frame)} rows, {about['minutes']} minutes", flush=True)
