"""Lottery tickets and Bayesian uncertainty: what the notebooks import as ``lh``."""

from lotteryhelpers.startup.session import import_tensorflow

import_tensorflow()

# isort: off
from lotteryhelpers.bayesian import draw_initial, load_or_train_bayesian, train_bayesian
from lotteryhelpers.criteria import CRITERIA, masks_for, variance_masks, variance_quantile
from lotteryhelpers.data import Dataset, load_dataset
from lotteryhelpers.evidence import Interval, paired_interval
from lotteryhelpers.masks import density, jaccard, keep_counts, keep_fraction
from lotteryhelpers.networks import mean_logits
from lotteryhelpers.papers import scores  # it adds to CRITERIA
from lotteryhelpers.papers.compacting import Compact, compact, keep_units
from lotteryhelpers.papers.convolutions import LENET_5, Conv
from lotteryhelpers.papers.posteriors import laplace, train_ivon  # it adds to ESTIMATORS
from lotteryhelpers.papers.pruning import PruningRound, iterative_magnitude_pruning, prune
from lotteryhelpers.papers.pruning import frozen_values, restart
from lotteryhelpers.papers.supermasks import SupermaskRun, train_supermask
from lotteryhelpers.plots import COLORS, LAYER_COLORS, line_of, plot_curves, show, show_mask, show_pixels
from lotteryhelpers.plots import use_style
from lotteryhelpers.posterior import BayesianRun, Posterior
from lotteryhelpers.sweeps import Spec, specs_of, sweep
from lotteryhelpers.teaching import exercises
from lotteryhelpers.tickets import TicketRun, accuracy, train_ticket
from lotteryhelpers.training import Recipe, TrainConfig, recipe

__version__ = "0.6.0"  # a literal: pyproject.toml reads it without importing
