"""Rounds of pruning with rewinding, what a ticket may start from, and what its pruned weights are held at."""

import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lotteryhelpers as lh

QUICK = lh.TrainConfig(epochs=2, batch_size=64, learning_rate=3e-3, seed=3)


@pytest.fixture(scope="module")
def start():
    return lh.draw_initial((64, 32, 16, 10), 3, "glorot")


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def weights_of(run):
    return [*run.final.means, *run.final.biases]


def test_rounds_leave_the_papers_percentages():
    masks = [np.ones(shape, bool) for shape in ((784, 300), (300, 100), (100, 10))]
    rng, left = np.random.default_rng(0), {}
    for number in range(1, 19):
        masks = lh.prune(masks, [rng.random(m.shape) for m in masks], 0.2)
        left[number] = round(100 * lh.density(masks).overall, 1)
    assert {n: left[n] for n in (3, 7, 9, 15, 18)} == {3: 51.3, 7: 21.1, 9: 13.5, 15: 3.6, 18: 1.9}


@given(st.floats(0.01, 0.99), st.integers(0, 2**20))
@settings(deadline=None)
def test_each_round_removes_its_fraction_of_the_lowest_scores_and_brings_nothing_back(rate, seed):
    rng = np.random.default_rng(seed)
    scores = [rng.integers(0, 3, s).astype(float) for s in ((13, 11), (11, 7))]  # many ties
    before = [rng.random(s.shape) < 0.7 for s in scores]
    kept = [round(r * m.sum()) for r, m in zip((rate, rate / 2), before, strict=True)]
    if any(k == m.sum() for k, m in zip(kept, before, strict=True)):
        with pytest.raises(ValueError, match="would keep 0 weights"):
            lh.prune(before, scores, rate)
        return
    for old, new, score, removed in zip(before, lh.prune(before, scores, rate), scores, kept, strict=True):
        assert not (new & ~old).any()
        assert old.sum() - new.sum() == removed
        if removed:
            assert score[new].min() >= score[old & ~new].max()


