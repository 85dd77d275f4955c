"""Convolutions: against Keras' and TFP's own, and everything that is done with a network, done with them."""

import dataclasses
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from common import ROOT

import lotteryhelpers as lh
from lotteryhelpers.networks import ESTIMATORS, MaskedDense, build_network, logits
from lotteryhelpers.papers.convolutions import kernel_shapes, on_images
from lotteryhelpers.posterior import put_posterior
from lotteryhelpers.studies import shared
from lotteryhelpers.teaching.explorer import explore

sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
import contenders  # noqa: E402

SMALL = lh.Conv(6, 3, padding="same"), lh.Conv(16, 3, padding="same"), 32
CONFIG = lh.TrainConfig(6, 64, 3e-3, seed=3)


@pytest.fixture(scope="module")
def run(digits):
    return lh.train_bayesian(digits, CONFIG, hidden=SMALL, initializer="glorot", kl_weight=0.1, snapshots=(2,))


def in_keras_shapes(start):
    """Kernels and biases in turn, as Keras has them."""
    shapes = [(c.kernel, c.kernel, c.image[-1], c.units) for c in start.convs]
    kernels = [m.reshape(s) for m, s in zip(start.means, shapes, strict=False)] + [*start.means[len(shapes) :]]
    return [array for pair in zip(kernels, start.biases, strict=True) for array in pair]


@pytest.mark.parametrize("hidden", [lh.LENET_5, SMALL, (lh.Conv(3, 2, pool=1), lh.Conv(5, 4, pool=3, padding="same"), 7)])
def test_logits_are_those_of_kerass_layers(hidden):
    shape = (28, 28) if hidden is lh.LENET_5 else (9, 11)
    start = lh.draw_initial((shape, *hidden, 10), 0)
    keras, images = contenders.plain_keras(start), np.random.default_rng(1).random((20, np.prod(shape)), np.float32)
    keras.set_weights(in_keras_shapes(start))
    found = logits(start.means, start.biases, images, start.convs)
    np.testing.assert_allclose(found, keras(images), rtol=1e-4, atol=1e-5)


def test_lenet_5_is_the_classic_one():
    start = lh.draw_initial(((28, 28), *lh.LENET_5, 10), 0, "glorot")
    assert [m.shape for m in start.means] == [(25, 6), (150, 16), (400, 120), (120, 84), (84, 10)]
    assert sum(m.size for m in start.means) == 61_470 and sum(b.size for b in start.biases) == 236
    spreads = [2 / (25 + 25 * 6), 2 / (150 + 25 * 16), 2 / (400 + 120), 2 / (120 + 84), 2 / (84 + 10)]
    for mean, spread in zip(start.means, spreads, strict=True):  # what an input or unit is connected with
        assert mean.var() == pytest.approx(spread, rel=5 / np.sqrt(mean.size))


