"""Public bug reports of people who do this kind of work, tried here: what is pruned stays so, new
weights are new, and a number means the same in every type."""

import dataclasses
import functools
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from common import ROOT

import lotteryhelpers as lh

SHORT = lh.TrainConfig(epochs=1, batch_size=64, learning_rate=3e-3, seed=3)
SMALL = {"hidden": (32, 16), "kl_weight": 0.1}


def python(code, folder=ROOT, **environment):
    """Run code in a process of its own, in ``folder``."""
    environment = os.environ | {"PYTHONPATH": str(folder)} | environment
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


def pruned_run(digits):
    """A Bayesian network trained under a mask that keeps a fifth, and the mask."""
    start = lh.draw_initial((64, 32, 16, 10), 0)
    masks = lh.keep_fraction([abs(m) for m in start.means], 0.2)
    return lh.train_bayesian(digits, SHORT, initial=start, masks=masks), masks


# results are named by what was imported, and every worker has that

EDITED = """
import pathlib, lotteryhelpers as lh
from lotteryhelpers import storage
digits, config = lh.load_dataset("digits"), lh.TrainConfig(1, 64)
def count():
    print(len([*storage.cache_folder().rglob("*.npz"), *storage.cache_folder().rglob("*.json")]))
file = pathlib.Path(lh.__file__).parent / "bayesian.py"
whole = file.read_text()
assert "spread = 0.1" in whole
lh.load_or_train_bayesian(digits, config, hidden=(9,))
count()
file.write_text(whole.replace("spread = 0.1", "spread = 0.3"))
for _ in range(2):
    lh.load_or_train_bayesian(digits, config, hidden=(8,))
count()
try:
    lh.sweep(digits, lh.specs_of([0], ["dense"], [1.0]), config, workers=1)
except RuntimeError as error:
    print(error)
count()
file.write_text(whole)
lh.load_or_train_bayesian(digits, config, hidden=(8,))
count()
"""


