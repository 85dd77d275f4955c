"""The noise against its specification, and the layers against TFP's and Keras' own."""

import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import lotteryhelpers as lh
from lotteryhelpers import noise
from lotteryhelpers.networks import ESTIMATORS, Flipout, MaskedDense, build_network
from lotteryhelpers.posterior import put_posterior


@pytest.mark.parametrize(
    "counter, key, expected",
    [  # the known answers that Salmon et al. publish with Random123 (philox4x32, 7 rounds)
        ([0] * 4, [0] * 2, [0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A],
        ),
    ],
)
def test_philox_gives_the_published_answers(counter, key, expected):
    words = noise.philox([tf.constant([c], tf.uint32) for c in counter], [tf.constant(k, tf.uint32) for k in key])
    assert [int(w[0]) for w in words] == expected


@functools.cache
def compiled(function, shape, stream):
    return tf.function(lambda key, step: function(list(shape), key, step, stream), jit_compile=True)


def draw(function, shape, key=(5, 0), step=1, stream=0):
    return compiled(function, tuple(shape), stream)(tf.constant(key), tf.constant(step)).numpy()


def test_normals_are_standard_normal_and_never_infinite():
    many = np.concatenate([draw(noise.standard_normal, [784, 300], step=i).ravel() for i in range(20)])
    assert np.isfinite(many).all() and 4.5 < abs(many).max() < 6
    assert scipy.stats.kstest(many, "norm").pvalue > 1e-3
    assert abs(many.mean()) < 4 / np.sqrt(many.size) and abs(many.std() - 1) < 4 / np.sqrt(2 * many.size)


def test_signs_are_balanced_and_independent_between_images_and_columns():
    signs = np.concatenate([draw(noise.random_signs, [128, 300], step=i) for i in range(200)], axis=1)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    between_images = signs @ signs.T / signs.shape[1]
    off_diagonal = between_images[~np.eye(128, dtype=bool)]
    assert abs(signs.mean()) < 4 / np.sqrt(signs.size)
    assert abs(off_diagonal).max() < 5.5 / np.sqrt(signs.shape[1])


def test_the_signs_of_inputs_and_outputs_and_the_normals_are_drawn_apart():
    network = build_network(ESTIMATORS["flipout"], (64, 64))
    put_posterior(network, lh.draw_initial((64, 64), seed=4), [np.ones((64, 64), bool)], seed=9)
    normals, of_inputs, of_outputs = (np.sign(x.numpy()) for x in network.layers[0].draw_noise(64))
    for a, b in ((of_inputs, of_outputs), (normals, of_inputs), (normals, of_outputs)):
        assert abs((a * b).mean()) < 4 / np.sqrt(a.size)


def test_noise_differs_by_step_stream_layer_and_seed_and_repeats_else():
    base = draw(noise.standard_normal, [9, 7])
    assert np.array_equal(base, draw(noise.standard_normal, [9, 7]))
    for other in ({"step": 2}, {"stream": 1}, {"key": (5, 1)}, {"key": (6, 0)}):
        assert (
            abs(np.corrcoef(base.ravel(), draw(noise.standard_normal, [9, 7], **other).ravel())[0, 1]) < 0.6
        )


TFPS_OWN = {
    "flipout": tfp.layers.DenseFlipout,
    "local": tfp.layers.DenseLocalReparameterization,
    "shared": tfp.layers.DenseReparameterization,
}