@pytest.mark.parametrize("rewind_step", [0, 7])
def test_every_round_is_rewound_exactly_and_masks_only_shrink(digits, start, rewind_step):
    rounds = lh.iterative_magnitude_pruning(digits, start, QUICK, rounds=3, rewind_step=rewind_step)
    assert len(rounds) == 4 and all(m.all() for m in rounds[0].masks)
    assert same(rounds[0].ticket.initial.means, start.means)
    origin = start
    if rewind_step:  # the weights after that step of the first training
        epoch = rewind_step / (1257 // 64)
        origin = lh.train_ticket(digits, start, None, QUICK, snapshots=(epoch,)).snapshots[epoch]
        assert not same(origin.means, start.means)
    for before, after in zip(rounds, rounds[1:], strict=False):
        assert same(after.start.means, origin.means) and same(after.start.biases, origin.biases)
        assert same(
            after.ticket.initial.means, [m * w for m, w in zip(after.masks, origin.means, strict=True)]
        )
        assert same(after.ticket.initial.biases, origin.biases)
        for layer, (old, new) in enumerate(zip(before.masks, after.masks, strict=True)):
            assert not (new & ~old).any()
            assert old.sum() - new.sum() == round((0.1 if layer == 2 else 0.2) * old.sum())
            size = abs(before.ticket.weights[layer])
            assert size[new].min() >= size[old & ~new].max()
        again = lh.train_ticket(digits, after.start, after.masks, QUICK)
        assert same(weights_of(again), weights_of(after.ticket))


def test_the_loop_goes_on_from_the_masks_that_it_left(digits, start):
    whole = lh.iterative_magnitude_pruning(digits, start, QUICK, rounds=2, rate=0.5)
    rest = lh.iterative_magnitude_pruning(digits, start, QUICK, rounds=1, rate=0.5, masks=whole[1].masks)
    assert same(rest[1].masks, whole[2].masks)
    assert same(weights_of(rest[1].ticket), weights_of(whole[2].ticket))


def test_one_round_is_one_shot_pruning(digits, start):
    one_shot = lh.iterative_magnitude_pruning(digits, start, QUICK, rounds=1, rate=0.75)[1]
    dense = lh.train_ticket(digits, start, None, QUICK)
    expected = lh.keep_fraction(lh.CRITERIA["magnitude"](dense), 0.25, output_density=1 - 0.75 / 2)
    assert same(one_shot.masks, expected)


@pytest.mark.parametrize("criterion", ["variance", "snr"])
def test_the_bayesian_loop_prunes_by_the_retrained_masked_posterior(digits, start, criterion):
    rounds = lh.iterative_magnitude_pruning(
        digits, start, QUICK, rounds=2, rate=0.5, criterion=criterion, bayesian=QUICK
    )
    for before, after in zip(rounds, rounds[1:], strict=False):
        again = lh.train_bayesian(digits, QUICK, initial=start, masks=before.masks)
        assert same(again.final.stddevs, before.bayesian.final.stddevs)
        assert all((s[~m] == 0).all() for s, m in zip(again.final.stddevs, before.masks, strict=True))
        assert same(after.masks, lh.prune(before.masks, lh.CRITERIA[criterion](again), 0.5))
        assert not any((new & ~old).any() for old, new in zip(before.masks, after.masks, strict=True))
    assert rounds[-1].bayesian is None and rounds[-1].ticket.test_accuracy > 0.2
    late = lh.iterative_magnitude_pruning(
        digits, start, QUICK, rounds=1, criterion=criterion, bayesian=QUICK, rewind_step=5
    )[1]
    epoch = 5 / (1257 // 64)
    origin = lh.train_bayesian(digits, QUICK, initial=start, snapshots=(epoch,)).snapshots[epoch]
    assert same(late.start.means, origin.means) and same(late.start.stddevs, origin.stddevs)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rounds": -1}, "rounds=-1 must be an integer of at least 0"),
        ({"rounds": 1.5}, "rounds=1.5 must"),
        ({"rate": 0}, "rate=0 must be above 0 and below 1"),
        ({"rate": 20}, "rate=20 must"),
        ({"rewind_step": 39}, "rewind_step=39 must be a step, 0 to 38"),
        ({"rewind_step": 0.5}, "rewind_step=0.5 must"),
        ({"criterion": "variances"}, "criterion 'variances' is unknown; there are"),
        ({"masks": [np.ones((2, 2), bool)] * 3}, "masks have shapes"),
        (
            {"masks": [np.ones((2, 2), bool)] * 3, "rewind_step": 5},
            r"with masks, give initial=rounds\[0\].start",
        ),
        ({"bayesian": True}, "bayesian=True must be a TrainConfig"),
        ({"criterion": "variance"}, "a deterministic network has none"),
        ({"criterion": "dense_magnitude"}, "criterion 'dense_magnitude' needs dense="),
    ],
)
def test_bad_arguments_are_named_before_anything_is_trained(options, message, digits, start, monkeypatch):
    monkeypatch.setattr("lotteryhelpers.papers.pruning.train_ticket", None)
    with pytest.raises(ValueError, match=message):
        lh.iterative_magnitude_pruning(digits, start, QUICK, **options)


def test_a_deterministic_network_has_no_deviations_to_prune_by(digits, start):
    names = (
        "variance",
        "snr",
        "rms",
        "kl",
        "log_alpha",
        "inverted",
        "shuffled",
        "untrained",
        "snr_same_sign",
    )
    ticket = lh.train_ticket(digits, start, None, QUICK)
    for name in names:
        with pytest.raises(ValueError, match="a deterministic network has none"):
            lh.CRITERIA[name](ticket, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="a deterministic network has none"):
        lh.masks_for(ticket, "magnitude", 0.5, scope="variance")


def test_a_worthless_weight_is_pruned_before_a_pruned_one_comes_back():
    before = [np.array([[True, False, True, True]]), np.array([[True, True, False, True]])]
    scores = [np.full((1, 4), -np.inf), np.full((1, 4), -np.inf)]
    after = lh.prune(before, scores, 0.4)
    assert [int(m.sum()) for m in after] == [2, 2]
    assert not any((new & ~old).any() for old, new in zip(before, after, strict=True))
    with pytest.raises(ValueError, match="rate=-0.2 must be above 0"):
        lh.prune(before, scores, -0.2)


