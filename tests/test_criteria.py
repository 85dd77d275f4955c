"""Criteria and controls: each is its formula, and does what its name says."""

import numpy as np
import pytest
import tensorflow as tf

import lotteryhelpers as lh
from lotteryhelpers.networks import logits


@pytest.fixture(scope="module")
def extras(digits, small_run):
    dense = lh.train_ticket(digits, small_run.initial, None, lh.TrainConfig(3, 64, 3e-3, seed=3))
    return {"dataset": digits, "dense": dense, "rng": np.random.default_rng(1), "prior_stddev": 0.3}


def test_criteria_are_their_formulas(small_run, extras):
    final, initial = small_run.final, small_run.initial
    m, s, m0, s0 = (
        a.astype(np.float64) for a in (final.means[1], final.stddevs[1], initial.means[1], initial.stddevs[1])
    )
    formulas = {
        "variance": -(s**2), "snr": abs(m) / s, "magnitude": abs(m), "movement": abs(m - m0),
        "rms": np.sqrt(m**2 + s**2), "log_alpha": -np.log(s**2 / m**2), "inverted": s**2, "untrained": -(s0**2),
        "dense_magnitude": abs(extras["dense"].weights[1]),
        "kl": np.log(0.3 / s) + (s**2 + m**2) / (2 * 0.3**2) - 0.5,
        "large_final": abs(m), "small_final": -abs(m), "large_init": abs(m0),
        "magnitude_increase": abs(m) - abs(m0),
    }  # fmt: skip
    others = {f"{name}_same_sign" for name in ("large_final", "magnitude_increase", "variance", "snr")}
    assert set(lh.CRITERIA) == {*formulas, *others, "snip", "random", "random_live", "shuffled", "shuffled_rows", "pixel_variance"}
    for name, formula in formulas.items():
        np.testing.assert_allclose(
            lh.CRITERIA[name](small_run, **extras)[1], formula, rtol=1e-4, atol=1e-5, err_msg=name
        )
        assert lh.CRITERIA[name].__doc__


@pytest.mark.parametrize("name", ["large_final", "magnitude_increase", "variance", "snr"])
def test_same_sign_puts_the_flipped_last_and_keeps_both_orders(small_run, name):
    plain, signed = lh.CRITERIA[name](small_run), lh.CRITERIA[f"{name}_same_sign"](small_run)
    for layer, (before, after) in enumerate(zip(plain, signed, strict=True)):
        same = np.sign(small_run.initial.means[layer]) == np.sign(small_run.final.means[layer])
        assert 0.5 < same.mean() < 1
        assert after[~same].max() < min(
            score[np.sign(a) == np.sign(b)].min()
            for score, a, b in zip(signed, small_run.initial.means, small_run.final.means, strict=True)
        )  # of all layers
        for side in (same, ~same):
            assert (np.argsort(before[side], kind="stable") == np.argsort(after[side], kind="stable")).all()


def test_kl_is_the_one_that_the_layers_report(digits, small_run):
    """Summed over the weights it is the history's KL, which the network computes."""
    nats = sum(float(s.sum(dtype=np.float64)) for s in lh.CRITERIA["kl"](small_run))
    assert nats / len(digits.train.labels) == pytest.approx(small_run.history.kl.iloc[-1], rel=1e-4)


def test_log_alpha_ranks_as_snr_does(small_run):
    for scope in ("layer", "global"):
        a, b = (lh.masks_for(small_run, name, 0.3, scope=scope) for name in ("log_alpha", "snr"))
        assert lh.jaccard(a, b) > 0.999  # but for weights that float32 can't tell apart


