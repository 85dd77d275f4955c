"""Run one notebook top to bottom with this Python's own kernel, and say what it left: python execute.py NOTEBOOK.

Run by stand_in.py within the stand-in. The last line printed is JSON: the seconds, and what was wrong (a cell
that failed, a warning, a line on standard error) or null.
"""

import json
import pathlib
import sys
import time

import nbclient
import nbformat


def complaint(cell):
    """What one executed cell printed that a reader shouldn't see, or None."""
    for output in cell.get("outputs", []):
        text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
        if output.get("name") == "stderr" or "warning" in text.lower():
            return text.strip()
    return None


def main():
    path = pathlib.Path(sys.argv[1])
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = nbclient.NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    started, wrong = time.time(), None
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        wrong = str(error)
    seconds = time.time() - started
    nbformat.write(notebook, path)
    for number, cell in enumerate(notebook.cells):
        if wrong is None and complaint(cell):
            wrong = f"cell {number} printed: {complaint(cell)}"
    print(json.dumps({"seconds": seconds, "wrong": wrong}))


if __name__ == "__main__":
    main()