@pytest.mark.parametrize("masked", [False, True])
def test_training_takes_kerass_own_first_steps(masked, digits):
    start = lh.draw_initial((digits.image_shape, *SMALL, 10), 2, "glorot")
    masks = lh.keep_fraction([abs(m) for m in start.means], 0.3, convs=2) if masked else None
    config = lh.TrainConfig(1, 125, 3e-3, seed=8)
    ticket = lh.train_ticket(digits, start, masks, config)
    keras = contenders.plain_keras(ticket.initial)
    keras.set_weights(in_keras_shapes(ticket.initial))
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    keras.compile(tf_keras.optimizers.Adam(3e-3), loss)
    kept = in_keras_shapes(dataclasses.replace(ticket.initial, means=[m.astype(np.float32) for m in ticket.masks]))
    for batch in lh.training.batch_order(1257, 125, seed=8, epoch=0):
        keras.train_on_batch(digits.train.images[batch], digits.train.labels[batch])
        keras.set_weights([w * (m if w.ndim > 1 else 1) for w, m in zip(keras.get_weights(), kept, strict=True)])
    for ours, theirs in zip(in_keras_shapes(ticket.final), keras.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
    assert abs(ticket.final.means[0] - ticket.initial.means[0]).max() > 1e-3
    for weights, mask in zip(ticket.weights, ticket.masks, strict=True):
        assert not weights[~mask].any()
    assert lh.accuracy(ticket.weights, ticket.biases, digits.test, start.convs) == pytest.approx(ticket.test_accuracy)
    reader = ticket.network.evaluate(digits.test.images, digits.test.labels, verbose=0)[1]
    assert reader == pytest.approx(ticket.test_accuracy, abs=1e-6)


TFPS_OWN = {"flipout": tfp.layers.Convolution2DFlipout, "shared": tfp.layers.Convolution2DReparameterization}


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("estimator", TFPS_OWN)
@pytest.mark.filterwarnings("ignore:.*add_variable.* is deprecated")
def test_layers_equal_tfps_with_the_same_noise(estimator, padding, monkeypatch):
    """Two input channels: a sign an image and channel isn't one an image and pixel."""
    rng, conv = np.random.default_rng(0), lh.Conv(4, 3, pool=1, padding=padding)
    start = lh.draw_initial(((6, 7, 2), conv, 5), 4)
    images = tf.constant(rng.random((30, 84)), tf.float32)
    network = build_network(ESTIMATORS[estimator], start.sizes)
    put_posterior(network, start, [np.ones(m.shape, bool) for m in start.means], seed=9)
    layer, (conv,) = network.layers[0], start.convs
    target = tf.constant(rng.normal(size=(30, np.prod(conv.output))), tf.float32)
    normals, *signs = layer.draw_noise(30)
    layer.calls.assign(0)  # so that the layer draws the same again
    given = iter(s[:, 0, 0] for s in signs)
    monkeypatch.setattr("tensorflow_probability.python.layers.conv_variational.tfp_random.rademacher",
                        lambda shape, dtype, seed: tf.reshape(next(given), shape))  # fmt: skip
    filters = (3, 3, 2, 4)

    def draw(normal):
        normal = getattr(normal, "distribution", normal)
        return normal.loc + normal.scale * tf.reshape(normals, filters)

    constant = tf_keras.initializers.Constant
    twin = TFPS_OWN[estimator](
        4, 3, padding=padding, activation="relu", kernel_posterior_tensor_fn=draw,
        kernel_posterior_fn=tfp.layers.default_mean_field_normal_fn(
            loc_initializer=constant(layer.loc.numpy().reshape(filters)),
            untransformed_scale_initializer=constant(layer.rho.numpy().reshape(filters))),
        bias_posterior_fn=tfp.layers.default_mean_field_normal_fn(
            is_singular=True, loc_initializer=constant(layer.bias.numpy())))  # fmt: skip
    results = []
    for each, shaped in ((layer, images), (twin, tf.reshape(images, [-1, 6, 7, 2]))):
        with tf.GradientTape() as tape:
            output = tf.reshape(each(shaped), target.shape)
            loss = tf.reduce_sum(output * target)
            if estimator == "flipout":  # TFP's other layer has its KL from the sample, not exact
                loss += 0.01 * each.losses[0]
        results.append([output, *(tf.reshape(g, [-1]) for g in tape.gradient(loss, each.trainable_variables))])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=5e-5)
    assert len(results[0]) == 4 and (results[0][0].numpy() > 0).any()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_are_those_of_the_expected_loss(estimator):
    """One linear convolution with a squared loss: the expectation over the weights has a closed form."""
    rng = np.random.default_rng(1)
    start = lh.draw_initial(((4, 4, 2), lh.Conv(3, 2, pool=1), 2), 2)
    start = dataclasses.replace(start, stddevs=[8 * s for s in start.stddevs], biases=[np.zeros(3), np.zeros(2)])
    network = build_network(ESTIMATORS[estimator], start.sizes)
    put_posterior(network, start, [np.ones(m.shape, bool) for m in start.means], seed=3)
    layer, x = network.layers[0], rng.normal(size=(8, 32)).astype(np.float32)
    layer.activation = tf.identity
    y = rng.normal(size=(8, 27)).astype(np.float32)
    patches = tf.image.extract_patches(x.reshape(8, 4, 4, 2), [1, 2, 2, 1], [1] * 4, [1] * 4, "VALID").numpy()
    rows, wanted = patches.reshape(72, 8).astype(float), y.reshape(72, 3)

    @tf.function
    def draw():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((y - layer(x)) ** 2) / 16
        return tape.gradient(loss, [layer.loc, layer.rho])

    draws = [np.stack([g.numpy() for g in both]) for both in (draw() for _ in range(4000))]
    mean, stddev = start.means[0].astype(float), start.stddevs[0].astype(float)
    by_mean = -rows.T @ (wanted - rows @ mean) / 8
    by_rho = stddev * (rows**2).sum(0)[:, None] / 8 * -np.expm1(-stddev)
    expected, found, error = np.stack([by_mean, by_rho]), np.mean(draws, axis=0), np.std(draws, axis=0) / 4000**0.5
    assert abs((found - expected) / error).max() < 4.5  # 48 numbers, correlated; the seed is fixed
    assert abs(0.1 * expected / error).max() > 4.5  # a bias would show


