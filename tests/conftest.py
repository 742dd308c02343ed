"""Before anything imports PyTorch."""

import dataclasses
import os
import signal

import pytest

from benchmark.training.engines import resources

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of several would wait for one another.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = os.environ.get(name) or "1"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start what runs in the background so, and every process that a test starts would take it over.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are trained in this process, where tests can look at it; what is about workers asks for them."""
    monkeypatch.setattr(resources, "usable_cores", lambda: 1)


@pytest.fixture
def small_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace every data set by GAAN's grid with 1,600 points, so that an epoch has 25 iterations."""
    from benchmark.spec import registry
    from datamodules.grid25_gaan import GRID25_GAAN

    small = dataclasses.replace(GRID25_GAAN, per_mode=64)
    monkeypatch.setattr(registry, "dataset", lambda name: small)
