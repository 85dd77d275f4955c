"""Seeds, masks, histories, snapshots, compilation, kept results, and what must be refused."""

import contextlib
import dataclasses
import importlib.util
import io
import json
import os
import pathlib
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import tensorflow as tf
from common import ROOT, interruptible

import lotteryhelpers as lh
from lotteryhelpers import storage

QUICK = lh.TrainConfig(epochs=2, batch_size=64, learning_rate=3e-3, seed=3)
SMALL = {"hidden": (32, 16), "kl_weight": 0.1}


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def random_masks(run, density, seed=0):
    rng = np.random.default_rng(seed)
    return lh.keep_fraction([rng.random(m.shape) for m in run.initial.means], density)


RUN_ELSEWHERE = """
import sys, numpy as np, lotteryhelpers as lh
digits = lh.load_dataset("digits")
for seed in (3, 4):
    config = lh.TrainConfig(epochs=2, batch_size=64, learning_rate=3e-3, seed=seed)
    run = lh.train_bayesian(digits, config, hidden=(32, 16), kl_weight=0.1)
    masks = lh.variance_masks(run.final, lh.variance_quantile(run.final, 0.5))
    ticket = lh.train_ticket(digits, run.initial, masks, config)
    np.savez(f"{seed}.npz", *run.final.means, *run.final.stddevs, *ticket.weights)
"""


def test_same_seed_same_run_in_two_processes_other_seed_other_run(digits, tmp_path):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    subprocess.run([sys.executable, "-c", RUN_ELSEWHERE], check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path})
    first, other = (list(np.load(tmp_path / f"{seed}.npz").values()) for seed in (3, 4))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    here = lh.train_bayesian(digits, QUICK, **SMALL)  # after other trainings in this process
    masks = lh.variance_masks(here.final, lh.variance_quantile(here.final, 0.5))
    ticket = lh.train_ticket(digits, here.initial, masks, QUICK)
    assert same([*here.final.means, *here.final.stddevs, *ticket.weights], first)


def test_layers_of_equal_shape_start_different_in_kernels_and_biases():
    for initializer in ("normal", "glorot"):
        start = lh.draw_initial((30, 30, 30, 30), seed=0, initializer=initializer)
        for arrays in (start.means, start.stddevs) + ((start.biases,) if initializer == "normal" else ()):
            assert abs(np.corrcoef(arrays[0].ravel(), arrays[1].ravel())[0, 1]) < 0.6
            assert not np.array_equal(arrays[1], arrays[2])


def test_the_start_is_tfps_default_or_glorots():
    normal = lh.draw_initial((784, 300, 100, 10), seed=0)
    assert [m.std() for m in normal.means] == pytest.approx([0.1] * 3, rel=0.1)
    assert normal.stddevs[0].mean() == pytest.approx(np.log1p(np.exp(-3)), rel=0.01)
    assert normal.biases[0].std() == pytest.approx(0.1, rel=0.2)
    glorot = lh.draw_initial((784, 300, 100, 10), seed=0, initializer="glorot")
    assert glorot.means[0].std() == pytest.approx(np.sqrt(2 / 1084), rel=0.02)
    assert not any(b.any() for b in glorot.biases)


def test_pruned_weights_are_bitwise_zero_and_the_others_are_trained(digits, small_run):
    masks = random_masks(small_run, 0.3)
    ticket = lh.train_ticket(digits, small_run.initial, masks, QUICK)
    for weights, mask, start in zip(ticket.weights, masks, small_run.initial.means, strict=True):
        assert not weights[~mask].view(np.uint32).any()
        assert (weights[mask] != start[mask]).mean() > 0.5  # those of dead pixels and dead units stay
    assert ticket.density == lh.density(masks)
    weights_before = [w.copy() for w in ticket.weights]
    ticket.network.fit(digits.train.images, digits.train.labels, verbose=0)  # a reader trains on, in Keras
    for layer, mask, before in zip(ticket.network.layers, masks, weights_before, strict=True):
        assert not layer.mean_kernel.numpy()[~mask].any()
        assert not np.array_equal(layer.mean_kernel.numpy(), before)


def test_all_ones_is_the_dense_network_and_another_mask_is_not(digits, small_run):
    dense = lh.train_ticket(digits, small_run.initial, None, QUICK)
    ones = lh.train_ticket(
        digits, small_run.initial, [np.ones(m.shape) for m in small_run.final.means], QUICK
    )
    half = lh.train_ticket(digits, small_run.initial, random_masks(small_run, 0.5), QUICK)
    assert same(dense.weights, ones.weights) and dense.history.equals(ones.history)
    assert not dense.history.equals(half.history)


