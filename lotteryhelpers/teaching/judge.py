"""What the exercises' checks share: call a reader's function and say in a sentence what is wrong with it."""

import copy
import sys
from textwrap import shorten

import numpy as np

from lotteryhelpers.masks import keep_counts
from lotteryhelpers.posterior import BayesianRun, Posterior
from lotteryhelpers.storage import key_of


class Wrong(Exception):
    """What is wrong, in a sentence for the reader."""


def same(a, b):
    """Equal up to rounding: arrays, numbers, text, or lists of these."""
    if isinstance(b, list | tuple):
        return isinstance(a, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    try:
        return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-5, equal_nan=True)
    except (TypeError, ValueError):  # text, or rows of unequal length
        return repr(a) == repr(b)


def check_form(answer, model):
    """Refuse an answer that hasn't its model's form: layers, shapes, numbers or bool or text, finite."""
    if isinstance(model, list | tuple):
        if not isinstance(answer, list | tuple) or len(answer) != len(model):
            yours = f"{type(answer).__name__} of {len(answer) if hasattr(answer, '__len__') else 1}"
            raise Wrong(f"it must return a list of {len(model)} arrays, one a layer; yours is a {yours}")
        return [check_form(*pair) for pair in zip(answer, model, strict=True)]
    try:
        array, model = np.asarray(answer), np.asarray(model)
    except ValueError:
        raise Wrong("it must return one array; yours has rows or layers of unequal length") from None
    kinds = [{"b": "True or False", "U": "a word"}.get(a.dtype.kind, "numbers") for a in (array, model)]
    if kinds[0] != kinds[1] or array.dtype.kind not in "biufU":
        raise Wrong(f"it must return {kinds[1]}; yours is of {kinds[0]}: {shorten(str(answer), 100)}")
    if array.shape != model.shape:
        raise Wrong(f"its answer has the shape {array.shape}; it must have {model.shape}")
    if kinds[1] == "numbers" and not np.isfinite(array).all():
        raise Wrong("its answer holds NaN or infinite values: is there a division by 0, or the log of 0?")


def _call(function, case):
    """The answer to one case: the same twice, its inputs as they were."""
    answers = []
    for _ in range(2):  # the same must come out
        given = copy.deepcopy(case)
        try:
            answers.append(function(*given))
        except Exception as error:  # whatever a reader's code may raise
            raise Wrong(f"it raised {type(error).__name__}: {shorten(str(error), 100)}") from None
        if answers[-1] is None:
            raise Wrong("still empty: it returns None. Write its body, and end with return")
        if key_of(case=given) != key_of(case=case):
            raise Wrong("it changes its input in place, so the caller's arrays too; work on a copy")
    if not same(*answers):
        raise Wrong("two calls with the same input differ; draw from a generator with the given seed")
    return answers[0]


def compare(function, cases, reference, mistakes, traps=None):
    """Hold a function to its one right answer: print a line, return whether all is well. mistakes: sentence
    -> the function that a reader has written then. traps: sentence -> a case that only a function with that
    mistake gets wrong, if it gets the others right."""

    def complaints(answers):
        right = [reference(*c) for c in cases]
        yield from (s for s, wrong in mistakes.items() if same(answers, [wrong(*c) for c in cases]))
        check_form(answers, right)  # not before: an answer of another form may be one of the mistakes
        for case, *pair in zip(cases, answers, right, strict=True):
            if not same(*pair):
                yield "for {} it gives {}; right is {}".format(*map(short, (case, *pair)))
        yield from (s for s, c in (traps or {}).items() if not same(_call(function, c), reference(*c)))

    return _judge(function, cases, complaints)


def probe(function, cases, form, symptoms):
    """Hold a function of the reader's own design to what can be tested. form: an answer of the right form for
    a case. symptoms: sentence -> function of all answers, True = bad."""

    def complaints(answers):
        check_form(answers, [form(*c) for c in cases])
        yield from (sentence for sentence, shows in symptoms.items() if shows(*answers))

    return _judge(function, cases, complaints)


def _judge(function, cases, complaints):
    plain = getattr(function, "func", function)  # a partial's
    line = f"✓ {getattr(plain, '__name__', type(plain).__name__)} passes all that this check asks."
    try:
        if not callable(function):
            raise Wrong("give the check the function itself, without calling it: check_...(my_function)")
        for complaint in complaints([_call(function, c) for c in cases]):
            raise Wrong(complaint)  # one at a time
    except Wrong as wrong:
        line = f"✗ {wrong}."
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # a Windows console's may lack the marks
    print(line.encode(encoding, "replace").decode(encoding))
    return line.startswith("✓")


def short(value):
    """A few digits of an input or an answer, on one line."""
    if isinstance(value, list | tuple):
        return ", ".join(map(short, value))
    options = {"precision": 3, "separator": ",", "threshold": 20, "edgeitems": 1}
    return np.array2string(np.asarray(value), **options).replace("\n", "")


def normal(*shape, seed=0):
    """Standard normal numbers, the same at every call."""
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def top(score, count):
    """The mask of one layer's ``count`` highest scores."""
    return keep_counts([np.asarray(score)], [count])[0]


def planted(seed):
    """A made-up BayesianRun of two layers, and masks of the fifth of weights that its data need: those have
    large means of either sign and small deviations, and all others the contrary."""
    start, noise = ([normal(n, 9, seed=2 * k + seed) for n in (30, 9)] for k in (0, 5))
    useful = [n > 0.8 for n in noise]
    parts, biases = list(zip(useful, start, noise, strict=True)), [np.zeros(9)] * 2
    means = [np.where(u, np.sign(w) * (1 + 0.3 * abs(n)), 0.05 * n) for u, w, n in parts]
    deviations = [np.where(u, 0.1, 0.5) * np.exp(0.2 * normal(*w.shape, seed=20)) for u, w, _ in parts]
    first = Posterior([0.1 * w for w in start], [np.full_like(w, 0.05) for w in start], biases)
    return BayesianRun(first, Posterior(means, deviations, biases), {}, None), useful


def each(ask, cases):
    """Turn ``hit(answer, *case)`` into a symptom that asks it of ``any`` or ``all`` cases."""
    return lambda hit: lambda *found: ask(hit(np.asarray(a), *c) for a, c in zip(found, cases, strict=True))
