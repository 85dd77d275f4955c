"""A stand-in for Colab: the notebooks in an environment like Colab's, each alone in an empty folder.

python tests/colab/stand_in.py                      all notebooks, on the digits
python tests/colab/stand_in.py --dataset mnist 04   one of them, on MNIST

Needs Python 3.13 ($COLAB_PYTHON, ``python3.13``, or pyenv's). The environment is made once under build/colab from
requirements.txt beside this file. A notebook meets there what it meets on Colab: Python, packages, a module
``google.colab``, and nothing else; its set-up cell clones this repository's last commit (what isn't committed
isn't there) and installs the module. Afterwards every version must be as it was; what was added is removed again.
"""

import argparse
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "colab"
REQUIREMENTS = HERE / "requirements.txt"
HELD = []  # the lock, until this process ends
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def is_python_3_13(path):
    """Whether ``path`` runs and is Python 3.13; pyenv's ``python3.13`` may be there and refuse."""
    code = "import sys; print(sys.version_info[:2] == (3, 13))"
    try:
        done = subprocess.run([path, "-c", code], capture_output=True, text=True)
    except OSError:
        return False
    return done.stdout.strip() == "True"


def find_python():
    """Return a Python 3.13 to build with, or None; ValueError if $COLAB_PYTHON isn't one."""
    named = os.environ.get("COLAB_PYTHON")
    if named:
        if not is_python_3_13(named):
            raise ValueError(f"COLAB_PYTHON must be the path of a Python 3.13, not {named!r}")
        return named
    roots = [os.environ.get("PYENV_ROOT"), pathlib.Path.home() / ".pyenv"]
    roots += [pathlib.Path(program).parents[1] for program in [shutil.which("pyenv")] if program]
    of_pyenv = [p for root in filter(None, roots) for p in pathlib.Path(root).glob("versions/3.13*/bin/python")]
    found = [shutil.which("python3.13"), *sorted(of_pyenv, reverse=True)]
    return next((str(p) for p in found if p and is_python_3_13(p)), None)


def python_of(folder):
    return str(folder / "bin" / "python")


def versions(folder):
    """Return {name: version} of what is installed."""
    code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    done = subprocess.run([python_of(folder), "-I", "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def wait_for_others(folder):
    """Have ``folder`` for this process alone: another one's undoing would spoil its runs."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    HELD.append(open(folder.with_suffix(".lock"), "w"))
    try:
        fcntl.flock(HELD[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another process uses {folder.relative_to(ROOT)}: waiting for its end.", flush=True)
        fcntl.flock(HELD[-1], fcntl.LOCK_EX)


def build(python, folder=BUILD / "venv"):
    """Make the environment, or take the one there if requirements.txt hasn't changed; return the folder."""
    wait_for_others(folder)
    stamp, wanted = folder / "made_from.txt", f"{python}\n{REQUIREMENTS.read_text()}"
    if not (stamp.is_file() and stamp.read_text() == wanted):
        print(f"Installing Colab's packages into {folder.relative_to(ROOT)}: some minutes.", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [python_of(folder), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--only-binary=:all:", "--no-compile", "-r", str(REQUIREMENTS)], check=True)
        colab = next(folder.glob("lib/python*/site-packages")) / "google" / "colab"
        colab.mkdir(parents=True)
        (colab / "__init__.py").write_text('"""Stands for Colab\'s own; it is only asked for."""\n')
        (folder / "bare.json").write_text(json.dumps(versions(folder)))
        stamp.write_text(wanted)
    return folder


def bare(folder):
    """Return the versions that the environment was made with."""
    return json.loads((folder / "bare.json").read_text())


def undo(folder):
    """Remove what was added since ``build``; RuntimeError if something else changed."""
    found = versions(folder)
    added = sorted(found.keys() - bare(folder).keys())
    if added:
        pip = [python_of(folder), "-I", "-m", "pip", "uninstall", "-q", "-y", "--disable-pip-version-check"]
        subprocess.run([*pip, *added], check=True, env=os.environ | {"PIP_ROOT_USER_ACTION": "ignore"})
        found = versions(folder)
    if found != bare(folder):
        raise RuntimeError(f"{folder} isn't as it was made: remove it, and it is made again")


def environment(folder, home, dataset, **more):
    """Return the variables that a notebook sees: none of this project's or Jupyter's, and a home of its own."""
    ours = ("PYTHON", "JUPYTER", "IPYTHON", "VIRTUAL_ENV", "LOTTERYHELPERS", "XDG_", "MPL", "TF_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    path = f"{folder / 'bin'}{os.pathsep}{kept['PATH']}"
    given = {"PATH": path, "HOME": str(home), "DATASET": dataset, "LOTTERYHELPERS_REPO_URL": ROOT.as_uri()}
    if dataset == "mnist":
        given["LOTTERYHELPERS_DATA_DIR"] = os.environ["LOTTERYHELPERS_DATA_DIR"]
    return kept | given | more


def run(folder, notebook, dataset="digits", **more):
    """Run a notebook as Colab would: alone in an empty folder, in the bare environment.

    ``more`` are further environment variables. Returns a dict: "seconds", "wrong" (what went wrong, or None)
    and "added" (what the set-up cell installed, name and version). The environment is bare again afterwards.
    """
    undo(folder)
    with tempfile.TemporaryDirectory(prefix="lotteryhelpers-colab-") as place:
        home, working = pathlib.Path(place, "home"), pathlib.Path(place, "content")
        home.mkdir()
        working.mkdir()
        shutil.copy(notebook, working)
        done = subprocess.run(
            [python_of(folder), str(HERE / "execute.py"), str(working / notebook.name)],
            env=environment(folder, home, dataset, **more),
            cwd=working,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise RuntimeError(f"{notebook.name} could not be run:\n{done.stdout}{done.stderr}")
    result = json.loads(done.stdout.splitlines()[-1])
    before, after = bare(folder), versions(folder)
    changed = [f"{n} {old} became {after.get(n)}" for n, old in before.items() if after.get(n) != old]
    if changed and not result["wrong"]:
        result["wrong"] = "the set-up cell changed what was installed: " + ", ".join(changed)
    result["added"] = sorted(f"{name} {after[name]}" for name in after.keys() - before.keys())
    undo(folder)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebooks, or their numbers; default: all")
    parser.add_argument("--dataset", choices=["digits", "mnist"], default="digits")
    arguments = parser.parse_args()
    wanted = [p for p in NOTEBOOKS if p.name.startswith(tuple(arguments.names) or "")]
    if not wanted:
        sys.exit(f"no notebook is called {' or '.join(arguments.names)}")
    if arguments.dataset == "mnist" and "LOTTERYHELPERS_DATA_DIR" not in os.environ:
        sys.exit("for MNIST set LOTTERYHELPERS_DATA_DIR to the folder that holds mnist.npz")
    python = find_python()
    if not python:
        sys.exit("Colab has Python 3.13, and none was found: set COLAB_PYTHON to the path of one")
    folder = build(python)
    failed = 0
    for path in wanted:
        result = run(folder, path, arguments.dataset)
        verdict = "FAILED" if result["wrong"] else "ok"
        print(f"{path.stem:36} {arguments.dataset:6} {result['seconds']:5.0f} s  {verdict}", flush=True)
        if result["wrong"]:
            print(result["wrong"], flush=True)
            failed += 1
    print("added each time, and removed: " + ", ".join(result["added"]))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
