"""Learned supermasks: fixed weights, honest draws, the straight-through gradient, and that they learn."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

import lotteryhelpers as lh
from lotteryhelpers.networks import build_network
from lotteryhelpers.papers.supermasks import SupermaskDense

CONFIG = lh.TrainConfig(epochs=30, batch_size=64, learning_rate=0.1, seed=3)


@pytest.fixture(scope="module")
def constants():
    return lh.restart(lh.draw_initial((64, 300, 100, 10), 3, "glorot"), None, "constant")


def small_network(seed, sizes=(2, 3, 1)):
    rng = np.random.default_rng(seed)
    network = build_network(SupermaskDense, sizes)
    for layer in network.layers:
        layer.kernel.assign(rng.normal(size=layer.kernel.shape))
        layer.bias.assign(rng.normal(size=layer.bias.shape))
        layer.logit.assign(rng.normal(size=layer.kernel.shape))
        layer.key.assign([seed, layer.kernel.shape[0]])
        layer.activation = tf.identity  # then the output is linear in each single weight of the mask
    return network


def expected_output(network, logits, image):
    """The mean over all masks, by counting them."""
    p = [1 / (1 + np.exp(-np.float64(value))) for value in logits]
    sizes, total = [value.size for value in p], 0.0
    kernels = [layer.kernel.numpy().astype(np.float64) for layer in network.layers]
    biases = [layer.bias.numpy().astype(np.float64) for layer in network.layers]
    for bits in itertools.product((0.0, 1.0), repeat=sum(sizes)):
        masks = [
            b.reshape(v.shape)
            for b, v in zip(np.split(np.array(bits), np.cumsum(sizes)[:-1]), p, strict=True)
        ]
        chance = np.prod([np.where(b == 1, v, 1 - v).prod() for b, v in zip(masks, p, strict=True)])
        x = image.astype(np.float64)
        for kernel, mask, bias in zip(kernels, masks, biases, strict=True):
            x = x @ (kernel * mask) + bias
        total += chance * x.sum()
    return total


def test_the_gradient_is_that_of_the_expected_loss_where_it_is_linear_in_each_weight():
    network, image, draws = small_network(1), np.array([[0.7, -1.3]], np.float32), 20_000
    logits = [layer.logit for layer in network.layers]

    def one(_):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(image))
        return tape.gradient(loss, logits)

    many = tf.function(lambda: tf.map_fn(one, tf.range(draws), fn_output_signature=[tf.float32] * 2))
    many = [gradient.numpy() for gradient in many()]
    at = [value.numpy().astype(np.float64) for value in logits]
    for layer, gradients in enumerate(many):
        for place in np.ndindex(at[layer].shape):
            shifted = []
            for step in (1e-4, -1e-4):
                moved = [value.copy() for value in at]
                moved[layer][place] += step
                shifted.append(expected_output(network, moved, image))
            difference = (shifted[0] - shifted[1]) / 2e-4
            found = gradients[(slice(None), *place)]
            error = found.std() / np.sqrt(draws)
            assert abs(found.mean() - difference) < 4.5 * error + 1e-5


def test_draws_keep_each_weight_with_its_probability():
    layer = small_network(2, (6, 5, 4)).layers[0]
    many = tf.function(
        lambda: tf.map_fn(lambda _: layer.draw(), tf.range(4000), fn_output_signature=tf.float32)
    )
    drawn = np.round(many().numpy(), 5)
    p = tf.sigmoid(layer.logit).numpy()
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert (abs(drawn.mean(0) - p) < 4.5 * np.sqrt(p * (1 - p) / 4000)).all()
    together = np.corrcoef(drawn.reshape(4000, -1).T) - np.eye(30)
    assert abs(together).max() < 4.5 / np.sqrt(4000)


def test_rescaling_multiplies_by_all_over_kept():
    layer = small_network(3).layers[0]
    mask = np.array([[1, 0, 1], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(layer.masked(mask), layer.kernel.numpy() * mask)
    layer.rescale.assign(1.0)
    np.testing.assert_allclose(layer.masked(mask), layer.kernel.numpy() * mask * 2, rtol=1e-6)
    assert np.isfinite(layer.masked(np.zeros_like(mask)).numpy()).all()


@pytest.mark.parametrize("rescale", [False, True])
def test_a_supermask_learns_and_its_weights_never_move(digits, constants, rescale):
    run = lh.train_supermask(digits, constants, CONFIG, rescale=rescale)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(run.weights, constants.means, strict=True))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(run.biases, constants.biases, strict=True))
    chance = [lh.keep_counts([np.random.default_rng(s).random(m.shape) for m in run.masks],
                             [int(m.sum()) for m in run.masks]) for s in range(3)]  # fmt: skip
    by_chance = max(lh.accuracy(run.kernels(m), run.biases, digits.test) for m in chance)
    assert run.test_accuracy > by_chance + 0.3
    assert run.test_accuracy == lh.accuracy(run.kernels(run.masks), run.biases, digits.test)
    assert run.history.validation_accuracy.iloc[-1] == pytest.approx(
        lh.accuracy(run.kernels(run.masks), run.biases, digits.validation)
    )
    sampled = [lh.accuracy(run.kernels(run.sample(s)), run.biases, digits.test) for s in range(10)]
    assert run.test_accuracy_sampled == pytest.approx(np.mean(sampled))
    again = lh.train_supermask(digits, constants, CONFIG, rescale=rescale)
    assert all(
        a.tobytes() == b.tobytes() for a, b in zip(run.probabilities, again.probabilities, strict=True)
    )


def test_bad_arguments_are_named(digits, constants):
    with pytest.raises(ValueError, match="rescale=2 must be True or False"):
        lh.train_supermask(digits, constants, CONFIG, rescale=2)
    with pytest.raises(ValueError, match="initial has"):
        lh.train_supermask(digits, lh.draw_initial((8, 4, 10), 0), CONFIG)
