"""The figures that recur: results against the weights kept, means with their 95% intervals."""

import numpy as np

from lotteryhelpers.evidence.intervals import MARGIN, paired_interval
from lotteryhelpers.plots import line_of


def weights_axis(ax, ticks):
    """A log axis of the fraction of weights kept, dense left to sparse right, its ticks in percent."""
    ax.set(xscale="log", xlim=(1.15 * max(ticks), min(ticks) / 1.15), xlabel="weights kept (%)",
           xticks=ticks, xticklabels=[f"{100 * tick:.3g}" for tick in ticks])  # fmt: skip
    ax.minorticks_off()


def draw_points(ax, points, name, *, height=np.inf, **look):
    """Draw the means of ``points``, a dict from a place on the axis to values by seed, and their intervals.

    A band is the 95% interval. Where that is wider than ``height``, or there are fewer than 3 seeds, the
    single seeds are dots. One point alone is a level: a line across the axis.
    """
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
        arms: dict from a name (``plots.line_of`` knows its look) to the dict that names its rows. Lengths of
            training that differ are added to the names.
        along: the column whose values are an arm's points; ``at``, if another, the one of their places.
        minus: the baseline's rows: with a value of ``along`` always those, else those of the same value. The
            margin is grey around zero; ``how`` is ``Table.pair``'s. ``ylim``: None shows everything.
    """
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
