"""Exact counts, ties, nesting, and every bad input of the masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import lotteryhelpers as lh
from lotteryhelpers.masks import HALF_RATE

few_values = st.sampled_from([-1.0, 0.0, 0.5, 0.5000001, 2.0, np.inf])  # so that there are ties


@st.composite
def networks(draw):
    widths = draw(st.lists(st.integers(3, 12), min_size=2, max_size=4))
    return [draw(arrays(np.float64, s, elements=few_values)) for s in zip(widths, widths[1:], strict=False)]


def total(scores):
    return sum(s.size for s in scores)


@given(networks(), st.floats(0.2, 1.0))
@settings(deadline=None)
def test_layer_counts_are_exact_with_ties_and_the_best_are_kept(scores, density):
    masks = lh.keep_fraction(scores, density)
    wanted = [density] * (len(scores) - 1) + [density**HALF_RATE]
    for mask, score, fraction in zip(masks, scores, wanted, strict=True):
        assert mask.shape == score.shape and mask.dtype == bool
        assert mask.sum() == round(fraction * score.size)
        if not mask.all():
            assert score[mask].min() >= score[~mask].max()


def test_ties_fall_by_position_in_a_layer_of_real_size():
    """A sort that isn't stable leaves a small layer as it is."""
    scores = np.random.default_rng(0).integers(0, 3, (100, 60)).astype(np.float32)
    best = sorted(range(scores.size), key=lambda i: (-scores.flat[i], i))[:3_000]
    (mask,) = lh.keep_counts([scores], [3_000])
    assert np.flatnonzero(mask).tolist() == sorted(best)


@given(networks(), st.floats(0.05, 1.0))
@settings(deadline=None)
def test_global_counts_are_exact_or_the_empty_layer_is_named(scores, density):
    try:
        masks = lh.keep_fraction(scores, density, scope="global")
    except ValueError as error:
        assert "leaves layer" in str(error)
        return
    assert sum(m.sum() for m in masks) == max(1, round(density * total(scores)))
    kept = np.concatenate([s[m] for s, m in zip(scores, masks, strict=True)])
    pruned = np.concatenate([s[~m] for s, m in zip(scores, masks, strict=True)])
    assert pruned.size == 0 or kept.min() >= pruned.max()


@given(networks(), st.floats(0.3, 1.0), st.floats(0.3, 1.0))
@settings(deadline=None)
def test_masks_only_shrink_when_the_density_falls(scores, one, other):
    small, large = (lh.keep_fraction(scores, d) for d in sorted((one, other)))
    assert all((~s | g).all() for s, g in zip(small, large, strict=True))


def test_k_rounds_of_pruning_are_the_half_rate_rule():
    scores = [np.random.default_rng(0).random((784, 300)), np.random.default_rng(1).random((100, 10))]
    for rounds in (1, 3, 7, 15):
        hidden, output = lh.density(lh.keep_fraction(scores, 0.8**rounds)).layers
        assert hidden == pytest.approx(0.8**rounds, abs=1e-5) and output == pytest.approx(
            0.9**rounds, abs=1e-3
        )
    assert lh.density(lh.keep_fraction(scores, 0.2, output_density=1.0)).layers[1] == 1.0


def test_variance_masks_keep_at_and_below_the_threshold(small_run):
    posterior = small_run.final
    for fraction in (0.1, 0.5, 1.0):
        threshold = lh.variance_quantile(posterior, fraction)
        masks = lh.variance_masks(posterior, threshold)
        assert sum(m.sum() for m in masks) == round(fraction * sum(m.size for m in masks))
        for mask, variance in zip(masks, posterior.variances, strict=True):
            assert variance[mask].max() <= threshold and (variance[~mask] > threshold).all()
    one_layer = lh.Posterior([np.zeros((2, 2))], [np.sqrt([[0.1, 0.2], [0.2, 0.3]])], [np.zeros(2)])
    at_the_tie = lh.variance_masks(one_layer, one_layer.variances[0][0, 1])
    assert at_the_tie[0].tolist() == [[True, True], [True, False]]


@given(networks(), st.data())
@settings(deadline=None)
def test_units_are_kept_whole_and_the_best_first(scores, data):
    scores = [np.where(np.isfinite(s), s, 3.0) for s in scores]
    sizes = [data.draw(st.integers(1, len(s))) for s in scores]
    masks = lh.keep_units(scores, sizes)
    rows = [m.any(axis=1) for m in masks] + [masks[-1].any(axis=0)]
    assert [r.sum() for r in rows] == [*sizes, scores[-1].shape[1]]
    for mask, ins, outs in zip(masks, rows, rows[1:], strict=False):
        assert np.array_equal(mask, np.outer(ins, outs))
    assert lh.compact(scores, [np.ones(s.shape[1]) for s in scores], masks).sizes[1:-1] == tuple(sizes[1:])
    sums = [scores[0].sum(axis=1)] + [s[r].sum(axis=0) for s, r in zip(scores, rows, strict=False)]
    for each, kept in zip(sums[:-1], rows, strict=False):
        if not kept.all():
            assert each[kept].min() >= each[~kept].max()


