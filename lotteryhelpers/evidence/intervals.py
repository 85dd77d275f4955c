"""Intervals of paired differences, and what they show."""

import dataclasses

import numpy as np
import scipy.stats


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean with the ends of its confidence interval."""

    mean: float
    low: float
    high: float

    def verdict(self, margin):
        """What a difference with this interval shows, against a margin chosen beforehand.

        "as good" needs the whole interval inside the margin: not significant is not the same as equal.
        """
        if -margin < self.low and self.high < margin:
            return "as good"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "not decided"


def paired_interval(a, b, confidence=0.95):
    """Interval of the mean of a - b over pairs (one pair a seed), by Student's t."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)  # by place, not by a Series' index
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"a and b have shapes {a.shape} and {b.shape}; an interval needs 2 pairs or more")
    difference = a - b
    if not np.isfinite(difference).all():
        raise ValueError("a and b hold values that are not finite")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} must be between 0 and 1, such as 0.95")
    half = scipy.stats.sem(difference) * scipy.stats.t.ppf((1 + confidence) / 2, len(difference) - 1)
    mean = difference.mean()
    return Interval(float(mean), float(mean - half), float(mean + half))