def test_a_bayesian_one_learns_repeats_and_is_kept(run, digits, tmp_path):
    assert run.history.validation_accuracy.iloc[-1] > 0.85
    again = lh.train_bayesian(digits, CONFIG, hidden=SMALL, initializer="glorot", kl_weight=0.1)
    assert all(np.array_equal(a, b) for a, b in zip(run.final.stddevs, again.final.stddevs, strict=True))
    run.save(tmp_path / "run.npz")
    back = lh.BayesianRun.load(tmp_path / "run.npz")
    assert back.final.sizes == run.final.sizes == back.snapshots[2].sizes and back.initial.convs[1].image == (4, 4, 6)
    assert all(np.array_equal(a, b) for a, b in zip(run.final.means, back.final.means, strict=True))
    draws = np.mean([run.network(digits.test.images).numpy() for _ in range(30)], axis=0)
    at_the_means = lh.mean_logits(back.network, digits.test.images).numpy()
    assert np.corrcoef(draws.ravel(), at_the_means.ravel())[0, 1] > 0.9


def test_a_masked_bayesian_one_has_no_pruned_weights(run, digits):
    masks = lh.masks_for(run, "snr", 0.3)
    found = lh.train_bayesian(digits, lh.TrainConfig(1, 64), initial=run.initial, masks=masks)
    for mask, mean, stddev in zip(masks, found.final.means, found.final.stddevs, strict=True):
        assert not mean[~mask].any() and not stddev[~mask].any() and stddev[mask].all()


def test_a_kept_ticket_is_of_its_own_convolution(digits):
    """The two differ in what surrounds the image, and their kernels have the same shapes."""
    first = lh.draw_initial(((8, 8), lh.Conv(4, 3, 3), 10), 0, "glorot")
    other = dataclasses.replace(first, convs=[dataclasses.replace(first.convs[0], padding="same")])
    one, again, two = (shared.ticket(digits, start, None, CONFIG) for start in (first, first, other))
    assert one == again and one["test_accuracy"] != two["test_accuracy"]


OF_PIXELS = {"random_live", "pixel_variance"}


@pytest.mark.parametrize("name", sorted(lh.CRITERIA))
def test_every_criterion_makes_masks_or_says_that_it_looks_at_pixels(name, run, digits):
    dense = lh.train_ticket(digits, run.initial, None, lh.TrainConfig(1, 64))
    ask = {"dataset": digits, "dense": dense, "rng": np.random.default_rng(0)}
    if name in OF_PIXELS:
        with pytest.raises(ValueError, match="looks at pixels, and a convolution's weights belong to none"):
            lh.masks_for(run, name, 0.2, **ask)
    else:
        masks = lh.masks_for(run, name, 0.2, **ask)
        half = 0.2**lh.masks.HALF_RATE
        assert [int(m.sum()) for m in masks] == [round(d * m.size) for d, m in zip((half, half, 0.2, half), masks, strict=True)]


@pytest.mark.parametrize("scope", ["uniform", "global", "variance"])
def test_the_other_budgets_are_filled(scope, run):
    masks = lh.masks_for(run, "snr", 0.2, scope=scope)
    assert lh.density(masks).overall == pytest.approx(0.2, abs=1e-3)


def test_rounds_prune_convolutions_at_half_the_rate_and_go_on(run, digits):
    rounds = lh.iterative_magnitude_pruning(digits, run.initial, lh.TrainConfig(1, 64), rounds=2)
    first, _, last = rounds
    assert lh.prune(first.masks, lh.CRITERIA["magnitude"](first.ticket), 0.2, 2)[0].sum() == round(0.9 * 54) == rounds[1].masks[0].sum()
    assert last.density.layers == pytest.approx((0.81, 0.81, 0.64, 0.81), abs=0.02)
    by_posterior = lh.iterative_magnitude_pruning(digits, run.initial, lh.TrainConfig(1, 64), rounds=1, criterion="snr",
                                                  bayesian=lh.TrainConfig(1, 64), rewind_step=3)  # fmt: skip
    assert by_posterior[-1].masks[2].mean() == pytest.approx(0.8, abs=1e-3) and by_posterior[0].start.convs


