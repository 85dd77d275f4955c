"""The data sets, the search for them, bad files, and downloads that hang or break off."""

import contextlib
import gzip
import hashlib
import http.server
import io
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tf_keras
from common import MNIST_DIR, interruptible, needs_mnist

import lotteryhelpers as lh
from lotteryhelpers.startup import downloads


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data folder, and a home where Keras has been but kept nothing."""
    monkeypatch.delenv(downloads.DATA_DIR, raising=False)
    monkeypatch.setattr(downloads, "_SECOND_HOME", str(tmp_path / "second"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras").mkdir()
    return tmp_path


def test_digits_splits(digits):
    assert (digits.name, digits.image_shape, digits.num_classes) == ("digits", (8, 8), 10)
    for split, n in ((digits.train, 1257), (digits.validation, 180), (digits.test, 360)):
        assert split.images.shape == (n, 64) and split.images.dtype == np.float32
        assert split.labels.shape == (n,) and split.labels.dtype == np.int32
        assert split.images.min() == 0 and split.images.max() == 1
        assert set(split.labels) == set(range(10))


@needs_mnist
def test_mnist_splits():
    mnist = lh.load_dataset("mnist")
    raw = np.load(pathlib.Path(MNIST_DIR, "mnist.npz"))
    assert [len(s.labels) for s in (mnist.train, mnist.validation, mnist.test)] == [55_000, 5_000, 10_000]
    assert np.array_equal(mnist.validation.labels, raw["y_train"][-5000:])
    np.testing.assert_allclose(mnist.test.images[7].reshape(28, 28), raw["x_test"][7] / 255, atol=1e-7)
    assert (mnist.train.images.max(0) == 0).sum() == 67  # the never-lit pixels


def test_subsets_follow_the_seed_and_leave_the_test_images_alone(digits):
    one, again = (lh.load_dataset("digits", num_train=100, num_validation=50, seed=1) for _ in "ab")
    other = lh.load_dataset("digits", num_train=100, num_validation=50, seed=2)
    assert len(one.train.labels) == 100 and len(one.validation.labels) == 50
    assert np.array_equal(one.train.images, again.train.images)
    assert not np.array_equal(one.train.images, other.train.images)
    assert np.array_equal(one.test.images, digits.test.images)
    assert one.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "cifar"}, "name='cifar' must be one of mnist, fashion_mnist, digits, auto"),
        ({"name": "digits", "num_train": 0}, "num_train=0 .* 1 to 1,257"),
        ({"name": "digits", "num_train": 1258}, "num_train=1258 .* 1 to 1,257"),
        ({"name": "digits", "num_validation": 2.5}, "num_validation=2.5 .* 1 to 180"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        lh.load_dataset(**arguments)


def whole_arrays():
    rng = np.random.default_rng(0)
    most = {"x": 256, "y": 10}
    return {n: rng.integers(0, most[n[0]], shape, dtype=np.uint8) for n, shape in downloads._SHAPES.items()}


def wrong(**changes):
    arrays = whole_arrays()
    return arrays | {name: change(arrays[name]) for name, change in changes.items()}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x_train": lambda a: a[:500]}, r"x_train is uint8 \(500, 28, 28\); it must be uint8 \(60000, 28, 28\)"),
        ({"y_test": lambda a: a[:9]}, r"y_test is uint8 \(9,\); it must be uint8 \(10000,\)"),
        ({"x_test": lambda a: a.astype(float)}, r"x_test is float64 \(10000, 28, 28\); it must be uint8"),
        ({"y_train": lambda a: a + np.uint8(3)}, "y_train has values up to 12; the largest must be 0 to 9"),
        ({"x_train": lambda a: a // 255}, "x_train has values up to 1; the largest must be 128 to 255"),
    ],
)
def test_a_file_that_is_not_mnist_is_refused_by_name(change, message, tmp_path, monkeypatch):
    np.savez(tmp_path / "mnist.npz", **wrong(**change))
    monkeypatch.setenv(downloads.DATA_DIR, str(tmp_path))
    for name in ("mnist", "auto"):  # auto doesn't fall back silently either
        with pytest.raises(ValueError, match=rf"mnist\.npz: {message}"):
            lh.load_dataset(name)


def test_other_arrays_truncated_and_missing_folders_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(downloads.DATA_DIR, str(tmp_path))
    path = tmp_path / "fashion_mnist.npz"
    np.savez(path, images=np.zeros(3))
    with pytest.raises(ValueError, match=r"fashion_mnist\.npz: holds the arrays \['images'\]"):
        lh.load_dataset("fashion_mnist")
    np.savez(path, **whole_arrays())
    assert len(lh.load_dataset("fashion_mnist").train.labels) == 55_000
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(ValueError, match=r"fashion_mnist\.npz is not a whole npz file"):
        lh.load_dataset("fashion_mnist")
    np.savez(path, **(whole_arrays() | {"y_test": np.array([{}], object)}))
    with pytest.raises(ValueError, match=r"fashion_mnist\.npz holds pickled objects"):
        lh.load_dataset("fashion_mnist")
    monkeypatch.setenv(downloads.DATA_DIR, str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="LOTTERYHELPERS_DATA_DIR=.*gone' is not a folder"):
        lh.load_dataset("mnist")


@contextlib.contextmanager
def silent_server(monkeypatch):
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield "no answer within 6 seconds|timed out"


@contextlib.contextmanager
def refused(monkeypatch):
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
    yield r"\[Errno \d+\] Connection refused"


@contextlib.contextmanager
def a_look_up_that_hangs(monkeypatch):
    """As with a name server that says nothing: there the system's own look-up took 20 s, whatever was asked."""
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: end.wait(20) or OSError)
    yield "no answer within 6 seconds"
    end.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("network", [silent_server, refused, a_look_up_that_hangs])
