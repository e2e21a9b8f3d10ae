"""What every test may use."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# One thread for each worker: read when torch is imported, which only the tests that need it do.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# HYPOTHESIS_PROFILE=thorough tries twenty times as many examples, and other ones in each run; `mutation` a fifth.
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=SLOW)
settings.register_profile("mutation", max_examples=20, deadline=None, derandomize=True, suppress_health_check=SLOW)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)

MUTATION = PROFILE == "mutation"
"""Whether each test runs once for every mutant that it may kill, in a process of its own (`make mutation`)."""

if MUTATION:
    sys.modules["torch"] = None  # type: ignore[assignment]  # what asks for it is skipped
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "backends"))

    from netdsl.program import prelude

    for block in prelude().own():  # read once, before the processes part
        prelude().get(block)

FASTEST = ("test_size", "test_prove", "test_ops", "test_language", "test_errors", "test_docs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that kill most for their time go first, the laws last."""
    if MUTATION:
        order = {name: i for i, name in enumerate(FASTEST)} | {"test_laws": len(FASTEST) + 1}
        items.sort(key=lambda item: order.get(item.path.stem, len(FASTEST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A mutant that loops for ever is dead after some seconds of computing, however busy the machine is."""
    if MUTATION:
        signal.signal(signal.SIGPROF, lambda *_: os._exit(24))  # which mutmut calls a timeout
        signal.setitimer(signal.ITIMER_PROF, 30 if item.path.stem == "test_laws" else 6)
    try:
        return (yield)
    finally:
        if MUTATION:
            signal.setitimer(signal.ITIMER_PROF, 0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files from what netdsl says now")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten instead of compared."""
    return bool(request.config.getoption("--update-golden"))