def test_density_counts():
    density = lh.density([np.array([[True, False], [True, True]]), np.array([[False], [True]])])
    assert density.overall == pytest.approx(4 / 6) and density.layers == (0.75, 0.5)


two = [np.arange(6.0).reshape(2, 3), np.arange(3.0).reshape(3, 1)]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda run: lh.keep_fraction(two, 0.0), "density=0.0 must be above 0 and at most 1"),
        (lambda run: lh.keep_fraction(two, 1.5), "density=1.5 must be"),
        (lambda run: lh.keep_fraction(two, float("nan")), "density=nan must be"),
        (lambda run: lh.keep_fraction(two, "half"), "density='half' must be"),
        (lambda run: lh.keep_fraction(two, 0.5, output_density=0), "output_density=0 must be"),
        (lambda run: lh.keep_fraction(two, 0.5, scope="unit"), "scope='unit' must be one of layer, global"),
        (lambda run: lh.keep_fraction(two, 0.05), "density=0.05 with scope='layer' leaves layer 1 empty"),
        (lambda run: lh.keep_fraction([two[0] * np.nan, two[1]], 0.5), "scores of layer 1 hold 6 NaN"),
        (lambda run: lh.keep_fraction([two[0][0]], 0.5), r"scores of layer 1 are float64 \(3,\)"),
        (lambda run: lh.keep_counts(two, [3]), r"counts=\[3\] must have a number for each of 2"),
        (lambda run: lh.keep_counts(two, [3, 9]), "layer 2 would keep 9 weights; it must be an integer from 1 to 3"),
        (
            lambda run: lh.CRITERIA["entropy"],
            "'entropy' is unknown; there are .*dense_magnitude, .*kl, .*variance",
        ),
        (lambda run: lh.variance_masks(run.final, -1), "threshold=-1 must be a variance"),
        (lambda run: lh.variance_masks(run.final, None), "threshold=None must be a variance"),
        (lambda run: lh.variance_masks(run.final, float("nan")), "threshold=nan must be a variance"),
        (lambda run: lh.variance_quantile(run.final, 0), "density=0 must be above 0"),
        (lambda run: lh.density([np.array([[0.5, 1.0]])]), "masks hold values other than True and False"),
    ],
)
def test_bad_input_is_named(call, message, small_run):
    with pytest.raises(ValueError, match=message):
        call(small_run)


def test_a_threshold_that_empties_a_layer_names_it_and_its_smallest_variance(small_run):
    smallest = [v.min() for v in small_run.final.variances]
    threshold = float(np.sort(smallest)[-1]) * 0.999
    layer = int(np.argmax(smallest)) + 1
    message = (
        f"threshold={threshold:g} prunes all of layer {layer}, whose smallest variance is {max(smallest):g}"
    )
    with pytest.raises(ValueError, match=message):
        lh.variance_masks(small_run.final, threshold)


def test_scores_of_unsigned_and_smallest_integers_are_ranked_by_value():
    assert lh.keep_counts([np.array([[0, 1, 2]], np.uint8)], [1])[0].tolist() == [[False, False, True]]
    assert lh.keep_counts([np.array([[-128, 1]], np.int8)], [1])[0].tolist() == [[False, True]]


def test_what_an_earlier_mask_pruned_does_not_come_back(digits, small_run):
    masks = lh.keep_fraction(lh.CRITERIA["magnitude"](small_run), 0.5)
    config = lh.TrainConfig(2, 64, seed=3)
    run = lh.train_bayesian(digits, config, initial=small_run.initial, masks=masks, kl_weight=0.1)
    dense = lh.train_ticket(digits, small_run.initial, None, config)
    for name in lh.CRITERIA:
        again = lh.masks_for(run, name, 0.2, dataset=digits, dense=dense, rng=np.random.default_rng(0))
        assert all((~new | old).all() for new, old in zip(again, masks, strict=True)), name
    by_threshold = lh.variance_masks(run.final, lh.variance_quantile(run.final, 0.2))
    assert lh.density(by_threshold).overall == pytest.approx(0.2, abs=1e-3)
    assert all((~new | old).all() for new, old in zip(by_threshold, masks, strict=True))
    with pytest.raises(ValueError, match="density=0.9 is above the 0.5.* that earlier masks have left"):
        lh.variance_quantile(run.final, 0.9)
