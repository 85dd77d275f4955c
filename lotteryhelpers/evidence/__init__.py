"""From tidy rows to what a page says: intervals, words, claims, figures."""

from lotteryhelpers.evidence.figures import draw_arms, draw_points, legend_below, weights_axis
from lotteryhelpers.evidence.intervals import MARGIN, Interval, holm, paired_interval
from lotteryhelpers.evidence.tables import READINGS, Comparison, MarkdownTable, Table, asserted, claims_table
