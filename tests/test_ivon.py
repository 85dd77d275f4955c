"""IVON: its step against plain NumPy and a closed form, and that its posterior is a posterior like any other."""

import numpy as np
import pytest
import tensorflow as tf

import lotteryhelpers as lh
from lotteryhelpers import noise as numbers
from lotteryhelpers.networks import build_network
from lotteryhelpers.papers.posteriors import NOISES, IvonStep
from lotteryhelpers.training import batch_order

DRAWS = {"normal": numbers.standard_normal, "signs": numbers.random_signs}
WITHOUT = {"none": lambda shape, *_: tf.zeros(shape)}


@pytest.fixture(scope="module")
def run(digits):
    config = lh.TrainConfig(20, 64, 3e-3, seed=3)
    return lh.train_ivon(digits, config, hidden=(32, 16), snapshots=(0, 1.5))


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("noise", NOISES)
def test_two_epochs_are_the_paper_s_loop_in_numpy_with_the_same_noise(noise, digits):
    config, rate, b2, prior = lh.TrainConfig(2, 300, 2e-3, seed=5), 0.04, 0.9, 0.5
    start = lh.draw_initial((64, 10), 5)
    masks = (np.random.default_rng(0).random((64, 10)) < 0.6,)
    run = lh.train_ivon(digits, config, initial=start, masks=masks, prior_stddev=prior, noise=noise, rate=rate, b2=b2)
    size, steps = len(digits.train.labels), 8
    delta = 1 / (size * prior**2)
    m, bias = np.where(masks[0], start.means[0], 0).astype(float), start.biases[0].astype(float)
    h = 1 / (size * np.where(masks[0], start.stddevs[0], prior).astype(float) ** 2) - delta
    average, one, two = 0.0, 0.0, 0.0
    batches = np.concatenate([batch_order(size, 300, 5, epoch) for epoch in range(2)])
    for t, batch in enumerate(batches, start=1):
        x, y = digits.train.images[batch], np.eye(10)[digits.train.labels[batch]]
        eps = (DRAWS | WITHOUT)[noise]((64, 10), tf.constant([5, 0]), t, 0).numpy()
        shift = masks[0] * eps / np.sqrt(size * (h + delta))
        error = (softmax(x @ (m + shift) + bias) - y) / len(x)
        g, g_bias = x.T @ error, error.sum(0)
        average = 0.9 * average + 0.1 * g
        f = size * (h + delta) * shift * g  # algorithm 1, line 5
        h = b2 * h + (1 - b2) * f + (1 - b2) ** 2 * (h - f) ** 2 / (2 * (h + delta))
        move = np.clip(rate * (average / (1 - 0.9**t) + delta * m) / (h + delta), -2e-3, 2e-3)
        m = (m - 0.5 * (1 + np.cos(np.pi * (t - 1) / steps)) * move) * masks[0]
        one, two = 0.9 * one + 0.1 * g_bias, 0.999 * two + 0.001 * g_bias**2
        bias -= 2e-3 * one / (1 - 0.9**t) / (np.sqrt(two / (1 - 0.999**t)) + 1e-7)  # Adam
    np.testing.assert_allclose(run.final.means[0], m, atol=2e-6)
    np.testing.assert_allclose(run.final.stddevs[0], masks[0] / np.sqrt(size * (h + delta)), rtol=1e-4)
    np.testing.assert_allclose(run.final.biases[0], bias, atol=2e-5)
    assert not np.allclose(run.final.stddevs[0], run.initial.stddevs[0], rtol=0.01)  # it had something to learn


@pytest.mark.parametrize("noise", DRAWS)
def test_on_a_linear_gaussian_model_it_finds_the_closed_form(noise):
    # The best factorised Gaussian has the precision's diagonal, N mean(x^2) + 1 / s^2, and the exact mean.
    rng, size, prior = np.random.default_rng(1), 200, 0.5
    x = (rng.normal(size=(size, 3)) @ np.array([[1, 0.4, 0], [0, 0.6, 0], [0, 0, 2.0]])).astype(np.float32)
    y = (x @ np.array([[0.5], [-1], [0.2]]) + rng.normal(size=(size, 1))).astype(np.float32)
    network, optimizer, delta, steps = build_network(NOISES[noise], (3, 1)), IvonStep(1.0), 1 / (size * prior**2), 200_000
    (layer,) = network.layers
    optimizer.build([layer.kernel])
    layer.kernel.assign(np.zeros((3, 1)))
    layer.precision.assign(np.ones((3, 1)) + delta)
    layer.settings.assign([size, delta, 0.05, 0.99995, steps])

    @tf.function(jit_compile=True)
    def train():
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                loss = 0.5 * tf.reduce_mean((y - layer(x)) ** 2)
            optimizer.apply_gradients([(tape.gradient(loss, layer.kernel), layer.kernel)])

    train()
    precision = x.T @ x + np.eye(3) / prior**2
    np.testing.assert_allclose(layer.scale()[:, 0], np.diag(precision) ** -0.5, rtol=0.01)
    np.testing.assert_allclose(layer.kernel, np.linalg.solve(precision, x.T @ y), atol=0.01)


