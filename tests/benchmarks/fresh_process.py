"""What a reader meets in a new process: the import, the first epochs, another threshold, memory; as JSON.

python fresh_process.py dense|bayesian
"""

import json
import pathlib
import re
import sys
import time


def peak():
    """The most memory that this process has held so far, in MB."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # Linux hands ru_maxrss on from the process that started this one
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text()).group(1)) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def main(kind):
    started = time.perf_counter()
    import lotteryhelpers as lh

    found = {"import": time.perf_counter() - started, "memory": peak()}
    from bench import load

    dataset = load(lh)[0]
    splits = (dataset.train, dataset.validation, dataset.test)
    found["data"] = sum(s.images.nbytes + s.labels.nbytes for s in splits) / 2**20
    start = lh.draw_initial((784, 300, 100, 10), 0)
    variances = lh.BayesianRun(start, start, {}, None)

    def ticket(density):
        began = time.perf_counter()
        if kind == "dense":
            masks = lh.variance_masks(variances.final, lh.variance_quantile(variances.final, density))
            lh.train_ticket(dataset, start, masks, lh.TrainConfig(1))
        else:
            lh.train_bayesian(dataset, lh.TrainConfig(1), initial=start)
        return time.perf_counter() - began

    found["first"] = ticket(0.5)
    found["again"] = sorted(ticket(0.2) for _ in range(5))[2]
    began = time.perf_counter()
    train = lh.train_ticket if kind == "dense" else lambda d, i, _, c: lh.train_bayesian(d, c, initial=i)
    train(dataset, start, None, lh.TrainConfig(10))
    found["epoch"] = (time.perf_counter() - began) / 10
    found["memory"] = peak() - found["memory"]
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
