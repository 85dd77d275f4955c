"""A slider and a button: try a variance threshold without writing code, where Jupyter widgets run."""

import io

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lotteryhelpers.masks import variance_quantile
from lotteryhelpers.plots import COLORS, plot_curves, show_mask, show_pixels
from lotteryhelpers.tickets import train_ticket


def explore(dataset, run, config, *, threshold=None):
    """Show what a variance threshold keeps, and train the dense and the masked network at a button's push.

    Needs ipywidgets 7.7 or later (JupyterLab, Jupyter Notebook, Colab); a static page shows nothing of it.
    The curves are of validation accuracy: whoever tries thresholds chooses one.

    The final variances of ``run``, a ``BayesianRun``, are cut; its initial means are trained by ``config``.
    The first ``threshold`` is a variance; None keeps half of the weights. Gives an ``ipywidgets.VBox`` to be
    displayed; its pictures are replaced, they are no outputs of the cell.
    """
    return _Explorer(dataset, run, config, threshold).box


def _png(figure):
    figure.savefig(file := io.BytesIO(), format="png", dpi=90)
    return file.getvalue()


class _Explorer:
    """The widgets and what they share."""

    def __init__(self, dataset, run, config, threshold):
        self.dataset, self.run, self.config = dataset, run, config
        self.steps = len(dataset.train.labels) // config.batch_size * config.epochs
        self.curves = {}  # from a name to its history; the last few stay for comparison
        everything = np.concatenate([v.ravel() for v in run.final.variances])
        ends = np.log10(everything.min()) - 0.1, np.log10(everything.max()) + 0.1  # from no weight to all
        wide, full = ipywidgets.Layout(width="98%", max_width="720px"), ipywidgets.Layout(max_width="100%")
        full.align_self = "flex-start"  # else a picture is stretched to the page's width
        self.slider = ipywidgets.FloatLogSlider(
            value=threshold or variance_quantile(run.final, 0.5), base=10, min=ends[0], max=ends[1],
            step=(ends[1] - ends[0]) / 200, description="threshold", readout_format=".4f", layout=wide)
        self.counts, self.said = ipywidgets.HTML(), ipywidgets.HTML()
        self.picture, self.figure = (ipywidgets.Image(format="png", layout=full) for _ in "ab")
        self.button = ipywidgets.Button(description="train", button_style="primary", icon="play")
        self.progress = ipywidgets.IntProgress(max=self.steps, layout=ipywidgets.Layout(width="60%"))
        self.aside = ipywidgets.Output()  # never shown: takes the trainer's own progress bars
        self.slider.observe(lambda change: self.cut(), "value")
        self.button.on_click(lambda button: self.train())
        row = ipywidgets.HBox([self.button, self.progress])
        self.box = ipywidgets.VBox([self.slider, self.counts, self.picture, row, self.said, self.figure])
        self.cut()

    def cut(self):
        """Count and draw the masks of the slider's threshold."""
        threshold = self.slider.value
        self.masks = [v <= threshold for v in self.run.final.variances]
        rows = {f"layer {i}": m for i, m in enumerate(self.masks, start=1)}
        rows["all"] = np.concatenate([m.ravel() for m in self.masks])
        self.density = rows["all"].mean()
        table = [[f"{m.sum():,}", f"of {m.size:,}", f"{m.mean():.2%}"] for m in rows.values()]
        self.counts.value = pd.DataFrame(table, [*rows]).to_html(border=0, header=False)
        figure = Figure(figsize=(9.5, 2.9), layout="constrained")
        axes = figure.subplots(1, 1 + len(self.masks), width_ratios=[3, 3] + [1.6] * (len(self.masks) - 1))
        show_pixels(self.masks[0].mean(1), self.dataset.image_shape, ax=axes[0], vmin=0, vmax=1)
        axes[0].set(title="kept of each pixel's weights")
        for layer, (mask, ax) in enumerate(zip(self.masks, axes[1:], strict=True), start=1):
            show_mask(mask, ax=ax, title=f"mask, layer {layer}")
        self.picture.value = _png(figure)
        empty = [i for i, m in enumerate(self.masks, start=1) if not m.any()]
        self.button.disabled = bool(empty)
        does = f"keeps {self.density:.2%} of the weights"
        if empty:
            numbers, least = ", ".join(map(str, empty)), self.run.final.variances[empty[0] - 1].min()
            does = (f"prunes everything in layer {numbers}: no signal could pass, so there is nothing to "
                    f"train. The first weight of layer {empty[0]} stays from {least:.4g} on")  # fmt: skip
        elif rows["all"].all():
            does = "prunes nothing: this is the dense network itself"
        self.said.value = f"The threshold {threshold:.4g} {does}."

    def train(self):
        """Train the dense network, once, and the masked one; draw the curves while they grow."""
        name = f"variance up to {self.slider.value:.4g} ({self.density:.2%} kept)"
        todo = {label: m for label, m in (("dense", None), (name, self.masks)) if label not in self.curves}
        self.progress.value, self.progress.max = 0, self.steps * max(1, len(todo))
        self.button.disabled = True
        with self.aside:
            try:
                for done, (label, chosen) in enumerate(todo.items()):
                    self.said.value = f"Training: {label} ..."
                    self._train(label, chosen, done * self.steps)
                self.draw()
                last = {n: c.validation_accuracy.iloc[-1] for n, c in self.curves.items()}
                self.said.value = f"Validation accuracy: dense {last['dense']:.2%}; {name}: {last[name]:.2%}."
            except KeyboardInterrupt:
                self.said.value = "Interrupted. What was finished stays; press the button to train the rest."
            except (ValueError, FloatingPointError) as error:
                self.said.value = f"That can't be trained: {error}"
            finally:
                self.button.disabled = False

    def _train(self, label, masks, before):
        rows = []

        def on_evaluation(row):
            rows.append(row)
            self.progress.value = before + row["step"]
            self.draw({label: pd.DataFrame(rows)})

        train_ticket(self.dataset, self.run.initial, masks, self.config, on_evaluation=on_evaluation)
        self.curves[label] = pd.DataFrame(rows)
        for old in list(self.curves)[1:-4]:
            del self.curves[old]

    def draw(self, growing=None):
        """Draw the kept curves and the one that grows; earlier thresholds in grey."""
        curves = self.curves | (growing or {})
        ax = Figure(figsize=(7.5, 3.6), layout="constrained").subplots()
        plot_curves(curves, ax=ax).set_xlim(0, self.config.epochs)
        for line in ax.lines[1:-1]:
            line.set(color=COLORS["random"], lw=1)
        ax.legend(loc="lower right")
        self.figure.value = _png(ax.figure)
