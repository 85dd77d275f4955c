"""Deliberate faults, and which tests must notice each: python tests/faults.py [NAME ...]

Each is put into a copy of the checkout, alone, and the named tests are run there. A fault that no test notices is
printed as MISSED, and the exit code is 1. Half an hour on two cores; not a part of the tests.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FAULTS = {  # name: (file, what stands there, what the fault makes of it, the tests that must notice)
    # masks
    "the highest variances are kept": ("criteria.py", "v <= limit", "v >= limit", "test_masks"),
    "a threshold keeps one weight less": ("criteria.py", "* everything.size)) - 1]", "* everything.size)) - 2]", "test_masks"),
    "the lowest scores are kept": ("masks.py", "np.argsort(-score.ravel()", "np.argsort(score.ravel()", "test_masks"),
    "one weight too many": ("masks.py", 'kind="stable")[:count]', 'kind="stable")[:count + 1]', "test_masks"),
    "ties fall anywhere": ("masks.py", 'np.float64), kind="stable")', "np.float64))", "test_masks"),
    "the output layer like the others": ("masks.py", "density**HALF_RATE if", "density if", "test_masks"),
    "pruned weights come back": ("criteria.py", "np.where(s > 0, s**2, np.inf)", "s**2", "test_masks"),
    "an overlap of the wrong whole": ("masks.py", "for x, y in pairs) / either", "for x, y in pairs) / 2 / either", "test_criteria"),
    # criteria
    "the variance's sign": ("criteria.py", "lambda s: -(s**2), stddevs(run.final)", "lambda s: s**2, stddevs(run.final)", "test_criteria"),
    "snr upside down": ("criteria.py", "abs(m) / s", "s / abs(m)", "test_criteria"),
    "magnitude with its sign": ("criteria.py", "each(abs, run.final.means)", "run.final.means", "test_criteria"),
    "inverted isn't": ("criteria.py", "each(np.square, stddevs(run.final))", "each(lambda s: -s, stddevs(run.final))", "test_criteria"),
    "movement from zero": ("papers/scores.py", "abs(f - i), run.final.means", "abs(f), run.final.means", "test_criteria"),
    "SNIP without the weight": ("papers/scores.py", "abs(w * g)", "abs(g)", "test_criteria"),
    "chance keeps dead pixels": ("papers/scores.py", "[:, None] > 0, first, first - 1e3), *rest", "[:, None] > 0, first, first), *rest", "test_criteria"),
    # layers and noise
    "a mask isn't applied in the step": ("networks.py", "return kernel * self.mask + self.frozen", "return kernel", "test_training"),
    "the KL over pruned weights": ("networks.py", "tf.reduce_sum(nats * self.mask)", "tf.reduce_sum(nats)", "test_noise_and_networks"),
    "the KL without its half": ("networks.py", "nats = 0.5 * (", "nats = (", "test_noise_and_networks"),
    "the same noise at every call": ("networks.py", "self.key, self.calls.assign_add(1), stream=0", "self.key, self.calls, stream=0", "test_noise_and_networks"),
    "one sign for inputs and outputs": ("networks.py", "((1, inputs), (2, units))", "((1, inputs), (1, units))", "test_noise_and_networks"),
    "six rounds of Philox": ("noise.py", "for _ in range(7)", "for _ in range(6)", "test_noise_and_networks"),
    "normals too wide": ("noise.py", "2.0**0.5 * tf", "2.1**0.5 * tf", "test_noise_and_networks"),
    # training
    "the KL isn't divided by N": ("training.py", "kl_weight / num_images, tf.float32", "kl_weight / 1.0, tf.float32", "test_noise_and_networks"),
    "the same order in every epoch": ("training.py", "default_rng([seed, epoch])", "default_rng([seed, 0])", "test_noise_and_networks"),
    "what was added to a small set is trained on": ("training.py", "an_epoch = num_images // config.batch_size", "an_epoch = len(images) // config.batch_size", "test_training"),
    "moments are inherited": ("training.py", "variable.assign(tf.zeros_like(variable))", "pass", "test_training"),
    "the best step is the last": ("tickets.py", 'if row["validation_loss"] < best["loss"]:', "if True:", "test_training"),
    "validation on the test images": ("training.py", "dataset.validation.tensors", "dataset.test.tensors", "test_noise_and_networks"),
    # papers
    "rewinding to the end": ("papers/pruning.py", "start, ticket, scored", "ticket.final, ticket, scored", "test_pruning"),
    "the output layer at full rate": ("masks.py", "{*range(convs), len(layers) - 1}", "{*range(convs)}", "test_pruning"),
    "new weights are the old ones": ("papers/pruning.py", '"reinitialise": new[mask]', '"reinitialise": old[mask]', "test_pruning"),
    "signs aren't kept": ("papers/pruning.py", "if keep_sign:", "if not keep_sign:", "test_pruning"),
    "a curvature that forgets N": ("papers/posteriors.py", "size * layer.precision * layer.shift", "layer.precision * layer.shift", "test_ivon"),
    "a prior that pulls no mean": ("papers/posteriors.py", "+ delta * variable", "", "test_ivon"),
    "a step without a bound": ("papers/posteriors.py", "-limit, limit)", "-1e9, 1e9)", "test_ivon"),
    "Laplace without the prior": ("papers/posteriors.py", "np.full(w.shape, np.float64(prior_stddev) ** -2)", "np.full(w.shape, 1e-9)", "test_laplace"),
    "Laplace whose classes don't compete": ("papers/posteriors.py", "apart = slopes - tf.einsum(\"nc,ncj->nj\", odds, slopes)[:, None]", "apart = slopes", "test_laplace"),
    "a supermask that doesn't rescale": ("papers/supermasks.py", "(1.0 + self.rescale * (factor - 1.0))", "1.0", "test_supermasks"),
    # convolutions
    "a sign for each pixel's row": ("networks.py", "[s[:, None, None] for s in signs]", "[s[:, None] for s in signs]", "test_convolutions"),
    "a sign for every channel alike": ("networks.py", "else self.conv.image[-1]", "else 1", "test_convolutions"),
    "a convolution that forgets its padding": ("papers/convolutions.py", "padding=conv.padding.upper()", 'padding="SAME"', "test_convolutions"),
    "a bias before no pooling": ("papers/convolutions.py", "if conv.pool > 1 else sums", "if conv.pool > 2 else sums", "test_convolutions"),
    "convolutions at the full rate": ("masks.py", "{*range(convs), len", "{len", "test_convolutions"),
    "a convolution's share like a dense layer's": ("masks.py", "density**HALF_RATE if i in slower", "density if i in slower", "test_convolutions"),
    "an output that counts as one": ("bayesian.py", "conv.kernel**2 * units if", "units if", "test_convolutions"),
    "a filter's path by its pixel": ("masks.py", "np.resize(reached, len(mask))", "np.ones(len(mask), bool)", "test_convolutions"),
    "two convolutions of one trained ticket": ("studies/shared.py", "start.biases, start.convs]", "start.biases]", "test_convolutions"),
    # evidence
    "better within the margin": ("evidence/intervals.py", "if self.low >= margin else", "if self.low > 0 else", "test_evidence"),
    "an interval too narrow": ("evidence/intervals.py", "(1 + confidence) / 2", "confidence", "test_evidence"),
    "Holm without its steps": ("evidence/intervals.py", "(len(pairs) - rank)", "1", "test_evidence"),
    "seeds paired by place": ("evidence/tables.py", "return found.sort_index()", "return found", "test_evidence"),
    "unequal lengths pass": ("evidence/tables.py", "if not lengths:\n", "if False:\n", "test_evidence"),
    "a wrong word passes": ("evidence/tables.py", "if stored and wrong:", "if False:", "test_evidence"),
    # kept results, sweeps, studies
    "half a file is left": ("storage.py", "os.replace(part, path)", "__import__('shutil').copy(part, path); raise OSError(28, 'No space')", "test_nothing_lost"),
    "a failed run ends the sweep": ("sweeps/sweeping.py", "except Exception as error:  # not kept", "except ZeroDivisionError as error:  # not kept", "test_sweep"),
    "a study's rows are never kept": ("studies/shared.py", "(value := storage.kept(storage.read_json, path)) is None", "(value := None) is None", "test_studies"),
}
#: In notebooks and tables, and the page that must notice.
FAULTS |= {
    name: (f"../notebooks/{file}", old, new, f"test_pages[{page}]")
    for name, (file, old, new, page) in {
        "an error in a cell": ("03_build_masks.ipynb", "lh.variance_masks(", "lh.variance_mask(", "03"),
        "the intervals' sign": ("04_dense_versus_masked.ipynb", r'for name in (\"variance\", \"inverted\")', r'for name in (\"inverted\", \"variance\")', "04"),
        "a claim's word swapped": ("06_the_original_lottery_ticket.ipynb", r'(\"better\", \"ahead\")', r'(\"ahead\", \"better\")', "06"),
        "a claim that can't fail": ("06_the_original_lottery_ticket.ipynb", "assert found.low > 0", "assert found.low > -99", "06"),
        "another kind's rows": ("results/06_rounds.csv", ",one-shot,", ",snr,", "06"),
    }.items()
}  # fmt: skip


def noticed(name):
    """Whether a test fails on a copy of the checkout with this fault; its last lines if none does."""
    file, old, new, tests = FAULTS[name]
    with tempfile.TemporaryDirectory(prefix="lotteryhelpers-fault-") as folder:
        copy = pathlib.Path(folder, "checkout")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "build", "__pycache__"))
        path = copy / "lotteryhelpers" / file
        text = path.read_text()
        if text.count(old) < 1:
            raise ValueError(f"{name}: {old!r} doesn't stand in {file}")
        path.write_text(text.replace(old, new, 1 if path.suffix == ".py" else -1))
        module, _, page = tests.rstrip("]").partition("[")
        command = [sys.executable, "-m", "pytest", "-x", "-q", f"tests/{module}.py", *(["-k", page] if page else [])]
        done = subprocess.run(command, cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True)
    failures = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failures[0][:150] if failures else ""


def main():
    missed = 0
    for name in sys.argv[1:] or FAULTS:
        found = noticed(name)
        missed += not found
        print(f"{name:40} {found or 'MISSED'}", flush=True)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
