"""The project's own files: requirements, quiet imports, size, and what the README promises."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from common import ROOT

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

PIP_OPTIONS = " --disable-pip-version-check --progress-bar=off"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_environment_and_pyproject_agree():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    extras = PYPROJECT["project"]["optional-dependencies"]
    needed = PYPROJECT["project"]["dependencies"] + extras["notebooks"] + extras["test"]
    assert sorted(pip) == sorted([*needed, "-e ."])
    (python,) = [d for d in environment["dependencies"] if str(d).startswith("python=")]
    version = tuple(int(n) for n in python.split("=")[1].split("."))
    low, high = re.findall(r"3\.(\d+)", PYPROJECT["project"]["requires-python"])
    assert int(low) <= version[1] < int(high)
    assert environment["channels"] == ["conda-forge"]


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **options)


def test_the_import_is_quiet_and_leaves_standard_error_usable():
    done = python("import sys, lotteryhelpers; print('still here', file=sys.stderr)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "still here\n")


def test_a_failed_import_shows_its_real_message(tmp_path):
    (tmp_path / "tensorflow_probability.py").write_text(
        "import os\nos.write(2, b'a line from C++\\n')\nraise ImportError('libcudart is the wrong one')\n"
    )
    done = python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lotteryhelpers")
    assert done.returncode == 1
    assert "a line from C++" in done.stderr and "ImportError: libcudart is the wrong one" in done.stderr


def test_an_unseeded_initialiser_would_still_warn():
    """Warnings are filtered narrowly: not the one that gives away fake replicates."""
    done = python(
        "import lotteryhelpers, tf_keras\ninit = tf_keras.initializers.RandomNormal()\ninit([2]); init([2])\n"
    )
    assert "is unseeded and being called multiple times" in done.stderr


def lines_of_code(path):
    """Lines that are neither blank, nor comment, nor docstring."""
    source = path.read_text()
    documented = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            documented |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(bool(line.strip(" #")) and number not in documented for number, line in lines)


def test_the_module_stays_readable():
    files = list((ROOT / "lotteryhelpers").glob("*.py"))
    assert max(len(p.read_text().splitlines()) for p in files) <= 250
    assert sum(lines_of_code(p) for p in files) <= 1760


def test_public_names():
    import lotteryhelpers as lh

    promised = (
        "load_dataset TrainConfig train_bayesian Posterior CRITERIA variance_masks variance_quantile "
        "keep_fraction keep_units density train_ticket compact sweep iterative_magnitude_pruning restart frozen_values "
        "train_supermask accuracy"
    )
    assert all(hasattr(lh, name) for name in promised.split())
    for name in promised.split():
        assert getattr(lh, name).__doc__


def test_no_page_names_this_machine():
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("notebooks/*"),
        *ROOT.glob("lotteryhelpers/*.py"),
        *ROOT.glob("tests/*.py"),
    ]
    for page in pages:
        if page.is_file() and page != pathlib.Path(__file__):
            assert not re.search(r"/(root|work|home/\w+)/", page.read_text(encoding="utf-8")), page


@pytest.mark.parametrize("target", ["run", "test", "lab", "site", "links", "colab", "bench", "studies"])
def test_the_readme_says_what_make_does(target):
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    assert f"make {target}" in readme
    recipe = re.search(rf"^{target}: .*\n((?:\t.*\n)+)", makefile, re.M).group(1)
    for line in recipe.splitlines():
        assert line.strip().removeprefix("-").removeprefix("$(BIN)/").replace(PIP_OPTIONS, "") in readme