def test_a_masked_bayesian_network_has_no_pruned_weights(digits, small_run):
    masks = random_masks(small_run, 0.4)
    run = lh.train_bayesian(digits, QUICK, initial=small_run.initial, masks=masks, kl_weight=0.1)
    for mean, stddev, mask in zip(run.final.means, run.final.stddevs, masks, strict=True):
        assert not mean[~mask].any() and not stddev[~mask].any()
        assert (stddev[mask] > 0).all() and mean[mask].any()
    whole = lh.train_bayesian(digits, QUICK, initial=small_run.initial, kl_weight=0.1)
    assert run.history.kl.iloc[0] < 0.6 * whole.history.kl.iloc[0]


def test_history_and_snapshots(digits, small_run):
    columns = ["step", "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"]
    assert list(small_run.history.columns) == [*columns, "nll", "kl"]
    assert list(small_run.history.step) == [19, 38, 57, 76] and small_run.history.epoch.iloc[-1] == 4
    assert list(small_run.snapshots) == [0, 0.5, 2]
    assert small_run.snapshots[0] is small_run.initial
    two_epochs = lh.train_bayesian(digits, QUICK, **SMALL)
    assert same(two_epochs.final.means, small_run.snapshots[2].means)
    ticket = lh.train_ticket(digits, small_run.initial, None, dataclasses.replace(QUICK, evaluate_every=15))
    assert list(ticket.history.columns) == columns and list(ticket.history.step) == [15, 30, 38]
    best = ticket.history.loc[ticket.history.validation_loss.idxmin()]
    assert ticket.best_step == best.step
    once = lh.train_ticket(digits, small_run.initial, None, QUICK)
    assert same(once.weights, ticket.weights)  # evaluating more often changes nothing
    mean_loss = np.average(ticket.history.loss, weights=[15, 15, 8])
    assert mean_loss == pytest.approx(np.average(once.history.loss, weights=[19, 19]), rel=1e-5)


def test_test_accuracy_at_best_is_that_of_the_best_validation_step(digits, small_run):
    longer = dataclasses.replace(QUICK, epochs=12, learning_rate=0.02)
    ticket = lh.train_ticket(digits, small_run.initial, None, longer)
    assert ticket.best_step < ticket.history.step.iloc[-1]  # else this shows nothing
    cut = dataclasses.replace(longer, epochs=ticket.best_step // 19)
    assert ticket.test_accuracy_at_best == lh.train_ticket(digits, small_run.initial, None, cut).test_accuracy


COUNT_COMPILATIONS = """
import dataclasses, glob, sys, numpy as np, lotteryhelpers as lh
digits = lh.load_dataset("digits")
config = lh.TrainConfig(epochs=2, batch_size=64)
def compiled():
    return len(glob.glob(sys.argv[1] + "/*before_optimizations.txt"))
counts = [compiled()]
run = lh.train_bayesian(digits, config, hidden=(32, 16))
lh.train_ticket(digits, run.initial, None, config)
counts.append(compiled())
other = dataclasses.replace(config, seed=5, learning_rate=1e-2, epochs=1, evaluate_every=7)
for density in (0.5, 0.2):
    masks = lh.keep_fraction(lh.CRITERIA["variance"](run), density)
    lh.train_ticket(digits, run.initial, masks, other)
    lh.train_bayesian(digits, other, initial=run.initial, masks=masks, prior_stddev=0.3, kl_weight=0.5, snapshots=(0.3,))
few = lh.load_dataset("digits", num_train=200)
lh.train_ticket(few, run.initial, None, config)
lh.train_bayesian(few, config, initial=run.initial)
counts.append(compiled())
print(counts)
"""


def test_another_mask_seed_rate_interval_or_fewer_images_compile_nothing_again(tmp_path):
    """XLA writes a file for each program that it compiles, and none for one that an earlier test has kept."""
    environment = os.environ | {"XLA_FLAGS": f"--xla_dump_to={tmp_path}", "TF_XLA_FLAGS": ""}
    command = [sys.executable, "-c", COUNT_COMPILATIONS, str(tmp_path)]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    before, first, after = json.loads(printed.splitlines()[-1])
    assert first - before >= 4  # an epoch and an evaluation, twice
    assert after == first


def test_what_is_beyond_the_end_of_a_small_set_is_in_no_batch(monkeypatch):
    few, start = lh.load_dataset("digits", num_train=200), lh.draw_initial((64, 8, 10), 0)
    padded = lh.train_ticket(few, start, None, QUICK)
    monkeypatch.setattr("lotteryhelpers.training.padded", lambda array, rows: tf.convert_to_tensor(array))
    bare = lh.train_ticket(few, start, None, QUICK)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(padded.weights, bare.weights, strict=True))
    assert padded.history.equals(bare.history)


