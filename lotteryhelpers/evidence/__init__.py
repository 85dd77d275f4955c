"""From tidy rows to what a page says."""

from lotteryhelpers.evidence.intervals import Interval, paired_interval
