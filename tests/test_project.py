"""The project's own files: requirements, quiet imports, size, and what the README promises."""

import ast
import graphlib
import inspect
import json
import os
import pathlib
import re
import subprocess
import sys

import nbformat
import pytest
import yaml
from common import ROOT, required
from faults import FAULTS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

PIP_OPTIONS = " --disable-pip-version-check --progress-bar=off"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def environment():
    """environment.yml as (conda's entries, pip's entries)."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    return [entry for entry in entries if not isinstance(entry, dict)], pip


def python_of_the_environment():
    """The version that ``python=`` names; without it Binder would take one of its own."""
    (named,) = [entry for entry in environment()[0] if entry.startswith("python=")]
    return re.fullmatch(r"python=(3\.\d+)", named).group(1)


def test_environment_and_pyproject_agree():
    """Entry by entry: what one of them has and the other hasn't is named by the failure."""
    conda, pip = environment()
    extras = PYPROJECT["project"]["optional-dependencies"]
    needed = [*PYPROJECT["project"]["dependencies"], *extras["notebooks"], *extras["test"], "-e ."]
    assert [entry for entry in pip if entry not in needed] == [], "in environment.yml alone"
    assert [entry for entry in needed if entry not in pip] == [], "in pyproject.toml alone"
    assert len(pip) == len(set(pip)) and pip[-1] == "-e ."
    assert [entry.split("=")[0] for entry in conda] == ["python", "pip"]
    low, high = re.findall(r"3\.(\d+)", PYPROJECT["project"]["requires-python"])
    assert int(low) <= int(python_of_the_environment().split(".")[1]) < int(high)
    assert yaml.safe_load((ROOT / "environment.yml").read_text())["channels"] == ["conda-forge"]


@pytest.mark.slow
def test_the_environment_resolves(tmp_path):
    """There are packages for all of pip's entries together, on the Python that environment.yml names."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]
    reached = subprocess.run([*pip, "download", "--no-deps", "-d", tmp_path, "tqdm"], capture_output=True).returncode == 0
    required(reached, "no package index within reach")
    (tmp_path / "requirements.txt").write_text("\n".join(environment()[1]))
    resolve = [*pip, "install", "--dry-run", "--ignore-installed", "--report", tmp_path / "report.json"]
    other = ["--only-binary=:all:", "--python-version", python_of_the_environment(), "--target", tmp_path / "unused"]
    done = subprocess.run([*resolve, *other, "-r", tmp_path / "requirements.txt"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    found = {entry["metadata"]["name"].lower(): entry["download_info"]["url"] for entry in report["install"]}
    assert {"tensorflow", "tf_keras", "tensorflow-probability", "lotteryhelpers"} <= found.keys()
    assert f"-cp{python_of_the_environment().replace('.', '')}-" in found["tensorflow"]


def test_the_constraints_are_names_and_versions_in_the_ranges_of_all_that_is_asked_for():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}
    extras = PYPROJECT["project"]["optional-dependencies"]
    for asked in map(Requirement, PYPROJECT["project"]["dependencies"] + extras["notebooks"] + extras["test"] + extras["site"]):
        assert asked.specifier.contains(pinned[canonicalize_name(asked.name)]), asked


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **options)


def test_the_import_is_quiet_and_leaves_standard_error_usable():
    done = python("import gc, sys, lotteryhelpers; print('still here', gc.isenabled(), file=sys.stderr)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "still here True\n")


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


HOME = ROOT / "lotteryhelpers"
FILES = sorted(HOME.rglob("*.py"))


def wc(paths):
    return sum(len(p.read_text(encoding="utf-8").splitlines()) for p in paths)


def test_the_module_stays_small_and_easy_to_see():
    core, readme = sorted(HOME.glob("*.py")), (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(core) <= 12 and wc(core) < 1_700
    assert max(wc([p]) for p in FILES) <= 250
    assert wc(FILES) < 4_800, f"the package has {wc(FILES)} lines: what can go? (CONTRIBUTING, 'What the tests hold you to')"
    for place in core + [p.parent for p in HOME.glob("*/__init__.py")]:  # where what lives
        name = place.name if place.is_file() else f"{place.name}/"
        assert place.name == "__init__.py" or f"`{name}`" in readme, name
        assert ast.get_docstring(ast.parse((place if place.is_file() else place / "__init__.py").read_text()))


def imported(path):
    """The package's own files that this one imports, wherever in it; what the type checker alone reads is none."""
    names, tree = [], ast.parse(path.read_text(encoding="utf-8"))
    for block in (n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)):
        block.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
    for name in (n for n in names if n.startswith("lotteryhelpers.")):
        place = ROOT.joinpath(*name.split("."))
        yield from (p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file())


