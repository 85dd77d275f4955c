"""The diagonal Laplace approximation against the exact Hessian and a closed form."""

import numpy as np
import pytest
import tensorflow as tf

import lotteryhelpers as lh
from lotteryhelpers.networks import logits
from lotteryhelpers.teaching.explorer import explore


def hessian_diagonal(weights, biases, images, labels):
    """Of the summed loss, by each weight: by automatic differentiation, twice."""
    variables = [tf.Variable(w) for w in weights]
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            found = logits(variables, biases, images)
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, found))
        gradients = inner.gradient(loss, variables)
    whole = [outer.jacobian(g, v, experimental_use_pfor=False).numpy() for g, v in zip(gradients, variables, strict=True)]
    return [np.diag(h.reshape(w.size, w.size)).reshape(w.shape) for h, w in zip(whole, weights, strict=True)]


@pytest.fixture(scope="module")
def tiny(digits):
    few = lh.load_dataset("digits", num_train=60)
    masks = lh.keep_fraction([np.random.default_rng(0).random(s) for s in ((64, 6), (6, 5), (5, 10))], 0.4)
    return few, lh.train_ticket(few, lh.draw_initial((64, 6, 5, 10), 1, "glorot"), masks, lh.TrainConfig(40, 20, 0.02))


def test_it_is_the_exact_hessian_s_diagonal(tiny):
    few, ticket = tiny
    run = lh.laplace(few, ticket, prior_stddev=0.7)
    exact = hessian_diagonal(ticket.weights, ticket.biases, *few.train.tensors)
    for stddev, h, mask in zip(run.final.stddevs, exact, ticket.masks, strict=True):
        np.testing.assert_allclose(stddev, np.where(mask, (h + 0.7**-2) ** -0.5, 0), rtol=1e-4)
    assert max(h.max() for h in exact) > 1  # the data say something


def test_on_a_linear_model_it_is_the_closed_form():
    # One layer, zero weights: every class has 1/10, so h = sum x^2 * 0.1 * 0.9, whatever the labels.
    few = lh.load_dataset("digits", num_train=200)
    zero = lh.Posterior([np.zeros((64, 10))], [np.zeros((64, 10))], [np.zeros(10)])
    ticket = lh.TicketRun(None, zero.means, zero.biases, [np.ones((64, 10), bool)], zero, {}, 0.1, 0, 0.1)
    (stddev,) = lh.laplace(few, ticket).final.stddevs
    h = 0.09 * (few.train.images.astype(np.float64) ** 2).sum(0)
    np.testing.assert_allclose(stddev, np.repeat((h + 1)[:, None] ** -0.5, 10, axis=1), rtol=1e-5)


def test_its_run_is_a_posterior_like_any_other(tiny, tmp_path):
    few, ticket = tiny
    run = lh.laplace(few, ticket)
    assert run.initial is ticket.initial
    for a, b in zip(run.masks, ticket.masks, strict=True):
        assert np.array_equal(a, b)
    masks = lh.masks_for(run, "variance", 0.2)
    assert all(not (m & ~of).any() for m, of in zip(masks, ticket.masks, strict=True))
    slider, counts, *_ = explore(few, run, lh.TrainConfig(1, 20)).children
    assert "of 384" in counts.value and slider.min < np.log10(run.final.variances[0][ticket.masks[0]].min()) < slider.max
    run.save(tmp_path / "run.npz")
    back = lh.BayesianRun.load(tmp_path / "run.npz")
    assert np.array_equal(back.final.stddevs[0], run.final.stddevs[0]) and back.history.equals(ticket.history)


def test_a_bad_argument_is_named(tiny):
    few, ticket = tiny
    with pytest.raises(ValueError, match="ticket is a Posterior; it must be what train_ticket gives"):
        lh.laplace(few, ticket.final)
    with pytest.raises(ValueError, match="prior_stddev=0 must be a finite number above 0"):
        lh.laplace(few, ticket, prior_stddev=0)