MANY_SHAPES = """
import lotteryhelpers as lh
digits = lh.load_dataset("digits")
for units in range(8, 14):  # TensorFlow warns at the fifth
    lh.train_ticket(digits, lh.draw_initial((64, units, 10), 0), None, lh.TrainConfig(1, 64))
"""


def test_many_architectures_bring_no_warning_of_retracing():
    environment = os.environ | {"TQDM_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MANY_SHAPES], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(digits, small_run):
    too_fast = dataclasses.replace(QUICK, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"not finite at step [2-9] of 38; learning_rate=1e\+30"):
        lh.train_ticket(digits, small_run.initial, None, too_fast)
    with pytest.raises(FloatingPointError, match="not finite at step"):
        lh.train_bayesian(digits, too_fast, **SMALL)
    again = lh.train_bayesian(digits, QUICK, **SMALL)  # the trainer is none the worse for it
    assert same(again.final.means, small_run.snapshots[2].means)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epochs": 0}, "epochs=0 must be an integer of at least 1"),
        ({"epochs": 1.5}, "epochs=1.5 must be"),
        ({"batch_size": 0}, "batch_size=0 must be"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be a finite number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be"),
        ({"seed": -1}, "seed=-1 must be an integer from 0"),
        ({"seed": 2**31}, "seed=2147483648 must be"),
        ({"evaluate_every": 0}, "evaluate_every=0 must be"),
    ],
)
def test_bad_configurations_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        lh.TrainConfig(**{"epochs": 1} | changes)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"prior_stddev": 0}, "prior_stddev=0 must be a finite number above 0"),
        ({"kl_weight": -1}, "kl_weight=-1 must be a finite number of at least 0"),
        ({"initializer": "zeros"}, "initializer='zeros' must be one of normal, glorot"),
        ({"hidden": (300, 0)}, r"hidden=\(300, 0\) must be a tuple of unit counts"),
        ({"hidden": ()}, r"hidden=\(\) must be"),
        ({"snapshots": (3,)}, "snapshots has epoch 3, but the training ends after 2"),
        ({"snapshots": (-1,)}, "snapshots=-1 must be"),
        ({"initial": "start"}, "initial is a str; it must be a Posterior"),
        ({"initial": lh.draw_initial((5, 10), 0)}, r"initial has \(5, 10\) .* but digits needs \(64, 10\)"),
        ({"masks": [np.ones((64, 10))]}, r"masks have shapes \[\(64, 10\)\]; the weights have \[\(64, 300\)"),
    ],
)
def test_bad_arguments_of_the_bayesian_training_are_named(options, message, digits):
    with pytest.raises(ValueError, match=message):
        lh.train_bayesian(digits, QUICK, **options)


def test_bad_arguments_of_tickets_are_named(digits, small_run):
    shapes = [m.shape for m in small_run.final.means]
    with pytest.raises(ValueError, match="batch_size=1258 is larger than the 1257 training images"):
        lh.train_ticket(digits, small_run.initial, None, lh.TrainConfig(1, batch_size=1258))
    with pytest.raises(ValueError, match="masks have shapes"):
        lh.train_ticket(digits, small_run.initial, [np.ones(s[::-1], bool) for s in shapes], QUICK)
    with pytest.raises(ValueError, match="masks hold values other than True and False in layer 1"):
        lh.train_ticket(digits, small_run.initial, [np.full(s, 0.5) for s in shapes], QUICK)
    with pytest.raises(ValueError, match="initial is a BayesianRun; it must be a Posterior"):
        lh.train_ticket(digits, small_run, None, QUICK)
    with pytest.raises(ValueError, match="needs 2 pairs or more"):
        lh.paired_interval([1.0], [2.0])


