"""One look for all figures: the same colour for the same thing, safe for colour-blind readers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

#: One thing, one look, in the whole series: its name, colour, dashes and marker. Colours are black, greys and
#: seaborn's colour-blind palette; dashes and markers tell lines apart in a black-and-white print, too.
LOOKS = {
    "dense": ("dense", "#000000", "-", "."),
    "variance": (r"variance $\sigma^2$", "#0173b2", "-", "v"),
    "snr": (r"snr $|\mu|/\sigma$", "#029e73", "-.", "s"),
    "magnitude": (r"posterior's $|\mu|$", "#cc78bc", "--", "^"),
    "dense_magnitude": (r"dense $|w|$, one cut", "#de8f05", (0, (7, 2)), "D"),
    "iterative": (r"dense $|w|$, iterative", "#d55e00", "-", "o"),
    "reinitialised": ("same masks, new weights", "#56b4e9", "--", "X"),
    "map": (r"MAP $|w|$", "#ca9161", "-", "P"),
    "kl": ("KL", "#ca9161", ":", "h"),
    "movement": (r"movement $|\mu-\mu_0|$", "#56b4e9", "-.", "<"),
    "snip": ("SNIP", "#56b4e9", "-", ">"),
    "inverted": (r"inverted, $-$variance", "#ca9161", "--", "X"),
    "random": ("random", "#949494", ":", "^"),
    "random_live": ("random, dead pixels last", "#5f5f5f", "--", "p"),
    "untrained": (r"untrained variance $\sigma_0^2$", "#5f5f5f", "-.", "h"),
    "nll": ("nll", "#56b4e9", "-", "."),
    "accuracy": ("accuracy", "#5f5f5f", "-", "."),
    "flipout": ("Flipout", "#56b4e9", "-", "o"),
    "local": ("local", "#ca9161", "-.", "s"),
    "shared": ("shared", "#5f5f5f", "--", "X"),
}
LOOKS |= {"chance": LOOKS["random"], "one-shot": LOOKS["dense_magnitude"]}  # other words for the same
OWN = ("#ca9161", "-.", "8")  # a reader's own
COLORS = {word: color for word, (_, color, _, _) in LOOKS.items()}
LAYER_COLORS = sns.color_palette("viridis", 4)[:3]


def use_style() -> None:
    """Set the look of all figures that follow; each notebook calls it once."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", rc={
        "figure.dpi": 110, "figure.constrained_layout.use": True, "axes.titlesize": "medium",
        "axes.spines.top": False, "axes.spines.right": False, "image.interpolation": "nearest",
        "legend.handlelength": 3.2})  # a whole period of every dashed line


def show(figure: plt.Figure, alt: str) -> None:
    """Display a figure, in place of ``plt.show()``, with words for those who can't see it."""
    from IPython.display import display  # here: a script needs none

    plt.close(figure)
    display(figure, metadata={"image/png": {"alt": alt}})


def line_of(name: str, *, marker: bool = False) -> dict:
    """Options of ``plot`` for the line of a network, a criterion or a control, by its name or first word."""
    own, first = (name, *OWN), name.split()[0].strip(",")
    label, color, dashes, point = LOOKS.get(name) or (name, *LOOKS.get(first, own)[1:])
    return {"color": color, "ls": dashes, "lw": 2, "label": label} | ({"marker": point} if marker else {})


def plot_curves(histories: dict, column: str = "validation_accuracy", *,
                ax: plt.Axes | None = None) -> plt.Axes:  # fmt: skip
    """Draw learning curves, one a name: the mean over the seeds, and their range as a band; returns the axes.
    ``histories`` is a dict from name (its look is in ``LOOKS``) to a history or a list of them, a seed each;
    ``ax=None`` draws on the current axes; an accuracy is in percent."""
    ax, percent = ax or plt.gca(), "accuracy" in column
    for name, runs in histories.items():
        runs = [runs] if isinstance(runs, pd.DataFrame) else runs
        values, epochs = np.stack([run[column] for run in runs]) * (100 if percent else 1), runs[0]["epoch"]
        (line,) = ax.plot(epochs, values.mean(0), **line_of(name))
        if len(runs) > 1:
            ax.fill_between(epochs, values.min(0), values.max(0), color=line.get_color(), alpha=0.15, lw=0)
    ax.locator_params(axis="x", integer=True)  # no half epochs
    ax.set(xlabel="epoch", ylabel=column.replace("_", " ") + (" (%)" if percent else ""))
    return ax


def show_pixels(values: np.ndarray, image_shape: tuple, *, ax: plt.Axes | None = None, label: str = "",
                **options) -> plt.Axes:  # fmt: skip
    """Draw a value for each input pixel as an image with a colour bar; returns the axes."""
    ax = ax or plt.gca()
    picture = ax.imshow(np.reshape(values, image_shape), **{"cmap": "viridis"} | options)
    ax.figure.colorbar(picture, ax=ax, label=label, shrink=0.8)  # type: ignore[union-attr]
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    return ax


def show_mask(mask: np.ndarray, *, ax: plt.Axes | None = None, title: str = "") -> plt.Axes:
    """Draw a layer's mask, inputs down and units across: blue = kept, white = pruned; returns the axes."""
    ax = ax or plt.gca()
    kept = sns.light_palette(COLORS["variance"], as_cmap=True)
    ax.imshow(mask, cmap=kept, vmin=0, vmax=1, aspect="auto", interpolation="antialiased")
    ax.set(title=title, xlabel="unit", ylabel="input")
    ax.grid(False)
    return ax
