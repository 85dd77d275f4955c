"""The exercises check themselves: ``check_...(function)`` prints one line, never a traceback, and returns
True or False. Each docstring says what the reader's function takes and gives."""

import numpy as np
from sklearn.metrics import roc_auc_score

from lotteryhelpers.evidence.intervals import Interval, paired_interval
from lotteryhelpers.teaching.judge import compare, each, normal, planted, probe, same, top

# fmt: off

def check_kl(kl):
    """``kl(mu, sigma, prior_stddev)``: two arrays and a number to nats, an array of that shape."""
    def right(m, s, p):
        return np.log(p / s) + (s**2 + m**2) / (2 * p**2) - 0.5
    cases = [(np.array([0.1]), np.array([0.5]), 2.0), (normal(2, 3), abs(normal(2, 3, seed=1)), 0.5)]
    return compare(kl, cases, right, {
        "it isn't 0 where q is the prior itself: a constant is missing": lambda *c: right(*c) + 0.5,
        "the logarithm is upside down": lambda m, s, p: right(m, s, p) - 2 * np.log(p / s),
        "this is KL(p||q), not KL(q||p)": lambda m, s, p: np.log(s / p) + (p**2 + m**2) / s**2 / 2 - .5,
        "the weights are summed; each is to have its own number": lambda *c: right(*c).sum()})

def check_doubt(doubt):
    """``doubt(samples)``: probabilities [draws, images, classes] to a score [images], higher = more doubt."""
    labels = np.arange(300) % 10
    odds = np.exp(np.eye(10)[labels] * np.linspace(0, 6, 300)[:, None] + normal(20, 300, 10))
    samples = odds / odds.sum(-1, keepdims=True)  # 20 draws for 300 images, the first of them in doubt
    wrong = samples.mean(0).argmax(1) != labels
    return probe(doubt, [(samples,), (samples[::-1],), (samples[:, 200:],)], lambda s: np.zeros(s.shape[1]), {
        "every image gets the same score": lambda a, *_: np.ptp(a) < 1e-9,
        "the score depends on the order of the draws": lambda a, b, c: not same(a, b),
        "an image's score depends on the images beside it": lambda a, b, c: not same(a[200:], c),
        "it ranks wrong predictions low: that is confidence": lambda a, *_: roc_auc_score(wrong, a) < 0.4,
        "it ranks wrong predictions no higher than chance": lambda a, *_: roc_auc_score(wrong, a) < 0.6})

def check_pixel_map(pixel_map):
    """``pixel_map(means, stddevs, shape)``: arrays [pixels, units] and (rows, columns) to an image."""
    cases = [(normal(n, 2), abs(normal(n, 2, seed=1)), shape) for n, shape in ((4, (2, 2)), (6, (2, 3)))]
    return compare(pixel_map, cases, lambda m, s, shape: (abs(m) / s).mean(1).reshape(shape), {
        "mu enters with its sign, so that weights cancel": lambda m, s, to: (m / s).mean(1).reshape(to),
        "the ratio is upside down: noise over signal": lambda m, s, to: (s / abs(m)).mean(1).reshape(to),
        "it divides by the variance": lambda m, s, to: (abs(m) / s**2).mean(1).reshape(to),
        "this is the ratio of two means": lambda m, s, to: (abs(m).mean(1) / s.mean(1)).reshape(to),
        "the pixels are still in one row, not an image": lambda m, s, to: (abs(m) / s).mean(1)})

def check_likeness(likeness):
    """``likeness(early, late)``: deviations [inputs, units] twice to a number, higher = orders more alike."""
    s = np.exp(normal(30, 8))
    shuffled = np.random.default_rng(1).permutation(s.ravel()).reshape(s.shape)
    others = [s, 3 * s, s**3, s * np.exp(0.5 * normal(30, 8, seed=1)), shuffled, 1 / s]
    return probe(likeness, [(s, other) for other in others], lambda a, b: 0.0, {
        "equal orders get the lowest number: this is a distance": lambda a, *rest: a < min(rest[2:]),
        "values count, not only their order": lambda a, b, c, *_: not (np.isclose(a, b) and np.isclose(a, c)),
        "the same values at other weights score as high": lambda a, b, c, d, e, f: np.isclose(a, e),
        "the reversed order scores as high as nearly the same one": lambda a, b, c, d, e, f: f >= d,
        "nearly equal isn't between equal and shuffled": lambda a, b, c, d, e, f: not a > d > e})

