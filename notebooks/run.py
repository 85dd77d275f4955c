"""Execute the main experiment's notebooks, write them under build/ and print the closing table.

python notebooks/run.py                       01 to 04 -> build/*.ipynb, build/*.html
python notebooks/run.py 03_build_masks        only that one
python notebooks/run.py --in-place            also put the outputs into the notebooks themselves
"""

import argparse
import base64
import html
import io
import os
import pathlib
import re
import sys
import threading
import time

import nbclient
import nbformat
import pandas as pd
import PIL.Image
from nbconvert import HTMLExporter

HERE = pathlib.Path(__file__).parent
MAIN = [
    "01_train_a_bayesian_network",
    "02_inspect_posterior_variances",
    "03_build_masks",
    "04_dense_versus_masked",
]
#: Pages without the set-up cells.
WITHOUT_SET_UP = {"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": {"hide-input"}}}
WIDGET = "application/vnd.jupyter.widget-view+json"


def say(text):
    print(text, flush=True)


def drop_widgets(notebook):
    """Progress bars and sliders have no picture on a static page; leave them out of the stored outputs."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day: they would change with every run
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {})]


def slim_pictures(notebook):
    """Pack each figure again without the opacity that it never uses: same pixels, a tenth less to load."""
    for cell in notebook.cells:
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "image/png" in data:
                picture = PIL.Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
                if picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255):
                    packed = io.BytesIO()
                    picture.convert("RGB").save(packed, "PNG", optimize=True)
                    data["image/png"] = base64.b64encode(packed.getvalue()).decode()


def with_words(page, notebook):
    """The page's HTML with the words that stand for each figure: the exporter doesn't read them."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = iter([o.metadata.get("image/png", {}) for o in outputs if "image/png" in o.get("data", {})])
    nothing = "No description has been provided for this image"
    return re.sub(nothing, lambda _: html.escape(next(figures).get("alt", nothing)), page)


def execute(name, heartbeat=10):
    """Run one notebook top to bottom; print a line at every ``heartbeat`` seconds."""
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    started, now = time.time(), {"cell": 0}
    ended = threading.Event()

    def tell():
        while not ended.wait(heartbeat):
            states = list(client.widget_state.values())
            bars = [state for state in states if state.get("_model_name") == "FloatProgressModel"]
            done = [f", {b['value']:.0f} of {b['max']:.0f}" for b in bars if b["value"] < b["max"]]
            bar = done[-1] if done else ""
            seconds = f"{time.time() - started:.0f} s"
            say(f"  {name}: cell {now['cell'] + 1} of {len(notebook.cells)}{bar}, {seconds}")

    def note_cell(cell, cell_index):
        now["cell"] = cell_index

    say(f"{name} ...")
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",  # this environment's own, whatever the file was last opened with
        resources={"metadata": {"path": str(HERE)}},
        on_cell_start=note_cell,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # nothing about transports in the terminal
    )
    threading.Thread(target=tell, daemon=True).start()
    try:
        client.execute()
    finally:
        ended.set()
    seconds = time.time() - started
    say(f"{name}: {seconds:.0f} s")
    drop_widgets(notebook)
    slim_pictures(notebook)
    for cell in notebook.cells:  # what the notebook prints first: which data it found
        for output in cell.get("outputs", []):
            if output.get("text", "").startswith("load_dataset("):
                say("  " + output["text"].strip())
    return notebook, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=MAIN)
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent / "build")
    parser.add_argument("--in-place", action="store_true")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    table = out / "summary.csv"
    table.unlink(missing_ok=True)
    os.environ["LOTTERYHELPERS_OUTPUT"] = str(out)
    total = 0.0
    for name in arguments.names:
        try:
            notebook, seconds = execute(pathlib.Path(name).stem)
        except nbclient.exceptions.CellExecutionError as error:
            sys.exit(f"{name} failed:\n{error}")
        total += seconds
        nbformat.write(notebook, out / f"{pathlib.Path(name).stem}.ipynb")
        page, _ = HTMLExporter(config=WITHOUT_SET_UP).from_notebook_node(notebook)
        (out / f"{pathlib.Path(name).stem}.html").write_text(with_words(page, notebook), encoding="utf-8")
        if arguments.in_place:
            nbformat.write(notebook, HERE / f"{pathlib.Path(name).stem}.ipynb")
    say(f"\nnotebooks and HTML pages in {out.name}/, {total:.0f} s in all")
    if table.exists():
        say(f"the figure: {out.name}/dense_versus_masked.png\n")
        say(pd.read_csv(table).to_string(index=False))


if __name__ == "__main__":
    main()