def test_the_imports_have_few_levels_and_no_circle():
    order = graphlib.TopologicalSorter({p: set(imported(p)) - {p} for p in FILES})
    order.prepare()  # a circle raises
    levels = 0
    while order.is_active():
        order.done(*order.get_ready())
        levels += 1
    assert levels <= 10, levels


def test_every_deliberate_fault_can_be_made():
    """tests/faults.py, which is run by hand, changes texts that stand there."""
    assert len(FAULTS) > 40
    for name, (file, old, new, _) in FAULTS.items():
        text = (HOME / file).read_text()
        assert old in text and old != new, name


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


def test_public_functions_say_what_they_take_and_give():
    import lotteryhelpers as lh

    functions = [f for name, f in vars(lh).items() if inspect.isfunction(f) and not name.startswith("_")]
    assert len(functions) > 30
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        untyped = [p.name for p in parameters if p.annotation is p.empty and p.kind is not p.VAR_KEYWORD]
        assert not untyped and "return" in function.__annotations__, (function.__name__, untyped)


def test_the_types_are_right():
    """``make check`` asks the same."""
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_page_names_this_machine():
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("notebooks/*"),
        *ROOT.glob("lotteryhelpers/**/*.py"),
        *ROOT.glob("tests/*.py"),
    ]
    for page in pages:
        if page.is_file() and page != pathlib.Path(__file__):
            assert not re.search(r"/(root|work|home/\w+)/", page.read_text(encoding="utf-8")), page


@pytest.mark.parametrize("target", ["run", "test", "lab", "ready", "site", "links", "colab", "bench", "studies"])
def test_the_readme_says_what_make_does(target):
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    assert f"make {target}" in readme
    recipe = re.search(rf"^{target}: .*\n((?:\t.*\n)+)", makefile, re.M).group(1)
    for line in recipe.splitlines():
        assert line.strip().removeprefix("-").removeprefix("$(BIN)/").replace(PIP_OPTIONS, "") in readme


def test_spelling(tmp_path):
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        (tmp_path / f"{path.stem}.md").write_text("\n\n".join(cell.source for cell in cells), encoding="utf-8")
    places = [*ROOT.glob("*.md"), *(ROOT / "notebooks").glob("*.md"), ROOT / "lotteryhelpers", tmp_path]
    command = [sys.executable, "-m", "codespell_lib", "--skip", "*.pyc", *map(str, places)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE-TEXT.md", "notebooks/README.md",
                                  "tests/benchmarks/README.md"])
def test_links_of_the_pages_lead_somewhere(page):
    """Those of the notebooks are followed where the site is built."""
    text = (ROOT / page).read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)", text, re.M)}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("https://"):
            assert (ROOT / page).parent.joinpath(target.partition("#")[0]).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["one process", "two"])
def test_a_skipped_test_fails_the_run_in_ci_and_only_there(processes, tmp_path):
    for name in ("conftest.py", "common.py"):
        (tmp_path / name).write_text((ROOT / "tests" / name).read_text())
    (tmp_path / "test_it.py").write_text(
        "from common import required\n\ndef test_a(): pass\n\ndef test_b(): required(False, 'no such tool')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", *processes, str(tmp_path)]
    command += [f"-pno:{plugin}" for plugin in ("cacheprovider", "nbval", "hypothesispytest")]  # slow to import
    without = {name: value for name, value in os.environ.items() if name != "CI"}
    for environment, code in ((without, 0), (without | {"CI": "1"}, 1)):
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code and "test_b: Skipped: no such tool" in done.stdout, done.stdout