def test_posteriors_and_runs_come_back_from_disk_as_they_were(small_run, tmp_path):
    small_run.final.save(tmp_path / "posterior.npz")
    back = lh.Posterior.load(tmp_path / "posterior.npz")
    assert same(back.means + back.stddevs + back.biases,
                small_run.final.means + small_run.final.stddevs + small_run.final.biases)  # fmt: skip
    small_run.save(tmp_path / "run.npz")
    run = lh.BayesianRun.load(tmp_path / "run.npz")
    assert run.history.equals(small_run.history) and list(run.snapshots) == list(small_run.snapshots)
    assert same(run.snapshots[0.5].stddevs, small_run.snapshots[0.5].stddevs)
    np.load(tmp_path / "run.npz", allow_pickle=False)["history"]


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-300]), "is not a whole npz file"),
        (lambda p: p.write_bytes(b""), "is not a whole npz file"),
        (lambda p: p.write_text("hello"), "is not a whole npz file"),
        (lambda p: np.savez(p, means_0=np.ones((2, 2))), "it lacks 'stddevs_0'"),
        (lambda p: np.savez(p, a=np.array([{}])), "holds pickled objects"),
        (lambda p: np.savez(p, means_0=np.ones((2, 2)), stddevs_0=-np.ones((2, 2)), biases_0=np.ones(2)),
         "stddevs holds negative values"),
        (lambda p: np.savez(p, means_0=np.ones((2, 2)), stddevs_0=np.ones((2, 3)), biases_0=np.ones(2)),
         "stddevs have shapes"),
        (lambda p: np.savez(p, means_0=np.full((2, 2), np.nan), stddevs_0=np.ones((2, 2)), biases_0=np.ones(2)),
         "means holds values that are not finite"),
    ],
)  # fmt: skip
def test_files_that_are_no_posterior_are_refused_by_name(spoil, message, small_run, tmp_path):
    path = tmp_path / "posterior.npz"
    small_run.final.save(path)
    spoil(path)
    with pytest.raises(ValueError, match=rf"posterior\.npz.*{message}"):
        lh.Posterior.load(path)
    with pytest.raises(FileNotFoundError, match="No such file .*other.npz"):
        lh.Posterior.load(tmp_path / "other.npz")


def test_a_kept_run_is_loaded_and_anything_else_is_trained(digits, monkeypatch, recwarn, capsys):
    trained = []
    monkeypatch.setattr(
        "lotteryhelpers.bayesian.train_bayesian",
        lambda *a, **k: trained.append(k) or lh.train_bayesian(*a, **k),
    )
    first = lh.load_or_train_bayesian(digits, QUICK, **SMALL)
    again = lh.load_or_train_bayesian(digits, QUICK, **SMALL)
    assert len(trained) == 1 and same(first.final.stddevs, again.final.stddevs)
    lh.load_or_train_bayesian(digits, dataclasses.replace(QUICK, seed=4), **SMALL)
    lh.load_or_train_bayesian(digits, QUICK, **SMALL | {"kl_weight": 0.2})
    lh.load_or_train_bayesian(digits, QUICK, **SMALL, initial=first.initial)
    lh.load_or_train_bayesian(lh.load_dataset("digits", num_train=500), QUICK, **SMALL)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.0.other")
    storage._maker.cache_clear()
    lh.load_or_train_bayesian(digits, QUICK, **SMALL)
    assert len(trained) == 6
    assert len(list(storage.cache_folder().iterdir())) == 6
    assert not recwarn.list
    newest = max(storage.cache_folder().iterdir(), key=lambda p: p.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:1000])
    lh.load_or_train_bayesian(digits, QUICK, **SMALL)
    assert re.search("A kept result is thrown away and made again: .* is not a whole npz", capsys.readouterr().out)
    assert len(trained) == 7
    storage._maker.cache_clear()


def test_kept_runs_outlive_a_change_of_what_decides_no_result_and_of_nothing_else(tmp_path):
    home = tmp_path / "lotteryhelpers"
    shutil.copytree(pathlib.Path(lh.__file__).parent, home, ignore=shutil.ignore_patterns("__pycache__"))
    spec = importlib.util.spec_from_file_location("copy_of_storage", home / "storage.py")
    copied = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copied)

    def key_after_a_word_more(file):
        with open(home / file, "a") as text:
            text.write("# a word more")
        spec.loader.exec_module(copied)  # as in the next process: what was imported names a result
        return copied.key_of(seed=1)

    first, free = copied.key_of(seed=1), ("teaching/judge.py", "evidence/intervals.py", "startup/session.py")
    assert {key_after_a_word_more(file) for file in free} == {first}
    decisive = ("masks.py", "storage.py", "papers/scores.py", "sweeps/sweeping.py")
    assert len({first, *map(key_after_a_word_more, decisive)}) == 5
    (home / "studies").mkdir(exist_ok=True)
    assert key_after_a_word_more("studies/of_mine.py") == copied.key_of(seed=1) != first


