"""What breaks in front of people: caches shared, damaged or closed to writing, interruptions, restarts, cells
out of order, swapped data, and configurations that nobody thought of. Each as a reader meets it."""

import asyncio
import collections
import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
from common import MNIST_DIR, ROOT, needs_mnist, required
from hypothesis import given, settings
from hypothesis import strategies as st
from jupyter_client.manager import KernelManager
from test_data import whole_arrays
from test_reports import BAD_SPLITS, GOOD_SPLITS

import lotteryhelpers as lh
from lotteryhelpers import storage
from lotteryhelpers.startup import downloads

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SHORT = lh.TrainConfig(epochs=2, batch_size=64, learning_rate=3e-3, seed=3)
SMALL = {"hidden": (32, 16), "kl_weight": 0.1}
HINT = r"name '(\w+)' is not defined$"


def sources(number):
    """The code cells of a notebook, and their ids."""
    cells = nbformat.read(NOTEBOOKS[number], as_version=4).cells
    return [c.source for c in cells if c.cell_type == "code"]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def kept(folder=None):
    """What lies in the cache folder, hidden files too, with the times of the last change."""
    folder = pathlib.Path(folder or storage.cache_folder())
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


class Kernel:
    """A real kernel, as a notebook has it."""

    def __init__(self, **environment):
        self.manager = KernelManager()
        self.manager.start_kernel(env=os.environ | environment, cwd=str(ROOT / "notebooks"))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code, interrupt_after=None):
        """Run a cell; its outputs' text, or the error's name and message as a pair.

        ``interrupt_after``: seconds from the cell's first output to an interruption, as by the stop button, and
        once more every five seconds, as a reader would: TensorFlow may swallow one that comes while it traces.
        """
        outputs, timers, ended = [], [], threading.Event()

        def interrupt():
            wait = interrupt_after
            while not ended.wait(wait):
                asyncio.run(self.manager.provisioner.send_signal(signal.SIGINT))
                self.presses, wait = self.presses + 1, 5

        self.presses = 0

        def take(message):
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                outputs.append(content["text"])
                if interrupt_after is not None and not timers:
                    timers.append(threading.Thread(target=interrupt))
                    timers[0].start()
            elif kind in ("display_data", "execute_result") and "widget" not in str(content["data"].keys()):
                outputs.append(content["data"].get("image/png") or content["data"].get("text/plain", ""))

        reply = self.client.execute_interactive(code, output_hook=take, timeout=300, stop_on_error=False)
        ended.set()
        for timer in timers:
            timer.join()
        if reply["content"]["status"] == "error":
            return reply["content"]["ename"], reply["content"]["evalue"]
        return "".join(re.sub(r" at 0x[0-9a-f]+", "", text) for text in outputs)

    def restart(self):
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=60)


# --- the cache -----------------------------------------------------------------------------------------------

MEET = """
import pathlib, time
(meeting := pathlib.Path(os.environ["MEETING"], str(os.getpid()))).touch()
until = time.time() + 60
while len(list(meeting.parent.iterdir())) < int(os.environ["GUESTS"]) and time.time() < until:
    time.sleep(0.01)
real = lh.bayesian.train_bayesian
lh.bayesian.train_bayesian = lambda *a, **k: print("TRAINED", time.time()) or real(*a, **k)
"""


