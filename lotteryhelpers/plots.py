"""One look for all figures: the same colour for the same thing, safe for colour-blind readers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

#: From the colour-blind palette of seaborn; lines also differ by style, for a black-and-white print.
COLORS = {
    "dense": "#000000",
    "variance": "#0173b2",
    "inverted": "#d55e00",
    "random": "#949494",
    "chance": "#949494",
    "snr": "#029e73",
    "magnitude": "#cc78bc",
    "rms": "#de8f05",
    "movement": "#8c613c",
    "dense_magnitude": "#d55e00",
    "snip": "#56b4e9",
    "random_live": "#5f5f5f",
    "untrained": "#8172b3",
    "shuffled": "#949494",
    "nll": "#56b4e9",
    "kl": "#ca9161",
    "accuracy": "#de8f05",
}
DASHES = {"inverted": "--", "random": ":", "chance": ":", "snr": "-.", "magnitude": "--", "rms": ":",
          "dense_magnitude": "--", "random_live": "--", "shuffled": ":", "kl": ":"}  # fmt: skip
LAYER_COLORS = sns.color_palette("viridis", 4)[:3]


def use_style():
    """Set the look of all figures that follow; each notebook calls it once."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update({
        "figure.dpi": 110, "figure.constrained_layout.use": True, "axes.titlesize": "medium",
        "axes.spines.top": False, "axes.spines.right": False, "image.interpolation": "nearest",
    })  # fmt: skip


def line_of(name):
    """Options of ``plot`` for the line of a network, a criterion or a control, by its name's first word."""
    word = name.split()[0]
    return {"color": COLORS.get(word, "#029e73"), "ls": DASHES.get(word, "-"), "lw": 2, "label": name}


def plot_curves(histories, column="validation_accuracy", *, ax=None, percent=True):
    """Draw learning curves, one a name: the mean over the seeds, and their range as a band.

    Args:
        histories: dict from name (its colour is in ``COLORS``) to a history or a list of them, a seed each.
        column: a column of the histories.
        ax: where to draw; None is the current axes.
        percent: multiply by 100.

    Returns:
        The axes.
    """
    ax = ax or plt.gca()
    for name, runs in histories.items():
        runs = [runs] if isinstance(runs, pd.DataFrame) else runs
        values = np.stack([run[column] for run in runs]) * (100 if percent else 1)
        line = line_of(name)
        ax.plot(runs[0]["epoch"], values.mean(0), **line)
        if len(runs) > 1:
            band = {"color": line["color"], "alpha": 0.15, "lw": 0}
            ax.fill_between(runs[0]["epoch"], values.min(0), values.max(0), **band)
    ax.set(xlabel="epoch", ylabel=column.replace("_", " ") + (" (%)" if percent else ""))
    return ax


def show_pixels(values, image_shape, *, ax=None, label="", **options):
    """Draw a value for each input pixel as an image with a colour bar; returns the axes."""
    ax = ax or plt.gca()
    picture = ax.imshow(np.reshape(values, image_shape), **{"cmap": "viridis"} | options)
    ax.figure.colorbar(picture, ax=ax, label=label, shrink=0.8)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    return ax


def show_mask(mask, *, ax=None, title=""):
    """Draw a layer's mask, inputs down and units across: blue = kept, white = pruned; returns the axes."""
    ax = ax or plt.gca()
    kept = sns.light_palette(COLORS["variance"], as_cmap=True)
    ax.imshow(mask, cmap=kept, vmin=0, vmax=1, aspect="auto", interpolation="antialiased")
    ax.set(title=title, xlabel="unit", ylabel="input")
    ax.grid(False)
    return ax
