"""Where things are, and what a test may need."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MNIST_DIR = os.environ.get("LOTTERYHELPERS_DATA_DIR", "")
needs_mnist = pytest.mark.skipif(
    not pathlib.Path(MNIST_DIR or "none", "mnist.npz").is_file(),
    reason="no MNIST: set LOTTERYHELPERS_DATA_DIR to the folder that holds mnist.npz",
)
