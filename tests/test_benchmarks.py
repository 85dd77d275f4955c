"""The benchmark's contenders really train the same network, and a missing one is named."""

import importlib.util
import sys

import numpy as np
import pytest
from common import ROOT

import lotteryhelpers as lh

sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
import bench  # noqa: E402
import contenders  # noqa: E402

SIZES = (64, 12, 10)
HAS_TORCH = (
    importlib.util.find_spec("torch") is not None and importlib.util.find_spec("bayesian_torch") is not None
)


@pytest.fixture(scope="module")
def start():
    return lh.draw_initial(SIZES, 0)


@pytest.mark.filterwarnings("ignore:The initializer RandomNormal is unseeded")
@pytest.mark.filterwarnings("ignore:.*add_variable.* is deprecated")
def test_keras_contenders_learn(digits, start, monkeypatch):
    monkeypatch.setattr(contenders, "BATCH", 32)
    small = lh.draw_initial((digits.image_shape, lh.Conv(6, 3, padding="same"), 12, 10), 0)
    for network in (contenders.plain_keras(start), contenders.tfp_network(digits, start),
                    contenders.plain_keras(small), contenders.tfp_network(digits, small)):  # fmt: skip
        run = contenders.keras_run(network, digits)
        run(30)
        accuracy = network.evaluate(digits.test.images, digits.test.labels, verbose=0)[1]
        assert accuracy > 0.6


def test_the_steps_of_our_own_way_end_at_the_same_network(digits, start):
    """With and without XLA, with the mask here or there: one training."""
    ends = []
    for layer_class, jit in (
        (contenders.MaskedDense, True), (contenders.MaskedDense, False), (contenders.MaskInForwardPass, True)
    ):  # fmt: skip
        trainer = contenders.Trainer(layer_class, SIZES)

        def prepare(network):
            for layer, mean, bias in zip(network.layers, start.means, start.biases, strict=True):
                layer.kernel.assign(mean)
                layer.bias.assign(bias)

        contenders.with_trainer(trainer, digits, prepare, jit=jit)(2)
        ends.append(trainer.network.layers[0].mean_kernel)
    for other in ends[1:]:
        np.testing.assert_allclose(ends[0], other, atol=1e-4)


def test_our_bayesian_variants_end_at_the_same_posterior(digits, start):
    """Same noise, same steps: only where the time goes differs."""
    ends = []
    for layer_class in (contenders.Flipout, contenders.PlainSoftplus, contenders.KlValue):
        trainer = contenders.Trainer(layer_class, SIZES)
        masks = [np.ones(m.shape, bool) for m in start.means]

        def prepare(network, masks=masks):
            contenders.put_posterior(network, start, masks)

        contenders.with_trainer(trainer, digits, prepare, kl_weight=1.0)(2)
        ends.append([layer.loc.numpy() for layer in trainer.network.layers]
                    + [layer.scale().numpy() for layer in trainer.network.layers])  # fmt: skip
    for other in ends[1:]:
        for ours, theirs in zip(ends[0], other, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert abs(ends[0][0] - start.means[0]).max() > 1e-2


def test_the_products_are_those_of_a_training(digits, start):
    contenders.products(digits, start)(1)
    assert bench.floor({"the matrix products alone": {"median": 1.0}, "normals a": {"median": 0.5},
                        "normals b": {"median": 0.25}}) == (  # fmt: skip
        "the floor, 2.250 s: twice the products and normals b", 2.25)  # fmt: skip


def test_a_missing_peer_is_named_and_a_missed_target_is_said(digits, start, monkeypatch):
    def not_there(dataset, start):
        raise ImportError("No module named 'torch'")

    monkeypatch.setattr(bench, "REST", 0)
    report = bench.Report()
    ours = {"ours": contenders.our_dense, "torch": not_there, "slow": lambda d, s: lambda epochs: None}
    bench.group(
        report, "Title", ours, (digits, start), 1, "ours", [("torch", "at least", 2), ("slow", "at least", 2)]
    )
    text = report.text.getvalue()
    assert "Missing: torch (No module named 'torch')." in text
    assert "| torch | at least 2 | not measured | missing |" in text
    assert "| **not reached** |" in text


def test_random_data_stands_in_for_mnist_and_says_so(monkeypatch):
    def nowhere(name):
        raise ConnectionError("no network")

    monkeypatch.setattr(lh, "load_dataset", nowhere)
    dataset, kind = bench.load(lh)
    assert dataset.train.images.shape == (55_000, 784) and "random data" in kind


if HAS_TORCH:  # make test installs no PyTorch; make bench does

    @pytest.mark.filterwarnings("ignore")
    def test_torch_contenders_learn(digits, start, monkeypatch):
        import torch

        monkeypatch.setattr(contenders, "BATCH", 32)
        networks = []
        keep = contenders.torch_network
        monkeypatch.setattr(contenders, "torch_network", lambda *a: networks.append(keep(*a)) or networks[-1])
        for make in (contenders.torch_dense, contenders.torch_bayesian):
            make(digits, start)(60)
            with torch.no_grad():
                guess = networks[-1][1](torch.tensor(digits.test.images)).argmax(1).numpy()
            assert (guess == digits.test.labels).mean() > 0.5
