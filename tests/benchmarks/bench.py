"""Measure the training against what people use instead; print the tables and write results.md beside this.

python tests/benchmarks/bench.py [--rounds 3] [--only groups]

All contenders of a group run in turn, in several rounds, in one process; the tables give medians. A run is
three whole epochs. Nothing else should run on the machine.
"""

import argparse
import datetime
import functools
import importlib.metadata
import io
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
import warnings

import numpy as np

HERE = pathlib.Path(__file__).parent
SIZES = (784, 300, 100, 10)
PACKAGES = ("lotteryhelpers", "tensorflow", "tf-keras", "tensorflow-probability", "numpy", "torch",
            "bayesian-torch")  # fmt: skip
REST = 0.3  # seconds between two runs, so that one library's idling threads don't slow the next one's


def load(lh):
    """MNIST, or where it isn't at hand random data of its shape; and which."""
    try:
        return lh.load_dataset("mnist"), "MNIST"
    except ConnectionError:
        rng = np.random.default_rng(0)
        splits = [
            lh.data.Split(rng.random((n, 784), np.float32), rng.integers(0, 10, n).astype(np.int32))
            for n in (55_000, 5_000, 10_000)
        ]
        return lh.Dataset("random", (28, 28), 10, *splits), "random data of MNIST's shape (MNIST not at hand)"


def versions():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def in_turn(contenders, dataset, start, rounds, epochs=3):
    """Seconds an epoch, a row a contender: median, least, most, and what the first run took longer."""
    runs, first, missing = {}, {}, {}
    for name, make in contenders.items():
        try:
            run = make(dataset, start)
        except ImportError as error:
            missing[name] = str(error)
            continue
        began = time.perf_counter()
        run(1)
        first[name], runs[name] = time.perf_counter() - began, run
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(REST)
            began = time.perf_counter()
            run(epochs)
            seconds[name].append((time.perf_counter() - began) / epochs)
    rows = {}
    for name, values in seconds.items():
        median = float(np.median(values))
        rows[name] = {"median": median, "low": min(values), "high": max(values),
                      "compile": max(0.0, first[name] - median)}  # fmt: skip
        print(f"  {name}: {median:.3f} s", flush=True)
    return rows, missing


