"""What every test may use."""

from __future__ import annotations

import os

import pytest
from commands import Done, Run
from hypothesis import HealthCheck, settings

# One thread for each worker: read when torch is imported, which only the tests that need it do.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# As where there is no terminal: pytest-xdist gives its workers the width of the one it runs in.
os.environ["COLUMNS"] = "100"

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


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """run("check", "a.net") → exit code, standard output, error stream. There is never a traceback."""
    from netdsl.cli import main

    def run_main(*arguments: object) -> Done:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        done = Done(code, *capsys.readouterr())
        assert "Traceback" not in done.out + done.err
        assert "internal error" not in done.err
        assert code in (0, 1, 2)
        return done

    return run_main
