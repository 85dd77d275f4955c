"""Time against arithmetic: wider networks, more tickets, and tickets that are really smaller."""

import functools
import pathlib
import time

import contenders
import matplotlib
import numpy as np

import lotteryhelpers as lh

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = pathlib.Path(__file__).parent
WIDTHS, TICKETS = (1, 2, 4, 8), (1, 4, 16)


def multiply_adds(sizes, images, *, bayesian=False):
    """Those of an epoch's matrix products: three a weight and image, but two in the first layer."""
    weights = [a * b for a, b in zip(sizes, sizes[1:], strict=False)]
    return (3 * sum(weights) - weights[0]) * images * (2 if bayesian else 1)


def seconds(run, repeats):
    """The median of some runs after a first one, which compiles."""
    took = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return float(np.median(took[1:]))


def widths_and_rows(report, dataset):
    print("Growth ...", flush=True)
    images, one, rows, points = len(dataset.train.labels), lh.TrainConfig(1), [], {}
    for width in WIDTHS:
        sizes = (784, 300 * width, 100 * width, 10)
        start, repeats = lh.draw_initial(sizes, 0), 3 if width < 4 else 1
        alone = {"products": contenders.products, "normals": contenders.normals_in_xla}
        parts = {n: seconds(functools.partial(make(dataset, start), 1), repeats) for n, make in alone.items()}
        for kind, run in (
            ("dense", lambda start=start: lh.train_ticket(dataset, start, None, one)),
            ("Bayesian", lambda start=start: lh.train_bayesian(dataset, one, initial=start)),
        ):
            work = multiply_adds(sizes, images, bayesian=kind == "Bayesian")
            took = seconds(run, repeats)
            points.setdefault(kind, []).append((work, took))
            alone = parts["products"] * (2 if kind == "Bayesian" else 1)
            drawing = parts["normals"] if kind == "Bayesian" else 0
            rows.append([kind, "-".join(map(str, sizes)), f"{work / 1e9:.0f}", f"{took:.2f}",
                         f"{work / took / 1e9:.0f}", f"{alone:.2f}", f"{drawing:.2f}",
                         f"{took - alone - drawing:.2f}"])  # fmt: skip
    in_a_row, start = [], lh.draw_initial((784, 300, 100, 10), 0)
    rng, three = np.random.default_rng(0), lh.TrainConfig(3)
    for count in TICKETS:
        began = time.perf_counter()
        for _ in range(count):
            masks = lh.keep_fraction([rng.random(m.shape) for m in start.means], 0.2)
            lh.train_ticket(dataset, start, masks, three)
        in_a_row.append((count, time.perf_counter() - began))
    report.add("# Growth", "", "![Time against arithmetic](growth.png)", "")
    report.table(["network", "sizes", "billion multiply-adds an epoch", "seconds an epoch",
                  "billion multiply-adds a second", "its products alone (s)", "its normals alone (s)",
                  "the rest (s)"], rows)  # fmt: skip
    for kind, mine in (("dense", rows[0::2]), ("Bayesian", rows[1::2])):
        work, took, rest = (float(mine[-1][n]) / float(mine[0][n]) for n in (2, 3, 7))
        report.add(f"From the narrowest {kind} network to the widest the arithmetic grew {work:.0f} times, the epoch "
                   f"{took:.0f} times, and the rest of it, beside products and normals, {rest:.0f} times.", "")  # fmt: skip
    report.add("The rest is passes over the weights, not over the images: Adam reads and writes seven arrays of "
               "their size a step (a Bayesian network has two for every weight), the KL more. Where it grows faster "
               "than the arithmetic, the likely reason is that those arrays no longer fit in the cores' caches; that "
               "was not measured by itself.", "")  # fmt: skip
    report.table(["tickets in a row, each with another mask, three epochs", "seconds", "seconds a ticket"],
                 [[n, f"{s:.2f}", f"{s / n:.2f}"] for n, s in in_a_row])  # fmt: skip
    lh.use_style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8))
    for (kind, values), color in zip(
        points.items(), (lh.COLORS["dense"], lh.COLORS["variance"]), strict=True
    ):
        work, took = np.array(values).T
        left.loglog(work / 1e9, took, "o-", color=color, label=kind)
        left.loglog(work / 1e9, took[0] * work / work[0], ":", color=color, label=f"{kind}, in proportion")
    left.set(
        title="one epoch, hidden layers ×1, ×2, ×4, ×8", xlabel="billion multiply-adds", ylabel="seconds"
    )
    left.legend()
    counts, took = np.array(in_a_row).T
    right.loglog(counts, took, "o-", color=lh.COLORS["snr"], label="measured")
    right.loglog(counts, took[0] * counts, ":", color=lh.COLORS["snr"], label="in proportion")
    right.set(title="tickets of three epochs in a row", xlabel="tickets", ylabel="seconds",
              xticks=counts, xticklabels=[f"{c:.0f}" for c in counts])  # fmt: skip
    right.minorticks_off()
    right.legend()
    save(figure, "growth.png")


def compact_tickets(report, dataset, rounds):
    """Real tickets: masks of a posterior of 15 epochs, trained from the initial means."""
    print("Compact tickets ...", flush=True)
    run = lh.load_or_train_bayesian(dataset, lh.TrainConfig(15))
    start = run.initial
    cases, sizes = {("dense", 1.0): (None, False)}, {("dense", 1.0): start.sizes}
    for density in (0.5, 0.2, 0.05, 0.02):
        for name in ("variance", "snr", "magnitude"):
            masks = lh.keep_fraction(lh.CRITERIA[name](run), density)
            cases[name, density] = masks, True
            sizes[name, density] = lh.compact(start.means, start.biases, masks, for_training=True).sizes
    found = {case: [] for case in cases}
    for _ in range(rounds):
        for case, (masks, compact) in cases.items():
            took = []
            for epochs in (1, 1, 6):  # the first compiles: of so many shapes not all trainers are kept
                began = time.perf_counter()
                lh.train_ticket(dataset, start, masks, lh.TrainConfig(epochs), compact=compact)
                took.append(time.perf_counter() - began)
            an_epoch = (took[2] - took[1]) / 5
            found[case].append((an_epoch, took[1] - an_epoch, took[0] - took[1]))
    found = {case: np.median(values, axis=0) for case, values in found.items()}
    dense_epoch, dense_around, _ = found["dense", 1.0]
    rows = []
    for case, (an_epoch, around, compiling) in found.items():
        extra = around - dense_around + compiling
        pays = f"{np.ceil(extra / (dense_epoch - an_epoch)):.0f}" if an_epoch < dense_epoch else "never"
        last = ["", ""] if case[0] == "dense" else [f"{compiling:.1f}", pays]
        rows.append([case[0], f"{case[1]:.0%}", "-".join(map(str, sizes[case])), f"{an_epoch:.3f}",
                     f"{dense_epoch / an_epoch:.2f}", f"{around:.2f}", *last])  # fmt: skip
    report.add("# Tickets that are really smaller", "")
    report.add("Posterior of 15 epochs; masks layer by layer, the output layer by the half-rate rule.", "")
    report.table(["criterion", "density", "connected", "seconds an epoch, compact", "times faster than dense",
                  "before and after the epochs (s)", "compiling a new shape (s)", "pays from so many epochs"],
                 rows)  # fmt: skip
    report.add("In full size a masked network takes the dense one's time at every density.")


def save(figure, name):
    with lh.storage.replacing(HERE / name) as path:
        figure.savefig(path, format="png", dpi=150)
    plt.close(figure)