def first_cells_of_02(cache, meeting, guests):
    """Notebook 02 up to its training in ``guests`` kernels at once; each one's printed text."""
    meeting.mkdir()

    async def execute():
        notebook = nbformat.read(NOTEBOOKS[2], as_version=4)
        code = [c for c in notebook.cells if c.cell_type == "code"][:4]
        assert "load_or_train_bayesian" in code[3].source
        notebook.cells = [*code[:3], nbformat.v4.new_code_cell(MEET), code[3], nbformat.v4.new_code_cell("time.time()")]
        settings = {"DATASET": "digits", "LOTTERYHELPERS_CACHE_DIR": str(cache), "MEETING": str(meeting)}
        client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT / "notebooks")}})
        await client.async_execute(env=os.environ | settings | {"GUESTS": str(guests)})
        return str([c.outputs for c in notebook.cells])

    async def together():
        return await asyncio.gather(*[execute() for _ in range(guests)])

    return asyncio.run(together())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A cache that two notebooks filled at the same time, and what they printed."""
    folder = tmp_path_factory.mktemp("shared")
    return folder / "cache", first_cells_of_02(folder / "cache", folder / "meeting", 2)


def test_two_notebooks_at_once_share_the_cache(shared):
    cache, texts = shared
    assert all(text and text.count("TRAINED") == 1 and "error" not in text for text in texts), texts
    (path,) = kept(cache)  # which a third reads, below
    assert path.name.startswith("bayesian-digits-") and lh.BayesianRun.load(path).history.step.iloc[-1] == 150 * 19


SPOILT = {
    "cut short": lambda p: p.write_bytes(p.read_bytes()[:1000]),
    "a byte changed": lambda p: p.write_bytes(p.read_bytes()[:9000] + b"?!?!" + p.read_bytes()[9004:]),
    "empty": lambda p: p.write_bytes(b""),
    "garbage": lambda p: p.write_bytes(np.random.default_rng(0).bytes(50_000)),
    "a web page": lambda p: p.write_text("<html>sign in to this network</html>"),
    "another format": lambda p: np.savez(p, version=2, weights=np.zeros(3)),
    "a posterior alone": lambda p: lh.BayesianRun.load(p).final.save(p),
    "no history": lambda p: np.savez(p, **{k: a for k, a in np.load(p).items() if k != "history"}),
    "pickled objects": lambda p: np.savez(p, history=np.array([{}], object)),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPOILT)
def test_a_damaged_kept_result_is_made_again_with_a_notice(kind, digits, capfd, recwarn):
    first = lh.load_or_train_bayesian(digits, SHORT, **SMALL)
    (path,) = kept()
    SPOILT[kind](path)
    capfd.readouterr()
    again = lh.load_or_train_bayesian(digits, SHORT, **SMALL)
    printed = capfd.readouterr()
    assert re.fullmatch(rf"A kept result is thrown away and made again: {path}:? [^\n]{{5,}}\.\n", printed.out)
    assert printed.err == "" and not [w for w in recwarn if issubclass(w.category, UserWarning)]
    assert same(first.final.means, again.final.means) and list(kept()) == [path]
    changed = kept()
    assert same(first.final.means, lh.load_or_train_bayesian(digits, SHORT, **SMALL).final.means)
    assert capfd.readouterr() == ("", "") and kept() == changed


def test_damaged_rows_of_a_sweep_are_made_again_with_a_notice_each(digits, capsys, recwarn, cluster):
    spoil = [
        lambda p: p.write_text(p.read_text()[:40]),
        lambda p: p.write_bytes(np.random.default_rng(0).bytes(300)),
        lambda p: p.write_text(""),
    ]
    specs = lh.specs_of([0], ["snr"], np.linspace(0.2, 0.9, len(spoil) + 1).tolist())
    first = lh.sweep(digits, specs, SHORT, client=cluster)
    before = {p: t for p, t in kept().items() if p.suffix == ".json"}
    assert len(before) == len(specs) and (first.error == "").all()
    for change, path in zip(spoil, before, strict=False):
        change(path)
    capsys.readouterr()
    again = lh.sweep(digits, specs, SHORT, client=cluster)
    notices = capsys.readouterr().out.splitlines()
    pattern = r"A kept result is thrown away and made again: (.+\.json) is damaged \([^\n]+\)\."
    assert {re.fullmatch(pattern, n).group(1) for n in notices} == set(map(str, list(before)[: len(spoil)]))
    assert len(notices) == len(spoil) and not [w for w in recwarn if issubclass(w.category, UserWarning)]
    pd.testing.assert_frame_equal(first.drop(columns="seconds"), again.drop(columns="seconds"), check_exact=True)
    untouched = list(before)[-1]
    assert kept()[untouched] == before[untouched]


# --- homes and disks that take nothing ----------------------------------------------------------------------

IN_A_CLOSED_HOME = """
import os, pathlib, sys
import lotteryhelpers as lh
if __name__ == "__main__":
    try:
        pathlib.Path(sys.argv[1], "probe").mkdir(parents=True)
        raise SystemExit("it can be written to, so this shows nothing")
    except OSError:
        pass
    digits = lh.load_dataset("digits", num_train=300)
    config = lh.TrainConfig(1, 64)
    lh.train_bayesian(digits, config, hidden=(12,))
    run = lh.load_or_train_bayesian(digits, config, hidden=(12,))
    lh.train_ticket(digits, run.initial, None, config)
    print("trained")
    if sys.argv[2] == "sweep":
        specs = lh.specs_of([0, 1], ["snr"], [0.5, 0.2])
        print(lh.sweep(digits, specs, config, workers=1).error.tolist())