def check_keep_k(keep_k):
    """``keep_k(scores, k)``: an array [inputs, units] and a number to a mask of that shape, True = kept."""
    cases = [(np.array([[3.0, 1.0], [3.0, 3.0], [0.0, 3.0]]), 2), (normal(4, 5), 7)]
    ties = {'of tied weights others than the first stay: argsort needs kind="stable", argpartition takes any':
            (np.round(normal(8, 9)), 30)}
    return compare(keep_k, cases, top, {
        "this keeps the weights of the lowest score": lambda s, k: top(-s, k),
        "all that tie with the last place are kept, more than k": lambda s, k: s >= np.sort(s, None)[-k],
        "too few: a > where the last place itself must stay": lambda s, k: s > np.sort(s, None)[-k],
        "k weights are pruned; k are to be kept": lambda s, k: top(s, s.size - k),
        "of tied weights the last are kept, not the first":
            lambda s, k: top(s[::-1, ::-1], k)[::-1, ::-1]}, ties)

def check_few_inputs(few_inputs):
    """``few_inputs(scores, count)``: positive [inputs, units] and a number to a mask of few inputs."""
    rows = np.linspace(0.5, 1.5, 40)[:, None]
    cases = [(abs(normal(40, 10, seed=i)) * rows, n) for i, n in enumerate((77, 153))]
    some = each(any, cases)
    return probe(few_inputs, cases, lambda s, n: np.zeros(s.shape, bool), {
        "it doesn't keep exactly `count` weights": some(lambda m, s, n: m.sum() != n),
        "it reads no fewer inputs than the highest scores do": some(
            lambda m, s, n: m.any(1).sum() >= top(s, n).any(1).sum()),
        "its scores are no higher than chance's": some(lambda m, s, n: s[m].mean() < 1.1 * s.mean())})

def check_verdict(verdict):
    """``verdict(differences, margin)``: [seeds] and a number to one of ``Interval.verdict``'s six words."""
    sets = [1, 3, 2, 2.0], [0.1, 0.2, 0.15], [1, -1, 0.1], [0.1, -0.1, 0], [0.2, 0.5, 0.9, 0.4]
    def words(d, margin, wide=1.0, sign_first=False):
        i = paired_interval(d, np.zeros(len(d)))
        i = Interval(i.mean, *(i.mean + wide * (end - i.mean) for end in (i.low, i.high)))
        sign = "ahead" if i.low > 0 else "behind" if i.high < 0 else ""
        return sign if sign_first and sign and i.verdict(margin) == "as good" else i.verdict(margin)
    return compare(verdict, [(sign * np.array(d), 0.5) for d in sets for sign in (1, -1)], words, {
        "any interval around zero is called as good":
            lambda d, m: words(d, m, sign_first=True).replace("not decided", "as good"),
        "the sign is asked before the margin": lambda d, m: words(d, m, sign_first=True),
        "only the mean is looked at, not its interval": lambda d, m: words(d, m, wide=0),
        "better and worse need all of the interval beyond the margin":
            lambda d, m: words(d, m).replace("ahead", "better").replace("behind", "worse"),
        "it never says worse": lambda d, m: words(d, m).replace("worse", "not decided"),
        "the deviation isn't divided by the root of n": lambda d, m: words(d, m, wide=len(d) ** 0.5)})

def check_control(control):
    """``control(masks, seed)``: masks and a seed to other masks with equal counts, True = kept."""
    shares = np.linspace(0.1, 0.9, 12)[:, None]
    masks = [np.random.default_rng(i).random((12, n)) < shares for i, n in enumerate((8, 10))]
    def sums(layers, axis=None):
        return [np.sum(m, axis) for m in layers]
    def moved(made):
        return any(sorted(a.tolist()) == sorted(b.tolist()) or sorted(a.T.tolist()) == sorted(b.T.tolist())
                   for a, b in zip(map(np.asarray, made), masks, strict=True))
    return probe(control, [(masks, seed) for seed in range(5)], lambda m, seed: m, {
        "a layer doesn't keep as many as before": lambda *a: any(sums(x) != sums(masks) for x in a),
        "it gives the masks back unchanged": lambda *a: any(same(x, masks) for x in a),
        "another seed gives the same masks": lambda a, b, *_: same(a, b),
        "whole rows or columns are moved, and chance decides no more": lambda *a: any(map(moved, a)),
        "neither every input's nor every unit's number is copied": lambda *a: not all(
            any(same(sums(x, axis), sums(masks, axis)) for axis in (0, 1)) for x in a)})

