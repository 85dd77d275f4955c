"""Each page to its end under settings that a reader may choose: python tests/reruns.py [NUMBER ...] [DATASET]

Prints the seconds, the claims that don't hold under these settings, and an error where a page stops. On the
digits a quarter of an hour on two cores, on fashion_mnist above an hour; not a part of the tests.
"""

import os
import sys
import time

import nbclient
import nbformat
from pages import BY_NUMBER, code_cells, printed

SEEDS = {"SEED": "7", "NUM_SEEDS": "2", "NUM_TRIALS": "2"}
SETTINGS = dict.fromkeys(BY_NUMBER, [SEEDS]) | {
    "03": [{"DENSITY": density} for density in ("0.02", "0.2", "0.8", "0.95")],
    "04": [SEEDS, {"THRESHOLD": "0.1", "NUM_SEEDS": "2"}, {"THRESHOLD": "0.9", "NUM_SEEDS": "2"}],
}


def said(notebook):
    """The claims of which a page says that they don't hold here."""
    tables = [str(o.data.get("text/markdown")) for c in code_cells(notebook) for o in c.outputs if "data" in o]
    lines = [line for table in tables for line in table.splitlines() if "; stored: " in line or "can't be compared" in line]
    return len(lines) + printed(notebook).count("With these settings this doesn't hold")


def main():
    names = [name for name in sys.argv[1:] if name not in BY_NUMBER] or ["digits"]
    failed = 0
    for number in [name for name in sys.argv[1:] if name in BY_NUMBER] or BY_NUMBER:
        for settings in SETTINGS[number]:
            notebook, began, ended = nbformat.read(BY_NUMBER[number], as_version=4), time.time(), "to its end"
            client = nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(BY_NUMBER[number].parent)}})
            try:
                client.execute(env=os.environ | settings | {"DATASET": names[0]})
            except nbclient.exceptions.CellExecutionError as error:
                failed, ended = failed + 1, f"STOPPED: {error.ename}: {error.evalue}"
            print(f"{number} {names[0]} {settings}: {time.time() - began:.0f} s, {said(notebook)} claims otherwise, {ended}", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