def test_what_a_ticket_starts_from_and_its_pruned_weights(run, digits):
    masks = lh.masks_for(run, "snr", 0.2)
    for action in ("reinitialise", "reshuffle", "constant"):
        start = lh.restart(run.initial, masks, action, seed=5)
        assert start.convs == run.initial.convs and not np.array_equal(start.means[0], run.initial.means[0])
    frozen = lh.frozen_values(run, masks, "freeze")
    ticket = lh.train_ticket(digits, run.initial, masks, lh.TrainConfig(1, 64), frozen=frozen)
    assert np.array_equal(ticket.weights[0][~masks[0]], run.initial.means[0][~masks[0]])


@pytest.mark.parametrize("noise", ["normal", "signs", "none"])
def test_ivon_learns_too(noise, digits):
    found = lh.train_ivon(digits, lh.TrainConfig(30, 64, 3e-3), hidden=SMALL, initializer="glorot", noise=noise)
    assert found.history.validation_accuracy.iloc[-1] > 0.85
    assert lh.masks_for(found, "magnitude", 0.2)[0].sum() == round(54 * 0.2**lh.masks.HALF_RATE)


def test_a_supermask_learns_too(run, digits):
    start = lh.restart(run.initial, None, "constant")
    found = lh.train_supermask(digits, start, lh.TrainConfig(30, 64, 0.1), rescale=True)
    assert found.test_accuracy > 0.6 and [m.shape for m in found.masks] == [m.shape for m in start.means]
    assert lh.accuracy(found.kernels(found.masks), found.biases, digits.test, start.convs) == found.test_accuracy


def test_the_explorer_shows_a_filters_pixels(run, digits):
    box = explore(digits, run, lh.TrainConfig(1, 64))
    slider, counts, picture, button, said, _ = box.children
    assert "layer 4" in counts.value and picture.value[:4] == b"\x89PNG"
    button.click()
    assert said.value.startswith("Validation accuracy: dense")


def test_numpys_integers_are_kept_like_others(digits, tmp_path):
    hidden = (lh.Conv(np.int64(4), np.int32(3)), np.int64(8))
    run = lh.load_or_train_bayesian(digits, SHORT, hidden=hidden)
    run.save(tmp_path / "run.npz")
    assert lh.BayesianRun.load(tmp_path / "run.npz").final.convs == run.final.convs
    config = lh.train_ticket(digits, run.initial, None, SHORT).network.layers[0].get_config()
    config["conv"]["pool"] = 9  # a reader's own copy
    assert run.initial.convs[0].pool == 2


def test_a_keras_file_of_a_ticket_is_the_same_network(run, digits, tmp_path):
    ticket = lh.train_ticket(digits, run.initial, lh.masks_for(run, "snr", 0.2), lh.TrainConfig(1, 64))
    ticket.network.save(tmp_path / "ticket.keras")
    back = tf_keras.models.load_model(tmp_path / "ticket.keras", custom_objects={"MaskedDense": MaskedDense})
    images = digits.test.images[:9]
    np.testing.assert_allclose(back(images), ticket.network(images), atol=1e-6)


def test_images_of_another_size_are_refused_by_the_network(run):
    with pytest.raises(ValueError, match=r"expected shape=\(None, 64\), found shape=\(2, 49\)"):
        run.network(np.zeros((2, 49), np.float32))
    with pytest.raises(ValueError, match="expected axis -1 of input shape to have value 64"):
        run.network.layers[0](np.zeros((2, 49), np.float32))
    with pytest.raises(tf.errors.InvalidArgumentError):  # no image is cut into several
        lh.mean_logits(run.network, np.zeros((2, 128), np.float32))


def test_a_mask_that_lets_no_unit_through_is_refused(run, digits):
    """Two layers that keep weights, but the second reads only the filter that the first prunes whole."""
    masks = [np.ones(m.shape, bool) for m in run.initial.means]
    masks[0][:, 2] = False
    masks[1][:] = np.arange(54)[:, None] % 6 == 2
    with pytest.raises(ValueError, match="no path from an input through layer 2"):
        lh.train_ticket(digits, run.initial, masks, CONFIG)
    masks[1][0, 0] = True  # filter 0's first pixel
    assert lh.train_ticket(digits, run.initial, masks, lh.TrainConfig(1, 64)).masks[1].sum() == 9 * 16 + 1