def check_criterion(criterion):
    """``criterion(run)``: a ``BayesianRun`` to scores, a list of [inputs, units], higher = keep."""
    runs, useful = zip(*map(planted, range(2)), strict=True)
    means, needed = [m for run in runs for m in run.final.means], [u for masks in useful for u in masks]
    def found(answers, sign=0):  # the AUC of every layer; of weights of one sign, if that is given
        each_layer = zip([np.asarray(s) for scores in answers for s in scores], needed, means, strict=True)
        return [roc_auc_score((u & (sign * m >= 0)).ravel(), s.ravel()) for s, u, m in each_layer]
    return probe(criterion, [(run,) for run in runs], lambda run: list(run.final.means), {
        "large negative means come last": lambda *a: max(found(a, -1)) < 0.4 < min(found(a, 1)),
        "the weights that the data need come last; higher must mean keep": lambda *a: max(found(a)) < 0.4,
        "it finds what the data need no better than chance": lambda *a: min(found(a)) < 0.6})

def check_schedule(schedule):
    """``schedule(density, rounds)``: two numbers to the fraction to prune in each round, [rounds]."""
    cases = [(0.2, 4), (0.036, 3), (0.5, 8)]
    some, every = each(any, cases), each(all, cases)
    return probe(schedule, cases, lambda density, rounds: np.zeros(rounds), {
        "these are the fractions kept, not pruned": every(lambda r, d, n: np.isclose(np.prod(r), d)),
        "the fractions are added, not multiplied": every(lambda r, d, n: np.isclose(r.sum(), 1 - d)),
        "these are the densities after each round": every(lambda r, d, n: np.isclose(r[-1], d)),
        "a fraction isn't above 0 and below 1": some(lambda r, d, n: r.min() <= 0 or r.max() >= 1),
        "another density is left at the end": some(lambda r, d, n: not np.isclose(np.prod(1 - r), d)),
        "every round prunes the same: that is the paper's plan": every(lambda r, d, n: np.ptp(r) < 1e-6)})

def check_supermask(supermask):
    """``supermask(initial, final, count)``: [inputs, classes] twice and a number to a mask, True = kept."""
    initial, images = normal(80, 5), normal(400, 80)
    final = 0.4 * initial + normal(80, 5, seed=1)
    def right(mask):  # how many images the untrained, masked weights class as the trained ones do
        return np.mean((images @ (initial * mask)).argmax(1) == (images @ final).argmax(1))
    chance = np.mean([right(top(normal(80, 5, seed=s), 120)) for s in range(20)])
    return probe(supermask, [(initial, final, 120)], lambda *_: np.zeros((80, 5), bool), {
        "`count` weights are pruned; that many are to be kept": lambda m: m.sum() == m.size - 120,
        "it doesn't keep exactly `count` weights": lambda m: m.sum() != 120,
        "most that it keeps has changed its sign": lambda m: (initial * final < 0)[m].mean() > 0.6,
        "untrained, it is hardly better than a random mask": lambda m: right(m) < chance + 0.1})