def test_without_a_network_auto_takes_the_digits_soon_and_says_why(network, nowhere, monkeypatch, capfd):
    with network(monkeypatch) as reason:
        started = time.monotonic()
        assert lh.load_dataset("auto").name == "digits"
        assert time.monotonic() - started < 10  # the requirement itself
        printed = capfd.readouterr()
        assert printed.err == ""  # no progress of what can't begin
        begins = r"load_dataset\('auto'\): scikit-learn's digits, because mnist is not at hand and can't be downloaded"
        assert re.match(rf"{begins} \(({reason})\); put mnist\.npz, in Keras' format", printed.out)
        with pytest.raises(ConnectionError, match=r"put mnist\.npz, in Keras' format, into the folder"):
            lh.load_dataset("mnist")
    assert kept_files(nowhere) == []


def mnist_like():
    """The bytes of an npz in Keras' format; one colour, so small."""
    arrays = {name: np.full(shape, 200 if name[0] == "x" else 7) for name, shape in downloads._SHAPES.items()}
    file = io.BytesIO()
    np.savez_compressed(file, **{name: array.astype(np.uint8) for name, array in arrays.items()})
    return {"mnist.npz": file.getvalue()}


def fashion_like():
    """The bytes of four files as Zalando packed theirs."""
    made = {}
    for (name, shape), file in zip(downloads._SHAPES.items(), downloads._FILES["fashion_mnist"], strict=True):
        head = bytes(16 if name[0] == "x" else 8)
        made[file] = gzip.compress(head + bytes([200 if name[0] == "x" else 7]) * int(np.prod(shape)))
    return made