def tfp_twin(estimator, layer, normals, input_signs, output_signs, monkeypatch, images):
    """TFP's own layer at the same parameters, made to use the given noise."""
    signs = iter([input_signs, output_signs])
    monkeypatch.setattr(
        "tensorflow_probability.python.layers.dense_variational.tfp_random.rademacher",
        lambda shape, dtype, seed: next(signs),
    )
    initializers = {
        "loc_initializer": tf_keras.initializers.Constant(layer.loc.numpy()),
        "untransformed_scale_initializer": tf_keras.initializers.Constant(layer.rho.numpy()),
    }

    def draw(normal):
        normal = getattr(normal, "distribution", normal)
        return normal.loc + normal.scale * normals  # Flipout asks for one whose loc is zero

    twin = TFPS_OWN[estimator](
        layer.units,
        activation="relu",
        kernel_posterior_fn=tfp.layers.default_mean_field_normal_fn(**initializers),
        kernel_posterior_tensor_fn=draw,
        bias_posterior_fn=tfp.layers.default_mean_field_normal_fn(
            is_singular=True, loc_initializer=tf_keras.initializers.Constant(layer.bias.numpy())
        ),
    )
    twin.build(images.shape)
    return twin


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:.*add_variable.* is deprecated")
def test_layers_equal_tfps_with_the_same_noise(estimator, monkeypatch):
    rng = np.random.default_rng(0)
    images = tf.constant(rng.random((50, 20)), tf.float32)
    target = tf.constant(rng.normal(size=(50, 12)), tf.float32)
    start = lh.draw_initial((20, 12), seed=4)
    network = build_network(ESTIMATORS[estimator], (20, 12))
    put_posterior(network, start, [np.ones((20, 12), bool)], seed=9)
    layer = network.layers[0]
    layer.activation = tf.nn.relu
    normals, *signs = layer.draw_noise(50)
    layer.calls.assign(0)  # so that the layer draws the same again
    if estimator == "local":  # a number for each image's unit
        normals = layer.draw_normals([50, 12])
        layer.calls.assign(0)
    twin = tfp_twin(estimator, layer, normals, *signs, monkeypatch, images)

    results = []
    for each in (layer, twin):
        with tf.GradientTape() as tape:
            output = each(images)
            loss = tf.reduce_sum(output * target)
            if estimator != "shared":  # TFP's layer of that name has its KL from the sample, not exact
                loss += 0.01 * each.losses[0]
        posterior_variables = each.trainable_variables
        gradients = tape.gradient(loss, posterior_variables)
        results.append([output, *gradients])
        if estimator != "shared":
            results[-1].append(each.losses[0])
    assert len(results[0]) == (4 if estimator == "shared" else 5)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)
    assert (results[0][0].numpy() > 0).any()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_are_those_of_the_expected_loss(estimator):
    """A linear layer with a squared loss: the expectation over the weights has a closed form."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(16, 5)).astype(np.float32), rng.normal(size=(16, 3)).astype(np.float32)
    posterior = lh.draw_initial((5, 3), seed=2)
    posterior = lh.Posterior(posterior.means, [10 * s for s in posterior.stddevs], [np.zeros(3)])
    network = build_network(ESTIMATORS[estimator], (5, 3))
    put_posterior(network, posterior, [np.ones((5, 3), bool)], seed=3)
    layer = network.layers[0]

    @tf.function(jit_compile=True)
    def draw():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.reduce_sum((y - network(x)) ** 2, axis=1)) / 2
        return tape.gradient(loss, [layer.loc, layer.rho])

    draws = [np.stack([g.numpy() for g in both]) for both in (draw() for _ in range(4000))]
    mean, stddev = posterior.means[0].astype(np.float64), posterior.stddevs[0].astype(np.float64)
    by_mean = -x.T @ (y - x @ mean) / 16
    by_rho = stddev * (x**2).mean(0)[:, None] * -np.expm1(-stddev)  # softplus' slope is 1 - exp(-softplus)
    expected, found = np.stack([by_mean, by_rho]), np.mean(draws, axis=0)
    z = (found - expected) / (np.std(draws, axis=0) / np.sqrt(len(draws)))
    assert abs(z).max() < 4.5  # 30 numbers, correlated; the seed is fixed
    assert abs(0.1 * expected / (np.std(draws, axis=0) / np.sqrt(len(draws)))).max() > 4.5  # a bias would show
    assert np.std(draws, axis=0).min() > 0


def test_local_reparameterisation_survives_an_image_of_zeros():
    network = build_network(ESTIMATORS["local"], (5, 3))
    put_posterior(network, lh.draw_initial((5, 3), seed=2), [np.ones((5, 3), bool)])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(np.zeros((4, 5), np.float32)) ** 2)
    gradients = tape.gradient(loss, network.trainable_variables[:2])
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_each_estimator_trains_and_repeats(estimator, digits):
    config = lh.TrainConfig(3, 64, 3e-3, seed=1)
    one, two = (lh.train_bayesian(digits, config, estimator=estimator, hidden=(16,)) for _ in range(2))
    assert one.history.nll.iloc[-1] < one.history.nll.iloc[0]
    assert np.array_equal(one.final.stddevs[0], two.final.stddevs[0])
    other = lh.train_bayesian(
        digits, config, hidden=(16,), estimator="local" if estimator == "flipout" else "flipout"
    )
    assert not np.array_equal(one.final.means[0], other.final.means[0])


def test_an_unknown_estimator_is_named(digits):
    with pytest.raises(ValueError, match="estimator='lrt' must be one of flipout, local, shared"):
        lh.train_bayesian(digits, lh.TrainConfig(1), estimator="lrt")


def test_another_call_draws_other_noise(small_run):
    images = np.full((5, 64), 0.5, np.float32)
    first, second = small_run.network(images).numpy(), small_run.network(images).numpy()
    assert not np.allclose(first, second)


def test_a_network_first_asked_for_inside_a_function_is_the_trained_one(digits, small_run):
    import dataclasses

    fresh = dataclasses.replace(small_run)  # its network has not been built yet
    draw = tf.function(lambda x: fresh.network(x))
    draws = np.mean([draw(digits.test.images[:50]).numpy() for _ in range(200)], axis=0)
    at_the_means = lh.mean_logits(small_run.network, digits.test.images[:50]).numpy()
    assert np.corrcoef(draws.ravel(), at_the_means.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("prior_stddev", [0.1, 1.0])
def test_kl_equals_the_closed_form_over_the_kept_weights(prior_stddev):
    start, mask = lh.draw_initial((30, 20), seed=1), np.random.default_rng(0).random((30, 20)) < 0.3
    network = build_network(Flipout, (30, 20))
    put_posterior(network, start, [mask], prior_stddev=prior_stddev)
    mean, stddev = start.means[0][mask].astype(float), start.stddevs[0][mask].astype(float)
    expected = np.log(prior_stddev / stddev) + (stddev**2 + mean**2) / (2 * prior_stddev**2) - 0.5
    np.testing.assert_allclose(network.layers[0].kl(), expected.sum(), rtol=1e-5)


def test_trainer_takes_kerass_own_first_steps(digits):
    """Ten steps of the compiled trainer against train_on_batch of a plain Keras network."""
    start = lh.draw_initial((64, 30, 20, 10), seed=2)
    config = lh.TrainConfig(epochs=1, batch_size=125, learning_rate=3e-3, seed=8)
    ticket = lh.train_ticket(digits, start, None, config)
    plain = tf_keras.Sequential(
        [tf_keras.layers.Dense(n, a) for n, a in ((30, "relu"), (20, "relu"), (10, None))]
    )
    plain.build([None, 64])
    plain.set_weights([array for pair in zip(start.means, start.biases, strict=True) for array in pair])
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile(tf_keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    order = lh.training.batch_order(1257, 125, seed=8, epoch=0)
    assert len(order) == 10 and len({*order.ravel()}) == order.size  # no image twice
    assert not np.array_equal(order, lh.training.batch_order(1257, 125, seed=8, epoch=1))
    for batch in order:
        plain.train_on_batch(digits.train.images[batch], digits.train.labels[batch])
    for ours, keras in zip(ticket.weights, plain.get_weights()[::2], strict=True):
        np.testing.assert_allclose(ours, keras, atol=2e-5)
        assert abs(keras - start.means[0][: len(keras), : keras.shape[1]]).max() > 1e-2
    np.testing.assert_allclose(
        ticket.test_accuracy, plain.evaluate(digits.test.images, digits.test.labels, verbose=0)[1], atol=3e-3
    )
    row, validation = ticket.history.iloc[-1], (digits.validation.images, digits.validation.labels)
    found = [row.validation_loss, row.validation_accuracy]
    np.testing.assert_allclose(found, plain.evaluate(*validation, verbose=0), atol=3e-3)


def test_bayesian_trainer_takes_the_steps_of_a_plain_loop(digits):
    """Three compiled steps against an eager loop over the same layers, gradients by hand for the scale."""
    start = lh.draw_initial((64, 16, 10), seed=2)
    config = lh.TrainConfig(epochs=1, batch_size=419, learning_rate=1e-2, seed=8)
    run = lh.train_bayesian(digits, config, initial=start, prior_stddev=0.5)
    network = build_network(Flipout, (64, 16, 10))
    put_posterior(network, start, [np.ones(m.shape, bool) for m in start.means], prior_stddev=0.5, seed=8)
    optimizer = tf_keras.optimizers.Adam(1e-2)
    for batch in lh.training.batch_order(1257, 419, seed=8, epoch=0):
        with tf.GradientTape() as tape:
            logits = network(digits.train.images[batch])
            nll = tf.nn.sparse_softmax_cross_entropy_with_logits(digits.train.labels[batch], logits)
            loss = tf.reduce_mean(nll) + sum(network.losses) / 1257
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
    for ours, layer in zip(run.final.means, network.layers, strict=True):
        np.testing.assert_allclose(ours, layer.loc, atol=2e-4)
    for ours, layer in zip(run.final.stddevs, network.layers, strict=True):
        np.testing.assert_allclose(ours, tf.nn.softplus(layer.rho), atol=2e-4)
    row = run.history.iloc[-1]
    kl = sum(float(layer.kl()) for layer in network.layers) / 1257
    assert row.kl == pytest.approx(kl, rel=1e-3) and row.loss == pytest.approx(row.nll + row.kl)


def test_networks_stay_ordinary_keras_models(digits, small_run):
    ticket = lh.train_ticket(digits, small_run.initial, None, lh.TrainConfig(2, 64))
    assert isinstance(ticket.network, tf_keras.Sequential)
    assert isinstance(small_run.network.layers[0], tfp.layers.DenseFlipout)
    score = ticket.network.evaluate(digits.test.images, digits.test.labels, verbose=0)[1]
    assert score == pytest.approx(ticket.test_accuracy, abs=1e-6)
    assert small_run.network.predict(digits.test.images, verbose=0).shape == (360, 10)
    assert isinstance(ticket.network.layers[0], MaskedDense)