"""


def without_roots_rights(command):
    """Root may write anywhere; without two of its rights it is as bound as anybody."""
    if os.geteuid():
        return command
    required(shutil.which("setpriv"), "setpriv (util-linux) is missing: root's rights can't be dropped")
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]


@pytest.mark.parametrize("kind", ["a read-only home", "a home that is not there", "a cache folder that is a file"])
def test_where_nothing_can_be_written_all_works_and_one_sentence_says_so(kind, tmp_path):
    home, cache, reason = tmp_path / "home", tmp_path / "home/.cache/lotteryhelpers", "Permission denied"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "LOTTERYHELPERS_CACHE"))}
    (tmp_path / "temporary").mkdir()
    if kind == "a home that is not there":
        home, cache = home / "gone", home / "gone/.cache/lotteryhelpers"
    if kind == "a cache folder that is a file":
        cache, reason = tmp_path / "a file", "File exists|Not a directory"
        cache.write_text("of somebody")
        environment |= {"LOTTERYHELPERS_CACHE_DIR": str(cache)}
    script = tmp_path / "script.py"
    script.write_text(IN_A_CLOSED_HOME)
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o555)
    environment |= {"HOME": str(home), "TMPDIR": str(tmp_path / "temporary")}
    what = "sweep" if kind == "a read-only home" else "no sweep"
    command = without_roots_rights([sys.executable, str(script), str(cache), what])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    notice = (
        rf"Results are not kept: {cache} can't be written to \(({reason})\); set LOTTERYHELPERS_CACHE_DIR to a "
        r"folder that can\."
    )
    assert re.fullmatch(notice, lines[0]) and lines[1] == "trained"
    if what == "sweep":  # once, though four runs and their starts are concerned
        assert re.fullmatch(notice, lines[2]) and lines[3:] == [str([""] * 4)]
    else:
        assert len(lines) == 2
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "home").iterdir()) and (kind[0:7] != "a cache" or cache.read_text() == "of somebody")


@contextlib.contextmanager
def a_full_disk(most=20_000):
    """Files can't grow beyond ``most`` bytes, so that writing really fails, in the middle of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python 3.10's zipfile
def test_a_full_disk_costs_nothing_that_is_there(digits, small_run, capsys, tmp_path):
    first = lh.load_or_train_bayesian(digits, SHORT, **SMALL)
    before = kept()
    with a_full_disk():
        with pytest.raises(OSError):
            (tmp_path / "probe").write_bytes(bytes(30_000))
        lh.load_or_train_bayesian(digits, SHORT, hidden=(32, 16), kl_weight=0.2)
    assert capsys.readouterr().out.startswith(f"Results are not kept: {storage.cache_folder()} can't be written to")
    assert kept() == before
    assert same(lh.load_or_train_bayesian(digits, SHORT, **SMALL).final.means, first.final.means)
    path = tmp_path / "mine" / "posterior.npz"
    small_run.initial.save(path)
    with a_full_disk(), pytest.raises(OSError):
        small_run.final.save(path)  # what a reader asks for by name must not fail with a sentence
    assert same(lh.Posterior.load(path).means, small_run.initial.means) and list(kept(path.parent)) == [path]