class Report:
    """Markdown that is printed as it is made."""

    def __init__(self):
        self.text = io.StringIO()

    def add(self, *lines):
        for line in lines:
            print(line, file=self.text)
            print(line, flush=True)

    def table(self, header, rows):
        self.add("", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header))
        self.add(*["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows], "")


def group(report, title, contenders, data, rounds, ours, targets=()):
    """A table of contenders; ``targets`` are (sentence, contender or None for the floor, limit)."""
    print(f"{title} ...", flush=True)
    rows, missing = in_turn(contenders, *data, rounds)
    mine = rows[ours]["median"]
    report.add(f"## {title}")
    report.table(
        ["", "seconds an epoch", "range", "times ours", "first run takes longer by (s)"],
        [
            [n, f"{r['median']:.3f}", f"{r['low']:.3f} to {r['high']:.3f}", f"{r['median'] / mine:.2f}",
             f"{r['compile']:.1f}"] for n, r in rows.items()
        ],
    )  # fmt: skip
    for name, why in missing.items():
        report.add(f"Missing: {name} ({why}).")
    lines = []
    for other, sign, limit in targets:
        seconds = rows[other]["median"] if isinstance(other, str) and other in rows else None
        if callable(other):
            other, seconds = other(rows)
        if seconds is None:
            lines.append([other, f"{sign} {limit}", "not measured", "missing"])
            continue
        ratio = seconds / mine if sign == "at least" else mine / seconds
        reached = ratio >= limit if sign == "at least" else ratio <= limit
        said = f"{ratio:.2f} times " + ("faster" if sign == "at least" else "its time")
        lines.append([other, f"{sign} {limit}", said, "reached" if reached else "**not reached**"])
    if lines:
        report.table(["against", "to reach", "measured", ""], lines)
    return rows


def floor(rows):
    """Twice the products and the faster way to draw the normals."""
    normals = min(
        (n for n in rows if n.startswith("normals")), key=lambda n: rows[n]["median"]
    )  # the stricter
    seconds = 2 * rows["the matrix products alone"]["median"] + rows[normals]["median"]
    return f"the floor, {seconds:.3f} s: twice the products and {normals}", seconds


def epochs(report, data, rounds):
    import contenders as c

    part = functools.partial
    torch_fused = "PyTorch, fused Adam"
    dense = {
        "**this module, dense**": c.our_dense,
        "tf_keras fit": c.keras_dense,
        "tf_keras fit, jit_compile=True": part(c.keras_dense, jit_compile=True),
        "PyTorch, Adam": c.torch_dense,
        torch_fused: part(c.torch_dense, fused=True),
        "the matrix products alone": c.products,
    }
    group(report, "Dense network", dense, data, rounds, "**this module, dense**", [
        ("tf_keras fit", "at least", 3), (torch_fused, "at least", 1.2),
        ("the matrix products alone", "at most", 1.2)])  # fmt: skip
    masked = {
        "**this module, masked**": c.our_masked,
        "this module, dense": c.our_dense,
        "tf_keras fit of the masked network": c.keras_masked,
        "PyTorch with torch.nn.utils.prune, Adam": part(c.torch_dense, masked=True),
        "PyTorch with torch.nn.utils.prune, fused Adam": part(c.torch_dense, masked=True, fused=True),
        "the matrix products alone": c.products,
    }
    group(report, "Masked network, 20% kept", masked, data, rounds, "**this module, masked**", [
        ("this module, dense", "at most", 1.05),
        ("tf_keras fit of the masked network", "at least", 3),
        ("PyTorch with torch.nn.utils.prune, fused Adam", "at least", 1.2),
        ("the matrix products alone", "at most", 1.2)])  # fmt: skip
    bayesian = {
        "**this module, Bayesian**": c.our_bayesian,
        "tf_keras fit of tfp.layers.DenseFlipout": c.keras_bayesian,
        "bayesian-torch LinearFlipout, fused Adam": part(c.torch_bayesian, fused=True),
        "the matrix products alone": c.products,
        "normals by NumPy's SFC64 on two threads": c.normals_by_numpy,
        "normals by this module's Philox in XLA": c.normals_in_xla,
    }
    group(report, "Bayesian network", bayesian, data, rounds, "**this module, Bayesian**", [
        ("tf_keras fit of tfp.layers.DenseFlipout", "at least", 3),
        ("bayesian-torch LinearFlipout, fused Adam", "at least", 2.5), (floor, "at most", 1.3)])  # fmt: skip
    dense = {"this module, dense": c.our_dense, "this module, Flipout": c.our_bayesian}
    for noise, limit in (("normal", 1.9), ("signs", 1.25)):
        ours = f"**this module, IVON, {noise}**"
        ivon = dense | {ours: part(c.our_ivon, noise=noise)}
        group(report, f"IVON, {noise}", ivon, data, rounds, ours, [("this module, dense", "at most", limit)])


def lenet(report, dataset, rounds):
    import contenders as c

    import lotteryhelpers as lh

    data = dataset, lh.draw_initial((dataset.image_shape, *lh.LENET_5, 10), 0, "glorot")
    report.add("# LeNet-5", "", "61,470 weights, two of five layers convolutions, whose epoch XLA doesn't compile.", "")
    ours, keras = "**this module**", "tf_keras fit"
    dense = {ours: c.our_dense, keras: c.keras_dense}
    group(report, "LeNet-5, dense", dense, data, rounds, ours, [(keras, "at most", 0.9)])
    masked = {ours: c.our_masked, keras: c.keras_dense, "tf_keras fit, masked": c.keras_masked}
    group(report, "LeNet-5, 20% kept", masked, data, rounds, ours, [(keras, "at most", 0.9)])
    bayesian, theirs = {ours: c.our_bayesian}, "tf_keras fit of TFP's Flipout layers"
    group(report, "LeNet-5, Bayesian", bayesian | {theirs: c.keras_bayesian}, data, rounds, ours,
          [(theirs, "at most", 0.6)])  # fmt: skip


def steps(report, data, rounds):
    import contenders as c

    part = functools.partial
    report.add("# What each step gained", "", "From the plain way to ours, one change a row. "
               "(What an earlier table compiled is not compiled again here.)", "")  # fmt: skip
    dense = {
        "tf_keras fit": c.keras_dense,
        "an epoch is one tf.function, data resident": c.dense_without_xla,
        "and compiled by XLA, mask in the forward pass": c.dense_mask_in_forward_pass,
        "and the mask as the kernel's constraint: ours": c.our_dense,
    }
    group(report, "Dense network, step by step", dense, data, rounds, list(dense)[-1])
    bayesian = {
        "tf_keras fit of tfp.layers.DenseFlipout": c.keras_bayesian,
        "an epoch is one tf.function, TFP's noise, closed-form KL": part(
            c.bayesian_step, c.TfpNoise, jit=False
        ),
        "and compiled by XLA": part(c.bayesian_step, c.TfpNoise),
        "and this module's noise": part(c.bayesian_step, c.KlValue),
        "and the KL's value only at evaluations": part(c.bayesian_step, c.PlainSoftplus),
        "and softplus sharing its exponential: ours": c.our_bayesian,
    }
    group(report, "Bayesian network, step by step", bayesian, data, rounds, list(bayesian)[-1])


def fresh_processes(report, rounds):
    report.add("# In a new process", "")
    rows, verdicts = [], []
    for kind, limit in (("dense", 3), ("bayesian", 8)):
        runs = []
        for _ in range(min(rounds, 3)):
            command = [sys.executable, HERE / "fresh_process.py", kind]
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        found = {name: float(np.median([run[name] for run in runs])) for name in runs[0]}
        compiling = found["first"] - found["again"]
        rows.append([kind, *(f"{v:.2f}" for v in (found["import"], compiling, found["first"], found["again"],
                                                  found["epoch"])),
                     f"{found['data']:.0f}", f"{found['memory']:.0f}"])  # fmt: skip
        checks = [(f"{kind}: compile time in seconds", compiling, limit),
                  (f"{kind}: memory in MB", found["memory"], 1000)]  # fmt: skip
        if kind == "dense":
            checks.append(("another threshold, from mask to the first trained epoch, in epochs",
                           found["again"] / found["epoch"], 1.3))  # fmt: skip
        verdicts += [[what, f"at most {most}", f"{value:.2f}", "reached" if value <= most else "**not reached**"]
                     for what, value, most in checks]  # fmt: skip
    report.table(["network", "import (s)", "compile (s)", "first call of one epoch (s)",
                  "another threshold, one epoch (s)", "epoch in a run of ten (s)", "data (MB)",
                  "peak memory above the import (MB)"], rows)  # fmt: skip
    report.add("Dense: the call makes variance masks for a threshold and trains one epoch under them. Memory "
               "includes the data, as arrays and as tensors.")  # fmt: skip
    report.table(["", "to reach", "measured", ""], verdicts)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="*", choices=("epochs", "lenet", "steps", "processes", "growth", "compact", "workers")
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*add_variable.* is deprecated", category=UserWarning)
    os.environ["TQDM_DISABLE"] = "1"
    import lotteryhelpers as lh

    dataset, kind = load(lh)
    data = dataset, lh.draw_initial(SIZES, 0)
    began, report = time.time(), Report()
    today = datetime.datetime.now(datetime.UTC)
    report.add("# How fast", "", f"Written by `make bench` on {today:%Y-%m-%d %H:%M} UTC.", "")
    report.add(f"{os.cpu_count()} cores ({cpu()}), Python {platform.python_version()}, "
               + ", ".join(f"{n} {v or '**missing**'}" for n, v in versions().items()) + ".", "")  # fmt: skip
    report.add(f"Data: {kind}. 784-300-100-10, batch 128, Adam, float32; 429 steps an epoch. A timed epoch is a "
               "whole one: shuffling, every batch, the evaluation of the 5,000 validation images; the test images "
               "are evaluated at the end of each run of three epochs. For this module the run is the public call, "
               f"with everything before and after. Medians of {options.rounds} rounds.", "")  # fmt: skip
    report.add("Not tried: a GPU. There the same Philox would run on the device; whether it is the best choice there "
               "is not known. It is made in one place, lotteryhelpers/noise.py.", "")  # fmt: skip
    chosen = options.only or ("epochs", "lenet", "steps", "processes", "growth", "compact", "workers")
    if "epochs" in chosen:
        epochs(report, data, options.rounds)
    if "lenet" in chosen:
        lenet(report, dataset, options.rounds)
    if "steps" in chosen:
        steps(report, data, max(1, options.rounds - 1))
    if "processes" in chosen:
        fresh_processes(report, options.rounds)
    if "growth" in chosen:
        import growth

        growth.widths_and_rows(report, dataset)
    if "compact" in chosen:
        import growth

        growth.compact_tickets(report, dataset, max(1, options.rounds - 1))
    if "workers" in chosen:
        import workers

        workers.two_workers(report, dataset)
    report.add("", f"The whole run took {(time.time() - began) / 60:.0f} minutes.")
    if options.only:
        print("results.md is written by a whole run only")
    else:
        with lh.storage.replacing(HERE / "results.md") as path:
            path.write_text(report.text.getvalue())


def cpu():
    info = pathlib.Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line] \
        if info.exists() else []  # fmt: skip
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