def test_the_run_is_a_posterior_like_any_other(run, digits, tmp_path):
    images, labels = digits.test.tensors
    assert lh.accuracy(run.final.means, run.final.biases, digits.test) > 0.85
    assert list(run.snapshots) == [0, 1.5]
    assert all(np.array_equal(a, b) for a, b in zip(run.snapshots[0].means, run.initial.means, strict=True))
    run.save(tmp_path / "run.npz")
    back = lh.BayesianRun.load(tmp_path / "run.npz")
    for criterion in ("variance", "snr", "magnitude", "kl"):
        masks = lh.masks_for(run, criterion, 0.2)
        for a, b in zip(masks, lh.masks_for(back, criterion, 0.2), strict=True):
            assert np.array_equal(a, b)
    masks = lh.masks_for(run, "snr", 0.5)
    assert lh.train_ticket(digits, run.initial, masks, lh.TrainConfig(10, 64, 3e-3)).test_accuracy > 0.8
    one, two = run.network(images), run.network(images)  # a draw each, and noisy: chance is a tenth
    assert np.any(one != two) and np.mean(np.argmax(one, 1) == labels) > 0.4
    assert lh.train_bayesian(digits, lh.TrainConfig(1, 64), initial=run.final).history.kl.iloc[-1] > 0


def test_the_same_call_gives_the_same_bits_and_another_seed_others(digits):
    runs = [lh.train_ivon(digits, lh.TrainConfig(2, 64, seed=seed), hidden=(16,)) for seed in (1, 1, 2)]
    first, same, other = (run.final.stddevs[0] for run in runs)
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_what_is_pruned_stays_zero(digits):
    start = lh.draw_initial((64, 20, 10), 0)
    masks = lh.keep_fraction([np.random.default_rng(0).random(m.shape) for m in start.means], 0.3)
    run = lh.train_ivon(digits, lh.TrainConfig(3, 64), initial=start, masks=masks)
    for posterior in (run.initial, run.final):
        for mean, stddev, mask in zip(posterior.means, posterior.stddevs, masks, strict=True):
            assert not mean[~mask].any() and not stddev[~mask].any() and stddev[mask].all()
    assert all(np.array_equal(a, b) for a, b in zip(run.masks, masks, strict=True))


def test_a_start_that_stays_is_said(digits, capsys):
    kept = lh.train_ivon(digits, lh.TrainConfig(2, 64), hidden=(16,), b2=0.99999)
    said = capsys.readouterr().out
    assert "after 38 steps with b2=0.99999 the start weighs 1.00 in h; more steps, or b2 nearer to 0.92105," in said
    assert np.allclose(kept.final.stddevs[0], kept.initial.stddevs[0], rtol=1e-3)  # so it is
    lh.train_ivon(digits, lh.TrainConfig(2, 64), hidden=(16,))
    assert not capsys.readouterr().out
    lh.train_ivon(digits, lh.TrainConfig(1, 1000), hidden=(16,))
    assert "after 1 steps" in capsys.readouterr().out


@pytest.mark.parametrize("prior", [1e-5, np.int16(10), 1e18])
def test_a_prior_of_any_size_and_type_trains_to_finite_numbers_from_the_start_as_given(prior, digits):
    start = lh.draw_initial((64, 16, 10), 0)
    masks = lh.keep_fraction([np.random.default_rng(0).random(m.shape) for m in start.means], 0.5)
    config = lh.TrainConfig(1, 64)
    run = lh.train_ivon(digits, config, initial=start, masks=masks, prior_stddev=prior, snapshots=(0, 1))
    assert np.isfinite(run.history.validation_loss).all()
    plain = lh.train_ivon(digits, config, initial=start, masks=masks, prior_stddev=float(prior))
    assert all(np.array_equal(a, b) for a, b in zip(run.final.stddevs, plain.final.stddevs, strict=True))


def test_keras_own_floats_may_be_others(digits):
    import tf_keras

    tf_keras.backend.set_floatx("float64")
    try:
        run = lh.train_ivon(digits, lh.TrainConfig(1, 64), hidden=(11,))  # a network that nobody has compiled
    finally:
        tf_keras.backend.set_floatx("float32")
    assert np.isfinite(run.history.validation_loss).all()


@pytest.mark.parametrize("wrong, words", [
    ({"noise": "uniform"}, "noise='uniform' must be one of normal, signs, none"),
    ({"rate": 0}, "rate=0 must be a finite number above 0"),
    ({"b2": 1.0}, "b2=1.0 must be below 1, such as 0.84211"), ({"b2": -0.1}, "b2=-0.1 must be a finite number of at least 0"),
    ({"b2": True}, "b2=True must be"),
    ({"prior_stddev": -1}, "prior_stddev=-1 must be"), ({"hidden": 20}, "hidden=20 must be a tuple"),
    ({"snapshots": (2,)}, "snapshots has epoch 2"), ({"initializer": "zeros"}, "initializer='zeros' must be"),
])
def test_a_bad_argument_is_named(wrong, words, digits):
    with pytest.raises(ValueError, match=words):
        lh.train_ivon(digits, lh.TrainConfig(1, 64), **{"hidden": (16,)} | wrong)
