"""Compact tickets: the same function, the same training, and the way back."""

import dataclasses
import pickle

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from common import MNIST_DIR, needs_mnist

import lotteryhelpers as lh
from lotteryhelpers.networks import MaskedDense, build_network, logits, put_weights

SIZES = (64, 32, 16, 10)


def masked_logits(weights, biases, masks, images):
    """The full-size network's own answer, through the model that a reader would use."""
    network = build_network(MaskedDense, (len(weights[0]), *(len(b) for b in biases)))
    put_weights(network, weights, biases, masks)
    return network.predict(images, verbose=0)


def random_masks(rng, keep, sizes=SIZES):
    return tuple(rng.random(s) < k for k, s in zip(keep, zip(sizes, sizes[1:], strict=False), strict=True))


def plain_logits(weights, biases, images):
    """The definition, in NumPy."""
    *hidden, last = zip(weights, biases, strict=True)
    for weight, bias in hidden:
        images = np.maximum(images @ weight + bias, 0)
    return images @ last[0] + last[1]


def check_way_back(small, weights, biases, masks):
    for layer, (weight, bias) in enumerate(zip(*small.restore(), strict=True)):
        assert np.array_equal(weight, np.where(masks[layer], weights[layer], 0))
        assert np.array_equal(bias, biases[layer])


