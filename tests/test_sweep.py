"""The sweep: the same rows wherever they are made, kept, resumed, and never ended by one bad run."""

import contextlib
import importlib
import json
import os
import pathlib
import runpy
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import dask
import numpy as np
import pandas as pd
import psutil
import pytest
from common import interruptible
from distributed import Client, LocalCluster

import lotteryhelpers as lh
from lotteryhelpers.sweeps.sweeping import COLUMNS, sweep_rows

CONFIG = lh.TrainConfig(epochs=3, batch_size=64, learning_rate=3e-3)


def specs(seeds=(0, 1), names=("variance", "snr", "random"), densities=(0.5, 0.1)):
    return lh.specs_of(seeds, ["dense"], [1.0]) + lh.specs_of(seeds, names, densities)


def made(rows):
    """What must not depend on where a row was made."""
    return rows.drop(columns="seconds")


def kept_files():
    return sorted(pathlib.Path(os.environ["LOTTERYHELPERS_CACHE_DIR"]).glob("runs/*.json"))


def new_cache(monkeypatch, folder):
    monkeypatch.setenv("LOTTERYHELPERS_CACHE_DIR", str(folder))


def test_a_row_a_run_in_order(digits, cluster):
    rows = lh.sweep(digits, specs(), CONFIG, client=cluster)
    assert list(zip(rows.seed, rows.criterion, rows.density, strict=True)) == [
        (s.seed, s.criterion, s.density) for s in specs()
    ]
    assert (rows.error == "").all()
    assert rows.test_accuracy.between(0.3, 1).all() and rows.calibration_error.between(0, 1).all()
    assert (rows.best_epoch * (len(digits.train.labels) // 64) == rows.early_stopping_step).all()
    assert rows.curve.map(len).eq(3).all() and (rows.seconds > 0).all()
    assert len(kept_files()) == len(rows)
    assert rows.groupby("seed").test_accuracy.nunique().min() > 1  # criteria differ
    of_seed = rows.pivot(index=["criterion", "density"], columns="seed", values="test_accuracy")
    assert (of_seed[0] != of_seed[1]).any()


def test_a_row_is_what_the_functions_give_one_by_one(digits, cluster):
    (row,) = lh.sweep(digits, [lh.Spec(4, "snr", 0.1)], CONFIG, client=cluster).to_dict("records")
    config = lh.TrainConfig(3, 64, 3e-3, seed=4)
    run = lh.train_bayesian(digits, config)
    ticket = lh.train_ticket(digits, run.initial, lh.masks_for(run, "snr", 0.1), config)
    small = lh.compact(ticket.weights, ticket.biases, ticket.masks, for_training=True)
    assert row["connected_inputs"] == small.sizes[0]
    assert row["connected_units"] == sum(small.sizes[1:-1])
    assert row["test_accuracy"] == pytest.approx(
        ticket.test_accuracy, abs=0.01
    )  # other threads round otherwise
    assert row["early_stopping_step"] == ticket.best_step
    np.testing.assert_allclose(row["curve"], ticket.history.validation_accuracy, atol=0.02)


def test_finished_runs_are_read_not_made_and_anything_else_is_made(digits, recwarn, capsys, cluster):
    some = specs(seeds=(0,), names=("snr",), densities=(0.5,))
    first = lh.sweep(digits, some, CONFIG, client=cluster)
    times = {path: path.stat().st_mtime_ns for path in kept_files()}
    again = lh.sweep(digits, [*some, lh.Spec(0, "snr", 0.2)], CONFIG, client=cluster)
    pd.testing.assert_frame_equal(first, again[: len(some)])
    assert {p: p.stat().st_mtime_ns for p in kept_files() if p in times} == times
    assert len(kept_files()) == len(some) + 1
    longer = lh.sweep(digits, some, lh.TrainConfig(4, 64, 3e-3), client=cluster)
    assert longer.curve.map(len).eq(4).all()
    damaged = next(iter(times))
    damaged.write_text(damaged.read_text()[:20])
    assert not recwarn.list
    lh.sweep(digits, [*some, lh.Spec(0, "snr", 0.2)], CONFIG, client=cluster)
    assert "is damaged" in capsys.readouterr().out


def test_a_failed_run_is_a_row_with_its_error_and_is_tried_again(digits, monkeypatch, cluster, tmp_path):
    def fails(run, **_):
        raise ZeroDivisionError("one over nothing")

    def spoils(run, **_):
        run.final.stddevs[0][:] = 9
        return run.final.stddevs

    monkeypatch.setitem(lh.CRITERIA, "mine", lambda run, **_: fails(run))
    monkeypatch.setitem(lh.CRITERIA, "a writer", lambda run, **_: spoils(run))
    three = [lh.Spec(0, "mine", 0.5), lh.Spec(0, "snr", 0.5), lh.Spec(0, "a writer", 0.5)]
    rows = lh.sweep(digits, three, CONFIG, client=cluster)
    assert rows.error.tolist() == ["ZeroDivisionError: one over nothing", "", ""]
    with monkeypatch.context() as patch:  # it has written to a copy, and nobody else's row is another
        patch.setenv("LOTTERYHELPERS_CACHE_DIR", str(tmp_path))
        alone = lh.sweep(digits, three[1:2], CONFIG, client=cluster)
    assert alone.test_accuracy[0] == rows.test_accuracy[1] != rows.test_accuracy[2]
    assert np.isnan(rows.test_accuracy[0]) and rows.test_accuracy[1] > 0.3
    monkeypatch.setitem(lh.CRITERIA, "mine", lambda run, **_: run.final.means)
    rows = lh.sweep(digits, [lh.Spec(0, "mine", 0.5), lh.Spec(0, "snr", 0.5)], CONFIG, client=cluster)
    assert rows.error.tolist() == ["", ""]
    signed = rows.test_accuracy_at_best[0]
    monkeypatch.setitem(lh.CRITERIA, "mine", lambda run, dense, **_: [abs(w) for w in dense.weights])
    other = lh.sweep(digits, [lh.Spec(0, "mine", 0.5)], CONFIG, client=cluster)
    assert other.test_accuracy_at_best[0] != signed, "a changed criterion must not give the old rows"


def test_a_training_that_diverges_is_an_error_in_each_of_its_rows(digits, cluster):
    rows = lh.sweep(digits, specs(seeds=(0,)), lh.TrainConfig(2, 64, learning_rate=1e30), client=cluster)
    assert rows.error.str.contains("FloatingPointError").all() and not kept_files()


def test_a_local_worker_that_dies_is_replaced_and_a_run_that_always_kills_is_named(digits, monkeypatch):
    monkeypatch.setitem(lh.CRITERIA, "mine", lambda run, **_: os.kill(os.getpid(), signal.SIGKILL))
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"}):  # as while one starts
        rows = lh.sweep(digits, [lh.Spec(1, "mine", 0.2), lh.Spec(1, "snr", 0.3)], CONFIG, workers=1)
    assert rows.error[0].startswith("KilledWorker: Attempted to run task") and not rows.error[1]


def is_running(pid):
    """Neither gone nor a zombie that nobody has asked for its end."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_an_interrupted_sweep_ends_soon_leaves_no_worker_and_goes_on_where_it_stopped(
    tmp_path, digits, cluster
):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import lotteryhelpers as lh
        config = lh.TrainConfig(epochs=25, batch_size=16)
        specs = [lh.Spec(0, name, d / 100) for name in ("snr", "variance") for d in range(10, 90, 20)]
        if __name__ == "__main__":
            lh.sweep(lh.load_dataset("digits"), specs, config, workers=1)
    """)
    )
    child = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=interruptible)  # fmt: skip
    until = time.time() + 600  # a loaded machine may take minutes to start
    while not kept_files() and time.time() < until and child.poll() is None:
        time.sleep(0.05)
    workers = subprocess.run(["ps", "-o", "pid=", "--ppid", str(child.pid)], capture_output=True, text=True)
    assert len(workers.stdout.split()) >= 2  # with Python's own that tracks resources
    child.send_signal(signal.SIGINT)
    interrupted = time.time()
    _, errors = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors and time.time() - interrupted < 20
    assert not [pid for pid in workers.stdout.split() if is_running(pid)]
    finished = {path: path.stat().st_mtime_ns for path in kept_files()}
    assert 1 <= len(finished) < 8
    asked = runpy.run_path(str(script))
    rows = lh.sweep(digits, asked["specs"], asked["config"], client=cluster)
    assert len(rows) == 8 and (rows.error == "").all()
    assert {p: p.stat().st_mtime_ns for p in kept_files() if p in finished} == finished


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_dask_cluster_of_processes_gives_the_same_rows_though_a_worker_is_killed(
    digits, tmp_path, monkeypatch, cluster
):
    many = specs(densities=(0.8, 0.5, 0.2, 0.1))
    here = lh.sweep(digits, many, CONFIG, client=cluster)
    new_cache(monkeypatch, tmp_path / "of-the-cluster")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        before = set(client.run(os.getpid).values())
        killed = []

        def kill_one():
            until = time.time() + 300
            while len(kept_files()) < 3 and time.time() < until:
                time.sleep(0.01)
            killed.append((min(before), len(kept_files())))
            os.kill(min(before), signal.SIGKILL)

        killer = threading.Thread(target=kill_one, daemon=True)
        killer.start()
        there = lh.sweep(digits, many, CONFIG, client=client)
        killer.join()
        after = set(client.run(os.getpid).values())
    assert len(before) == 2 and killed[0][1] < len(many) and killed[0][0] not in after
    pd.testing.assert_frame_equal(made(here), made(there), check_exact=True)


