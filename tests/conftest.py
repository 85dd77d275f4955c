"""Shared fixtures; at the end of a run what was skipped, and what each file cost."""

import collections
import contextlib
import importlib.util
import os
import shutil

import pytest
from common import required

# lotteryhelpers is imported where it is needed: not every process that reads this file needs TensorFlow.


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads what another run kept."""
    monkeypatch.setenv("LOTTERYHELPERS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def digits():
    import lotteryhelpers as lh

    return lh.load_dataset("digits")


@pytest.fixture(scope="session")
def small_run(digits):
    """A short Bayesian training of a small network, with snapshots."""
    import lotteryhelpers as lh

    config = lh.TrainConfig(epochs=4, batch_size=64, learning_rate=3e-3, seed=3)
    return lh.train_bayesian(digits, config, hidden=(32, 16), kl_weight=0.1, snapshots=(0, 0.5, 2))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A Dask cluster of two processes, as a sweep starts them, with a cache folder of its own."""
    from lotteryhelpers.sweeps.cluster import connected

    with contextlib.ExitStack() as ending:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LOTTERYHELPERS_CACHE_DIR", str(tmp_path_factory.mktemp("workers")))
            client = ending.enter_context(connected(workers=2))
        yield client


@pytest.fixture(scope="module")  # not longer: while Playwright runs, no notebook's event loop can
def chromium():
    """A real browser without a window."""
    required(importlib.util.find_spec("playwright"), "no Playwright: pip install playwright")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    required(path, "no chromium on PATH; it is Debian's package chromium")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
                 "--disable-background-networking", "--disable-component-update"]  # fmt: skip
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


#: Processor seconds of the tests and their ended children, by file.
COSTS, TESTS = collections.Counter(), collections.Counter()


def processor_seconds():
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    item.began = processor_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "teardown":
        report.user_properties.append(("processor_seconds", processor_seconds() - item.began))
    return report


def pytest_runtest_logreport(report):
    measured = dict(report.user_properties)
    if "processor_seconds" in measured:  # by the hook above, which sees only what lies under tests/: no notebooks' cells
        COSTS[report.nodeid.partition("::")[0]] += measured["processor_seconds"]
        TESTS[report.nodeid] = measured["processor_seconds"]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Where CI is set, a test that was skipped is a failure: there every tool and MNIST must be."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped") and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    lines = [f"  {report.nodeid}: {report.longrepr[2]}" for report in skipped]
    terminalreporter.write_line("skipped:\n" + "\n".join(lines) if lines else "nothing was skipped")
    terminalreporter.write_line(f"processor seconds under tests/: {sum(COSTS.values()):.0f}, by file, and the dearest tests:")
    for name, seconds in COSTS.most_common() + TESTS.most_common(8):
        terminalreporter.write_line(f"  {seconds:6.1f}  {name}")