# --- pickles -------------------------------------------------------------------------------------------------


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_pickled_objects_are_refused_and_never_unpickled(digits, tmp_path, monkeypatch, capsys):
    fuse, monkey = tmp_path / "went off", np.array([None], object)
    monkey[0] = Bomb(fuse)
    path = tmp_path / "mnist.npz"
    monkeypatch.setenv(downloads.DATA_DIR, str(tmp_path))

    def refused(load, message, **arrays):
        np.savez(path, **arrays)
        shutil.copy(path, tmp_path / "fashion_mnist.npz")
        with pytest.raises(ValueError, match=message):
            load()
        path.write_bytes(pickle.dumps(monkey))  # no zip at all
        shutil.copy(path, tmp_path / "fashion_mnist.npz")
        with pytest.raises(ValueError, match=r"npz is not a whole npz file \(File is not a zip file\)"):
            load()

    np.savez(path, a=monkey)
    np.load(path, allow_pickle=True)["a"]
    assert fuse.exists(), "the bomb is a dud, so this shows nothing"
    fuse.unlink()
    message = r"mnist\.npz holds pickled objects, which can run anyone's code when read; only numbers are"
    for name in ("mnist", "fashion_mnist", "auto"):
        whole = {"x_train": monkey, "y_train": monkey, "x_test": monkey, "y_test": monkey}
        refused(lambda name=name: lh.load_dataset(name), message, **whole)
    refused(lambda: lh.Posterior.load(path), message, means_0=monkey, stddevs_0=monkey, biases_0=monkey)
    refused(lambda: lh.BayesianRun.load(path), message, history=monkey, epochs=monkey)
    first = lh.load_or_train_bayesian(digits, SHORT, **SMALL)
    (at,) = kept()
    np.savez(at, **dict(np.load(at)) | {"history": monkey})
    again = lh.load_or_train_bayesian(digits, SHORT, **SMALL)
    assert "made again" in (out := capsys.readouterr().out) and "holds pickled objects" in out
    assert same(first.final.means, again.final.means)
    with pytest.raises(ValueError):  # the tables are text, and text they must be
        pd.read_csv(path)
    assert not fuse.exists()
    for file in (*ROOT.glob("lotteryhelpers/**/*.py"), *ROOT.glob("notebooks/*.ipynb")):
        text = file.read_text().replace("pickle.loads(criterion)", "")  # a function on its way to a worker: no file
        assert not re.search(r"allow_pickle ?= ?True|read_pickle|pickle\.loads?\(", text), file


# --- kernels: interruptions, restarts, cells out of order ---------------------------------------------------

TRAIN = """
config = lh.TrainConfig(epochs={epochs}, batch_size=64, learning_rate=3e-3, seed=3)
print("begun", flush=True)
run = lh.load_or_train_bayesian(digits, config, hidden={hidden}, kl_weight=0.1)
"""


def test_an_interrupted_training_cell_runs_again_as_if_nothing_had_been(digits, tmp_path):
    with Kernel(LOTTERYHELPERS_CACHE_DIR=str(tmp_path)) as kernel:
        kernel.run("\n".join(sources(1)[:1]) + "\nimport hashlib\ndigits = lh.load_dataset('digits')")
        for units, seconds, compiled in ((17, 0, False), (19, 1.8, False), (19, 1.0, True)):
            hidden = (units, 9)
            name, message = kernel.run(TRAIN.format(epochs=10**6, hidden=hidden), seconds)
            assert kernel.presses <= 3 and not kept(tmp_path)
            # in the middle of tracing TensorFlow may hide it in an error of its own beyond recognition
            assert name == "KeyboardInterrupt" or not compiled, (name, message)
            lock = f"lh.training.trainer_for(lh.networks.Flipout, (64, *{hidden}, 10)).lock.locked()"
            assert kernel.run(lock) == "False"
            assert kernel.run(TRAIN.format(epochs=2, hidden=hidden)) == "begun\n"
            shown = kernel.run("hashlib.sha256(b''.join(m.tobytes() for m in run.final.means)).hexdigest()")
            here = lh.train_bayesian(digits, SHORT, hidden=hidden, kl_weight=0.1)
            assert shown.strip("'") == hashlib.sha256(b"".join(m.tobytes() for m in here.final.means)).hexdigest()
            for path in kept(tmp_path):
                path.unlink()