def test_a_readers_criterion_is_known_by_what_it_keeps(digits, tmp_path, monkeypatch, cluster):
    """Not by its name or its place: an alias, another function of the name, one that ranks alike, an edited module."""
    monkeypatch.syspath_prepend(tmp_path)

    def of_a_module(sign):
        (tmp_path / "of_a_reader.py").write_text(f"def mine(run, **_):\n    return [{sign}m for m in run.final.means]\n")
        sys.modules.pop("of_a_reader", None)
        importlib.invalidate_caches()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        return importlib.import_module("of_a_reader").mine

    snr, found, counts = lh.CRITERIA["snr"], [], []
    for make in (lambda: lh.CRITERIA["variance"], lambda: lambda run, **_: [-v for v in run.final.variances], lambda: snr,
                 lambda: of_a_module(""), lambda: of_a_module("-")):  # fmt: skip
        monkeypatch.setitem(lh.CRITERIA, "magnitude", make())
        found += lh.sweep(digits, [lh.Spec(0, "magnitude", 0.3)], CONFIG, client=cluster).test_accuracy.tolist()
        counts.append(len(kept_files()))
    assert counts == [1, 1, 2, 3, 4] and len(set(found)) == 4
    monkeypatch.undo()
    monkeypatch.setenv("LOTTERYHELPERS_CACHE_DIR", str(tmp_path / "cache"))
    assert lh.sweep(digits, [lh.Spec(0, "magnitude", 0.3)], CONFIG, client=cluster).test_accuracy[0] not in found
    assert len(kept_files()) == 5, "the module's own is itself again, here and in the worker"


