"""Shared fixtures; at the end of a run what was skipped, and what each file cost."""

import collections
import contextlib
import importlib.util
import os
import re
import shutil
import tempfile

import psutil
import pytest
from common import ROOT, required

# lotteryhelpers is imported where it is needed: not every process that reads this file needs TensorFlow.


def pytest_configure(config):
    """One folder for the caches of the whole run; xdist's workers inherit the name."""
    if "LOTTERYHELPERS_SESSION_CACHE" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="lotteryhelpers-test-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ["LOTTERYHELPERS_SESSION_CACHE"] = folder.name
    # The run's two workers share two cores: a network on both would only wait for the other's.
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    # What one process has compiled, the others read. (TensorFlow logs to standard error that it does.)
    os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={os.environ['LOTTERYHELPERS_SESSION_CACHE']}/xla"


#: The dearest groups begin, so that no worker is left alone with one at the end.
FIRST = ["test_nothing_lost", "test_colab", "test_sweep", "page 10", "page 08", "page 07", "page 09", "page 05", "page 04",
         "test_studies", "test_notebooks", "test_explorer", "test_training", "test_project", "page 06"]


def group_of(nodeid):
    """What one worker does: the tests of a page, which share its kernel, or else a file."""
    page = re.search(r"test_pages.+\[.*?(\d\d)\]", nodeid)
    return f"page {page[1]}" if page else nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")


def pytest_collection_modifyitems(items):
    """What belongs together stands together, also where one process runs all."""
    groups = FIRST + [group_of(item.nodeid) for item in items]
    order = dict(zip(items, groups[len(FIRST) :], strict=True))
    items.sort(key=lambda item: groups.index(order[item]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Groups in this order. (xdist's own marks for groups do nothing with pytest 9.2, its issue 1386.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads what another run kept."""
    monkeypatch.setenv("LOTTERYHELPERS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def session_cache():
    """A cache folder for the whole run, whichever worker asks: what one test trained, another reads."""
    return os.environ["LOTTERYHELPERS_SESSION_CACHE"]


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
def counted(tmp_path_factory):
    """The environment of a process that counts the steps it trains, in the file that STEPS_TRAINED names."""
    path = os.pathsep.join(filter(None, [str(ROOT / "tests" / "counting"), os.environ.get("PYTHONPATH")]))
    (file := tmp_path_factory.mktemp("steps") / "trained").touch()
    return {"PYTHONPATH": path, "STEPS_TRAINED": str(file)}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory, counted):
    """A Dask cluster of a process, as a sweep starts them, with a cache folder of its own."""
    from lotteryhelpers.sweeps.cluster import connected

    environment = counted | {"LOTTERYHELPERS_CACHE_DIR": str(tmp_path_factory.mktemp("workers"))}
    with contextlib.ExitStack() as ending:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            client = ending.enter_context(connected(workers=1))
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


#: Processor seconds of the tests and what they started, by file; a page by its number.
COSTS, TESTS = collections.Counter(), collections.Counter()


def processor_seconds():
    """Of this process and all that it has started, ended or not."""
    times = [os.times()[:4]]
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times.append(child.cpu_times()[:4])
    return sum(map(sum, times))


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
    if "processor_seconds" in measured:
        COSTS[group_of(report.nodeid)] += measured["processor_seconds"]
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
    terminalreporter.write_line(f"processor seconds: {sum(COSTS.values()):.0f}, by file, and the dearest tests:")
    for name, seconds in COSTS.most_common() + TESTS.most_common(400):
        terminalreporter.write_line(f"  {seconds:6.1f}  {name}")