def test_a_kernel_restarted_in_the_middle_of_notebook_03_goes_on_from_the_cache(shared):
    cells, (cache, _) = sources(3), shared
    half = len(cells) // 2
    with Kernel(LOTTERYHELPERS_CACHE_DIR=str(cache), DATASET="digits") as kernel:
        before = [kernel.run(cell) for cell in cells[:half]]
        assert all(isinstance(shown, str) for shown in before) and len("".join(before)) > 50_000  # figures too
        files = kept(cache)
        kernel.restart()
        name, message = kernel.run(cells[half])
        assert name == "NameError" and re.match(HINT, message)
        assert all(isinstance(kernel.run(cell), str) for cell in cells[:2])
        name, message = kernel.run(cells[half])
        assert name == "NameError" and re.match(HINT, message)
        assert [kernel.run(cell) for cell in cells[:half]] == before
        assert isinstance(kernel.run(cells[half]), str) and kept(cache) == files


FORGET = """
for _name in set(globals()) - _there - {"_there", "_name"}:
    if not _name.startswith("_"):
        del globals()[_name]
globals().update(_values)
"""


def test_cells_out_of_order_work_or_name_what_is_missing(tmp_path):
    outcomes = {}
    with Kernel(LOTTERYHELPERS_CACHE_DIR=str(tmp_path), DATASET="digits") as kernel:
        for number in range(len(NOTEBOOKS)):
            set_up, imports, *others = sources(number)
            assert isinstance(kernel.run("%reset -f"), str)
            assert isinstance(kernel.run(set_up), str) and isinstance(kernel.run(imports), str)
            kernel.run("_there = set(globals()); _values = {k: v for k, v in globals().items() if k[0] != '_'}")
            for place, cell in enumerate(others, start=3):
                shown = kernel.run(cell)
                works = isinstance(shown, str)
                assert works or (shown[0] == "NameError" and re.match(HINT, shown[1])), (number, place, shown)
                outcomes[number, place] = "works" if works else "hint"
                kernel.run(FORGET)
        counts = collections.Counter(outcomes.values())
        assert counts["hint"] > 150 and counts["works"] >= len(NOTEBOOKS), counts  # the parameters at least


# --- data swapped for other data -----------------------------------------------------------------------------

NOT_MNIST = r"(.+mnist\.npz) does not hold (fashion_)?mnist as it was published, but other images or labels."


