"""The exercises: every solution passes its check, and wrong answers are refused with the mistake's name."""

import re

import nbformat
import numpy as np
import pytest
from common import ROOT

import lotteryhelpers as lh

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
CHECKS = sorted(name for name in vars(lh.exercises) if name.startswith("check_"))


def exercises(path):
    """(check's name, function's name, the cell's text, the solution's text) of each exercise of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    found = []
    for prompt, cell, solution in zip(cells, cells[1:], cells[2:], strict=False):
        if "exercise" in cell.metadata.get("tags", []):
            check, name = re.search(r"^lh\.exercises\.(check_\w+)\((\w+)\);$", cell.source, re.M).groups()
            assert re.search(r"^### \d\. .+ \*\((easy|medium|open)\)\*$", prompt.source, re.M)
            whole = r"<details><summary>A solution</summary>\n\n```python\n(.*?)\n```\n\n(.*\n\n)?</details>"
            found.append((check, name, cell.source, re.fullmatch(whole, solution.source, re.S).group(1)))
    return found


EXERCISES = [pytest.param(*e, id=e[0]) for path in NOTEBOOKS for e in exercises(path)]


def function_of(text, name):
    names = {"lh": lh, "np": np}
    exec(text, names)
    return names[name]


@pytest.mark.parametrize(("check", "name", "cell", "solution"), EXERCISES)
def test_every_solution_passes_and_every_empty_function_is_called_empty(check, name, cell, solution, capfd):
    empty = function_of(cell, name)  # runs the check, too, as the notebook does
    printed = capfd.readouterr()
    assert re.fullmatch("✗ still empty.*\n", printed.out) and printed.err == ""
    assert getattr(lh.exercises, check)(empty) is False
    capfd.readouterr()
    assert getattr(lh.exercises, check)(function_of(solution, name)) is True
    printed = capfd.readouterr()
    assert re.fullmatch("✓ .*\n", printed.out) and printed.err == ""
    signature = re.search(rf"def {name}\(.*\):\n    \"\"\".*\"\"\"\n", cell).group()
    assert signature in solution


def test_every_check_is_used_once_and_has_wrong_answers():
    used = [check for path in NOTEBOOKS for check, *_ in exercises(path)]
    assert sorted(used) == CHECKS
    assert sorted(WRONG) == CHECKS and all(len(answers) >= 3 for answers in WRONG.values())


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda p: p.stem)  # not the one that only has the answer
def test_every_notebook_goes_from_easy_to_open(path):
    cells = nbformat.read(path, as_version=4).cells
    levels = [m for c in cells for m in re.findall(r"^### \d\. .+ \*\((\w+)\)\*$", c.source, re.M)]
    assert len(levels) in (2, 3) and 1 <= len(exercises(path)) <= len(levels)  # some are on paper
    assert levels[0] == "easy" and levels[-1] == "open"


def test_a_docstring_says_what_goes_in_and_out():
    for check in CHECKS:
        assert re.match(r"``\w+\(.+\)``: .+ to .+\.", getattr(lh.exercises, check).__doc__), check


# What readers write who go wrong, and words of the sentence that they must be told.


def entropy(p, axis=-1):
    return -(p * np.log(p + 1e-12)).sum(axis)


def kl(mu, sigma, s):
    return np.log(s / sigma) + (sigma**2 + mu**2) / (2 * s**2) - 0.5


def ranks(a):
    return np.argsort(np.argsort(a, axis=None))


def least(scores, k):
    mask = np.zeros(scores.size, bool)
    mask[np.argsort(scores, axis=None)[:k]] = True
    return mask.reshape(scores.shape)


def per_column(scores, k):
    return np.argsort(np.argsort(-scores, axis=0), axis=0) < k // scores.shape[1]


def whole_rows(scores, count):
    mask = np.zeros(scores.shape, bool)
    mask[np.argsort(-scores.sum(1))[: round(count / scores.shape[1])]] = True
    return mask


def first_rows(scores, count):
    return (np.arange(scores.size) < count).reshape(scores.shape)


def sign_of(low, high, margin):
    if low > 0:
        return "better" if low >= margin else "ahead"
    return "not decided" if high >= 0 else "worse" if high <= -margin else "behind"


def verdict(d, margin, low=None, high=None):
    interval = lh.paired_interval(d, np.zeros(len(d)))
    low, high = interval.low if low is None else low, interval.high if high is None else high
    return "as good" if -margin < low and high < margin else sign_of(low, high, margin)


def signs_first(d, margin):
    interval = lh.paired_interval(d, np.zeros(len(d)))
    sign = sign_of(interval.low, interval.high, margin)
    return verdict(d, margin) if sign == "not decided" else sign


def not_significant(d, margin):
    interval = lh.paired_interval(d, np.zeros(len(d)))
    return sign_of(interval.low, interval.high, margin).replace("not decided", "as good")


def deviation_for_error(d, margin):
    interval, root = lh.paired_interval(d, np.zeros(len(d))), np.sqrt(len(d))
    half = root * (interval.high - interval.mean)
    return verdict(d, margin, interval.mean - half, interval.mean + half)


def coins(masks, seed):
    rng = np.random.default_rng(seed)
    return [rng.random(m.shape) < m.mean() for m in masks]


def over_all_layers(masks, seed):
    rng = np.random.default_rng(seed)
    everything = rng.permutation(np.concatenate([m.ravel() for m in masks]))
    parts = np.split(everything, np.cumsum([m.size for m in masks])[:-1])
    return [p.reshape(m.shape) for p, m in zip(parts, masks, strict=True)]


def same_counts_only(masks, seed):
    rng = np.random.default_rng(seed)
    return [rng.permutation(m.ravel()).reshape(m.shape) for m in masks]


def rows_of_seed_0(masks, seed):
    return [np.random.default_rng(0).permuted(m, axis=1) for m in masks]


def unseeded(masks, seed):
    return [np.random.default_rng().permuted(m, axis=1) for m in masks]


def shuffled_in_place(masks, seed):
    rng = np.random.default_rng(seed)
    for m in masks:
        rng.permuted(m, axis=1, out=m)
    return masks


def next_start(trained, initial, mask, rate, score=abs, there=None, keep=None):
    there = mask if there is None else there
    order = np.argsort(np.where(there, score(trained), 1e9), axis=None, kind="stable")
    count = round(rate * there.sum()) if keep is None else keep
    kept = there.copy().ravel()
    kept[order[:count]] = False
    return np.where(kept.reshape(mask.shape), initial, 0)


def with_trained(trained, initial, mask, rate):
    return np.where(next_start(trained, np.ones_like(initial), mask, rate) > 0, trained, 0)


def prunes_the_callers_mask(trained, initial, mask, rate):
    number = round(rate * mask.sum())
    mask.ravel()[np.argsort(np.where(mask, abs(trained), 9), axis=None)[:number]] = False
    return mask * initial


def large_final(initial, final, count):
    return ~least(abs(final), final.size - count)


def pays(ticket, dense, finding, training, dense_cost, bound=-0.1):
    return finding + training < dense_cost and lh.paired_interval(ticket, dense).low > bound


def overlap_with(history, other):
    return lh.jaccard(history[-1], history[other]) > 0.9


def one_draw_for_all(x, sigma, seed):
    return x @ (sigma * np.random.default_rng(seed).normal(size=sigma.shape))


def activations(x, sigma, seed, variance=None):
    variance = x**2 @ sigma**2 if variance is None else variance
    return np.sqrt(variance) * np.random.default_rng(seed).normal(size=variance.shape)


def local_noise_of_x(x, sigma, seed):
    x *= np.random.default_rng(seed).choice([-1, 1], x.shape)
    return one_draw_for_all(x, sigma, seed)


def not_random(*_):
    return np.random.default_rng()


def cut(trained, mask, number):
    """The mask after pruning this many."""
    left = np.where(mask, abs(trained), np.inf).ravel().argsort()[number:]
    return mask & np.isin(np.arange(mask.size), left).reshape(mask.shape)



def laplace(x, p, s):
    return 1 / np.sqrt((x**2).T @ (p * (1 - p)) + 1 / s**2)


WRONG = {
    "check_laplace": [
        (lambda x, p, s: 1 / ((x**2).T @ (p * (1 - p)) + 1 / s**2), "take the root"),
        (lambda x, p, s: (x**2).T @ (p * (1 - p)) + 1 / s**2, "these are precisions"),
        (lambda x, p, s: 1 / np.sqrt((x**2).T @ (p * (1 - p))), "prior is forgotten"),
        (lambda x, p, s: 1 / np.sqrt((x**2).T @ (p * (1 - p)) + s**2), "1 / s^2 belongs"),
        (lambda x, p, s: 1 / np.sqrt((x**2).T @ (p * (1 - p)) / len(x) + 1 / s**2), "are averaged"),
        (lambda x, p, s: 1 / np.sqrt(x.T @ (p * (1 - p)) + 1 / s**2), "isn't squared"),
        (lambda x, p, s: 1 / np.sqrt((x**2).T @ p + 1 / s**2), "p (1 - p)"),
        (lambda x, p, s: laplace(x, p, s).T, "shape"),
    ],
    "check_kl": [
        (lambda mu, sigma, s: kl(mu, sigma, s) + 1 / 2, "a constant is missing"),
        (lambda mu, sigma, s: np.log(sigma / s) + (sigma**2 + mu**2) / (2 * s**2) - 1 / 2, "upside down"),
        (lambda mu, sigma, s: np.log(sigma) - np.log(s) + (s**2 + mu**2) / (2 * sigma**2) - 1 / 2, "KL(p||q)"),
        (lambda mu, sigma, s: sum(kl(mu, sigma, s).ravel()), "are summed"),
        (lambda mu, sigma, s: kl(mu, sigma**0.5, s) - np.log(sigma**0.5), "for [0.1], [0.5], 2. it gives"),
        (lambda mu, sigma, s: np.log(mu), "NaN"),
    ],
    "check_doubt": [
        (lambda samples: samples.mean(0).max(1), "this is confidence|that is confidence"),
        (lambda samples: entropy(samples[0]), "order of the draws"),
        (lambda samples: entropy(samples.mean(0)) / entropy(samples.mean(0)).max() - samples.mean(), "beside it"),
        (lambda samples: np.full(samples.shape[1], entropy(samples).mean()), "same score"),
        (lambda samples: samples.mean(0).argmax(1), "no higher than chance"),
        (lambda samples: entropy(samples.mean(1)), "shape (20,); it must have (300,)"),
        (lambda samples: np.random.random(samples.shape[1]), "two calls"),
    ],
    "check_pixel_map": [
        (lambda means, stddevs, shape: np.reshape((means / stddevs).mean(axis=1), shape), "cancel"),
        (lambda means, stddevs, shape: np.reshape((stddevs / abs(means)).mean(axis=1), shape), "upside down"),
        (lambda means, stddevs, shape: np.reshape((abs(means) / stddevs**2).mean(axis=1), shape), "variance"),
        (lambda means, stddevs, shape: np.reshape(abs(means).sum(1) / stddevs.sum(1), shape), "two means"),
        (lambda means, stddevs, shape: (abs(means) / stddevs).mean(axis=1), "one row"),
        (lambda means, stddevs, shape: (abs(means) / stddevs).mean(axis=0), "shape (2,); it must have (2, 2)"),
    ],
    "check_likeness": [
        (lambda early, late: np.mean(ranks(early) != ranks(late)), "this is a distance"),
        (lambda early, late: np.corrcoef(early.ravel(), late.ravel())[0, 1], "not only their order"),
        (lambda early, late: -abs(early - late).mean(), "not only their order"),
        (lambda early, late: float(np.sort(ranks(early))[5] == np.sort(ranks(late))[5]), "other weights score as high"),
        (lambda early, late: np.corrcoef(ranks(early), ranks(late))[0, 1] ** 2, "reversed order"),
        (lambda early, late: ranks(early) == ranks(late), "it must return numbers"),
    ],
    "check_keep_k": [
        (lambda s, k: np.isin(np.arange(s.size), np.argsort(-s.ravel())[:k]).reshape(s.shape), 'kind="stable"'),
        (lambda s, k: np.isin(np.arange(s.size), np.argpartition(-s.ravel(), k)[:k]).reshape(s.shape), "argpartition"),
        (least, "lowest score"),
        (lambda scores, k: scores >= sorted(scores.ravel(), reverse=True)[k - 1], "tie"),
        (lambda scores, k: scores > sorted(scores.ravel(), reverse=True)[k - 1], "too few"),
        (lambda scores, k: ~least(scores, k), "are pruned"),
        (lambda scores, k: ~least(scores, scores.size - k), "the last are kept, not the first"),
        (per_column, "for "),
        (lambda scores, k: np.sort(scores, axis=None)[-k:], "True or False"),
    ],
    "check_few_inputs": [
        (lambda scores, count: ~least(scores, scores.size - count), "no fewer inputs"),
        (whole_rows, "exactly `count`"),
        (first_rows, "no higher than chance"),
        (lambda scores, count: scores > np.median(scores), "exactly `count`"),
    ],
    "check_verdict": [
        (lambda d, margin: verdict(d, margin).replace("worse", "not decided"), "never says worse"),
        (lambda d, margin: verdict(d, margin).replace("ahead", "better").replace("behind", "worse"), "beyond the margin"),
        (not_significant, "any interval around zero"),
        (signs_first, "before the margin"),
        (lambda d, margin: verdict(d, margin, np.mean(d), np.mean(d)), "only the mean"),
        (deviation_for_error, "root of n"),
        (lambda d, margin: lh.paired_interval(d, np.zeros(len(d))).low > -margin, "it must return a word"),
    ],
    "check_control": [
        (lambda masks, seed: [np.random.default_rng(seed).permutation(m, axis=1) for m in masks], "are moved"),
        (coins, "as many as before"),
        (over_all_layers, "as many as before"),
        (same_counts_only, "nor every unit's"),
        (lambda masks, seed: [m.copy() for m in masks], "unchanged"),
        (rows_of_seed_0, "another seed"),
        (unseeded, "two calls"),
        (shuffled_in_place, "in place"),
        (lambda masks, seed: masks[0], "one a layer"),
    ],
    "check_criterion": [
        (lambda run: list(run.final.means), "large negative"),
        (lambda run: list(map(np.divide, run.final.means, run.final.stddevs)), "large negative"),
        (lambda run: [1 / abs(m) for m in run.final.means], "come last"),
        (lambda run: list(run.final.variances), "higher must mean keep"),
        (lambda run: [abs(m) for m in run.initial.means], "no better than chance"),
        (lambda run: [abs(m) > 0.5 for m in run.final.means], "it must return numbers"),
        (lambda run: abs(run.final.means[0]), "one a layer"),
    ],
    "check_schedule": [
        (lambda density, rounds: np.full(rounds, density ** (1 / rounds)), "fractions kept"),
        (lambda density, rounds: [(1 - density) / rounds] * rounds, "added, not multiplied"),
        (lambda density, rounds: density ** (np.arange(1, rounds + 1) / rounds), "densities after each round"),
        (lambda density, rounds: [1 - density ** (1 / rounds)] * rounds, "the paper's plan"),
        (lambda density, rounds: np.linspace(0.1, 0.3, rounds), "another density"),
        (lambda density, rounds: [1 - density] + [0] * (rounds - 1), "between 0 and 1|added"),
        (lambda density, rounds: np.full(rounds + 1, 0.2), "shape"),
    ],
    "check_supermask": [
        (lambda initial, final, count: ~large_final(initial, final, count), "are pruned"),
        (lambda initial, final, count: np.sign(initial) == np.sign(final), "exactly `count`"),
        (lambda initial, final, count: large_final(initial, final * (np.sign(final) != np.sign(initial)), count), "changed its sign"),
        (lambda initial, final, count: least(initial * final, count), "changed its sign"),
        (lambda initial, final, count: large_final(final, initial, count), "than a random mask"),
        (lambda initial, final, count: least(abs(final), count), "than a random mask"),
    ],
    "check_pays": [
        (lambda t, d, f, n, c: f + n < c and lh.paired_interval(t, d).high > -0.1, "lower end decides"),
        (lambda t, d, f, n, c: f + n < c and lh.paired_interval(d, t).low > -0.1, "changed places"),
        (lambda t, d, finding, training, cost: pays(t, d, 0, training, cost), "finding is forgotten"),
        (lambda t, d, finding, training, cost: bool(finding + training < cost), "only the costs"),
        (lambda t, d, *costs: lh.paired_interval(t, d).low > -0.1, "only accuracies"),
        (lambda t, d, f, n, c: bool(f + n < c and np.mean(t - d) > -0.1), "only the mean"),
        (lambda t, d, f, n, c: f + n < c and lh.paired_interval(t, d).verdict(0.1) == "as good", "much better fails"),
        (lambda t, d, *costs: pays(t, d, *costs, bound=0), "better than dense"),
        (lambda t, d, *costs: lh.paired_interval(t, d).low, "True or False"),
    ],
    "check_may_stop": [
        (lambda history: overlap_with(history, max(-len(history), -3)), "one mask"),
        (lambda history: len(history) > 1 and [m.sum() for m in history[-1]] == [m.sum() for m in history[-2]],
         "only their counts"),
        (lambda history: False, "twelve epochs"),
        (lambda history: len(history) > 3 and min(lh.jaccard(history[-1], h) for h in history) > 0.9, "changed at first"),
        (lambda history: len(history) > 3 and lh.jaccard(history[-2], history[-3]) > 0.9, "the newest mask"),
        (lambda history: lh.jaccard(history[-1], history[-2]) > 0.9, "it raised IndexError"),
    ],
    "check_perturb": [
        (one_draw_for_all, "share their noise"),
        (lambda x, sigma, seed: activations(x, sigma, seed, x**2 @ sigma**4), "where the deviation belongs"),
        (lambda x, sigma, seed: activations(x, sigma, seed, x @ sigma**2), "hasn't the variance"),
        (lambda x, sigma, seed: 0.5 + activations(x, sigma, seed), "mean isn't zero"),
        (lambda x, sigma, seed: activations(x, sigma, 0), "every seed"),
        (lambda x, sigma, seed: np.random.standard_normal((len(x), sigma.shape[1])), "two calls"),
        (local_noise_of_x, "in place"),
    ],
}  # fmt: skip
MISTAKES = [
    pytest.param(check, number, id=f"{check}-{number}") for check in WRONG for number in range(len(WRONG[check]))
]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize(("check", "number"), MISTAKES)
def test_a_wrong_answer_is_refused_by_the_name_of_its_mistake(check, number, capsys):
    wrong, words = WRONG[check][number]
    assert getattr(lh.exercises, check)(wrong) is False
    printed = capsys.readouterr().out
    assert re.fullmatch("✗ .*\n", printed), printed
    assert any(phrase in printed for phrase in words.split("|")), printed


def raises(*_):
    raise RuntimeError("no idea")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("answer", "words"), [
    (raises, "raised RuntimeError: no idea"),
    (lambda: 1, "raised TypeError"),
    (lambda *_: None, "still empty"),
    (lambda *_: ..., "must return"),
    (lambda *_: {"a": 1}, "must return"),
    (lambda *_: not_random, "must return"),
    (lambda *_: [np.ones((2, 3)), np.ones(4), "x"], "must return"),
    (lambda *_: np.ones((7, 7, 7)), "must (return|have)"),
    (lambda *_: [[1], [2, 3]], "must (return|have)"),
    (lambda *_: np.array([None, 1]), "must return"),
    (3, "the function itself"),
    (None, "the function itself"),
])  # fmt: skip
def test_a_wild_answer_gets_a_sentence(check, answer, words, capsys):
    assert getattr(lh.exercises, check)(answer) is False
    printed = capsys.readouterr().out
    assert re.fullmatch("✗ .*\n", printed) and re.search(words, printed), printed


@pytest.mark.parametrize("check", sorted(set(CHECKS) - {"check_verdict"}))
def test_text_is_no_number(check, capsys):
    assert getattr(lh.exercises, check)(lambda *_: "as good") is False
    assert "it must return" in capsys.readouterr().out