def test_the_loop_goes_on_after_late_rewinding(digits, start):
    whole = lh.iterative_magnitude_pruning(digits, start, QUICK, rounds=2, rewind_step=7)
    rest = lh.iterative_magnitude_pruning(digits, whole[0].start, QUICK, rounds=1, masks=whole[1].masks)
    assert same(rest[1].masks, whole[2].masks)
    assert same(weights_of(rest[1].ticket), weights_of(whole[2].ticket))


def hand_made():
    means = [np.array([[0.5, -1.0], [2.0, -0.25], [-3.0, 4.0]]), np.array([[1.0, -2.0], [0.5, 3.0]])]
    posterior = lh.Posterior(means, [np.full_like(m, 0.1) for m in means], [np.array([0.1, 0.2])] * 2)
    return posterior, (np.array([[1, 1], [1, 0], [1, 0]], bool), np.array([[1, 1], [0, 1]], bool))


@pytest.mark.parametrize("action", ["rewind", "reinitialise", "reshuffle", "constant"])
@pytest.mark.parametrize("keep_sign", [True, False])
def test_mask_1_actions_do_what_their_names_say(action, keep_sign):
    initial, masks = hand_made()
    starts = [lh.restart(initial, masks, action, keep_sign=keep_sign, seed=seed) for seed in range(30)]
    for began in starts:
        assert same(began.biases, initial.biases) and same(began.stddevs, initial.stddevs)
    fresh = [lh.draw_initial(initial.sizes, seed).means for seed in range(30)]
    for layer, mask in enumerate(masks):
        old = initial.means[layer]
        new = np.array([s.means[layer] for s in starts])
        assert (new[:, ~mask] == old[~mask]).all()
        if keep_sign:
            assert (np.sign(new) == np.sign(old)).all()
        elif not (action == "reshuffle" and layer == 1):
            assert (np.sign(new[:, mask]) != np.sign(old[mask])).any()
        sizes = abs(new[:, mask])
        if action == "rewind":
            assert (sizes == abs(old[mask])).all()
        if action == "constant":
            np.testing.assert_allclose(sizes, old.std(), rtol=1e-6)
        if action == "reshuffle":
            assert (np.sort(sizes) == np.sort(abs(old[mask]))).all() and not (sizes == sizes[0]).all()
            if not keep_sign:
                assert (np.sort(new[:, mask]) == np.sort(old[mask])).all()
        if action == "reinitialise":
            drawn = np.array([f[layer][mask] for f in fresh])
            assert (sizes == abs(drawn)).all() and (keep_sign or (new[:, mask] == drawn).all())
    assert not same(starts[0].means, starts[1].means) or (keep_sign and action in ("rewind", "constant"))


def test_rewinding_with_its_signs_is_the_start_itself():
    initial, masks = hand_made()
    assert same(lh.restart(initial, masks).means, initial.means)
    with pytest.raises(ValueError, match="action='reinit' must be one of rewind, reinitialise"):
        lh.restart(initial, masks, "reinit")
    with pytest.raises(ValueError, match="seed=None must be an integer"):
        lh.restart(initial, masks, seed=None)
    with pytest.raises(ValueError, match="initial is a NoneType; it must be a Posterior"):
        lh.restart(None, masks)


def test_a_new_draw_must_be_new(start):
    with pytest.raises(ValueError, match="seed=3 draws initial's own weights again"):
        lh.restart(start, None, "reinitialise", seed=3, initializer="glorot")
    fresh = lh.restart(start, None, "reinitialise", keep_sign=False, seed=4, initializer="glorot")
    for old, new in zip(start.means, fresh.means, strict=True):
        assert (old != new).all() and 0.8 < new.std() / old.std() < 1.25


