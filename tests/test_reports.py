"""Public bug reports of people who do this kind of work, tried here: results are what they are named, what is
pruned stays so, a number means the same in every type, a reader's own data and settings do no silent harm."""

import abc
import asyncio
import dataclasses
import functools
import gzip
import http.server
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from common import ROOT

import lotteryhelpers as lh
from lotteryhelpers import training
from lotteryhelpers.startup import downloads

SHORT = lh.TrainConfig(epochs=1, batch_size=64, learning_rate=3e-3, seed=3)
SMALL = {"hidden": (32, 16), "kl_weight": 0.1}


def python(code, folder=ROOT, **environment):
    """Run code in a process of its own, in ``folder``."""
    environment = os.environ | {"PYTHONPATH": str(folder)} | environment
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


def pruned_run(digits):
    """A Bayesian network trained under a mask that keeps a fifth, and the mask."""
    start = lh.draw_initial((64, 32, 16, 10), 0)
    masks = lh.keep_fraction([abs(m) for m in start.means], 0.2)
    return lh.train_bayesian(digits, SHORT, initial=start, masks=masks), masks


# results are named by what was imported, and every worker has that

EDITED = """
import pathlib, lotteryhelpers as lh
from lotteryhelpers import storage
digits, config = lh.load_dataset("digits"), lh.TrainConfig(1, 64)
def count():
    print(len([*storage.cache_folder().rglob("*.npz"), *storage.cache_folder().rglob("*.json")]))
file = pathlib.Path(lh.__file__).parent / "bayesian.py"
whole = file.read_text()
assert "spread = 0.1" in whole
lh.load_or_train_bayesian(digits, config, hidden=(9,))
count()
file.write_text(whole.replace("spread = 0.1", "spread = 0.3"))
for _ in range(2):
    lh.load_or_train_bayesian(digits, config, hidden=(8,))
count()
try:
    lh.sweep(digits, lh.specs_of([0], ["dense"], [1.0]), config, workers=1)
except RuntimeError as error:
    print(error)
count()
file.write_text(whole)
lh.load_or_train_bayesian(digits, config, hidden=(8,))
count()
"""