def replaced(posterior, **parts):
    return dataclasses.replace(posterior, **parts)


SHORT = lh.TrainConfig(1, 64)
WRONG = {
    r"units=0 must be an integer": lambda d, r: lh.Conv(0),
    r"kernel=2.5 must be an integer": lambda d, r: lh.Conv(3, 2.5),
    r"pool=True must be an integer": lambda d, r: lh.Conv(3, pool=True),
    r"padding='full' must be one of valid, same": lambda d, r: lh.Conv(3, padding="full"),
    r"Conv\(units=3, kernel=9.*leaves nothing of such an image": lambda d, r: lh.train_bayesian(d, CONFIG, hidden=(lh.Conv(3, 9), 8)),
    r"kernel=4 has weights that read no pixel of \(2, 2, 3\)": lambda d, r: lh.draw_initial(
        ((8, 8), lh.Conv(3, 5, 4, "same"), lh.Conv(3, 4, 1, "same"), 10), 0),
    r"a Conv must come before the fully connected": lambda d, r: lh.train_bayesian(d, CONFIG, hidden=(8, lh.Conv(3))),
    r"before a Conv the images' shape is needed": lambda d, r: lh.draw_initial((64, lh.Conv(3), 10), 0),
    r"64, .*before a Conv the images' shape is needed": lambda d, r: lh.draw_initial((64, lh.Conv(3, 3, image=(9, 9, 1)), 10), 0),
    r"images of the shape \(64,\): a Conv needs": lambda d, r: lh.draw_initial(((64,), lh.Conv(3, 3), 10), 0),
    r"\[.*\]: a Conv must come before": lambda d, r: lh.draw_initial(((8, 8), lh.Conv(3, 3)), 0),
    r"a layer's units must be the next one's inputs": lambda d, r: replaced(r.initial, convs=r.initial.convs[:1]),
    r"convs=\('x',\) must be Convs": lambda d, r: replaced(r.initial, convs=("x",)),
    r"images of the shape \(\): a Conv needs": lambda d, r: replaced(r.initial, convs=(lh.Conv(6, 3),)),
    r"must be Convs, the image of each what the one before gives": lambda d, r: replaced(
        r.initial, convs=(r.initial.convs[0], dataclasses.replace(r.initial.convs[1], image=(2, 8, 6)))),
    r"initial has \(64, 10, \(8, 8, 1\)\).* needs \(64, 10, \(4, 16, 1\)\)": lambda d, r: lh.train_ticket(
        replaced(d, image_shape=(4, 16)), r.initial, None, SHORT),
    r"compact=True: initial has .* convolutions can't be made compact": lambda d, r: lh.train_ticket(
        d, lh.draw_initial(((8, 8), lh.Conv(6, 3, 1), lh.Conv(8, 1, 6), 10), 0), None, SHORT, compact=True),
    r"ticket has the convolutions .* laplace knows none": lambda d, r: lh.laplace(d, lh.train_ticket(d, r.initial, None, SHORT)),
    r"looks at pixels, and a convolution's": lambda d, r: lh.masks_for(
        lh.train_bayesian(d, SHORT, hidden=(lh.Conv(4, 8, 4, "same"), 8)), "random_live", 0.3, dataset=d, rng=np.random.default_rng(0)),
    r"convs=-1 must be an integer from 0 to 3": lambda d, r: lh.keep_fraction(r.final.means, 0.2, convs=-1),
    r"convs=True must be an integer": lambda d, r: lh.keep_fraction(r.final.means, 0.2, scope="global", convs=True),
    r"convs=4 must be an integer from 0 to 3": lambda d, r: lh.prune(None, r.final.means, 0.2, 4),
}  # fmt: skip


@pytest.mark.parametrize("says", WRONG)
def test_what_cannot_be_says_so(says, digits, run):
    with pytest.raises(ValueError, match=says):
        WRONG[says](digits, run)


def test_sizes_are_told_what_they_read():
    sizes = on_images(((28, 28), *lh.LENET_5, 10))
    assert sizes[0] == 784 and [c.image for c in sizes[1:3]] == [(28, 28, 1), (14, 14, 6)]
    assert on_images(sizes) == sizes and kernel_shapes(sizes)[2] == (400, 120)
    assert on_images((784, 300, 10)) == (784, 300, 10)
