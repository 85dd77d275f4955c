"""What a second worker gains: the same sweep on one worker and on two, and tickets in a row on all threads."""

import os
import tempfile
import time

import lotteryhelpers as lh

NAMES, DENSITIES = ("variance", "snr", "magnitude", "random"), (0.5, 0.2, 0.1, 0.05)


def two_workers(report, dataset):
    print("Workers ...", flush=True)
    recipe = lh.Recipe(lh.TrainConfig(5), lh.TrainConfig(10), ())
    specs = [lh.Spec(0, name, density) for name in NAMES for density in DENSITIES]
    before, took, each = os.environ.get("LOTTERYHELPERS_CACHE_DIR"), {}, {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["LOTTERYHELPERS_CACHE_DIR"] = folder
            lh.sweep(dataset, [lh.Spec(0, "snr", 0.9)], recipe, workers=1)  # so that the posterior is there
            began = time.perf_counter()
            rows = lh.sweep(dataset, specs, recipe, workers=workers)
            took[workers], each[workers] = time.perf_counter() - began, float(rows.seconds.median())
    if before is None:
        del os.environ["LOTTERYHELPERS_CACHE_DIR"]
    else:
        os.environ["LOTTERYHELPERS_CACHE_DIR"] = before
    run = lh.train_bayesian(dataset, recipe.bayesian)
    began = time.perf_counter()
    for spec in specs:
        lh.train_ticket(
            dataset, run.initial, lh.keep_fraction(run.final.stddevs, spec.density), recipe.ticket
        )
    in_a_row = time.perf_counter() - began
    gain = took[1] / took[2]
    report.add("# Two workers on two cores", "")
    report.add(f"{len(specs)} tickets of {recipe.ticket.epochs} epochs. A sweep's workers have one thread each; its time "
               "is that of the whole call: starting the workers, their imports and compilations included.")  # fmt: skip
    report.table(["", "seconds", "times faster than one worker"],
                 [["`sweep`, one worker", f"{took[1]:.1f}", "1.00"],
                  ["`sweep`, two workers", f"{took[2]:.1f}", f"{gain:.2f}"],
                  ["`train_ticket` in a row, all threads", f"{in_a_row:.1f}", f"{took[1] / in_a_row:.2f}"]])  # fmt: skip
    report.table(["", "to reach", "measured", ""],
                 [["two workers against one", "at least 1.5", f"{gain:.2f} times faster",
                   "reached" if gain >= 1.5 else "**not reached**"]])  # fmt: skip
    rate = {workers: workers * 60 / each[workers] for workers in each}
    report.add(f"Once started: a run took {each[1]:.2f} s with one worker and {each[2]:.2f} with two at work (medians), "
               f"so {rate[1]:.1f} and {rate[2]:.1f} runs a minute, {rate[2] / rate[1]:.2f} times as many; in a row on "
               f"all threads {60 * len(specs) / in_a_row:.1f}. On two cores a sweep's gain over a plain loop is small; "
               "what it adds is rows that don't depend on the number of threads, runs that are kept, and more cores "
               "than one small network can use.")  # fmt: skip