def test_what_was_imported_names_a_result_and_where_the_disk_differs_nothing_is_kept(tmp_path):
    shutil.copytree(pathlib.Path(lh.__file__).parent, tmp_path / "lotteryhelpers")
    done = python(EDITED, tmp_path, LOTTERYHELPERS_CACHE_DIR=str(tmp_path / "kept"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.isdigit()] == ["1", "1", "1", "2"]
    said = [line for line in lines if not line.isdigit()]
    assert said[0].startswith("lotteryhelpers has changed on disk since its import") and len(said) == 2
    assert "with another lotteryhelpers" in said[1]


# what is pruned stays so, and a pruning goes on where it was


@pytest.mark.parametrize("scope", ["layer", "uniform", "global", "variance"])
@pytest.mark.parametrize("criterion", ["magnitude", "snr", "log_alpha", "large_final_same_sign", "a reader's"])
def test_pruned_weights_never_come_back(criterion, scope, digits, monkeypatch):
    run, masks = pruned_run(digits)
    monkeypatch.setitem(lh.CRITERIA, "a reader's", lambda run, **_: [m + 9 for m in run.final.means])
    with pytest.raises(ValueError, match="earlier masks have left" if scope == "variance" else "the scores above -inf"):
        lh.masks_for(run, criterion, 0.5, scope=scope)
    fewer = lh.masks_for(run, criterion, 0.1, scope=scope)
    assert not any((f & ~m).any() for f, m in zip(fewer, masks, strict=True))


def test_few_new_weights_are_never_taken_for_the_old_ones():
    start = lh.draw_initial((4, 2, 2), 0)
    masks = [np.arange(m.size).reshape(m.shape) == 0 for m in start.means]
    for seed in range(1, 30):
        lh.restart(start, masks, "reinitialise", keep_sign=False, seed=seed)


def test_a_score_of_minus_infinity_by_its_formula_can_be_kept(digits):
    """log_alpha of a mean that is exactly zero."""
    run = lh.train_bayesian(digits, SHORT, **SMALL)
    means = [np.where(np.arange(m.size).reshape(m.shape) % 3, m, 0) for m in run.final.means]
    still = dataclasses.replace(run, final=lh.Posterior(means, run.final.stddevs, run.final.biases))
    assert all(m.all() for m in lh.masks_for(still, "log_alpha", 1.0))


def test_pruning_by_chance_resumed_is_the_uninterrupted_one(digits):
    start, config = lh.draw_initial((64, 32, 16, 10), 0), SHORT
    whole = lh.iterative_magnitude_pruning(digits, start, config, rounds=3, criterion="random")
    rest = lh.iterative_magnitude_pruning(digits, start, config, rounds=1, criterion="random", masks=whole[2].masks)
    for one, other in zip(whole[3].masks, rest[1].masks, strict=True):
        assert np.array_equal(one, other)


# new weights are new


def test_reinitialised_weights_are_not_the_old_ones_however_these_were_drawn(digits):
    initial = lh.draw_initial((64, 32, 16, 10), 0)
    masks = lh.keep_fraction([abs(m) for m in initial.means], 0.3)
    ticket = lh.train_ticket(digits, initial, masks, SHORT)
    early = lh.train_bayesian(digits, dataclasses.replace(SHORT, seed=0), snapshots=(0.1,)).snapshots[0.1]
    for start, kept in ((initial, None), (ticket.initial, masks), (lh.draw_initial((64, 32, 16, 10), 0, "glorot"), masks),
                        (early, None)):  # fmt: skip
        with pytest.raises(ValueError, match="seed=0 draws initial's own weights again, or nearly"):
            lh.restart(start, kept, "reinitialise", keep_sign=False, seed=0)
        new = lh.restart(start, kept, "reinitialise", keep_sign=False, seed=1).means
        for old, fresh, mask in zip(start.means, new, kept or [m > -9 for m in start.means], strict=True):
            assert abs(np.corrcoef(old[mask], fresh[mask])[0, 1]) < 0.3


# a number means the same in every type


def test_thresholds_and_densities_of_any_type_keep_the_same_mask(digits):
    run = lh.train_bayesian(digits, SHORT, **SMALL)
    exact = np.sort(run.final.variances[0].ravel())[700]  # a float32 variance itself
    kinds = [exact, float(exact), np.float64(exact), np.float64(repr(float(exact))), np.float64(f"{exact:.9g}"), float(f"{exact:.9g}")]
    masks = [lh.variance_masks(run.final, threshold) for threshold in kinds]
    assert all(np.array_equal(a, b) for m in masks for a, b in zip(m, masks[0], strict=True)) and masks[0][0].sum() >= 700
    for density in (np.float16(0.25), np.float32(0.25), np.float64(0.25)):
        kept = lh.masks_for(run, "variance", density, scope="global"), lh.masks_for(run, "variance", 0.25, scope="global")
        assert all(np.array_equal(a, b) for a, b in zip(*kept, strict=True))
        assert lh.variance_quantile(run.final, density) == lh.variance_quantile(run.final, 0.25)


# a mask that nothing passes


def test_masks_without_a_path_are_refused_and_compact_counts_nothing(digits):
    start = lh.draw_initial((64, 32, 16, 10), 0)
    masks = [np.zeros(m.shape, bool) for m in start.means]
    masks[0][5, 3] = masks[1][4, 2] = masks[2][2, :] = True  # unit 3 leads nowhere, and nothing leads to unit 4
    for train in (functools.partial(lh.train_ticket, digits, start, masks, SHORT),
                  functools.partial(lh.train_bayesian, digits, SHORT, initial=start, masks=masks)):  # fmt: skip
        with pytest.raises(ValueError, match="masks leave no path from an input through layer 2; nothing passes it"):
            train()
    for for_training in (False, True):
        small = lh.compact(start.means, start.biases, masks, for_training=for_training)
        assert small.sizes[0] == 0 and small.sizes[-1] == 10
        masked = [np.where(m, w, 0) for m, w in zip(masks, start.means, strict=True)]
        expected = lh.networks.logits(masked, start.biases, digits.test.images)
        left = digits.test.images[:, small.kept[0]]
        assert np.allclose(lh.networks.logits(small.weights, small.biases, left), expected, atol=1e-5)
    masks[1][3, 2] = True
    lh.train_ticket(digits, start, masks, SHORT)


# the mask holds, whatever the optimizer


@pytest.mark.parametrize("optimizer", [
    lambda: tf_keras.optimizers.Adam(use_ema=True), lambda: tf_keras.optimizers.Adam(use_ema=True, ema_overwrite_frequency=3),
    lambda: tf_keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), lambda: tf_keras.optimizers.AdamW(weight_decay=0.1),
    lambda: tf_keras.optimizers.Ftrl(0.1), lambda: tf_keras.optimizers.legacy.Adam(),
])  # fmt: skip
@pytest.mark.parametrize("frozen", [False, True])
def test_pruned_weights_stay_whatever_the_optimizer(optimizer, frozen, digits):
    start = lh.draw_initial((64, 32, 16, 10), 0)
    masks = lh.keep_fraction([abs(m) for m in start.means], 0.2)
    held = start.means if frozen else [np.zeros_like(m) for m in start.means]
    ticket = lh.train_ticket(digits, start, masks, SHORT, frozen=held if frozen else None)
    ticket.network.compile(optimizer(), tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ticket.network.fit(digits.train.images, digits.train.labels, epochs=2, verbose=0)
    for layer, mask, rest, before in zip(ticket.network.layers, masks, held, ticket.weights, strict=True):
        now = layer.kernel.numpy()
        assert np.allclose(now[~mask], rest[~mask], rtol=1e-6, atol=0) and (now[mask] != before[mask]).mean() > 0.5


# nobody's good files are removed; unreadable is not the same as not to be had


def keras_files(home, name):
    """Files in Keras' cache under ``home``: known contents, and their hashes in place of the published ones."""
    folder = home / ".keras" / "datasets" / ("fashion-mnist" if name == "fashion_mnist" else "")
    folder.mkdir(parents=True)
    for file in downloads._FILES[name]:
        (folder / file).write_bytes(gzip.compress(file.encode()))
    return folder, {file: downloads.pooch.file_hash(folder / file) for file in downloads._FILES[name]}


def test_one_bad_file_costs_no_good_one(tmp_path, monkeypatch):
    folder, hashes = keras_files(tmp_path, "fashion_mnist")
    monkeypatch.setitem(downloads._FILES, "fashion_mnist", hashes)
    monkeypatch.setattr(downloads, "_SERVER", "http://127.0.0.1:9/")  # nobody answers there
    monkeypatch.setattr(downloads, "_SECOND_HOME", str(tmp_path / "second"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(downloads.DATA_DIR, raising=False)
    bad = folder / "train-labels-idx1-ubyte.gz"
    bad.write_text("<html>sign in to this network</html>")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConnectionError, match="not all of what was published"):
        lh.load_dataset("fashion_mnist")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_that_a_failing_disk_does_not_give_is_said_to_be_unreadable_and_left_alone(tmp_path, monkeypatch):
    folder, hashes = keras_files(tmp_path, "mnist")
    monkeypatch.setitem(downloads._FILES, "mnist", hashes)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(downloads.DATA_DIR, raising=False)

    def broken(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(downloads.pooch, "file_hash", broken)
    for name in ("mnist", "auto"):
        with pytest.raises(OSError, match="has mnist, but it can't be read: .*Input/output error"):
            lh.load_dataset(name)
    assert (folder / "mnist.npz").is_file()


# a reader's own dataset

BAD_SPLITS = {
    "fewer images than labels": (lambda x, y: (x[:20], y), r"SPLIT has images \(20, 64\) and labels \(COUNT,\)"),
    "square images": (lambda x, y: (x.reshape(-1, 8, 8), y), r"SPLIT has images \(COUNT, 8, 8\)"),
    "one-hot labels": (lambda x, y: (x, np.eye(10)[y]), r"labels \(COUNT, 10\)"),
    "no label at all": (lambda x, y: (x, 3), r"labels \(\)"),
    "other images": (lambda x, y: (x[:, :50], y), r"\[n, 64\] and \[n\] for image_shape=\(8, 8\)"),
    "nothing": (lambda x, y: (x[:0], y[:0]), r"SPLIT has images \(0, 64\)"),
    "labels from 1": (lambda x, y: (x, y + 1), "SPLIT.labels go from 1 to 10; they must be whole, from 0 to 9"),
    "negative labels": (lambda x, y: (x, y - 1), "SPLIT.labels go from -1 to 8"),
    "labels of 64 bits": (lambda x, y: (x, y.astype(np.int64) + 2**40), "SPLIT.labels go from 1099511627776"),
    "halves": (lambda x, y: (x, y + 0.5), "SPLIT.labels go from 0.5 to 9.5"),
    "words": (lambda x, y: (x, y.astype(str)), "SPLIT.labels go from 0 to 9; they must be whole"),
    "labels not finite": (lambda x, y: (x, np.where(y == 3, np.nan, y)), "SPLIT.labels go from 0.0 to nan"),
    "images of 0 to 16": (lambda x, y: (16 * x, y), "SPLIT.images go from 0.0 to 16.0; they must be from 0 to 1"),
    "images of 0 to 255": (lambda x, y: ((255 * x).astype(np.uint8), y), "SPLIT.images go from 0 to 255"),
    "a pixel that isn't finite": (lambda x, y: (np.where(np.arange(64) == 3, np.nan, x), y), "SPLIT.images go from 0.0 to nan"),
    "pixels that are objects": (lambda x, y: (x.astype(object), y), "SPLIT.images go from 0.0 to 1.0"),
}
GOOD_SPLITS = {
    "NumPy's own types": lambda x, y: (x.astype(np.float64), y.astype(np.int64)),
    "float16": lambda x, y: (x.astype(np.float16), y),
    "Fortran's order": lambda x, y: (np.asfortranarray(x), y.astype(np.uint8)),
    "every second of twice as many": lambda x, y: (np.repeat(x, 2, axis=0)[::2], np.repeat(y, 2)[::2]),
    "labels as floats": lambda x, y: (x, y.astype(np.float32)),
    "lists": lambda x, y: (x.tolist(), y.tolist()),
    "read-only, in Fortran's order": lambda x, y: (np.frombuffer(x.tobytes("F"), x.dtype).reshape(x.shape, order="F"), y),
}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("kind", BAD_SPLITS)
def test_a_dataset_that_can_not_be_trained_on_is_refused_by_name(kind, split, digits):
    (change, message), given = BAD_SPLITS[kind], getattr(digits, split)
    bad = type(given)(*change(given.images, given.labels))
    with pytest.raises(ValueError, match=message.replace("SPLIT", split).replace("COUNT", str(len(given.labels)))):
        dataclasses.replace(digits, **{split: bad})


def test_labels_of_true_and_false_are_two_classes_and_a_readers_arrays_stay_its_own(digits):
    images = digits.train.images.astype(np.float32)
    train = type(digits.train)(images, digits.train.labels > 4)
    own = dataclasses.replace(digits, num_classes=2, **{n: train for n in ("train", "validation", "test")})
    assert lh.train_ticket(own, lh.draw_initial((64, 8, 2), 0), None, SHORT).test_accuracy > 0.5
    images[:] = 7  # they are not the dataset's
    assert own.train.images.max() == 1 and own.train.tensors[0].numpy().max() == 1
    with pytest.raises(ValueError, match="read-only"):
        own.train.images[0] = 0


@pytest.mark.parametrize("kind", GOOD_SPLITS)
def test_what_numpy_gives_by_default_trains_as_the_dataset_itself(kind, digits):
    splits = {n: type(digits.train)(*GOOD_SPLITS[kind](getattr(digits, n).images, getattr(digits, n).labels))
              for n in ("train", "validation", "test")}  # fmt: skip
    own, start = dataclasses.replace(digits, **splits), lh.draw_initial((64, 32, 16, 10), 0)
    one, other = (lh.train_ticket(data, start, None, SHORT) for data in (digits, own))
    assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(one.weights, other.weights, strict=True))
    if kind != "float16":
        assert own.fingerprint == digits.fingerprint and np.array_equal(one.weights[0], other.weights[0])


# the surroundings


def test_tensorflows_last_words_are_shown():
    done = python("import lotteryhelpers", XLA_FLAGS="--xla_gpu_some_new_flag=true")
    assert done.returncode and "xla_gpu_some_new_flag" in done.stderr


@pytest.mark.parametrize("before", ["sys.stderr = None", "os.close(2)", "sys.stderr = None; os.close(2)", "sys.executable = None"])
def test_without_standard_error_the_import_works(before):
    done = python(f"import os, sys; {before}\nimport lotteryhelpers; print('imported')")
    assert (done.returncode, done.stdout) == (0, "imported\n")


@pytest.mark.parametrize("setting", [{"PYTHONIOENCODING": "cp1252"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_a_console_without_the_marks_shows_the_checks_all_the_same(setting):
    done = python("import lotteryhelpers as lh; lh.exercises.check_kl(lambda m, s, p: None)", **setting)
    assert done.returncode == 0 and done.stdout.startswith("? still empty"), done.stderr


SET = {"mixed_float16": "tf_keras.mixed_precision.set_global_policy('mixed_float16')", "float64": "tf_keras.backend.set_floatx('float64')"}


@pytest.mark.parametrize("setting", SET)
def test_what_a_reader_sets_for_keras_changes_nothing_here(setting, digits):
    start = lh.draw_initial((64, 17, 10), 0)
    try:
        exec(SET[setting])
        run = lh.train_bayesian(digits, SHORT, initial=start, kl_weight=0.1)
        ticket = lh.train_ticket(digits, start, None, SHORT)
        small = lh.train_ticket(digits, start, None, SHORT, compact=True)
        outputs = ticket.network(digits.test.images), run.network(digits.test.images)
        assert {o.dtype for o in outputs} == {tf.float32}
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
        tf_keras.backend.set_floatx("float32")
    after = lh.train_bayesian(digits, SHORT, initial=start, kl_weight=0.1), lh.train_ticket(digits, start, None, SHORT)
    training.kept_trainer.cache_clear()
    again = lh.train_bayesian(digits, SHORT, initial=start, kl_weight=0.1), lh.train_ticket(digits, start, None, SHORT)
    bayesian, deterministic = again[0].final.means, again[1].weights
    for one, other in ((run.final.means, bayesian), (after[0].final.means, bayesian), (ticket.weights, deterministic),
                       (after[1].weights, deterministic), (small.weights, deterministic)):  # fmt: skip
        assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(one, other, strict=True))


def test_the_readme_says_where_devices_and_threads_are_set():
    assert "TF_NUM_INTRAOP_THREADS" in (ROOT / "README.md").read_text()


# processes and callbacks that would wait forever

FORKED = """
import multiprocessing, warnings
warnings.simplefilter("ignore")
import lotteryhelpers as lh
digits = lh.load_dataset("digits")
start, config = lh.draw_initial((64, 12, 10), 0), lh.TrainConfig(1, 64)
def train(seed):
    return lh.train_ticket(digits, start, None, config).test_accuracy
def score(seed):
    return lh.accuracy(start.means, start.biases, digits.test)
if __name__ == "__main__":
    train(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for function in (train, score):
            try:
                pool.map_async(function, [0, 1]).get(60)
            except RuntimeError as error:
                print(error)
    print(train(1) > 0, score(1) > 0)
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_a_forked_process_is_told_what_to_use():
    done = python(FORKED)
    told = ("this process was forked after TensorFlow had started, and would wait forever for its threads; "
            "use lh.sweep, or multiprocessing.get_context('spawn')")  # fmt: skip
    assert done.stdout.splitlines() == [told, told, "True True"], done.stderr


def test_training_within_a_callback_of_the_same_sizes_works(digits):
    start, inner = lh.draw_initial((64, 32, 16, 10), 0), []
    plain = lh.train_ticket(digits, start, None, SHORT)
    outer = lh.train_ticket(digits, start, None, SHORT,
                            on_evaluation=lambda row: inner.append(lh.train_ticket(digits, start, None, SHORT)))  # fmt: skip
    for one, other in zip(plain.weights, outer.weights, strict=True):
        assert np.array_equal(one, other)
    assert len(inner) == 1 and np.array_equal(inner[0].weights[0], plain.weights[0])


# functions that aren't plain ones


class Base(abc.ABC):  # noqa: B024 - what matters is that it isn't a plain one
    """Without a dictionary, and with a set, whose order changes with every process."""

    __slots__ = ("power", "names")

    def __init__(self, power):
        self.power, self.names = power, {"one", "two", "three"}


class Scorer(Base):
    """A criterion that is an object."""

    def __call__(self, run, **_):
        return [abs(m) ** self.power for m in run.final.means]


def powered(run, power, **_):
    return [abs(m) ** power for m in run.final.means]


@pytest.mark.parametrize("kind", ["partial", "object", "method", "closure"])
def test_criteria_of_every_kind_are_sent_and_their_rows_found_again(kind, digits, cluster, monkeypatch):
    class Local(Scorer):
        """Of no module that a worker could import."""

    functions = {"partial": functools.partial(powered, power=2), "object": Scorer(2), "method": Local(2).__call__,
                 "closure": lambda run, **_: [len({"a", "b"}) * s for s in functions["object"](run)]}  # fmt: skip
    monkeypatch.setitem(lh.CRITERIA, "mine", functions[kind])
    specs = lh.specs_of([0], ["mine", "magnitude"], [0.3])
    rows = lh.sweep(digits, specs, SHORT, client=cluster)
    assert rows.error.tolist() == ["", ""] and rows.test_accuracy.nunique() == 1
    again = lh.sweep(digits, specs, SHORT, client=cluster)
    assert again.seconds.tolist() == rows.seconds.tolist(), "made again"


@pytest.mark.parametrize("kind", ["partial", "object"])
def test_answers_of_every_kind_are_judged(kind, capsys):
    def right(mu, sigma, prior):
        return np.log(prior / sigma) + (sigma**2 + mu**2) / (2 * prior**2) - 0.5

    class Right:
        __call__ = staticmethod(right)

    assert lh.exercises.check_kl(functools.partial(right) if kind == "partial" else Right())
    assert "passes all that this check asks" in capsys.readouterr().out


def test_a_criterion_that_can_not_be_sent_is_named(digits, monkeypatch):
    lock = threading.Lock()
    monkeypatch.setitem(lh.CRITERIA, "mine", lambda run, **_: [lock for _ in run.final.means])
    with pytest.raises(ValueError, match="criterion 'mine' can't be sent to a worker"):
        lh.sweep(digits, lh.specs_of([0], ["mine"], [0.3]), SHORT, workers=1)


# a server that refuses HEAD


def test_a_server_that_refuses_head_but_gives_the_file_is_a_network(tmp_path, monkeypatch):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "mnist.npz").write_bytes(b"whole")

    class Server(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=tmp_path / "served")

        def do_HEAD(self):
            self.send_error(405)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(downloads, "_SERVER", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setitem(downloads._FILES, "mnist", {"mnist.npz": downloads.pooch.file_hash(tmp_path / "served" / "mnist.npz")})
    monkeypatch.setattr(downloads, "_SECOND_HOME", str(tmp_path / "second"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras").mkdir()
    paths, where = downloads._keras_files("mnist")
    server.shutdown()
    server.server_close()
    assert where == "downloaded" and paths[0].read_bytes() == b"whole"


# Keras' ways of saving and fitting a Bayesian network


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["x.keras", "x.h5", "x"])
def test_where_keras_can_not_save_a_bayesian_network_it_says_so(name, small_run, tmp_path):
    with pytest.raises(ValueError, match=r"keep the BayesianRun, run.save\(path\)"):
        small_run.network.save(tmp_path / name)
    assert name == "x.h5" or not (tmp_path / name).is_file()  # Keras opens that one before it asks


def test_keras_fit_would_weigh_the_kl_wrongly_and_is_refused_and_evaluate_leaves_it_out(small_run, digits):
    network, (images, labels) = dataclasses.replace(small_run).network, digits.test.tensors
    network.compile(loss=tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    for train in (functools.partial(network.fit, verbose=0), network.train_on_batch):
        with pytest.raises(ValueError, match=r"the KL whole in each batch.*train_bayesian\(dataset, config, initial="):
            train(images, labels)
    loss, accuracy = network.evaluate(images, labels, verbose=0)
    network(images)
    assert loss < 3 < float(sum(network.losses)) and accuracy > 0.5
    assert np.array_equal(network.layers[0].loc, small_run.final.means[0])


# what is wrong is named

START = lh.draw_initial((64, 32, 16, 10), 0)
WRONG = {
    "counts": lambda d, c: lh.keep_counts([abs(m) for m in START.means], [10.0, 5, 5]),
    "counts=": lambda d, c: lh.keep_counts([abs(m) for m in START.means], 10),
    "workers='2'": lambda d, c: lh.sweep(d, lh.specs_of([0], ["dense"], [1.0]), SHORT, workers="2"),
    "workers=True": lambda d, c: lh.sweep(d, lh.specs_of([0], ["dense"], [1.0]), SHORT, workers=True),
    "specs=": lambda d, c: lh.sweep(d, lh.Spec(0, "dense"), SHORT),
    "specs=1": lambda d, c: lh.sweep(d, 1, SHORT),
    "seed=None": lambda d, c: lh.load_dataset("digits", seed=None),
    "seed=-1": lambda d, c: lh.load_dataset("digits", seed=-1),
    "images are uint8": lambda d, c: lh.mean_logits(lh.train_ticket(d, START, None, SHORT).network, np.zeros((3, 64), np.uint8)),
}


@pytest.mark.parametrize("names", WRONG)
def test_what_is_wrong_with_an_argument_is_a_value_error_that_names_it(names, digits):
    with pytest.raises(ValueError, match=names):
        WRONG[names](digits, None)


def test_an_asynchronous_client_is_named(digits, cluster):
    from distributed import Client

    async def tried():
        async with Client(cluster.scheduler.address, asynchronous=True, set_as_default=False) as client:
            lh.sweep(digits, lh.specs_of([0], ["dense"], [1.0]), SHORT, client=client)

    with pytest.raises(ValueError, match="client is asynchronous"):
        asyncio.run(tried())


@pytest.mark.parametrize(("chosen", "left_alone"), [({}, True), ({"CUDA_VISIBLE_DEVICES": "0"}, False)])
def test_a_gpu_is_left_alone_and_that_is_said_unless_a_reader_chose_one(chosen, left_alone):
    """No GPU is at hand: TensorFlow is made to say that there is one."""
    code = """import tensorflow as tf
there, hidden = tf.config.list_physical_devices, []
tf.config.list_physical_devices = lambda kind=None: ["a GPU"] if kind == "GPU" else there(kind)
tf.config.set_visible_devices = lambda devices, kind: hidden.append((devices, kind))
import lotteryhelpers
print(hidden)"""
    without = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run([sys.executable, "-c", code], env=without | chosen, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("lotteryhelpers leaves the GPU alone: its README says why, under Colab\n" * left_alone
                           + ("[([], 'GPU')]\n" if left_alone else "[]\n"))  # fmt: skip