def test_snip_is_the_loss_gradient_times_the_weight(digits, small_run):
    """Against a difference quotient: what scaling one weight by 1 +- h does to the loss."""
    scores = lh.CRITERIA["snip"](small_run, dataset=digits)
    images, labels = digits.train.tensors
    start = small_run.initial

    def loss(layer, place, factor):
        kernels = [m.astype(np.float64) for m in start.means]
        kernels[layer][place] *= factor
        out = logits(kernels, [b.astype(np.float64) for b in start.biases], tf.cast(images, tf.float64))
        return float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, out)))

    for layer, score in enumerate(scores):
        for place in (np.unravel_index(score.argmax(), score.shape), (score.shape[0] // 2, 3)):
            slope = (loss(layer, place, 1 + 1e-4) - loss(layer, place, 1 - 1e-4)) / 2e-4
            assert score[place] == pytest.approx(abs(slope), rel=1e-2, abs=1e-7)


def test_random_live_keeps_dead_pixels_only_when_nothing_else_is_left(small_run, digits):
    dead = digits.train.images.max(axis=0) == 0
    assert 0 < dead.sum() < 64
    for scope in ("layer", "global"):
        kept = lh.masks_for(
            small_run, "random_live", 0.5, scope=scope, dataset=digits, rng=np.random.default_rng(0)
        )
        assert not kept[0][dead].any() and kept[0].any(axis=1)[~dead].all()
        if scope == "global":
            assert lh.density(kept).layers[1] == pytest.approx(0.55, abs=0.08), (
                "live weights of all layers are alike"
            )
    kept = lh.masks_for(small_run, "random_live", 0.99, dataset=digits, rng=np.random.default_rng(0))
    assert kept[0][~dead].all() and kept[0][dead].any()


def test_shuffled_has_the_variances_counts_and_a_random_choice(small_run):
    real = lh.masks_for(small_run, "variance", 0.2, scope="global")
    shuffled = lh.masks_for(small_run, "shuffled", 0.2, scope="global", rng=np.random.default_rng(0))
    assert [m.sum() for m in real] == [m.sum() for m in shuffled]
    for layer in (0, 1):
        d = real[layer].mean()
        assert lh.jaccard(real[layer : layer + 1], shuffled[layer : layer + 1]) == pytest.approx(
            d / (2 - d), abs=0.06
        )


def test_shuffled_rows_have_the_variances_counts_in_each_row(digits, small_run):
    rng = np.random.default_rng(0)
    for real, other in zip(*(lh.CRITERIA[name](small_run, rng=rng) for name in ("variance", "shuffled_rows")), strict=True):
        cut = np.quantile(real, 0.8)
        other = -(other**2)  # deviations there, variances here
        assert ((real > cut).sum(1) == (other > cut).sum(1)).all() and ((real > cut) != (other > cut)).any()


def test_pixel_variance_draws_by_the_images_and_by_nothing_else(digits, small_run):
    masks = [lh.masks_for(small_run, "pixel_variance", 0.1, dataset=digits, rng=np.random.default_rng(n)) for n in range(20)]
    shares = np.mean([m[0].mean(1) for m in masks], axis=0)
    variances = digits.train.images.var(axis=0)
    assert np.corrcoef(shares, variances)[0, 1] > 0.9 and shares[variances < 1e-6].max(initial=0) == 0
    assert 0.05 < np.mean([m[1].mean(1) for m in masks], axis=0).min()  # in the other layers chance


def test_both_shufflings_leave_out_what_an_earlier_mask_pruned(digits, small_run):
    masks = lh.masks_for(small_run, "magnitude", 0.5)
    run = lh.train_bayesian(digits, lh.TrainConfig(2, 64, seed=3), initial=small_run.initial, masks=masks)
    real, shuffled, rows = (
        lh.masks_for(run, name, 0.3, scope="global", rng=np.random.default_rng(0))
        for name in ("variance", "shuffled", "shuffled_rows")
    )
    assert [m.sum() for m in real] == [m.sum() for m in shuffled]
    assert all((~new | old).all() for new, old in zip((*shuffled, *rows), masks * 2, strict=True))
    for by_variance, by_chance in zip(real, rows, strict=True):
        assert (by_variance.sum(1) == by_chance.sum(1)).all() and (by_variance != by_chance).any()


def test_scopes_share_out_as_they_say(small_run):
    sizes = [m.size for m in small_run.final.means]
    for density in (0.5, 0.2):
        uniform = lh.masks_for(small_run, "snr", density, scope="uniform")
        assert [m.sum() for m in uniform] == [round(density * n) for n in sizes]
        by_variance = lh.masks_for(small_run, "snr", density, scope="variance")
        threshold = lh.variance_masks(small_run.final, lh.variance_quantile(small_run.final, density))
        assert [m.sum() for m in by_variance] == [m.sum() for m in threshold]
        assert lh.jaccard(by_variance, threshold) < 0.9
        same = lh.masks_for(small_run, "variance", density, scope="variance")
        assert lh.jaccard(same, threshold) == 1
        everywhere = lh.masks_for(small_run, "snr", density, scope="global")
        assert sum(m.sum() for m in everywhere) == round(density * sum(sizes))
    with pytest.raises(ValueError, match="scope='unit' must be one of layer, uniform, global, variance"):
        lh.masks_for(small_run, "snr", 0.5, scope="unit")


@pytest.mark.parametrize(
    ("name", "missing"),
    [("dense_magnitude", "dense"), ("snip", "dataset"), ("random", "rng"), ("random_live", "dataset"),
     ("random_live", "rng"), ("shuffled", "rng")],
)  # fmt: skip
def test_what_a_criterion_misses_is_named(name, missing, small_run, extras):
    with pytest.raises(ValueError, match=f"criterion '{name}' needs {missing}="):
        lh.CRITERIA[name](small_run, **extras | {missing: None})


def test_jaccard_is_the_overlap():
    a = [np.array([[True, False], [True, True]])]
    b = [np.array([[True, True], [False, False]])]
    assert lh.jaccard(a, b) == 1 / 4 and lh.jaccard(a, a) == 1
    assert lh.jaccard([np.zeros((2, 2), bool)], [np.zeros((2, 2), bool)]) == 1
    with pytest.raises(ValueError, match="masks have shapes"):
        lh.jaccard(a, [np.ones((2, 3), bool)])


@pytest.mark.parametrize("wrong", [lambda m: m.mean(0), lambda m: m[:1], lambda m: m.T, lambda m: m.ravel(), lambda m: 1.0, str])
def test_scores_of_another_form_are_refused_by_name(small_run, monkeypatch, wrong):
    for scores in ([wrong(m) for m in small_run.final.means], small_run.final.means[1:], None, 0.5):
        monkeypatch.setitem(lh.CRITERIA, "mine", lambda run, scores=scores, **_: scores)
        with pytest.raises(ValueError, match=r"mine's scores must be numbers of the weights' shapes \[\(64, "):
            lh.masks_for(small_run, "mine", 0.2)
