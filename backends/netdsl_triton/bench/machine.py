"""On what was it measured?  The machine, its versions, its clocks as found, and the rates it reaches."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from netdsl import __version__
from netdsl.devices import DEVICES, Device
from netdsl_triton.dtypes import DTYPES

CLOCKS = ("clocks.sm", "clocks.mem", "clocks.max.sm", "power.draw", "temperature.gpu", "utilization.gpu")


def describe(device: str) -> dict[str, Any]:
    """The machine, for people to compare tables with; nothing of it is changed."""
    found: dict[str, Any] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "node": platform.node(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "netdsl": __version__,
        "torch": torch.__version__,
        "triton": version("triton"),
        "cuda": torch.version.cuda,
        "device": device,
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": properties.name,
            "gpu_memory": properties.total_memory,
            "multiprocessors": properties.multi_processor_count,
            "capability": f"{properties.major}.{properties.minor}",
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "driver": query(("driver_version",)).get("driver_version"),
        }
    return found


def title(found: dict[str, Any]) -> str:
    """The machine in one line."""
    if found["device"] == "cuda":
        what = f"{found['gpu']}, CUDA {found['cuda']}, driver {found['driver']}"
    else:
        what = f"{found['processor']}, {found['threads']} of {found['cores']} cores"
    versions = f"Python {found['python']}, PyTorch {found['torch']}, Triton {found['triton'] or 'not installed'}"
    return f"{what}; {versions}; {found['when']}"


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def clocks(device: str) -> dict[str, str] | None:
    """The clocks, power and temperature of the GPU at this moment; None where nobody can be asked."""
    return query(CLOCKS) or None if device == "cuda" else None


def query(names: tuple[str, ...]) -> dict[str, str]:
    """What nvidia-smi says; empty where there is none, or where it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    command = [program, f"--query-gpu={','.join(names)}", "--format=csv,noheader", "--id=0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(names, (value.strip() for value in done.stdout.strip().split(","))))


def rates(device: str, dtype: str) -> tuple[Device, str]:
    """The rates for floors, and where they come from: the table of devices, or measured right here."""
    if device == "cuda":
        name = torch.cuda.get_device_name(0).lower()
        for known in DEVICES.values():
            if known.arch[0] != "cpu" and known.name in name.replace(" ", ""):
                return known, "netdsl/devices.py"
    base = DEVICES["h200" if device == "cuda" else "cpu"]
    flops, bandwidth = matrix_rate(device, dtype), copy_rate(device)
    return (
        base.replace(name=f"this {device}", flops={**base.flops, dtype: flops}, bandwidth=bandwidth),
        "measured before the run: a matrix product and a copy",
    )


def matrix_rate(device: str, dtype: str) -> float:
    """Operations per second of a square matrix product on random data."""
    size = 8192 if device == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(DTYPES[dtype]) for _ in range(2))
    return 2 * size**3 / shortest(lambda: a @ b, device)


def copy_rate(device: str) -> float:
    """Bytes per second of a copy of what no cache holds, those read and those written."""
    count = 2**28 if device == "cuda" else 2**25
    source = torch.empty(count, device=device).normal_()
    target = torch.empty_like(source)
    return 2 * 4 * count / shortest(lambda: target.copy_(source), device)


def shortest(action: Callable[[], object], device: str) -> float:
    """Seconds: the median of the best half of ten runs."""
    times = []
    for _ in range(10):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        action()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(sorted(times)[:5])
