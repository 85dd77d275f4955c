"""Where things are, and what a test may need."""

import os
import pathlib
import signal

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MNIST_DIR = os.environ.get("LOTTERYHELPERS_DATA_DIR", "")
needs_mnist, needs_fashion_mnist = (
    pytest.mark.skipif(
        not pathlib.Path(MNIST_DIR or "none", f"{name}.npz").is_file(),
        reason=f"set LOTTERYHELPERS_DATA_DIR to the folder that holds {name}.npz",
    )
    for name in ("mnist", "fashion_mnist")
)


def required(condition, reason):
    """Skip a test that lacks a tool; where CI is set, conftest.py makes any skip a failure of the run."""
    if not condition:
        pytest.skip(reason)


def interruptible():
    """For ``preexec_fn``: where the tests run in a shell's background, SIGINT is ignored, by their children too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
