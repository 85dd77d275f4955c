"""A slider and a button: try a variance threshold without writing code, where Jupyter widgets run."""

import functools

import ipywidgets
import numpy as np
import pandas as pd
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure

from lotteryhelpers.criteria import variances_of_the_kept
from lotteryhelpers.masks import density
from lotteryhelpers.plots import COLORS, plot_curves, show_mask, show_pixels
from lotteryhelpers.tickets import train_ticket


def explore(dataset, run, config, *, threshold=None):
    """Show what a variance threshold keeps, and train the dense and the masked network at a button's push.
    Needs ipywidgets 7.7 or later (JupyterLab, Jupyter Notebook, Colab); a static page shows nothing of it.
    The curves are of validation accuracy: whoever tries thresholds chooses one.
    The final variances of ``run``, a ``BayesianRun``, are cut; its initial means are trained by ``config``.
    The first ``threshold`` is a variance; None keeps half of what is left. Gives an ``ipywidgets.VBox`` to be
    displayed; its pictures are replaced, they are no outputs of the cell."""
    variances, curves = variances_of_the_kept(run.final), {}  # from a name to its history
    left = np.concatenate([v[np.isfinite(v)] for v in variances])
    ends = np.log10(left.min()) - 0.1, np.log10(left.max()) + 0.1  # from no weight to all
    wide = ipywidgets.Layout(width="98%", max_width="720px")
    full = ipywidgets.Layout(max_width="100%", align_self="flex-start")  # else stretched to the page's width
    slider = ipywidgets.FloatLogSlider(
        value=threshold or np.quantile(left, 0.5, method="lower"), base=10, min=ends[0], max=ends[1],
        step=(ends[1] - ends[0]) / 200, description="threshold", readout_format=".4f", layout=wide)
    counts, said = ipywidgets.HTML(), ipywidgets.HTML()
    aside = ipywidgets.Output()  # never shown: takes the trainer's own progress bars
    picture, figure = (ipywidgets.Image(format="png", layout=full) for _ in "ab")
    filters = [conv.kernel for conv in run.final.convs[:1]] * 2  # their rows and columns, or none
    shape, pixel = tuple(filters) or dataset.image_shape, "filter pixel" if filters else "pixel"
    button = ipywidgets.Button(description="train", button_style="primary", icon="play")

    def masks():
        return [v <= slider.value for v in variances]

    def cut(*_):
        """Count and draw the masks of the slider's threshold."""
        kept = masks()
        rows = {f"layer {i}": m for i, m in enumerate(kept, start=1)}
        rows["all"] = np.concatenate([m.ravel() for m in kept])
        table = [[f"{m.sum():,}", f"of {m.size:,}", f"{m.mean():.2%}"] for m in rows.values()]
        counts.value = pd.DataFrame(table, [*rows]).to_html(border=0, header=False)
        drawn = Figure(figsize=(9.5, 2.9), dpi=90, layout="constrained")
        axes = drawn.subplots(1, 1 + len(kept), width_ratios=[3, 3] + [1.6] * (len(kept) - 1))
        show_pixels(kept[0].reshape(*shape, -1).mean(-1), shape, ax=axes[0], vmin=0, vmax=1)
        axes[0].set(title=f"kept of each {pixel}'s weights")
        for layer, (mask, ax) in enumerate(zip(kept, axes[1:], strict=True), start=1):
            show_mask(mask, ax=ax, title=f"mask, layer {layer}")
        picture.value = print_figure(drawn, bbox_inches=None)
        empty = [i for i, m in enumerate(kept, start=1) if not m.any()]
        button.disabled = bool(empty)
        does = f"keeps {rows['all'].mean():.2%} of the weights"
        if empty:
            numbers, least = ", ".join(map(str, empty)), variances[empty[0] - 1].min()
            does = (f"prunes everything in layer {numbers}: no signal could pass, so there is nothing to "
                    f"train. The first weight of layer {empty[0]} stays from {least:.4g} on")  # fmt: skip
        elif rows["all"].all():
            does = "prunes nothing: this is the dense network itself"
        said.value = f"The threshold {slider.value:.4g} {does}."

    def draw(growing):
        """Draw the kept curves and the one that grows; earlier thresholds in grey."""
        ax = Figure(figsize=(7.5, 3.6), dpi=90, layout="constrained").subplots()
        plot_curves(curves | growing, ax=ax).set_xlim(0, config.epochs)
        for line in ax.lines[1:-1]:
            line.set(color=COLORS["random"], lw=1)
        ax.legend(loc="lower right")
        figure.value = print_figure(ax.figure, bbox_inches=None)

    def grow(label, rows, row):
        rows.append(row)
        draw({label: pd.DataFrame(rows)})

    def train(button):
        """Train the dense network, once, and the masked one; draw the curves while they grow."""
        name = f"variance up to {slider.value:.4g} ({density(masks()).overall:.2%} kept)"
        todo = {label: m for label, m in (("dense", None), (name, masks())) if label not in curves}
        button.disabled = True
        with aside:
            try:
                for label, kept in todo.items():
                    said.value = f"Training: {label} ..."
                    grows = functools.partial(grow, label, [])
                    ticket = train_ticket(dataset, run.initial, kept, config, on_evaluation=grows)
                    curves[label] = ticket.history
                    for old in [*curves][1:-4]:  # the last few stay for comparison
                        del curves[old]
                draw({})
                last = {n: c.validation_accuracy.iloc[-1] for n, c in curves.items()}
                said.value = f"Validation accuracy: dense {last['dense']:.2%}; {name}: {last[name]:.2%}."
            except KeyboardInterrupt:
                said.value = "Interrupted. What was finished stays; press the button to train the rest."
            except (ValueError, FloatingPointError) as error:
                said.value = f"That can't be trained: {error}"
            finally:
                button.disabled = False

    slider.observe(cut, "value")
    button.on_click(train)
    cut()
    return ipywidgets.VBox([slider, counts, picture, button, said, figure])
