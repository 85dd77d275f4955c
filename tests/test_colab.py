"""The notebooks' way into Colab, in the stand-in for it: what the set-up cell does there, and notebook 03."""

import os
import pathlib
import subprocess
import sys

import pytest
from common import ROOT, required

pytest.importorskip("fcntl", reason="the stand-in for Colab runs on Linux and macOS")
sys.path.insert(0, str(ROOT / "tests" / "colab"))
sys.path.insert(0, str(ROOT / "notebooks"))
import links  # noqa: E402
import stand_in  # noqa: E402

CELL = links.set_up_cell(links.address())
FOUND = """
import pathlib, time
results = pathlib.Path(lh.__file__).parents[1] / "notebooks" / "results"
print(lh.__file__, len(list(results.glob("*.csv"))))
"""
AGAIN = """
started = time.perf_counter()
exec(compile(CELL, "cell", "exec"))
assert time.perf_counter() - started < 1
"""
TABLES = len(list((ROOT / "notebooks" / "results").glob("*.csv")))
#: What the set-up cell installs there.
ADDED = {"lotteryhelpers", "distributed", "sortedcontainers", "tblib", "zict"}


@pytest.fixture(scope="session")
def colab():
    python = stand_in.find_python()
    required(python, "Colab's stand-in needs Python 3.13: set COLAB_PYTHON to the path of one")
    return stand_in.build(python)


@pytest.fixture
def process(colab, tmp_path):
    """Run code in the stand-in, in an empty folder; what it installed is removed at the end."""
    stand_in.undo(colab)
    working, home = tmp_path / "content", tmp_path / "home"
    working.mkdir()
    home.mkdir()

    def run(code, **more):
        variables = stand_in.environment(colab, home, "digits", **more)
        python = stand_in.python_of(colab)
        return subprocess.run([python, "-c", code], cwd=working, env=variables, capture_output=True, text=True)

    run.folder = working
    yield run
    stand_in.undo(colab)


def test_the_set_up_cell_clones_installs_and_can_be_run_again_after_each_failure(colab, process):
    checkout = process.folder / "lotteryhelpers_checkout"
    half = process.folder / "lotteryhelpers_checkout.new" / ".git"  # a clone that broke off
    half.mkdir(parents=True)
    done = process(CELL, LOTTERYHELPERS_REPO_URL=(process.folder / "nowhere").as_uri())
    assert done.returncode and "does not appear to be a git repository" in done.stderr and not checkout.exists()

    half.mkdir(parents=True, exist_ok=True)
    done = process(CELL, PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="")  # installing breaks off
    assert done.returncode and "No matching distribution" in done.stdout and checkout.is_dir()
    assert stand_in.versions(colab) == stand_in.bare(colab)

    done = process(CELL + FOUND)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{checkout / 'lotteryhelpers' / '__init__.py'} {TABLES}\n" and TABLES > 10
    after, before = stand_in.versions(colab), stand_in.bare(colab)
    assert {name: after.get(name) for name in before} == before
    assert after.keys() - before.keys() == ADDED

    # Once installed it needs neither git nor pip, in this kernel or a new one.
    nothing = {"LOTTERYHELPERS_REPO_URL": "file:///nowhere", "PIP_NO_INDEX": "1"}
    again = process(f"CELL = {CELL!r}\nexec(CELL)\n{FOUND}{AGAIN}", **nothing)
    assert (again.returncode, again.stderr, again.stdout) == (0, "", done.stdout)


def test_pip_refuses_rather_than_change_what_colab_ships(colab, process, tmp_path):
    """A clone that needs another numpy than Colab's."""
    fork = tmp_path / "fork"
    subprocess.run(["git", "clone", "-q", "--depth=1", ROOT.as_uri(), str(fork)], check=True)
    pyproject = (fork / "pyproject.toml").read_text()
    assert '"numpy>=1.26"' in pyproject
    (fork / "pyproject.toml").write_text(pyproject.replace('"numpy>=1.26"', '"numpy==2.1.2"'))
    author = ["-c", "user.name=reader", "-c", "user.email=reader@example.org"]
    subprocess.run(["git", *author, "commit", "-q", "-a", "-m", "another numpy"], cwd=fork, check=True)
    done = process(CELL, LOTTERYHELPERS_REPO_URL=fork.as_uri())
    assert done.returncode and "The user requested (constraint) numpy==2.1.3" in done.stdout
    assert stand_in.versions(colab) == stand_in.bare(colab)


def test_notebook_03_runs_top_to_bottom_on_the_digits(colab):
    """One of them (make colab runs all): what a sweep does there is the next test's."""
    result = stand_in.run(colab, pathlib.Path(ROOT, "notebooks", "03_build_masks.ipynb"), TF_NUM_INTRAOP_THREADS="1")
    assert result["wrong"] is None
    assert {name.split()[0] for name in result["added"]} == ADDED


def test_a_sweep_prints_nothing_from_its_workers(process):
    """TensorFlow 2.20 logs a line at each process' first compilation, unless that is held back."""
    specs = "lh.specs_of(range(2), ('snr',), (0.5,))"
    rows = f"rows = lh.sweep(lh.load_dataset('digits'), {specs}, lh.TrainConfig(epochs=1), workers=1)"
    done = process(f"{CELL}\n{rows}\nprint(rows.error.tolist())", TQDM_DISABLE="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "['', '']\n", "")


def test_a_python_that_is_not_3_13_is_refused(monkeypatch):
    monkeypatch.setenv("COLAB_PYTHON", str(pathlib.Path(os.devnull)))
    with pytest.raises(ValueError, match="COLAB_PYTHON must be the path of a Python 3.13, not '/dev/null'"):
        stand_in.find_python()
