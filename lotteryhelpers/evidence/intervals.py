"""Intervals of paired differences, and what they show."""

import dataclasses

import numpy as np
import scipy.stats

MARGIN = 0.3  #: points: the one margin of the series, unless a page says why
WORDS = ("as good", "better", "worse", "ahead", "behind", "not decided")  #: what a verdict can be


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean with the ends of its confidence interval."""

    mean: float
    low: float
    high: float

    def text(self, unit=" points", digits=2):
        """Such as "+0.48 points (+0.41 to +0.54)"; ``unit`` stands behind the mean."""
        return f"{self.mean:+,.{digits}f}{unit} ({self.low:+,.{digits}f} to {self.high:+,.{digits}f})"

    def verdict(self, margin):
        """What a difference with this interval shows, against a margin m > 0 chosen beforehand: one word.

        - "as good": -m < low and high < m, the whole interval inside the margin, no end on it;
        - "better": low >= m; "worse": high <= -m;
        - "ahead": 0 < low < m <= high; "behind": low <= -m < high < 0;
        - "not decided": all else: zero inside or at an end, and an end on the margin or beyond.
        """
        if not 0 < margin < np.inf:
            raise ValueError(f"margin={margin!r} must be a number above 0, such as {MARGIN}")
        if -margin < self.low and self.high < margin:
            return "as good"
        if self.low > 0:
            return "better" if self.low >= margin else "ahead"
        if self.high < 0:
            return "worse" if self.high <= -margin else "behind"
        return "not decided"


def _differences(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)  # by place, not by a Series' index
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"a and b have shapes {a.shape} and {b.shape}; an interval needs 2 pairs or more")
    if not np.isfinite(a - b).all():
        raise ValueError("a and b hold values that are not finite")
    return a - b


def paired_interval(a, b, confidence=0.95):
    """Interval of the mean of a - b over pairs (one pair a seed), by Student's t."""
    difference = _differences(a, b)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} must be between 0 and 1, such as 0.95")
    half = scipy.stats.sem(difference) * scipy.stats.t.ppf((1 + confidence) / 2, len(difference) - 1)
    mean = difference.mean()
    return Interval(float(mean), float(mean - half), float(mean + half))


def holm(pairs, confidence=0.95):
    """Intervals of k ``pairs`` (a, b), a family found on the way, by Holm's step-down.

    With alpha = 1 - confidence, by p-value: rank 1, 2, ... gets the interval of 1 - alpha / (k - rank + 1)
    as long as that excludes zero; from the first that doesn't, all get Bonferroni's, 1 - alpha / k. So an
    interval excludes zero exactly if Holm rejects; for the margin, alpha is kept only nearly.
    """
    alpha = 1 - confidence
    found = [paired_interval(a, b, 1 - alpha / len(pairs)) for a, b in pairs]
    for rank, i in enumerate(np.argsort([_p_value(a, b) for a, b in pairs], kind="stable")):
        step = paired_interval(*pairs[i], 1 - alpha / (len(pairs) - rank))
        if step.low <= 0 <= step.high:
            break
        found[i] = step
    return found


def _p_value(a, b):
    difference = _differences(a, b)
    size, error = abs(difference.mean()), scipy.stats.sem(difference)
    ratio = size / error if error else np.inf if size else 0  # without any spread: p is 0, of no size 1
    return 2 * scipy.stats.t.sf(ratio, len(difference) - 1)
