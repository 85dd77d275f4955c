"""The notebooks: hygiene, parameters that take, claims that can fail, and the headline on MNIST."""

import importlib
import json
import os
import re
import statistics
import subprocess
import sys

import nbclient
import nbformat
import pandas as pd
import pytest
from common import ROOT, needs_mnist

import lotteryhelpers as lh
from lotteryhelpers.studies import STUDIES

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
BY_NUMBER = {path.name[:2]: path for path in NOTEBOOKS}


def code_cells(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_notebooks_are_executed_on_mnist_top_to_bottom_and_clean(path):
    notebook = nbformat.read(path, as_version=4)
    cells = code_cells(notebook)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    outputs = [o for c in cells for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert not [o for o in outputs if "warning" in str(o.get("text", "")).lower()]
    assert not [o for o in outputs if "widget-view" in str(o.get("data", {}).keys())]
    assert "mnist" in str([o.get("text", o.get("data")) for o in outputs]).lower()
    assert len([c for c in cells if "parameters" in c.metadata.get("tags", [])]) == 1
    assert any("NBVAL_CHECK_OUTPUT" in c.source and c.outputs for c in cells)
    lengths = [len(c.source.splitlines()) for c in cells]
    assert max(lengths) <= 20 and statistics.median(lengths) <= 8
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    for part in ("**The question.**", "**Your guess", "**What we see.**", "## What was shown, and what not",
                 "## Exercises", "## References"):  # fmt: skip
        assert part in text, part
    assert path.stat().st_size < 1_500_000


def execute(path, environment, monkeypatch, *, insert=None, allow_errors=False):
    """Run a notebook with environment variables, and with a cell put in after the parameters."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(path, as_version=4)
    if insert:
        place = next(i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", []))
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(insert))
    nbclient.NotebookClient(
        notebook, timeout=1200, allow_errors=allow_errors, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    return notebook


def printed(notebook):
    return "\n".join(o.text for c in code_cells(notebook) for o in c.outputs if o.output_type == "stream")


def failed(cell):
    """The name of the error that a cell raised, or None."""
    return next((o.ename for o in cell.outputs if o.output_type == "error"), None)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("shared-cache"))


@pytest.fixture
def digits_environment(shared_cache):
    return {"DATASET": "digits", "LOTTERYHELPERS_CACHE_DIR": shared_cache}


def test_a_parameter_from_the_environment_takes_effect(digits_environment, monkeypatch):
    for density in (0.1, 0.4):
        notebook = execute(BY_NUMBER["03"], digits_environment | {"DENSITY": str(density)}, monkeypatch)
        found = re.search(r"DENSITY = ([\d.]+): kept ([\d,]+) of ([\d,]+) weights", printed(notebook))
        kept, total = (int(found.group(i).replace(",", "")) for i in (2, 3))
        assert float(found.group(1)) == density and kept == round(density * total)
    notebook = execute(BY_NUMBER["04"], digits_environment | {"THRESHOLD": "0.3", "NUM_SEEDS": "2"}, monkeypatch,
                       allow_errors=True)  # fmt: skip
    assert "threshold 0.3 keeps" in printed(notebook)
    assert failed(code_cells(notebook)[3]) is None


SABOTAGE = """
kind, rng = {kind!r}, np.random.default_rng(17)
def instead(masks):
    if kind == "ones":
        return tuple(np.ones(m.shape, bool) for m in masks)
    flat = [rng.permutation(m.ravel()).reshape(m.shape) for m in masks]
    return tuple(flat)
for name in ("variance_masks", "keep_counts", "keep_fraction"):
    def replaced(*args, _real=getattr(lh, name), **kwargs):
        return instead(_real(*args, **kwargs))
    setattr(lh, name, replaced)
"""


@pytest.mark.parametrize("kind", ["ones", "random"])
@pytest.mark.parametrize("number", ["02", "03", "04"])
def test_claims_about_masks_fail_for_any_other_mask(number, kind, digits_environment, monkeypatch):
    notebook = execute(
        BY_NUMBER[number],
        digits_environment,
        monkeypatch,
        insert=SABOTAGE.format(kind=kind),
        allow_errors=True,
    )
    claims = [c for c in code_cells(notebook) if "claim" in c.metadata.get("tags", [])]
    assert claims
    for cell in claims:
        assert failed(cell) == "AssertionError", cell.source


@needs_mnist
def test_the_claim_that_only_mnist_supports_fails_for_random_masks(shared_cache, monkeypatch):
    environment = {"DATASET": "mnist", "LOTTERYHELPERS_CACHE_DIR": shared_cache, "NUM_SEEDS": "2"}
    short = "lh.recipe = lambda dataset, seed=0: lh.Recipe(lh.TrainConfig(1, seed=seed), lh.TrainConfig(2, seed=seed), ())"
    insert = SABOTAGE.format(kind="random") + short
    notebook = execute(BY_NUMBER["04"], environment, monkeypatch, insert=insert, allow_errors=True)
    claims = [c for c in code_cells(notebook) if "mnist-claim" in c.metadata.get("tags", [])]
    assert [failed(c) for c in claims] == ["AssertionError"]


MIXED_UP = """
def mixed_up(rows, rng=np.random.default_rng(17)):
    rows = rows.reset_index(drop=True).copy()
    names = ["test_accuracy_at_best", "test_accuracy", "calibration_error", "connected_inputs", "connected_units"]
    if set(names) <= set(rows):
        for _, part in rows[rows.criterion != "dense"].groupby(["seed", "density"]):
            rows.loc[part.index, names] = part[names].to_numpy()[rng.permutation(len(part))]
    return rows
sweep, read_csv = lh.sweep, pd.read_csv
"""


def test_claims_about_criteria_fail_when_the_rows_names_are_mixed_up(digits_environment, monkeypatch):
    insert = MIXED_UP + "lh.sweep = lambda *args, **kwargs: mixed_up(sweep(*args, **kwargs))"
    notebook = execute(BY_NUMBER["05"], digits_environment, monkeypatch, insert=insert, allow_errors=True)
    claims = [c for c in code_cells(notebook) if "claim" in c.metadata.get("tags", [])]
    assert claims and [failed(c) for c in claims] == ["AssertionError"] * len(claims)


@needs_mnist
def test_claims_about_the_stored_criteria_fail_when_the_rows_names_are_mixed_up(shared_cache, monkeypatch):
    environment = {"DATASET": "mnist", "LOTTERYHELPERS_CACHE_DIR": shared_cache}
    insert = (
        MIXED_UP
        + """
lh.recipe = lambda dataset, seed=0: lh.Recipe(lh.TrainConfig(1, seed=seed), lh.TrainConfig(1, seed=seed), (0, 1))
pd.read_csv = lambda path, **options: mixed_up(read_csv(path, **options))
"""
    )
    notebook = execute(BY_NUMBER["05"], environment, monkeypatch, insert=insert, allow_errors=True)
    claims = [c for c in code_cells(notebook) if {"claim", "mnist-claim"} & set(c.metadata.get("tags", []))]
    assert len(claims) > 2 and [failed(c) for c in claims] == ["AssertionError"] * len(claims)


MIXED_KINDS = """
def mixed_kinds(rows, rng=np.random.default_rng(17)):
    rows = rows.reset_index(drop=True).copy()
    names = [n for n in ("early_stopping_step", "test_accuracy_at_best", "test_accuracy", "test_accuracy_sampled") if n in rows]
    names += [n for n in ("overlap", "rank_to_magnitude", "validation", "test", "nll", "validation_loss", "validation_accuracy") if n in rows]
    names += [n for n in rows if n.endswith((" validation", " test", " noise"))]
    within = [n for n in ("trial", "seed") if n in rows]
    if not within:  # seconds, say
        return rows
    for _, part in rows.groupby(within):
        rows.loc[part.index, names] = part[names].to_numpy()[rng.permutation(len(part))]
        if "reaches_dense_loss" in rows:
            timed = part.index[part.reaches_dense_loss.notna()]
            rows.loc[timed, "reaches_dense_loss"] = rng.permutation(part.reaches_dense_loss[timed])
    return rows
make_frame, read_csv = pd.DataFrame, pd.read_csv
def mixed_frame(data=None, *args, **kwargs):
    rows = make_frame(data, *args, **kwargs)
    return mixed_kinds(rows) if {"trial", "seed"} & set(rows) and len(rows) > 10 else rows
pd.DataFrame = mixed_frame
pd.read_csv = lambda path, **options: mixed_kinds(read_csv(path, **options))
"""


@pytest.mark.parametrize("number", ["06", "07", "08", "09"])
def test_claims_about_kinds_of_tickets_fail_when_the_results_are_mixed_up(
    number, digits_environment, monkeypatch
):
    notebook = execute(BY_NUMBER[number], digits_environment | {"NUM_TRIALS": "3", "NUM_SEEDS": "3"}, monkeypatch,
                       insert=MIXED_KINDS, allow_errors=True)  # fmt: skip
    claims = [c for c in code_cells(notebook) if "claim" in c.metadata.get("tags", [])]
    assert claims and [failed(c) for c in claims] == ["AssertionError"] * len(claims)


@needs_mnist
@pytest.mark.parametrize("number", ["06", "07", "08", "09"])
def test_claims_about_the_stored_tickets_fail_when_the_results_are_mixed_up(
    number, shared_cache, monkeypatch
):
    environment = {"DATASET": "mnist", "LOTTERYHELPERS_CACHE_DIR": shared_cache, "SEED": "0"}
    short = """
real_config = lh.TrainConfig
class Short(real_config):
    def __init__(self, epochs, *args, **kwargs):
        super().__init__(1, *args, **kwargs)
lh.TrainConfig = Short
lh.recipe = lambda dataset, seed=0: lh.Recipe(real_config(1, seed=seed), real_config(1, seed=seed), (0, 1))
"""
    notebook = execute(
        BY_NUMBER[number], environment, monkeypatch, insert=MIXED_KINDS + short, allow_errors=True
    )
    claims = [c for c in code_cells(notebook) if {"claim", "mnist-claim"} & set(c.metadata.get("tags", []))]
    assert len(claims) > 2 and [failed(c) for c in claims] == ["AssertionError"] * len(claims)


def test_stored_tables_say_how_they_were_made():
    tables = sorted((ROOT / "notebooks" / "results").glob("*.csv"))
    makes = {t: f"python -m lotteryhelpers.studies {n}" for n in STUDIES
             for t in importlib.import_module(f"lotteryhelpers.studies.{n}").TABLES}  # fmt: skip
    assert makes.keys() == {path.stem for path in tables}
    for path in tables:
        about = json.loads(path.with_suffix(".json").read_text())
        assert about["command"] == makes.get(path.stem), path
        rows = pd.read_csv(path, keep_default_na=False)
        assert about["rows"] == len(rows) and about["dataset"] == "mnist" and about["versions"]["tensorflow"]
        assert "error" not in rows or (rows.error == "").all()


@needs_mnist
def test_the_headline_on_mnist_with_a_seed_of_its_own():
    mnist = lh.load_dataset("mnist")
    recipe = lh.recipe(mnist, seed=101)
    run = lh.train_bayesian(mnist, recipe.bayesian)
    masks = lh.variance_masks(run.final, lh.variance_quantile(run.final, 0.5))
    assert lh.density(masks).overall == pytest.approx(0.5, abs=1e-4)
    inverted = lh.keep_counts(run.final.variances, [int(m.sum()) for m in masks])
    dense, ticket, control = (
        lh.train_ticket(mnist, run.initial, m, recipe.ticket).test_accuracy_at_best
        for m in (None, masks, inverted)
    )
    assert dense > 0.97
    assert abs(ticket - dense) < 0.005
    assert control < ticket - 0.02


def test_the_runner_writes_pages_and_the_closing_table(tmp_path, digits_environment):
    environment = os.environ | digits_environment
    command = [sys.executable, str(ROOT / "notebooks/run.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for path in NOTEBOOKS[:4]:
        assert (tmp_path / path.name).stat().st_size > 50_000
        assert (tmp_path / path.name).with_suffix(".html").stat().st_size > 300_000
    assert (tmp_path / "dense_versus_masked.png").stat().st_size > 20_000
    table = done.stdout[done.stdout.index("dataset density") :]
    assert re.search(r"digits\s+50%\s+5\s+9\d\.\d\d%\s+9\d\.\d\d%", table)