#: Each line asks one question in several ways; no two lines ask the same.
QUESTIONS = """
import dataclasses, numpy as np
from lotteryhelpers import TrainConfig
from lotteryhelpers.storage import key_of

@dataclasses.dataclass(frozen=True)
class Mine:
    a: int
    b: tuple

@dataclasses.dataclass(frozen=True)
class Other:
    a: int
    b: tuple

pair, grid = (32, 16), np.arange(6.0).reshape(2, 3)
questions = [
    [1, np.int64(1), np.uint8(1)], [1.0, np.float64(1)], [True, np.True_], ["1", np.str_("1")], [None],
    [0.1, np.float64(0.1)], [np.float32(0.1)],
    [pair, [32, 16], (np.int64(32), 16), tuple([32, 16])], [(16, 32)], [(32, (16,))],
    [(pair, pair), (pair, tuple([32, 16]))],
    [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [{"a": 2, "b": 1}], ["ab", "".join(["a", "b"])], [["a", "b"]],
    [grid, grid.copy(), np.asfortranarray(grid), np.tile(grid, 2)[:, :3]], [grid.T], [grid.astype(np.float32)],
    [grid[0], grid[0].copy()], [grid[:1], grid[0][None], grid[0].reshape(1, 3)], [grid[0, 0]], [np.array(0.0)],
    [(grid, grid), [grid, grid.copy()]], [(grid,)], [grid > 2], [grid.astype(np.int64)], [np.where(grid == 5, 6, grid)],
    [Mine(1, (2,)), Mine(np.int8(1), [2])], [Mine(1, (3,))], [Other(1, (2,))],
    [TrainConfig(2, 64), TrainConfig(epochs=2, batch_size=64)], [TrainConfig(2, 64, seed=1)],
]
for question in questions:
    print(*[key_of(asked=way) for way in question])
one = TrainConfig(2, 64)
print(key_of(a=one, b=one), key_of(b=TrainConfig(2, 64), a=one))
print(key_of(other=1))
"""


def test_equal_questions_have_one_key_in_every_process_and_others_another():
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", QUESTIONS]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    with contextlib.redirect_stdout(io.StringIO()) as here:
        exec(QUESTIONS, {"__name__": "__main__"})
    lines = [line.split() for line in there.splitlines()]
    assert all(len(set(keys)) == 1 and re.fullmatch("[0-9a-f]{20}", keys[0]) for keys in lines)
    assert len({keys[0] for keys in lines}) == len(lines) > 30
    assert here.getvalue() == there


@pytest.mark.parametrize("value", [{1, 2}, len, lambda: 1, object(), object, b"1", 1j, np.array([1, [2]], object), lh.TrainConfig])
def test_what_has_no_contents_names_no_kept_result(value):
    for asked in (value, (1, value), {"a": value}):
        with pytest.raises(ValueError, match=f"a {type(value).__name__} can't name a kept result; use numbers"):
            storage.key_of(asked=asked)


INTERRUPTED = """
import lotteryhelpers as lh
digits = lh.load_dataset("digits")
lh.load_or_train_bayesian(digits, lh.TrainConfig(1, 64), hidden=(32, 16))
print("started", flush=True)
lh.load_or_train_bayesian(digits, lh.TrainConfig(1_000_000, 64), hidden=(32, 16))
"""


def test_an_interrupted_training_leaves_only_whole_files(digits):
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, preexec_fn=interruptible)  # fmt: skip
    assert process.stdout.readline() == "started\n"
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in errors
    (kept,) = storage.cache_folder().iterdir()
    assert len(lh.BayesianRun.load(kept).history) == 1
    lh.load_or_train_bayesian(digits, lh.TrainConfig(2, 64), hidden=(32, 16))