def test_what_was_imported_names_a_result_and_where_the_disk_differs_nothing_is_kept(tmp_path):
    shutil.copytree(pathlib.Path(lh.__file__).parent, tmp_path / "lotteryhelpers")
    done = python(EDITED, tmp_path, LOTTERYHELPERS_CACHE_DIR=str(tmp_path / "kept"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.isdigit()] == ["1", "1", "1", "2"]
    said = [line for line in lines if not line.isdigit()]
    assert said[0].startswith("lotteryhelpers has changed on disk since its import") and len(said) == 2
    assert "with another lotteryhelpers" in said[1]


# what is pruned stays so, and a pruning goes on where it was


@pytest.mark.parametrize("scope", ["layer", "uniform", "global", "variance"])
@pytest.mark.parametrize("criterion", ["magnitude", "snr", "log_alpha", "large_final_same_sign", "a reader's"])
def test_pruned_weights_never_come_back(criterion, scope, digits, monkeypatch):
    run, masks = pruned_run(digits)
    monkeypatch.setitem(lh.CRITERIA, "a reader's", lambda run, **_: [m + 9 for m in run.final.means])
    with pytest.raises(ValueError, match="earlier masks have left" if scope == "variance" else "the scores above -inf"):
        lh.masks_for(run, criterion, 0.5, scope=scope)
    fewer = lh.masks_for(run, criterion, 0.1, scope=scope)
    assert not any((f & ~m).any() for f, m in zip(fewer, masks, strict=True))


def test_few_new_weights_are_never_taken_for_the_old_ones():
    start = lh.draw_initial((4, 2, 2), 0)
    masks = [np.arange(m.size).reshape(m.shape) == 0 for m in start.means]
    for seed in range(1, 30):
        lh.restart(start, masks, "reinitialise", keep_sign=False, seed=seed)


def test_a_score_of_minus_infinity_by_its_formula_can_be_kept(digits):
    """log_alpha of a mean that is exactly zero."""
    run = lh.train_bayesian(digits, SHORT, **SMALL)
    means = [np.where(np.arange(m.size).reshape(m.shape) % 3, m, 0) for m in run.final.means]
    still = dataclasses.replace(run, final=lh.Posterior(means, run.final.stddevs, run.final.biases))
    assert all(m.all() for m in lh.masks_for(still, "log_alpha", 1.0))


def test_pruning_by_chance_resumed_is_the_uninterrupted_one(digits):
    start, config = lh.draw_initial((64, 32, 16, 10), 0), SHORT
    whole = lh.iterative_magnitude_pruning(digits, start, config, rounds=3, criterion="random")
    rest = lh.iterative_magnitude_pruning(digits, start, config, rounds=1, criterion="random", masks=whole[2].masks)
    for one, other in zip(whole[3].masks, rest[1].masks, strict=True):
        assert np.array_equal(one, other)


# new weights are new


def test_reinitialised_weights_are_not_the_old_ones_however_these_were_drawn(digits):
    initial = lh.draw_initial((64, 32, 16, 10), 0)
    masks = lh.keep_fraction([abs(m) for m in initial.means], 0.3)
    ticket = lh.train_ticket(digits, initial, masks, SHORT)
    early = lh.train_bayesian(digits, dataclasses.replace(SHORT, seed=0), snapshots=(0.1,)).snapshots[0.1]
    for start, kept in ((initial, None), (ticket.initial, masks), (lh.draw_initial((64, 32, 16, 10), 0, "glorot"), masks),
                        (early, None)):  # fmt: skip
        with pytest.raises(ValueError, match="seed=0 draws initial's own weights again, or nearly"):
            lh.restart(start, kept, "reinitialise", keep_sign=False, seed=0)
        new = lh.restart(start, kept, "reinitialise", keep_sign=False, seed=1).means
        for old, fresh, mask in zip(start.means, new, kept or [m > -9 for m in start.means], strict=True):
            assert abs(np.corrcoef(old[mask], fresh[mask])[0, 1]) < 0.3


# a number means the same in every type


def test_thresholds_and_densities_of_any_type_keep_the_same_mask(digits):
    run = lh.train_bayesian(digits, SHORT, **SMALL)
    exact = np.sort(run.final.variances[0].ravel())[700]  # a float32 variance itself
    kinds = [exact, float(exact), np.float64(exact), np.float64(repr(float(exact))), np.float64(f"{exact:.9g}"), float(f"{exact:.9g}")]
    masks = [lh.variance_masks(run.final, threshold) for threshold in kinds]
    assert all(np.array_equal(a, b) for m in masks for a, b in zip(m, masks[0], strict=True)) and masks[0][0].sum() >= 700
    for density in (np.float16(0.25), np.float32(0.25), np.float64(0.25)):
        kept = lh.masks_for(run, "variance", density, scope="global"), lh.masks_for(run, "variance", 0.25, scope="global")
        assert all(np.array_equal(a, b) for a, b in zip(*kept, strict=True))
        assert lh.variance_quantile(run.final, density) == lh.variance_quantile(run.final, 0.25)


# a mask that nothing passes


def test_masks_without_a_path_are_refused_and_compact_counts_nothing(digits):
    start = lh.draw_initial((64, 32, 16, 10), 0)
    masks = [np.zeros(m.shape, bool) for m in start.means]
    masks[0][5, 3] = masks[1][4, 2] = masks[2][2, :] = True  # unit 3 leads nowhere, and nothing leads to unit 4
    for train in (functools.partial(lh.train_ticket, digits, start, masks, SHORT),
                  functools.partial(lh.train_bayesian, digits, SHORT, initial=start, masks=masks)):  # fmt: skip
        with pytest.raises(ValueError, match="masks leave no path from an input through layer 2; nothing passes it"):
            train()
    for for_training in (False, True):
        small = lh.compact(start.means, start.biases, masks, for_training=for_training)
        assert small.sizes[0] == 0 and small.sizes[-1] == 10
        masked = [np.where(m, w, 0) for m, w in zip(masks, start.means, strict=True)]
        expected = lh.networks.logits(masked, start.biases, digits.test.images)
        assert np.allclose(small.network(digits.test.images), expected, atol=1e-5)
    masks[1][3, 2] = True
    lh.train_ticket(digits, start, masks, SHORT)