@contextlib.contextmanager
def serving(bodies, monkeypatch, *, part=1.0, hang=False, known=None):
    """A real server in place of Keras' own; it may stop sending in the middle.

    ``known``: the files whose hashes are expected, those of ``bodies`` if not given. Yields what was asked for.
    """
    done, asked = threading.Event(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(bodies[self.path[1:]])))
            self.end_headers()

        def do_GET(self):
            asked.append(self.path[1:])
            self.do_HEAD()
            body = bodies[self.path[1:]]
            self.wfile.write(body[: int(part * len(body))])
            self.wfile.flush()
            if hang:
                done.wait(30)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = "mnist" if "mnist.npz" in bodies else "fashion_mnist"
    hashes = {file: hashlib.sha256(body).hexdigest() for file, body in (known or bodies).items()}
    monkeypatch.setitem(downloads._FILES, name, hashes)
    monkeypatch.setattr(downloads, "_SERVER", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(downloads, "_STALL_SECONDS", 1)
    try:
        yield asked
    finally:
        done.set()
        server.shutdown()
        server.server_close()


def kept_files(home):
    return [p for p in home.rglob("*") if p.is_file()]


@pytest.mark.parametrize("hang", [False, True])
def test_a_download_that_breaks_off_or_hangs_leaves_nothing(hang, nowhere, monkeypatch):
    with serving({"mnist.npz": os.urandom(200_000)}, monkeypatch, part=0.5, hang=hang) as asked:
        started = time.monotonic()
        reason = "timed out" if hang else "IncompleteRead"
        with pytest.raises(ConnectionError, match=f"mnist is not at hand and can't be downloaded .*{reason}"):
            lh.load_dataset("mnist")
        assert len(asked) == 2  # it tries once more
        assert time.monotonic() - started < 8  # a stall may last 1 s here
        assert kept_files(nowhere) == []
        assert lh.load_dataset("auto").name == "digits"


def test_a_download_of_something_else_is_not_taken_for_mnist(nowhere, monkeypatch):
    portal = {"mnist.npz": b"sign in to this wireless network"}
    with serving(portal, monkeypatch, known=mnist_like()):
        with pytest.raises(ConnectionError, match="hash of downloaded file .* does not match the known hash"):
            lh.load_dataset("mnist")
    assert kept_files(nowhere) == []


def test_a_whole_download_is_kept_where_keras_keeps_it_and_found_again(nowhere, monkeypatch, capfd):
    with serving(mnist_like(), monkeypatch) as asked:
        assert lh.load_dataset("auto").name == "mnist"
        assert "MNIST, downloaded" in capfd.readouterr().out
        assert kept_files(nowhere) == [nowhere / ".keras/datasets/mnist.npz"]
        assert lh.load_dataset("auto").name == "mnist"
        assert asked == ["mnist.npz"]
    printed = capfd.readouterr()
    assert "MNIST, found in Keras' cache" in printed.out and printed.err == ""


def test_fashion_mnists_four_files_are_downloaded_and_keras_finds_them_too(nowhere, monkeypatch, capsys):
    with serving(fashion_like(), monkeypatch) as asked:
        fashion = lh.load_dataset("fashion_mnist")
        assert sorted(asked) == sorted(downloads._FILES["fashion_mnist"])
        assert {p.parent for p in kept_files(nowhere)} == {nowhere / ".keras/datasets/fashion-mnist"}
    (x_train, y_train), (x_test, y_test) = tf_keras.datasets.fashion_mnist.load_data()
    assert "Downloading" not in capsys.readouterr().out
    assert x_train.shape == (60_000, 28, 28) and (x_test == 200).all() and (y_train == 7).all()
    assert np.array_equal(fashion.test.labels, y_test) and (fashion.train.images == np.float32(200 / 255)).all()
    again = lh.load_dataset("fashion_mnist")  # without a server
    assert again.fingerprint == fashion.fingerprint


@pytest.mark.parametrize("make, spoilt", [(mnist_like, "mnist.npz"), (fashion_like, "t10k-labels-idx1-ubyte.gz")])
def test_a_damaged_file_in_the_cache_is_fetched_again_or_named(make, spoilt, nowhere, monkeypatch, capsys):
    bodies = make()
    name = "mnist" if "mnist.npz" in bodies else "fashion_mnist"
    folder = nowhere / ".keras/datasets" / ("" if name == "mnist" else "fashion-mnist")
    folder.mkdir(parents=True)
    for file, body in bodies.items():
        (folder / file).write_bytes(body)
    (folder / spoilt).write_bytes(bodies[spoilt][:-20])
    with serving(bodies, monkeypatch) as asked:
        server = downloads._SERVER
        monkeypatch.setattr(downloads, "_SERVER", "http://127.0.0.1:1/")
        with pytest.raises(ConnectionError, match=rf"{name} .* \({folder}/.*{spoilt}: not all of what was published"):
            lh.load_dataset(name)
        if name == "mnist":
            assert lh.load_dataset("auto").name == "digits" and f"{folder}/mnist.npz" in capsys.readouterr().out
        assert (folder / spoilt).read_bytes() == bodies[spoilt][:-20]  # nobody's file is thrown away for nothing
        monkeypatch.setattr(downloads, "_SERVER", server)
        assert lh.load_dataset(name).name == name
        assert asked == [spoilt] and (folder / spoilt).read_bytes() == bodies[spoilt]
        assert sorted(p.name for p in kept_files(folder)) == sorted(bodies)


def test_where_keras_home_cant_be_written_to_its_second_serves(nowhere, monkeypatch, capsys):
    (nowhere / ".keras").rmdir()
    with serving(mnist_like(), monkeypatch) as asked:
        for where in ("downloaded", "found in Keras' cache"):
            assert lh.load_dataset("auto").name == "mnist"
            assert f"MNIST, {where}" in capsys.readouterr().out
        assert kept_files(nowhere) == [nowhere / "second/datasets/mnist.npz"] and len(asked) == 1
    (nowhere / "second/datasets/mnist.npz").unlink()
    (nowhere / "second/datasets").rmdir()
    (nowhere / "second/datasets").write_text("a file where the folder must be")
    with serving(mnist_like(), monkeypatch), pytest.raises(ConnectionError, match="mnist .*second/datasets"):
        lh.load_dataset("mnist")


DOWNLOAD = """
import sys
import lotteryhelpers as lh
from lotteryhelpers.startup import downloads
downloads._SERVER, downloads._FILES["mnist"]["mnist.npz"] = sys.argv[1:]
print("begun", flush=True)
lh.load_dataset("mnist")
"""


@pytest.mark.parametrize("disabled", ["", "1"])
def test_an_interrupted_download_leaves_nothing_and_shows_its_progress_where_asked(disabled, nowhere, monkeypatch):
    with serving({"mnist.npz": os.urandom(200_000)}, monkeypatch, part=0.5, hang=True) as asked:
        arguments = [downloads._SERVER, downloads._FILES["mnist"]["mnist.npz"]]
        process = subprocess.Popen(
            [sys.executable, "-c", DOWNLOAD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=interruptible, env=os.environ | {"TQDM_DISABLE": disabled})  # fmt: skip
        assert process.stdout.readline() == "begun\n"
        while not asked:
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in errors
    assert ("200k" in errors) == (not disabled), errors
    assert kept_files(nowhere / ".keras/datasets") == []
