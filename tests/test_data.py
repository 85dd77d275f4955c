"""The data sets, the search for them, bad files, and downloads that hang or break off."""

import contextlib
import hashlib
import http.server
import os
import pathlib
import socket
import threading
import time
import urllib.request

import numpy as np
import pytest
import tf_keras
from common import MNIST_DIR, needs_mnist

import lotteryhelpers as lh
from lotteryhelpers import data


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data folder, an empty home, and no memory of earlier proxies."""
    monkeypatch.delenv(data.DATA_DIR, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras").mkdir()
    monkeypatch.setattr(urllib.request, "_opener", None)
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
    images = {"x_train": (60_000, 28, 28), "x_test": (10_000, 28, 28)}
    made = {name: rng.integers(0, 256, shape, dtype=np.uint8) for name, shape in images.items()}
    return made | {f"y_{k}": rng.integers(0, 10, n, dtype=np.uint8) for k, n in data._LENGTHS.items()}


def wrong(**changes):
    arrays = whole_arrays()
    return arrays | {name: change(arrays[name]) for name, change in changes.items()}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x_train": lambda a: a[:500]}, r"x_train has shape \(500, 28, 28\); it must be \(60000, 28, 28\)"),
        ({"y_test": lambda a: a[:9]}, r"y_test has shape \(9,\)"),
        ({"x_test": lambda a: a.astype(float)}, "x_test has type float64; it must be uint8"),
        ({"y_train": lambda a: a + np.uint8(3)}, "y_train has labels up to 12; they must be 0 to 9"),
        ({"x_train": lambda a: a // 255}, "x_train has values up to 1; they must reach over 0 to 255"),
    ],
)
def test_a_file_that_is_not_mnist_is_refused_by_name(change, message, tmp_path, monkeypatch):
    np.savez(tmp_path / "mnist.npz", **wrong(**change))
    monkeypatch.setenv(data.DATA_DIR, str(tmp_path))
    for name in ("mnist", "auto"):  # auto doesn't fall back silently either
        with pytest.raises(ValueError, match=rf"mnist\.npz: {message}"):
            lh.load_dataset(name)


def test_other_arrays_truncated_and_missing_folders_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(data.DATA_DIR, str(tmp_path))
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
    monkeypatch.setenv(data.DATA_DIR, str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="LOTTERYHELPERS_DATA_DIR=.*gone' is not a folder"):
        lh.load_dataset("mnist")


@contextlib.contextmanager
def silent_server():
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def refused():
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
    return contextlib.nullcontext(address)


@pytest.mark.parametrize("network", [silent_server, refused])
def test_without_a_network_auto_takes_the_digits_soon_and_says_why(network, nowhere, monkeypatch, capsys):
    with network() as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        started = time.monotonic()
        assert lh.load_dataset("auto").name == "digits"
        assert time.monotonic() - started < 10  # the requirement itself
        assert "digits, because mnist is not at hand and can't be downloaded" in capsys.readouterr().out
        with pytest.raises(ConnectionError, match=r"put mnist\.npz, in Keras' format, into the folder"):
            lh.load_dataset("mnist")


@contextlib.contextmanager
def serving(body, monkeypatch, *, part=1.0, hang=False, digest=None):
    """A real server in place of Keras' own; it may stop sending in the middle.

    The file in the data folder may be packed otherwise than Keras' own, so its hash may be given.
    """
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(body[: int(part * len(body))])
            self.wfile.flush()
            if hang:
                done.wait(30)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/mnist.npz"
    get_file = tf_keras.utils.get_file
    monkeypatch.setattr(data, "_DOWNLOADS_FROM", address)
    monkeypatch.setattr(
        "tf_keras.src.datasets.mnist.get_file",
        lambda path, origin, file_hash, **options: get_file(
            path, origin=address, file_hash=digest or file_hash, **options
        ),
    )
    monkeypatch.setattr(data, "_STALL_SECONDS", 1)
    try:
        yield
    finally:
        done.set()
        server.shutdown()
        server.server_close()


def kept_files(home):
    return [p for p in home.rglob("*") if p.is_file()]


@pytest.mark.parametrize("hang", [False, True])
def test_a_download_that_breaks_off_or_hangs_leaves_nothing(hang, nowhere, monkeypatch, capsys):
    with serving(os.urandom(200_000), monkeypatch, part=0.5, hang=hang):
        with pytest.raises(ConnectionError, match="mnist is not at hand and can't be downloaded"):
            lh.load_dataset("mnist")
        assert kept_files(nowhere) == []
        assert lh.load_dataset("auto").name == "digits"
    assert socket.getdefaulttimeout() is None


def test_a_download_of_something_else_is_not_taken_for_mnist(nowhere, monkeypatch, capsys):
    with serving(b"sign in to this wireless network", monkeypatch):
        with pytest.raises(ConnectionError, match="file hash does not match"):
            lh.load_dataset("mnist")


@needs_mnist
def test_a_whole_download_is_kept_and_found_again(nowhere, monkeypatch, capsys):
    body = pathlib.Path(MNIST_DIR, "mnist.npz").read_bytes()
    with serving(body, monkeypatch, digest=hashlib.sha256(body).hexdigest()):
        assert lh.load_dataset("auto").name == "mnist"
        assert "MNIST, downloaded" in capsys.readouterr().out
        monkeypatch.setattr(data, "_DOWNLOADS_FROM", "http://127.0.0.1:1/")  # no network any more
        assert lh.load_dataset("auto").name == "mnist"
    assert "MNIST, found in Keras' cache" in capsys.readouterr().out
