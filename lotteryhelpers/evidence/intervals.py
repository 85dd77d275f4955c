"""Intervals of paired differences, what they show, and the figures that recur."""

import dataclasses

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from lotteryhelpers.plots import line_of

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
        - "not decided": all else: zero inside or at an end, and an end on the margin or beyond."""
        if not 0 < margin < np.inf:
            raise ValueError(f"margin={margin!r} must be a number above 0, such as {MARGIN}")
        if -margin < self.low and self.high < margin:
            return "as good"
        if self.low > 0:
            return "better" if self.low >= margin else "ahead"
        if self.high < 0:
            return "worse" if self.high <= -margin else "behind"
        return "not decided"


def _mean_of_differences(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)  # by place, not by a Series' index
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"a and b have shapes {a.shape} and {b.shape}; an interval needs 2 pairs or more")
    if not np.isfinite(a - b).all():
        raise ValueError("a and b hold values that are not finite")
    return (a - b).mean(), scipy.stats.sem(a - b), len(a) - 1


def paired_interval(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Interval:
    """Interval of the mean of a - b over pairs (one pair a seed), by Student's t."""
    mean, error, freedom = _mean_of_differences(a, b)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} must be between 0 and 1, such as 0.95")
    half = error * scipy.stats.t.ppf((1 + confidence) / 2, freedom)
    return Interval(float(mean), float(mean - half), float(mean + half))


def holm(pairs, confidence=0.95):
    """Intervals of k ``pairs`` (a, b), a family found on the way, by Holm's step-down.
    With alpha = 1 - confidence, by p-value: rank 1, 2, ... gets the interval of 1 - alpha / (k - rank + 1)
    as long as that excludes zero; from the first that doesn't, all get Bonferroni's, 1 - alpha / k. So an
    interval excludes zero exactly if Holm rejects; for the margin, alpha is kept only nearly."""
    alpha = 1 - confidence
    found = [paired_interval(a, b, 1 - alpha / len(pairs)) for a, b in pairs]
    for rank, i in enumerate(np.argsort([_p_value(a, b) for a, b in pairs], kind="stable")):
        step = paired_interval(*pairs[i], 1 - alpha / (len(pairs) - rank))
        if step.low <= 0 <= step.high:
            break
        found[i] = step
    return found


def _p_value(a, b):
    mean, error, freedom = _mean_of_differences(a, b)
    ratio = abs(mean) / error if error else np.inf if mean else 0  # without any spread: p is 0, of no size 1
    return 2 * scipy.stats.t.sf(ratio, freedom)


def weights_axis(ax, ticks):
    """A log axis of the fraction of weights kept, dense left to sparse right, its ticks in percent."""
    ax.set(xscale="log", xlim=(1.15 * max(ticks), min(ticks) / 1.15), xlabel="weights kept (%)",
           xticks=ticks, xticklabels=[f"{100 * tick:.3g}" for tick in ticks])  # fmt: skip
    ax.minorticks_off()


def draw_points(ax, points, name, *, height=np.inf, **look):
    """Draw the means of ``points``, a dict from a place on the axis to values by seed, and their intervals.
    A band is the 95% interval. Where that is wider than ``height``, or there are fewer than 3 seeds, the
    single seeds are dots. One point alone is a level: a line across the axis."""
    line, places = line_of(name, marker=True) | {"ms": 5} | look, sorted(points)
    color, (low, high) = line["color"], np.full((2, len(places)), np.nan)
    for i, place in enumerate(places):
        values = np.asarray(points[place], np.float64)
        found = paired_interval(values, 0 * values) if len(values) > 2 else None
        if found and found.high - found.low <= height:
            low[i], high[i] = found.low, found.high
        else:
            ax.plot(np.full(len(values), place), values, ".", color=color, alpha=0.5)
    means = [np.mean(points[place]) for place in places]
    if len(places) == 1:
        ax.axhline(means[0], **line | {"marker": ""})
        if low[0] < high[0]:  # or the seeds are dots
            ax.axhspan(low[0], high[0], color=color, alpha=0.15, lw=0)
    else:
        ax.plot(places, means, **line)
        ax.fill_between(places, low, high, color=color, alpha=0.15, lw=0)
        ax.vlines(places, low, high, color=color, alpha=0.4, lw=1)


def draw_arms(ax, table, column, arms, *, along="density", at=None, minus=None, ylim=None, **how):
    """Draw a column of a ``Table`` for several arms, or the paired differences to a baseline.

    Args:
        arms: dict from a name (see ``plots.line_of``) to its rows. Lengths that differ are added.
        along: the column whose values are an arm's points; ``at``, if another, the one of their places.
        minus: the baseline's rows: with a value of ``along`` always those, else those of the same value. The
            margin is grey around zero; ``how`` is ``Table.pair``'s. ``ylim``: None shows everything."""
    drawn, steps, height = {}, {}, np.ptp(ylim) if ylim else np.inf
    for name, where in arms.items():
        rows, drawn[name] = table.where(**where), {}
        steps[name] = "" if minus else " and ".join(f"{n:,} steps" for n in {*rows.frame.get("steps", [])})
        for point in ({along: value} for value in rows.column(along).unique()):
            values = rows.values(column, **point)
            if minus:
                sides = where | point, point | minus
                values = np.subtract(*table.pair(column, *sides, **how))
                steps[name] = table.lengths_of(*sides, **how) or steps[name]
            drawn[name][rows.values(at or along, **point).mean()] = values
    if minus:
        ax.axhspan(-MARGIN, MARGIN, color="#949494", alpha=0.25, lw=0, label=f"within {MARGIN} points")
        ax.axhline(0, color="black", lw=1)
    ax.set_ylim(ylim, auto=not ylim)
    for name, points in drawn.items():
        length = f", {steps[name]}" if steps[name] and (minus or len({*steps.values()}) > 1) else ""
        draw_points(ax, points, name, height=height, label=line_of(name)["label"] + length)


def legend_below(fig):
    """One legend for all axes, below them, so that it covers no data; a name stands there once."""
    found = dict(p for ax in fig.axes for p in zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    most = int(fig.get_figwidth() / (0.9 + 0.07 * max(map(len, found)))) or 1  # by inches of the longest
    columns = -(-len(found) // -(-len(found) // most))  # as few rows, and none with a name alone
    fig.legend(found.values(), found, loc="outside lower center", ncols=columns, fontsize="small")
