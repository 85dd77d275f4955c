"""Shared fixtures, and the list of what was skipped at the end of a run."""

import pytest

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


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    lines = [f"  {report.nodeid}: {report.longrepr[2]}" for report in skipped]
    terminalreporter.write_line("skipped:\n" + "\n".join(lines) if lines else "nothing was skipped")
