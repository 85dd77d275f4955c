"""The slider and the button of notebooks 03 and 04: alone, and in JupyterLab in a real browser."""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from common import ROOT

import lotteryhelpers as lh
from lotteryhelpers.teaching.explorer import explore

QUICK = lh.TrainConfig(epochs=2, batch_size=64, learning_rate=3e-3, seed=3)


def test_extreme_thresholds_give_a_sentence_and_the_button_trains_what_can_be_trained(digits, small_run):
    slider, counts, picture, button, said, figure = explore(digits, small_run, QUICK).children
    half, masks = counts.value, lh.variance_masks(small_run.final, slider.value)
    assert lh.density(masks).overall == pytest.approx(0.5, abs=1e-3)
    for mask in masks:
        assert f"<td>{int(mask.sum()):,}</td><td>of {mask.size:,}</td>" in "".join(half.split("\n      "))
    before = picture.value
    slider.value = 10**slider.min
    assert "prunes everything in layer 1, 2, 3" in said.value and button.disabled
    assert picture.value != before and counts.value != half
    slider.value = 10**slider.max
    assert "prunes nothing" in said.value and not button.disabled
    button.click()
    dense, ours = re.findall(r"[\d.]+%(?=;|\.$)", said.value)
    assert dense == ours
    slider.value = lh.variance_quantile(small_run.final, 0.1)
    button.click()
    ticket = lh.train_ticket(digits, small_run.initial, lh.variance_masks(small_run.final, slider.value), QUICK)
    assert said.value.endswith(f" {ticket.history.validation_accuracy.iloc[-1]:.2%}.")
    assert bytes(figure.value).startswith(b"\x89PNG")


def test_an_interrupted_training_can_be_started_again(digits, small_run, monkeypatch):
    button, said = explore(digits, small_run, QUICK).children[3:5]
    trainer = lh.training.trainer_for(lh.networks.MaskedDense, (64, 32, 16, 10))
    with monkeypatch.context() as patched:
        patched.setattr(trainer, "evaluate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        button.click()
    assert "Interrupted" in said.value and not button.disabled
    button.click()
    assert said.value.startswith("Validation accuracy: dense ")


@pytest.fixture(scope="module")
def jupyter_lab(tmp_path_factory, session_cache):
    """A JupyterLab server; gives its folder, the address of a notebook in it, and whether that has a kernel."""
    folder = tmp_path_factory.mktemp("lab")
    settings = folder / "settings"
    for name, value in {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},  # a cell out of sight stays in the page
    }.items():
        path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "DATASET": "digits", "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "LOTTERYHELPERS_CACHE_DIR": session_cache,
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
               "--ServerApp.port_retries=0", "--IdentityProvider.token=ours", f"--ServerApp.root_dir={folder}"]  # fmt: skip
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/api?token=ours", timeout=5):
                break
            assert server.poll() is None and time.monotonic() < deadline, (folder / "server.log").read_text()
            time.sleep(0.2)

        def kernel_is_there(name):
            with urllib.request.urlopen(f"{address}/api/sessions?token=ours", timeout=10) as answer:
                kernels = [session["kernel"] for session in json.load(answer) if session["path"] == name]
            return bool(kernels) and kernels[0]["connections"] and kernels[0]["execution_state"] == "idle"

        yield folder, lambda name: f"{address}/lab/tree/{name}?token=ours", kernel_is_there
    finally:
        server.terminate()
        server.wait(30)


CONTENT = "async i => Array.from(new Uint8Array(await (await fetch(i.src)).arrayBuffer())).join()"


@pytest.mark.parametrize("name", ["03_build_masks", "04_dense_versus_masked"])
def test_in_jupyterlab_the_slider_and_the_button_change_the_figures(name, chromium, jupyter_lab):
    from playwright.sync_api import TimeoutError

    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    last = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("explore("))
    del notebook.cells[last + 1 :]  # what follows is run by the notebooks' own tests
    folder, address, kernel_is_there = jupyter_lab
    nbformat.write(notebook, folder / f"{name}.ipynb")
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(30_000)
    page.goto(address(f"{name}.ipynb"))
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    deadline = time.monotonic() + 60
    while not kernel_is_there(f"{name}.ipynb"):  # before that, Lab would ask in a dialog which kernel to take
        assert time.monotonic() < deadline, "JupyterLab started no kernel"
        time.sleep(0.5)
    dialog = page.locator(".jp-Dialog .jp-mod-accept")
    for _ in range(20):
        page.wait_for_timeout(500)
        if dialog.count():
            dialog.click()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        with contextlib.suppress(TimeoutError):
            page.get_by_text("[*]:", exact=True).first.wait_for(timeout=3_000)
            break
    # ipywidgets 8, 7; a notebook that another test has opened may still be there, out of sight
    handle = page.locator(".widget-slider .noUi-handle:visible, .widget-slider .ui-slider-handle:visible")
    handle.wait_for(timeout=180_000)  # the Bayesian network may have to be trained first
    handle.scroll_into_view_if_needed()
    here = page.locator(".jp-NotebookPanel:visible")
    mask, curves = here.locator("img.widget-image").nth(0), here.locator("img.widget-image").nth(1)
    sentence, button = here.locator(".widget-html-content"), here.locator("button.jupyter-button")
    sentence.filter(has_text="keeps").wait_for()

    def after(key):
        """Press a key on the slider's handle; the mask's new picture, once it is there."""
        before = mask.evaluate(CONTENT)
        handle.press(key)
        deadline = time.monotonic() + 120  # the cells below may still run
        while (now := mask.evaluate(CONTENT)) == before:
            assert time.monotonic() < deadline, f"{key} changed nothing"
            page.wait_for_timeout(200)
        return now

    pictures = {mask.evaluate(CONTENT), after("ArrowLeft"), after("Home")}
    sentence.filter(has_text="prunes everything").wait_for()
    assert button.is_disabled()
    pictures |= {after("End")}
    sentence.filter(has_text="prunes nothing").wait_for()
    assert len(pictures) == 4
    for _ in range(5):  # away from the prior, where every weight's variance lies below
        handle.press("PageDown")
    sentence.filter(has_text="keeps").wait_for()
    button.click()
    seen, deadline = set(), time.monotonic() + 180
    while not sentence.filter(has_text="Validation accuracy: dense").count():
        if curves.evaluate("i => i.naturalWidth"):
            seen.add(hash(curves.evaluate(CONTENT)))
        page.wait_for_timeout(50)
        assert time.monotonic() < deadline, sentence.last.inner_text()
    assert len(seen) >= 5  # the curves grew before our eyes
    if shots := os.environ.get("SCREENSHOTS"):
        here.locator(".widget-vbox").first.screenshot(path=pathlib.Path(shots, f"{name}.png"))
    errors = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']")
    assert not errors.count(), errors.first.inner_text()
    page.close()