def test_mask_0_actions_do_what_their_names_say():
    initial, masks = hand_made()
    final = [np.array([[9, 9], [9, 0.5], [9, -1]]), np.array([[9, 9], [0.1, 9]])]
    whole = tuple(np.ones_like(m) for m in masks)
    run = types.SimpleNamespace(initial=initial, final=types.SimpleNamespace(means=final), masks=whole)
    expected = {
        "zero": [[[0, 0], [0, 0], [0, 0]], [[0, 0], [0, 0]]],
        "freeze": [[[0, 0], [0, -0.25], [0, 4]], [[0, 0], [0.5, 0]]],
        "freeze_increased": [[[0, 0], [0, -0.25], [0, 0]], [[0, 0], [0, 0]]],
    }
    for action, values in expected.items():
        assert same(lh.frozen_values(run, masks, action), [np.float32(v) for v in values])
    with pytest.raises(ValueError, match="action='thaw' must be one of zero, freeze, freeze_increased"):
        lh.frozen_values(run, masks, "thaw")
    run.masks = masks
    with pytest.raises(ValueError, match="run was trained under masks"):
        lh.frozen_values(run, masks, "freeze")


def test_frozen_weights_stay_bitwise_and_the_others_train(digits, start):
    rng = np.random.default_rng(0)
    masks = lh.keep_fraction([rng.random(m.shape) for m in start.means], 0.3)
    ticket = lh.train_ticket(digits, start, masks, QUICK, frozen=start.means)
    plain = lh.train_ticket(digits, start, masks, QUICK)
    for weights, initial, mask, zeroed in zip(ticket.weights, start.means, masks, plain.weights, strict=True):
        assert weights[~mask].tobytes() == initial[~mask].tobytes()
        assert (weights[mask] != initial[mask]).mean() > 0.5 and not zeroed[~mask].any()
    assert same(ticket.initial.means, start.means)
    assert lh.accuracy(ticket.weights, ticket.biases, digits.test) == pytest.approx(ticket.test_accuracy)
    ticket.network.fit(digits.train.images, digits.train.labels, epochs=1, verbose=0)
    for layer, initial, mask in zip(ticket.network.layers, start.means, masks, strict=True):
        assert layer.kernel.numpy()[~mask].tobytes() == initial[~mask].tobytes()
    assert (ticket.network.layers[0].kernel.numpy()[masks[0]] != ticket.weights[0][masks[0]]).any()


def test_frozen_at_zero_is_the_plain_ticket_to_the_last_bit(digits, start):
    masks = lh.keep_fraction([abs(m) for m in start.means], 0.3)
    zeros = [np.zeros_like(m) for m in start.means]
    frozen, plain = (lh.train_ticket(digits, start, masks, QUICK, frozen=f) for f in (zeros, None))
    assert same(weights_of(frozen), weights_of(plain)) and frozen.history.equals(plain.history)


def test_bad_frozen_values_are_named(digits, start):
    with pytest.raises(ValueError, match="compact=True drops the pruned weights"):
        lh.train_ticket(digits, start, None, QUICK, compact=True, frozen=start.means)
    with pytest.raises(ValueError, match="frozen has shapes"):
        lh.train_ticket(digits, start, None, QUICK, frozen=[m.T for m in start.means])
    with pytest.raises(ValueError, match="frozen has shapes .*; it must be finite"):
        lh.train_ticket(digits, start, None, QUICK, frozen=[np.full_like(m, np.nan) for m in start.means])
    for wrong in ("freeze", 0.0):
        with pytest.raises(ValueError, match="frozen must hold an array of numbers a layer"):
            lh.train_ticket(digits, start, None, QUICK, frozen=wrong)
    with pytest.raises(ValueError, match="snapshots has epoch 3, but the training ends after 2"):
        lh.train_ticket(digits, start, None, QUICK, snapshots=(3,))


def test_snapshots_of_a_ticket_are_the_weights_at_that_epoch(digits, start):
    masks = lh.keep_fraction([abs(m) for m in start.means], 0.3)
    for compact in (False, True):
        ticket = lh.train_ticket(digits, start, masks, QUICK, snapshots=(0, 0.5, 1, 2), compact=compact)
        one = lh.train_ticket(digits, start, masks, lh.TrainConfig(1, 64, 3e-3, seed=3), compact=compact)
        assert same(ticket.snapshots[0].means, [m * w for m, w in zip(masks, start.means, strict=True)])
        assert same(ticket.snapshots[1].means, one.weights) and same(ticket.snapshots[1].biases, one.biases)
        assert same(ticket.snapshots[2].means, ticket.weights)
        assert not same(ticket.snapshots[0.5].means, ticket.snapshots[1].means)
