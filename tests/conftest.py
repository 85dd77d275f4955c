"""Shared fixtures, and the list of what was skipped at the end of a run."""

import importlib.util
import os
import shutil

import pytest
from common import required

import lotteryhelpers as lh


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads what another run kept."""
    monkeypatch.setenv("LOTTERYHELPERS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def digits():
    return lh.load_dataset("digits")


@pytest.fixture(scope="session")
def small_run(digits):
    """A short Bayesian training of a small network, with snapshots."""
    config = lh.TrainConfig(epochs=4, batch_size=64, learning_rate=3e-3, seed=3)
    return lh.train_bayesian(digits, config, hidden=(32, 16), kl_weight=0.1, snapshots=(0, 0.5, 2))


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
