"""From tidy rows to what a page says: intervals, words, claims, figures."""

# isort: off
from lotteryhelpers.evidence.intervals import MARGIN, Interval, draw_arms, draw_points, holm
from lotteryhelpers.evidence.intervals import legend_below, paired_interval, weights_axis
from lotteryhelpers.evidence.tables import READINGS, Comparison, MarkdownTable, Table, asserted, claims_table