SCRIPT = """
import lotteryhelpers as lh
{blank}
lh.CRITERIA["mine"] = lambda run, **_: [{sign}abs(m) for m in run.final.means]
rows = lh.sweep(lh.load_dataset("digits"), [lh.Spec(0, "mine", 0.5)], lh.TrainConfig(2, 64), client=client)
"""


def test_a_script_resumes_from_another_place_but_not_with_other_code(
    tmp_path, monkeypatch, cluster
):
    monkeypatch.setitem(lh.CRITERIA, "mine", None)  # and out of them at the end
    counts = []
    for folder, blank, sign in (("a", "", "+"), ("b", "# a line more", "+"), ("c", "", "-")):
        script = tmp_path / folder / "script.py"
        script.parent.mkdir()
        script.write_text(SCRIPT.format(blank=blank, sign=sign))
        rows = runpy.run_path(str(script), {"client": cluster}, "__main__")["rows"]
        assert rows.error.tolist() == [""]
        counts.append(len(kept_files()))
    assert counts == [1, 1, 2]


def test_a_worker_whose_tensorflow_has_many_threads_is_refused(digits, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")  # then nothing says that this process has one
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        rows = lh.sweep(digits, [lh.Spec(0, "snr", 0.5)], CONFIG, client=client)
    assert "start fresh ones, under a nanny" in rows.error[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda d: ([lh.Spec(0, "entropy", 0.5)], CONFIG), "criterion 'entropy' is unknown"),
        (lambda d: ([lh.Spec(0, "snr", 1.5)], CONFIG), "density=1.5"),
        (lambda d: ([lh.Spec(0, "dense", 0.5)], CONFIG), "and 1 for 'dense'"),
        (lambda d: ([lh.Spec(0, "snr", 0.5, scope="unit")], CONFIG), "scope='unit' must be one of layer"),
        (lambda d: ([lh.Spec(-1, "snr", 0.5)], CONFIG), "seed=-1"),
        (lambda d: ([lh.Spec(0, "snr", 0.5, prior_stddev=0)], CONFIG), "prior_stddev=0"),
        (lambda d: ([lh.Spec(0, "snr", 0.5, initializer="he")], CONFIG), "initializer='he'"),
        (lambda d: ([lh.Spec(0, "snr", 0.5)], 3), "config is a int; it must be a Recipe or a TrainConfig"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_trained(arguments, message, digits, monkeypatch):
    monkeypatch.setattr("lotteryhelpers.sweeps.sweeping.connected", lambda *a: pytest.fail("started"))
    with pytest.raises(ValueError, match=message):
        lh.sweep(digits, *arguments(digits))
    with pytest.raises(ValueError, match="workers=0"):
        lh.sweep(digits, specs(), CONFIG, workers=0)


def test_a_failed_dense_training_fails_only_what_needs_it(digits, monkeypatch, cluster):
    def diverges(dataset, config, run):
        raise FloatingPointError("the loss is not finite")

    monkeypatch.setattr("lotteryhelpers.sweeps.sweeping.make_dense", diverges)
    three = [lh.Spec(3, name, 0.5) for name in ("snr", "dense_magnitude", "large_final")]
    rows = lh.sweep(digits, three, lh.TrainConfig(1, batch_size=64), client=cluster)
    assert rows.error.tolist() == ["", "FloatingPointError: the loss is not finite", ""]


def children():
    """The processes that this one has started."""
    return {child.pid for child in psutil.Process().children()}


def test_rows_come_one_by_one_the_same_to_the_last_bit_and_who_stops_early_leaves_no_worker(digits, cluster):
    lh.sweep(digits, [lh.Spec(0, "snr", 0.5)], CONFIG, client=cluster)
    (kept,) = [json.loads(path.read_text()) for path in kept_files()]
    before, variables = children(), dict(os.environ)
    four = [lh.Spec(0, "snr", density) for density in (0.4, 0.3, 0.5, 0.4)]
    there = lh.sweep(digits, [vars(s) for s in four], CONFIG, client=cluster)
    for path in kept_files():
        if json.loads(path.read_text()) != kept:
            path.unlink()
    with contextlib.closing(sweep_rows(digits, four, CONFIG, workers=1)) as rows:
        first = next(rows)
        assert list(first) == COLUMNS and first["density"] == 0.5, "the kept one comes first, without a worker"
        assert children() == before
        second = next(rows)
        assert second["density"] in (0.3, 0.4) and len(children()) == len(before) + 1
    same = there[there.density == second["density"]].drop(columns="seconds")
    assert all(row == {k: v for k, v in second.items() if k != "seconds"} for row in same.to_dict("records"))
    assert children() == before and dict(os.environ) == variables


UNGUARDED = """
print("read once")
del __spec__  # as IPython's %reset does
import lotteryhelpers as lh
constant = 1
lh.CRITERIA["mine"] = lambda run, **_: [abs(m) + constant for m in run.final.means]
specs = [lh.Spec(0, "mine", 0.5), lh.Spec(0, "snr", 0.5)]
print(lh.sweep(lh.load_dataset("digits"), specs, lh.TrainConfig(2, 64), workers=1).error.tolist())
"""


def test_a_script_needs_no_guard_and_sees_nothing_of_the_workers(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, timeout=300, cwd=tmp_path,
                          env=os.environ | {"TQDM_DISABLE": "1", "TF_XLA_FLAGS": ""})  # fmt: skip
    assert (done.stdout, done.stderr) == ("read once\n['', '']\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "cache"}


def test_a_worker_with_another_text_of_the_package_is_named_and_refused(digits, tmp_path):
    home = pathlib.Path(lh.__file__).parent
    shutil.copytree(home, tmp_path / "other" / home.name)
    with open(tmp_path / "other" / home.name / "masks.py", "a") as file:
        file.write("# another line\n")
    with LocalCluster(n_workers=0, processes=True, dashboard_address=None) as cluster, Client(cluster) as client:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--nthreads=1"]
        worker = subprocess.Popen([*command, "--no-nanny", "--no-dashboard"], cwd=tmp_path, stderr=subprocess.PIPE,
                                  env=os.environ | {"PYTHONPATH": str(tmp_path / "other")})  # fmt: skip
        try:
            with pytest.raises(RuntimeError, match=r"client has the worker tcp://[\d.:]+ with another lotteryhelpers"):
                lh.sweep(digits, [lh.Spec(0, "snr", 0.5)], CONFIG, client=client)
        finally:
            worker.terminate()
            worker.communicate(timeout=60)