def check_same_function(weights, biases, masks, images):
    small = lh.compact(weights, biases, masks)
    np.testing.assert_allclose(
        logits(small.weights, small.biases, images[:, small.kept[0]]), masked_logits(weights, biases, masks, images),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    check_way_back(small, weights, biases, masks)
    return small


@hypothesis.settings(max_examples=60, deadline=None, database=None)
@hypothesis.given(st.integers(0, 2**32 - 1), st.tuples(*[st.sampled_from([0.0, 0.002, 0.02, 0.1, 0.6])] * 3))
def test_any_mask_gives_the_same_function_and_the_way_back(digits, seed, keep):
    rng = np.random.default_rng(seed)
    start = lh.draw_initial(SIZES, seed)
    biases = [b * 5 for b in start.biases]  # constants that matter
    masks = random_masks(rng, keep)
    small = lh.compact(start.means, biases, masks)
    check_way_back(small, start.means, biases, masks)
    masked = [w * m for w, m in zip(start.means, masks, strict=True)]
    np.testing.assert_allclose(
        plain_logits(small.weights, small.biases, digits.test.images[:, small.kept[0]]),
        plain_logits(masked, biases, digits.test.images), rtol=1e-4, atol=1e-4,
    )  # fmt: skip


def test_what_is_dropped_is_what_does_not_matter():
    """By hand: unit 0 is a constant, unit 1 leads nowhere, unit 2 is alive; input 1 is read by no one."""
    weights = [np.array([[1.0, 1, 2], [1, 1, 1]]), np.array([[3.0, 0], [1, 1], [5, 7]])]
    masks = [np.array([[0, 1, 1], [0, 1, 0]], bool), np.array([[1, 0], [0, 0], [1, 1]], bool)]
    biases = [np.array([4.0, 1, -1]), np.array([0.5, 0.25])]
    finished = lh.compact(weights, biases, masks)
    assert [k.tolist() for k in finished.kept] == [[0], [2], [0, 1]]
    assert finished.biases[1].tolist() == [0.5 + 3 * 4, 0.25] and finished.weights[0].tolist() == [[2]]
    training = lh.compact(weights, biases, masks, for_training=True)
    assert [k.tolist() for k in training.kept] == [[0], [0, 2], [0, 1]]
    assert training.biases[1].tolist() == [0.5, 0.25] and training.weights[0].tolist() == [[0, 2]]
    assert training.masks[0].tolist() == [[False, True]]
    changed = finished.restore(biases=[finished.biases[0], finished.biases[1] + np.float32([1, 0])])[1]
    assert changed[0].tolist() == [4, 1, -1] and changed[1].tolist() == [1.5, 0.25]


def test_empty_layers_leave_a_constant_function(digits):
    start = lh.draw_initial(SIZES, 1)
    for empty in range(3):
        masks = [np.ones(m.shape, bool) for m in start.means]
        masks[empty][:] = False
        small = check_same_function(start.means, start.biases, masks, digits.test.images)
        assert small.sizes[-1] == 10 and small.sizes[: empty + 1] == (0,) * (empty + 1)


@pytest.mark.parametrize("density", [0.5, 0.2, 0.05])
def test_compact_training_takes_the_masked_networks_steps(digits, small_run, density):
    masks = list(lh.keep_fraction(lh.CRITERIA["variance"](small_run), density))
    masks[0][:, :3] = False  # three constant units: their biases learn all the same
    masks[1][:3, 0] = True
    config = lh.TrainConfig(3, 64, 3e-3, seed=5, evaluate_every=7)
    masked = lh.train_ticket(digits, small_run.initial, masks, config)
    small = lh.train_ticket(digits, small_run.initial, masks, config, compact=True)
    assert min(lh.compact(masked.weights, masked.biases, masks, for_training=True).sizes[:2]) < 64
    for one, other, start in zip(masked.biases, small.biases, small_run.initial.biases, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)
        assert abs(one - start).max() > 1e-2
    for one, other, mask in zip(masked.weights, small.weights, masks, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)
        assert not other[~mask].any() and one.shape == other.shape
    assert masked.biases[0][:3] != pytest.approx(small_run.initial.biases[0][:3])
    np.testing.assert_allclose(masked.history, small.history, atol=2e-2)
    first = slice(0, 1)  # seven steps: before rounding has grown
    np.testing.assert_allclose(masked.history[first], small.history[first], rtol=1e-5)
    assert small.test_accuracy == pytest.approx(masked.test_accuracy, abs=0.02)
    assert small.network.predict(digits.test.images, verbose=0).shape == (360, 10)


def test_compact_of_the_dense_network_is_the_dense_network(digits, small_run):
    config = lh.TrainConfig(1, 64)
    dense = lh.train_ticket(digits, small_run.initial, None, config)
    same = lh.train_ticket(digits, small_run.initial, None, config, compact=True)
    assert all(np.array_equal(a, b) for a, b in zip(dense.weights, same.weights, strict=True))


def test_the_best_step_is_the_one_that_was_tested(digits, small_run):
    """A long training at a high rate: the best validation loss lies before the end."""
    config = lh.TrainConfig(60, 64, 1e-2, seed=5)
    ticket = lh.train_ticket(digits, small_run.initial, None, config)
    steps_per_epoch = 1257 // 64
    assert ticket.best_step < 60 * steps_per_epoch
    assert ticket.best_step == ticket.history.step[ticket.history.validation_loss.idxmin()]
    until_best = dataclasses.replace(config, epochs=ticket.best_step // steps_per_epoch)
    again = lh.train_ticket(digits, small_run.initial, None, until_best)
    assert again.test_accuracy == ticket.test_accuracy_at_best


def test_a_compact_network_is_pickled(small_run):
    masks = lh.keep_fraction(lh.CRITERIA["snr"](small_run), 0.05)
    small = lh.compact(small_run.final.means, small_run.final.biases, masks)
    back = pickle.loads(pickle.dumps(small))
    for one, other in zip(small.restore(), back.restore(), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert back.sizes == small.sizes


def test_bad_arguments_are_named(small_run):
    weights, biases = small_run.final.means, small_run.final.biases
    masks = [np.ones(w.shape, bool) for w in weights]
    with pytest.raises(ValueError, match="masks have shapes"):
        lh.compact(weights, biases, masks[:2])
    with pytest.raises(ValueError, match=r"biases have shapes \[\(32,\), \(16,\)\] for weights"):
        lh.compact(weights, biases[:2], masks)
    with pytest.raises(
        ValueError, match="weights have shapes .* a layer's units must be the next one's inputs"
    ):
        lh.compact(weights[::-1], biases[::-1], masks[::-1])


@needs_mnist
def test_on_mnist_the_logits_agree_on_the_whole_test_set(monkeypatch):
    monkeypatch.setenv("LOTTERYHELPERS_DATA_DIR", MNIST_DIR)
    mnist = lh.load_dataset("mnist")
    run = lh.train_bayesian(mnist, lh.TrainConfig(1, seed=4))
    for density in (0.5, 0.02):
        masks = lh.keep_fraction(lh.CRITERIA["variance"](run), density)
        ticket = lh.train_ticket(mnist, run.initial, masks, lh.TrainConfig(1, seed=4))
        small = check_same_function(ticket.weights, ticket.biases, masks, mnist.test.images)
        assert sum(small.sizes) < (1194 if density > 0.1 else 1000)
        trained = lh.train_ticket(mnist, run.initial, masks, lh.TrainConfig(1, seed=4), compact=True)
        np.testing.assert_allclose(ticket.history, trained.history, rtol=2e-3)
