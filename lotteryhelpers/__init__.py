"""Lottery tickets and Bayesian uncertainty: what the notebooks import as ``lh``."""

from lotteryhelpers._hints import explain_missing_names
from lotteryhelpers._quiet import import_tensorflow

import_tensorflow()
explain_missing_names()

from lotteryhelpers import exercises
from lotteryhelpers.bayesian import draw_initial, load_or_train_bayesian, train_bayesian
from lotteryhelpers.compacting import Compact, compact
from lotteryhelpers.criteria import CRITERIA, masks_for
from lotteryhelpers.data import Dataset, load_dataset
from lotteryhelpers.masks import (
    density,
    jaccard,
    keep_counts,
    keep_fraction,
    keep_units,
    variance_masks,
    variance_quantile,
)
from lotteryhelpers.networks import mean_logits
from lotteryhelpers.plots import (
    COLORS,
    LAYER_COLORS,
    line_of,
    plot_curves,
    show_mask,
    show_pixels,
    use_style,
)
from lotteryhelpers.posterior import BayesianRun, Posterior
from lotteryhelpers.pruning import (
    PruningRound,
    frozen_values,
    iterative_magnitude_pruning,
    prune,
    restart,
)
from lotteryhelpers.runs import Spec, specs_of
from lotteryhelpers.supermasks import SupermaskRun, train_supermask
from lotteryhelpers.sweeping import sweep
from lotteryhelpers.tickets import TicketRun, accuracy, paired_interval, train_ticket
from lotteryhelpers.training import Recipe, TrainConfig, recipe

__version__ = "0.5.0"  # a literal: pyproject.toml reads it without importing
