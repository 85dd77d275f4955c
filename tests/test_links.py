"""The repository's address in all its places, and the notebooks' set-up cell as a reader's process runs it."""

import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import venv

import nbformat
import pytest
from common import ROOT

spec = importlib.util.spec_from_file_location("links", ROOT / "notebooks" / "links.py")
links = importlib.util.module_from_spec(spec)
spec.loader.exec_module(links)

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
OTHER = "https://github.com/some-school/tickets.2027"


def run(python, *arguments, cwd, **environment):
    """Run a Python without this process's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "LOTTERYHELPERS_REPO"))}
    return subprocess.run(
        [str(python), *map(str, arguments)], cwd=cwd, env=kept | environment, capture_output=True, text=True
    )


def copy_of_the_repository(place):
    """Copy the files that git knows, as they are now."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.strip("\0").split("\0"):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
    return place


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_notebook_has_the_address_the_badges_and_the_same_set_up_cell(path):
    cells = nbformat.read(path, as_version=4).cells
    title, blank, badges, *_ = cells[0].source.splitlines()
    assert title.startswith("# ") and blank == ""
    repo = links.address().removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{repo}/blob/main/notebooks/{path.name}"
    binder = f"https://mybinder.org/v2/gh/{repo}/main?labpath=notebooks/{path.name}"
    assert re.findall(r"\[!\[([^]]+)\]\((\S+?)\)\]\((\S+?)\)", badges) == [
        ("Open in Colab", "https://colab.research.google.com/assets/colab-badge.svg", colab),
        ("Launch on Binder", "https://mybinder.org/badge_logo.svg", binder),
    ]
    set_up = next(c for c in cells if c.cell_type == "code")
    assert set_up.source == links.set_up_cell(links.address())
    lines = set_up.source.splitlines()
    assert len(lines) <= 20 and max(map(len, lines)) <= 110
    assert not set_up.outputs


def test_the_readme_has_the_address():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    repo = links.address().removeprefix("https://github.com/")
    for link in (f"git clone {links.address()}", f"colab.research.google.com/github/{repo}/", f"mybinder.org/v2/gh/{repo}/"):
        assert link in readme


def test_another_address_reaches_every_copy_and_nothing_else_changes(tmp_path):
    """A place with the address that links.py doesn't know of makes this fail."""
    place = copy_of_the_repository(tmp_path)
    assert run(sys.executable, "notebooks/links.py", cwd=place).stdout.endswith("nothing to change\n")
    pyproject = (place / "pyproject.toml").read_text()
    (place / "pyproject.toml").write_text(pyproject.replace(links.address(), OTHER))
    before = {p: nbformat.read(p, as_version=4) for p in place.glob("notebooks/[0-9]*.ipynb")}
    done = run(sys.executable, "notebooks/links.py", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    old = re.compile(r"(?:github\.com|/gh|/github)/" + re.escape(links.address().removeprefix("https://github.com/")))
    for path in (p for p in place.rglob("*") if p.is_file()):
        found = old.search(path.read_bytes().decode(errors="ignore"))
        assert not found, f"{path.relative_to(place)} still says {found.group()}"
    assert len(before) == len(NOTEBOOKS)
    for path, notebook in before.items():
        assert path.name in done.stdout
        after = nbformat.read(path, as_version=4)
        assert after.cells[0].source.count("some-school/tickets.2027") == 2
        set_up = next(i for i, c in enumerate(notebook.cells) if c.cell_type == "code")
        assert f'"{OTHER}"' in after.cells[set_up].source
        assert after.cells[-1].source.splitlines()[-1].count("some-school/tickets.2027") == 4  # the licence
        assert after.cells[-1].source.splitlines()[:-1] == notebook.cells[-1].source.splitlines()[:-1]
        for i, (one, other) in enumerate(zip(notebook.cells, after.cells, strict=True)):
            if i in (0, set_up, len(after.cells) - 1):
                one.source = other.source
        assert after == notebook
    assert run(sys.executable, "notebooks/links.py", cwd=place).stdout == f"{OTHER}: nothing to change\n"


@pytest.mark.parametrize("url", ["https://gitlab.com/a/b", "https://github.com/a", "https://github.com/a/b.git", "https://github.com/a/b/"])
def test_an_address_that_colab_and_binder_could_not_open_is_refused(url, tmp_path):
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{url}"\n')
    with pytest.raises(ValueError, match=re.escape(f"not '{url}'")):
        links.address(tmp_path)


# The set-up cell.

CELL = links.set_up_cell(links.address())
WHERE = CELL + "\nprint(lh.__file__)\n"
LIBRARIES = sysconfig.get_paths()["purelib"]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python with nothing installed. With PYTHONPATH=LIBRARIES it has what lotteryhelpers needs, not itself."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def test_an_installed_module_is_used_and_the_names_that_notebooks_need_are_there(tmp_path):
    (tmp_path / "lotteryhelpers").mkdir()
    (tmp_path / "lotteryhelpers" / "__init__.py").write_text("raise RuntimeError('a checkout above, not the one installed')")
    working = tmp_path / "notebooks"
    working.mkdir()
    done = run(sys.executable, "-c", WHERE + "print(os.getcwd(), pathlib.Path, subprocess.run, sys.path, importlib.util)", cwd=working)
    assert done.stderr == ""
    assert pathlib.Path(done.stdout.splitlines()[0]).parents[1] == ROOT
    assert not list(working.iterdir())


def test_in_a_checkout_that_is_not_installed_that_checkout_is_used(bare_python):
    distutils = "import _distutils_hack\n_distutils_hack.add_shim()\n"  # as setuptools does where it is installed
    done = run(bare_python, "-c", distutils + WHERE, cwd=ROOT / "notebooks", PYTHONPATH=LIBRARIES)
    assert (done.stdout, done.stderr) == (f"{ROOT / 'lotteryhelpers' / '__init__.py'}\n", "")


def test_a_dependency_that_is_missing_is_named_with_what_to_do(bare_python):
    done = run(bare_python, "-c", WHERE, cwd=ROOT / "notebooks")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: No module named 'tensorflow'; in a terminal: {bare_python} -m pip install -e \"{ROOT}[notebooks]\""


@pytest.mark.parametrize("folder", ["empty", "lotteryhelpers"])
def test_where_there_is_neither_module_nor_checkout_it_says_what_to_do(folder, bare_python, tmp_path):
    """A folder that is only called lotteryhelpers is no module, though Python would import it."""
    (tmp_path / folder).mkdir()
    done = run(bare_python, "-c", WHERE, cwd=tmp_path)
    message = f"ModuleNotFoundError: lotteryhelpers is missing: git clone {links.address()}, open the notebook there"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, message)
    done = run(bare_python, "-c", WHERE, cwd=tmp_path, LOTTERYHELPERS_REPO_URL=OTHER)
    assert f"git clone {OTHER}," in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == [folder]