def check_pays(pays):
    """``pays(ticket, dense, finding, training, dense_cost)``: [seeds] twice, three costs to a bool."""
    near, far = np.array([[0.05, 0.1, 0.0, 0.05], [0.4, -0.4, 0.3, -0.2]])
    made = [(near, 5, 6), (near, 1, 12), *((d, 3, 4) for d in (near, near + 1, far, near - 1, far - 0.3))]
    cases = [(97 + d, np.full(4, 97.0), *costs, 10) for d, *costs in made]
    def says(ticket, dense, finding, training, dense_cost, good=lambda i: i.low > -0.1):
        return bool(good(paired_interval(ticket, dense)) and finding + training < dense_cost)
    return compare(pays, cases, says, {
        "the cost of finding is forgotten": lambda t, d, f, *c: says(t, d, 0, *c),
        "only the costs are compared": lambda *c: says(*c, good=lambda i: True),
        "only accuracies are compared": lambda t, d, *_: says(t, d, 0, 0, 1),
        "only the mean is looked at, not its interval": lambda *c: says(*c, good=lambda i: i.mean > -0.1),
        "the interval's lower end decides, not its upper": lambda *c: says(*c, good=lambda i: i.high > -0.1),
        "ticket and dense have changed places": lambda t, d, *c: says(d, t, *c),
        "a ticket that is much better fails": lambda *c: says(*c, good=lambda i: abs(i.low) < 0.1 > i.high),
        "it asks for better than dense": lambda *c: says(*c, good=lambda i: i.low > 0)})

def check_may_stop(may_stop):
    """``may_stop(history)``: a list, an epoch an entry, of masks (lists of [inputs, units]) to a bool."""
    a, *others = [[top(normal(20, n, seed=s), 60) for n in (12, 10)] for s in range(12)]
    histories = [[a], others, [a] * 12, others[:4] + [a] * 12, [a] * 11 + others[:1]]
    return probe(may_stop, [(h,) for h in histories], lambda _: True, {
        "with one mask there is nothing to compare, and it stops": lambda *stops: stops[0],
        "the masks change at every epoch, only their counts don't, and it stops": lambda *stops: stops[1],
        "the masks have been the same for twelve epochs, and it goes on": lambda *stops: not stops[2],
        "they changed at first and then settled, and it goes on": lambda *stops: not stops[3],
        "the newest mask is quite another one, and it stops": lambda *stops: stops[4]})

def check_perturb(perturb):
    """``perturb(x, sigma, seed)``: [n, inputs], [inputs, units], a seed to the outputs' noise, [n, units]."""
    x, sigma = abs(normal(8, 5)) + 0.2, 0.1 + 0.5 * abs(normal(5, 4))
    def ratio(draws, power=2):  # of the noise's variance to what it should be
        return np.mean(np.mean(np.square(draws), 0) / (x**2 @ sigma**power))
    def shared(draws):  # the variance of the batch's mean, 1 for independent noise
        return np.mean(np.var(np.mean(draws, 1), 0) / ((x**2 @ sigma**2).mean(0) / len(x)))
    return probe(perturb, [(x, sigma, seed) for seed in range(800)], lambda x, s, _: x @ s, {
        "every seed gives the same noise": lambda *d: same(d[0], d[1]),
        "its mean isn't zero": lambda *d: np.any(abs(np.mean(d, 0)) > 0.25 * np.sqrt(x**2 @ sigma**2)),
        "the variance stands where the deviation belongs": lambda *d: abs(ratio(d, 4) - 1) < 0.1,
        "an image's noise hasn't the variance x^2 sigma^2": lambda *d: abs(ratio(d) - 1) > 0.1,
        "the images share their noise, so their mean keeps it": lambda *d: shared(d) > 1.5})

def check_laplace(laplace):
    """``laplace(x, p, s)``: inputs [n, inputs], probabilities [n, classes], a prior to [inputs, classes]."""
    cases = [(abs(normal(n, 4)), (w := abs(normal(n, 3, seed=1))) / w.sum(1, keepdims=True), s)
             for n, s in ((5, 1.0), (9, 0.5))]
    def right(x, p, s):
        return ((x**2).T @ (p * (1 - p)) + s**-2) ** -0.5
    return compare(laplace, cases, right, {
        "these are variances; take the root": lambda *c: right(*c) ** 2,
        "these are precisions, 1 / sigma^2": lambda *c: right(*c) ** -2.0,
        "the prior is forgotten": lambda x, p, s: right(x, p, np.inf),
        "the prior's variance stands where 1 / s^2 belongs": lambda x, p, s: right(x, p, 1 / s),
        "the images are averaged; each of them adds its curvature":
            lambda x, p, s: right(x / len(x) ** 0.5, p, s),
        "x isn't squared": lambda x, p, s: right(x**0.5, p, s),
        "the variance of a class is p (1 - p)": lambda x, p, s: ((x**2).T @ p + s**-2) ** -0.5})
