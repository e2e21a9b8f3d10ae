"""What every test may use."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# One thread for each worker: read when torch is imported, which only the tests that need it do.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Triton kernels run in its interpreter here, on tensors of the CPU; read when Triton is imported. What compiles them
# needs a process of its own.
os.environ.setdefault("TRITON_INTERPRET", "1")

# HYPOTHESIS_PROFILE=thorough tries twenty times as many examples, and other ones in each run.
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files from what netdsl says now")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten instead of compared."""
    return bool(request.config.getoption("--update-golden"))
