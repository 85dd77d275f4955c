"""Is everything here for a class? Says of each thing whether it is, and what to do if not.

make ready                 with MNIST
DATASET=digits make ready  with what the class will use

It runs notebooks 01 to 04, so that their posteriors are kept and open in seconds, times a ticket, and moves
the slider of notebook 03 in a browser. Run it the day before, on the machine of the class.
"""

import contextlib
import importlib.metadata
import io
import os
import platform
import shutil
import subprocess
import sys
import time

import run as pages

HERE = pages.HERE
DATASET = os.environ.setdefault("DATASET", "mnist")
os.environ["TQDM_DISABLE"] = "1"  # bars of what is trained here would run through the lines


def environment():
    """Versions, and that Jupyter is one of them."""
    import lotteryhelpers as lh

    names = "tensorflow", "jupyterlab", "ipywidgets"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return f"Python {platform.python_version()}, lotteryhelpers {lh.__version__}, {versions}"


def data():
    """The images, from wherever they are."""
    import lotteryhelpers as lh

    with contextlib.redirect_stdout(io.StringIO()) as said:
        dataset = lh.load_dataset(DATASET)
    splits = (f"{name} {len(getattr(dataset, name).labels):,}" for name in ("train", "validation", "test"))
    return f"{dataset.name} images: {', '.join(splits)}; {said.getvalue().strip()}".removesuffix("; ")


def posteriors():
    """Notebooks 01 to 04 to their ends: what they train is kept for whoever opens them next."""
    from lotteryhelpers.storage import cache_folder

    seconds = [pages.execute(name)[1] for name in pages.MAIN]
    kept = len([*cache_folder().glob(f"bayesian-{DATASET}-*.npz")])
    if not kept:
        raise OSError(f"nothing is kept in {cache_folder()}; LOTTERYHELPERS_CACHE_DIR may name another")
    took = ", ".join(f"{name[:2]} in {s:.0f} s" for name, s in zip(pages.MAIN, seconds, strict=True))
    return f"{kept} kept; notebooks ran {took}"


def ticket():
    """How long a ticket takes here, once everything is compiled."""
    import lotteryhelpers as lh

    dataset = lh.load_dataset(DATASET)
    config = lh.recipe(dataset).ticket
    start = lh.draw_initial((dataset.image_shape, 300, 100, dataset.num_classes), 0)
    lh.train_ticket(dataset, start, None, config)
    began = time.perf_counter()
    lh.train_ticket(dataset, start, None, config)
    return f"{time.perf_counter() - began:.1f} s for {config.epochs} epochs; notebook 04 trains some thirty"


def slider():
    """Notebook 03 in JupyterLab in a browser: the test of it."""
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        raise FileNotFoundError("no chromium to try it in: open notebook 03, run all cells, drag the slider")
    command = [sys.executable, "-m", "pytest", "-q", "-k", "jupyterlab and 03", "tests/test_explorer.py"]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True)
    if done.returncode or " passed" not in done.stdout:
        raise RuntimeError(f"it doesn't move in JupyterLab:\n{done.stdout[-2000:]}")
    return "moves the pictures of notebook 03 in JupyterLab, and its button trains"


def main():
    ready = True
    pages.say("Ten minutes or more, the first time: four notebooks, a ticket, a browser.")
    for check in (environment, data, posteriors, ticket, slider):
        name = check.__name__
        try:
            with contextlib.redirect_stdout(io.StringIO()) if check is ticket else contextlib.nullcontext():
                said = check()
            pages.say(f"ready      {name}: {said}")
        except Exception as error:  # whatever it is, the lecturer is to read it, and the next check to run
            ready = False
            pages.say(f"NOT READY  {name}: {type(error).__name__}: {str(error) or 'interrupted?'}")
    again = "not all is ready: mend what stands above, then run this again; what has been trained is kept"
    pages.say("all is ready" if ready else again)
    return not ready


if __name__ == "__main__":
    sys.exit(main())