def test_swapped_data_are_noticed_and_their_results_kept_apart(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(downloads.DATA_DIR, str(tmp_path))
    arrays = whole_arrays()
    shuffled = np.random.default_rng(1).permutation(60_000)
    swapped = arrays | {"x_train": arrays["x_train"][shuffled], "y_train": arrays["y_train"][shuffled]}
    runs = []
    for name, made in (("first", arrays), ("swapped", swapped), ("first", arrays)):
        np.savez(tmp_path / "mnist.npz", **made)
        dataset = lh.load_dataset("mnist", num_train=300, num_validation=100)
        assert len(re.findall(NOT_MNIST, capsys.readouterr().out)) == 1
        runs.append(lh.load_or_train_bayesian(dataset, SHORT, hidden=(8,)))
        assert len(kept()) == (1 if not runs[1:] else 2), name
    assert same(runs[0].final.means, runs[2].final.means)
    assert not same(runs[0].final.means, runs[1].final.means)
    shutil.copy(tmp_path / "mnist.npz", tmp_path / "fashion_mnist.npz")
    lh.load_dataset("fashion_mnist")
    assert re.match(NOT_MNIST, capsys.readouterr().out).group(2)


@needs_mnist
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_data_set_is_known_by_its_contents_however_it_is_packed(name, tmp_path, monkeypatch, capsys):
    file = pathlib.Path(MNIST_DIR, f"{name}.npz")
    required(file.is_file(), f"no {file}")
    with np.load(file) as file:
        arrays = dict(file)
    lh.load_dataset(name)
    assert capsys.readouterr().out == ""
    monkeypatch.setenv(downloads.DATA_DIR, str(tmp_path))
    np.savez(tmp_path / f"{name}.npz", **{key: np.asfortranarray(arrays[key]) for key in reversed(arrays)})
    lh.load_dataset(name)
    assert capsys.readouterr().out == ""
    arrays["x_test"][77, 14, 14] ^= 1  # one bit
    np.savez(tmp_path / f"{name}.npz", **arrays)
    lh.load_dataset("auto" if name == "mnist" else name)
    first, *last = capsys.readouterr().out.splitlines()
    assert re.match(NOT_MNIST, first)
    assert [line.startswith("load_dataset('auto'): MNIST, found in") for line in last] == [True] * (name == "mnist")
    began = time.perf_counter()
    hashlib.blake2b(b"".join(arrays.values())).hexdigest()
    assert time.perf_counter() - began < 0.5  # 0.06 s on an idle core


# --- 200 random configurations -------------------------------------------------------------------------------

SENSIBLE = {
    "epochs": st.sampled_from([1, 2, np.int64(1)]),
    "batch_size": st.sampled_from([32, np.int32(32)]),  # each new shape is compiled: few of them
    "learning_rate": st.sampled_from([1e-3, np.float32(3e-3), 0.05, 1e-30]),
    "seed": st.one_of(st.integers(0, 2**31 - 1), st.just(np.uint16(7))),
    "evaluate_every": st.one_of(st.none(), st.integers(1, 50)),
    "num_train": st.sampled_from([64, 150]),
    "num_validation": st.sampled_from([1, None]),
    "hidden": st.sampled_from([(12,), [12], (np.int64(12),)]),
    "prior_stddev": st.sampled_from([1, 0.1, np.float64(3.0)]),
    "kl_weight": st.sampled_from([0, 0.1, 1.0, np.float32(0.5)]),
    "initializer": st.sampled_from(["normal", "glorot"]),
    "estimator": st.sampled_from(["flipout", "local", "shared"]),
    "snapshots": st.sampled_from([(), (0, 1), [0.5], (np.float32(0.25),)]),
    "criterion": st.sampled_from(["variance", "snr", "magnitude", "rms", "movement", "random"]),
    "density": st.one_of(st.floats(0.1, 1), st.sampled_from([1, np.float16(0.5), np.float32(0.5), np.float64("0.25")])),
    "scope": st.sampled_from(["layer", "uniform", "global", "variance"]),
    # in place of criterion, density and scope
    "threshold": st.one_of(st.none(), st.floats(0.01, 2), st.sampled_from([1, np.float16(0.1), np.float64("0.3"), np.int8(1)])),
    "dataset": st.sampled_from([None, *GOOD_SPLITS]),
    "compact": st.sampled_from([False] * 11 + [True]),  # each new shape is compiled
}
NOT_A_NUMBER = [float("nan"), float("inf"), -float("inf"), "3", "", None, (), [], {}, 1j, b"1", np.nan, True, False]
NOT_A_NUMBER += [np.bool_(True), np.array([1, 2]), np.array("x"), object, len]
EXTREME = [-1, 0, -1e-9, 5e-324, 1e-46, 1e-20, 1e20, 3e38, 1e39, 1.7e308, 10**400, -(10**400), 2**31, np.int8(-1), np.float32("inf")]
NOT_A_NAME = [None, "", "VARIANCE", "layer ", 1, True, float("nan"), ("layer",), ["snr"], {}, b"snr", np.str_("entropy")]
INSANE = dict.fromkeys(SENSIBLE, NOT_A_NUMBER + EXTREME)
INSANE |= dict.fromkeys(("initializer", "estimator", "criterion", "scope"), NOT_A_NAME)
# 10**6 epochs are allowed, and take as long as they take; more are refused.
INSANE["epochs"] = [v for v in INSANE["epochs"] if v is not True] + [1.0, np.float64(2), 10**6 + 1, 10**12]
INSANE["hidden"] = [*INSANE["hidden"], (0,), (-3, 5), (8.0,), ("8",), (True,), (8, None), (10**12,), (float("nan"),), "88"]
INSANE["snapshots"] = [*INSANE["snapshots"], (-1,), (3,), (float("nan"),), "01", (None,), (True,), ([0],)]
INSANE["dataset"] = list(BAD_SPLITS)
del INSANE["compact"]


def finite(run):
    """Every number of a run is one."""
    posteriors = [run.initial, run.final, *run.snapshots.values()]
    arrays = [a for p in posteriors for a in p.means + p.stddevs + p.biases]
    history = run.history[["accuracy", "validation_accuracy"]]
    return (
        all(np.isfinite(a).all() for a in arrays)
        and np.isfinite(run.history.to_numpy(float)).all()
        and history.ge(0).all(axis=None)
        and history.le(1).all(axis=None)
    )


DIGITS = functools.cache(sklearn.datasets.load_digits)  # hundreds of times the same file


def train_both(c):
    """A Bayesian training and a ticket of it."""
    dataset = lh.load_dataset("digits", num_train=c["num_train"], num_validation=c["num_validation"])
    if c["dataset"]:  # a reader's own, all splits of this kind
        change = GOOD_SPLITS.get(c["dataset"]) or BAD_SPLITS[c["dataset"]][0]
        splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
        splits = {name: type(s)(*change(s.images, s.labels)) for name, s in splits.items()}
        dataset = dataclasses.replace(dataset, **splits)
    names = ("epochs", "batch_size", "learning_rate", "seed", "evaluate_every")
    config = lh.TrainConfig(**{name: c[name] for name in names})
    names = ("prior_stddev", "kl_weight", "initializer", "hidden", "estimator", "snapshots")
    run = lh.train_bayesian(dataset, config, **{name: c[name] for name in names})
    assert finite(run)
    if c["threshold"] is None:
        extras = {"dataset": dataset, "rng": np.random.default_rng(0), "prior_stddev": c["prior_stddev"]}
        masks = lh.masks_for(run, c["criterion"], c["density"], scope=c["scope"], **extras)
    else:
        masks = lh.variance_masks(run.final, c["threshold"])
    ticket = lh.train_ticket(dataset, run.initial, masks, config, compact=c["compact"])
    assert finite(ticket) and 0 <= ticket.test_accuracy <= 1 and 0 <= ticket.test_accuracy_at_best <= 1


def named(error, names):
    """Those of the arguments that the message names; a dataset's is the split and what of it."""
    return [n for n in names if n in str(error) or (n == "dataset" and re.match(r"train[. ]", str(error)))]


@st.composite
def configurations(draw):
    """Sensible ones, and ones of which a value or two are not."""
    made = {name: draw(values) for name, values in SENSIBLE.items()}
    spoilt = draw(st.lists(st.sampled_from(sorted(INSANE)), max_size=2, unique=True))
    return made | {name: draw(st.sampled_from(INSANE[name])) for name in spoilt}


def test_each_insane_value_alone_is_refused_by_name_or_trains_to_finite_numbers(monkeypatch, capsys):
    """Two hundred draws don't try them all; these are the other arguments at their simplest."""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(sklearn.datasets, "load_digits", DIGITS)
    plain = {"epochs": 1, "batch_size": 32, "learning_rate": 1e-3, "seed": 0, "evaluate_every": None, "num_train": 64,
             "num_validation": 60, "hidden": (12,), "prior_stddev": 1, "kl_weight": 0.1, "initializer": "normal",
             "estimator": "flipout", "snapshots": (), "criterion": "snr", "density": 0.5, "scope": "layer",
             "threshold": None, "dataset": None, "compact": False}  # fmt: skip
    outcomes = collections.Counter()
    for name, values in INSANE.items():
        for value in values:
            try:
                train_both(plain | {name: value})
                outcomes["trained"] += 1
            except (ValueError, FloatingPointError) as error:
                # a bool is an int in Python: one training image is fewer than a batch
                assert named(error, [name]) or value is True, f"{name}={value!r}: {error!r}"
                outcomes["refused"] += 1
    with capsys.disabled():
        print(f"\neach insane value alone: {dict(outcomes)}")
    assert outcomes["refused"] > 400


def test_200_configurations_train_to_finite_numbers_or_are_refused_by_name(monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(sklearn.datasets, "load_digits", DIGITS)
    outcomes = collections.Counter()

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(configurations())
    def try_it(configuration):
        try:
            train_both(configuration)
            outcomes["trained"] += 1
        except (ValueError, FloatingPointError) as error:
            assert named(error, SENSIBLE), f"{error!r} names no argument of {configuration}"
            outcomes[f"{type(error).__name__}: {str(error).split('=')[0].split()[-1]}"] += 1

    try_it()
    refused = outcomes.total() - outcomes["trained"]
    with capsys.disabled():
        print(f"\n{outcomes['trained']} trained, {refused} refused: {dict(outcomes.most_common())}")
    assert outcomes["trained"] >= 60 and refused >= 60