def test_an_interrupted_save_leaves_what_was_there(small_run, tmp_path, monkeypatch):
    path = tmp_path / "posterior.npz"
    small_run.initial.save(path)
    before = path.read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_run.final.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_an_interruption_within_this_process_spoils_nothing(digits, small_run, monkeypatch):
    trainer = lh.training.trainer_for(lh.networks.Flipout, (64, 32, 16, 10))
    evaluate, calls = trainer.evaluate, []

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(*arguments)

    monkeypatch.setattr(trainer, "evaluate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lh.train_bayesian(digits, dataclasses.replace(QUICK, seed=11), **SMALL)
    monkeypatch.undo()
    assert same(lh.train_bayesian(digits, QUICK, **SMALL).final.means, small_run.snapshots[2].means)


def test_masks_that_leave_a_layer_empty_are_refused_before_training(digits, small_run):
    masks = [np.ones(m.shape, bool) for m in small_run.final.means]
    masks[1][:] = False
    with pytest.raises(ValueError, match="masks leave no path from an input through layer 2"):
        lh.train_ticket(digits, small_run.initial, masks, QUICK)
    with pytest.raises(ValueError, match="masks leave no path from an input through layer 2"):
        lh.train_bayesian(digits, QUICK, initial=small_run.initial, masks=masks)


def test_any_start_goes_in_and_out_of_a_network(digits):
    sizes = (64, 32, 16, 10)
    for stddev in (1e-7, 1e-3, 1.0, 1e3):
        drawn = lh.draw_initial(sizes, 0)
        start = lh.Posterior(drawn.means, [np.full(m.shape, stddev) for m in drawn.means], drawn.biases)
        network = lh.networks.build_network(lh.networks.Flipout, sizes)
        lh.posterior.put_posterior(network, start, [np.ones(m.shape, bool) for m in start.means])
        back = lh.posterior.take_posterior(network)
        assert same(back.means, start.means)
        np.testing.assert_allclose(back.stddevs[0], start.stddevs[0], rtol=1e-3, atol=2e-7)


def test_results_share_no_memory_and_can_be_pickled(digits, small_run):
    means = [np.array(m) for m in small_run.initial.means]
    posterior = lh.Posterior(means, small_run.initial.stddevs, small_run.initial.biases)
    means[0][:] = 0
    assert posterior.means[0].any()
    with pytest.raises(ValueError, match="read-only"):
        digits.train.images[0] = 1
    ticket = lh.train_ticket(digits, small_run.initial, None, QUICK)
    for result in (small_run, ticket):
        assert result.network is result.network
        back = pickle.loads(pickle.dumps(result))
        assert back.history.equals(result.history) and len(back.network.layers) == 3


def test_tuples_are_asked_for_and_iterators_are_taken_whole(digits):
    run = lh.train_bayesian(
        digits, QUICK, hidden=iter((32, 16)), kl_weight=0.1, snapshots=(e for e in (0, 1))
    )
    assert len(run.final.means) == 3 and list(run.snapshots) == [0, 1]
    with pytest.raises(ValueError, match=r"hidden=32 must be a tuple, such as \(32,\)"):
        lh.train_bayesian(digits, QUICK, hidden=32)
    with pytest.raises(ValueError, match="snapshots=1 must be a tuple"):
        lh.train_bayesian(digits, QUICK, snapshots=1)
    kept = lh.load_or_train_bayesian(digits, QUICK, **SMALL, snapshots=range(2))
    assert list(lh.load_or_train_bayesian(digits, QUICK, **SMALL, snapshots=(0, 1)).snapshots) == [0, 1]
    assert len(list(storage.cache_folder().iterdir())) == 1 and list(kept.snapshots) == [0, 1]
    with pytest.raises(ValueError, match="a ndarray can't name a kept result"):
        lh.load_or_train_bayesian(digits, QUICK, **SMALL, masks=np.array([1, [2]], object))


def test_intervals_pair_by_place_and_refuse_what_is_no_pair():
    table = pd.DataFrame({"a": [1.0, 2.0, 4.0, 1.0, 2.0, 3.0]})
    interval = lh.paired_interval(table.a[:3], table.a[3:])
    assert interval.mean == pytest.approx(1 / 3) and interval.low < 1 / 3 < interval.high
    expected = scipy.stats.ttest_rel(table.a[:3].to_numpy(), table.a[3:].to_numpy()).confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    for bad, message in (
        (([1.0, 2, 3], [1.0]), "a and b have shapes"),
        (([1.0, np.nan], [1.0, 2]), "not finite"),
        (([1.0, 2], [1.0, 3], 95), "confidence=95 must be between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            lh.paired_interval(*bad)
