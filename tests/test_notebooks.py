"""The notebooks as they are committed, the runner, and the headline on MNIST."""

import ast
import dataclasses
import importlib
import json
import os
import re
import runpy
import shutil
import statistics
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from common import ROOT, needs_fashion_mnist, needs_mnist
from pages import BY_NUMBER, NOTEBOOKS, code_cells

import lotteryhelpers as lh
from lotteryhelpers.studies import STUDIES, shared


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_notebooks_are_executed_on_mnist_top_to_bottom_and_clean(path):
    notebook = nbformat.read(path, as_version=4)
    cells = code_cells(notebook)
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    outputs = [o for c in cells for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert not [o for o in outputs if "warning" in str(o.get("text", "")).lower()]
    assert not [o for o in outputs if "; stored: " in str(o.get("data"))]  # words that the text doesn't know
    assert not [o for o in outputs if "widget-view" in str(o.get("data", {}).keys())]
    assert "mnist" in str([o.get("text", o.get("data")) for o in outputs]).lower()
    assert len([c for c in cells if "parameters" in c.metadata.get("tags", [])]) == 1
    assert any("NBVAL_CHECK_OUTPUT" in c.source and c.outputs for c in cells)
    lengths = [len(c.source.splitlines()) for c in cells]
    assert max(lengths) <= 20 and statistics.median(lengths) <= 8
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    for part in ("**The question.**", "**Your guess", "**What we see.**", "## What was shown, and what not",
                 *["## Exercises"] * (path.name[:2] != "00"), "## References"):  # fmt: skip
        assert part in text, part
    assert path.stat().st_size < 1_500_000


@pytest.mark.parametrize("number", BY_NUMBER)
def test_a_page_is_no_program(number):
    notebook = nbformat.read(BY_NUMBER[number], as_version=4)
    _, *code = code_cells(notebook)
    own = [c for c in code if "exercise" not in c.metadata.get("tags", [])]
    functions = [n.name for c in own for n in ast.walk(ast.parse(c.source)) if isinstance(n, ast.FunctionDef)]
    shows = [bool({"image/png", "text/html"} & {kind for o in c.outputs for kind in o.get("data", {})}) for c in code]
    assert len(notebook.cells) <= 45 and len(functions) <= 5, functions
    assert sum(len(c.source.splitlines()) for c in code) <= 180
    assert any(shows[:7]), "the first figure or table comes within the first eight code cells"


@pytest.mark.parametrize("number", BY_NUMBER)
def test_every_figure_has_words_for_those_who_cannot_see_it(number):
    outputs = [o for c in code_cells(nbformat.read(BY_NUMBER[number], as_version=4)) for o in c.outputs]
    figures = [o.metadata.get("image/png", {}) for o in outputs if "image/png" in o.get("data", {})]
    assert figures and all(len(words.get("alt", "")) > 25 for words in figures), figures


def bound_and_read(source):
    """Names that a cell binds at its top level, and those that it reads without having bound them before."""
    bound, read = set(), set()

    def visit(node, local=frozenset(), top=True):
        children = [*ast.iter_child_nodes(node)]
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            own = {n.arg for n in ast.walk(node.args) if isinstance(n, ast.arg)}
            own |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            for child in children:  # what a function binds stays in it
                visit(child, local | own, top=False)
            if top and isinstance(node, ast.FunctionDef):
                bound.add(node.name)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load) and node.id not in local | bound:
                read.add(node.id)
            elif isinstance(node.ctx, ast.Store) and top and node.id not in local:
                bound.add(node.id)
        else:
            if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
                local |= {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
                children = [*node.generators, *(c for c in children if not isinstance(c, ast.comprehension))]
            if isinstance(node, ast.Assign | ast.For | ast.comprehension):  # what is on the right comes first
                right = node.value if isinstance(node, ast.Assign) else node.iter
                children = [right, *(c for c in children if c is not right)]
            for child in children:
                visit(child, local, top)

    visit(ast.parse(source))
    return bound, read


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_cell_can_be_run_again_after_all_the_others(path):
    """No later cell, an exercise's neither, gives another meaning to a name that an earlier one needs."""
    cells = [bound_and_read(c.source) for c in code_cells(nbformat.read(path, as_version=4))]
    for place, (_, read) in enumerate(cells):
        before = set().union(*(bound for bound, _ in cells[:place]))
        after = set().union(*(bound for bound, _ in cells[place + 1 :]))
        assert not read & before & after, f"code cell {place + 1} needs what a later one binds anew"


def test_names_that_a_cell_binds_and_reads():
    assert bound_and_read("x = x + y\nfor a in b: c = a\n[d for d in e]\ndef f(g): return g + h + x\nf(c)") == (
        {"x", "a", "c", "f"}, {"x", "y", "b", "e", "h"})  # fmt: skip


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


@pytest.mark.slow
@needs_mnist
def test_the_headline_on_mnist_with_a_seed_of_its_own():
    mnist = lh.load_dataset("mnist")
    of_the_pages = lh.recipe(mnist, seed=101)
    recipe = lh.Recipe(*(dataclasses.replace(c, epochs=3) for c in (of_the_pages.bayesian, of_the_pages.ticket)), ())
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


@pytest.mark.slow
@needs_fashion_mnist
def test_on_fashion_mnist_the_variance_is_worse_than_chance_with_a_seed_of_its_own():
    """A comparison that notebook 12 names, with shorter trainings: at 5%, two points there."""
    fashion, seed = lh.load_dataset("fashion_mnist"), 641
    start = shared.start_of(fashion, seed)
    run = lh.train_bayesian(fashion, lh.TrainConfig(15, seed=seed), initial=start)
    variance, chance, snr = (
        lh.train_ticket(fashion, start, shared.masks_of(fashion, run, seed, name, 0.05), lh.TrainConfig(3, seed=seed))
        for name in ("variance", "random", "snr")
    )
    assert variance.test_accuracy < chance.test_accuracy - 0.01
    assert snr.test_accuracy > chance.test_accuracy + 0.005


@pytest.mark.slow
def test_the_runner_writes_pages_and_the_closing_table(tmp_path, session_cache):
    environment = os.environ | {"DATASET": "digits", "LOTTERYHELPERS_CACHE_DIR": session_cache, "NUM_SEEDS": "2"}
    two = BY_NUMBER["03"], BY_NUMBER["04"]
    command = [sys.executable, str(ROOT / "notebooks/run.py"), "--out", str(tmp_path), *(p.stem for p in two)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Not ours: TensorFlow 2.18 on its cache, and what ipykernel's loop says where it is ended on a busy machine.
    theirs = re.compile("XlaSerializedCacheEntry|^Task was destroyed but it is pending|^task: <Task pending .*Kernel.dispatch")
    assert not [line for line in done.stderr.splitlines() if not theirs.search(line)]
    for path in two:
        assert (tmp_path / path.name).stat().st_size > 50_000
        assert (tmp_path / path.name).with_suffix(".html").stat().st_size > 300_000
    assert runpy.run_path(str(ROOT / "notebooks/run.py"))["MAIN"] == [p.stem for p in NOTEBOOKS[1:5]]  # without names
    assert (tmp_path / "dense_versus_masked.png").stat().st_size > 20_000
    table = done.stdout[done.stdout.index("dataset density") :]
    assert re.search(r"digits\s+50%\s+2\s+9\d\.\d\d%\s+9\d\.\d\d%", table)


def test_the_runner_takes_this_environments_kernel_whatever_the_file_names(tmp_path):
    """A file that was last opened with a kernel of somebody else's name."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import sys; sys.executable")])
    notebook.metadata.kernelspec = {"name": "of-somebody", "display_name": "Of somebody", "language": "python"}
    nbformat.write(notebook, tmp_path / "own.ipynb")
    runner = tmp_path / "run.py"
    runner.write_text((ROOT / "notebooks" / "run.py").read_text())
    done = subprocess.run([sys.executable, runner, "own", "--out", tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sys.executable in str(nbformat.read(tmp_path / "out" / "own.ipynb", 4).cells[0].outputs)


def test_the_readme_leads_with_the_answer_of_notebook_00(tmp_path):
    """As it is stored there: sentences, figure, and the words for those who can't see it."""
    for name in ("README.md", "notebooks/00_in_five_minutes.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "notebooks" / "results").mkdir()
    runpy.run_path(str(ROOT / "notebooks" / "answer.py"))["main"](tmp_path)
    for name in ("README.md", "notebooks/results/answer.png"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), "run notebooks/answer.py"
    assert "1. **With half of the weights" in (ROOT / "README.md").read_text().split("\n## ")[0]
