"""How long does a launch take on this device?  A timer for CUDA and HIP devices, and one for the processor."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import torch

from netdsl_triton.kernels.base import Launch

LIMIT = 20.0
"""Seconds after which a launch counts as hanging."""
FLUSH = 256 << 20
"""Bytes written before each run at most, so that the caches hold nothing of the run before."""
WORKERS = 16
"""Threads that compile at once, at most."""


class Hung(Exception):
    """A launch did not come to an end. What it runs on is of no use until the process ends."""


class Timer(Protocol):
    """Runs launches, and waits for them."""

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Compiles what they will run, at once; what cannot be compiled raises when it is run."""

    def once(self, launch: Launch) -> int:
        """Runs it to its end: the registers that its kernels spill. Raises Hung, or what the launch raises."""

    def seconds(self, launch: Launch, count: int) -> list[float]:
        """How long each of `count` runs took, with cold caches where the device has a way."""

    def release(self) -> None:
        """Gives back memory that nothing uses any more."""

    def alive(self) -> bool:
        """Whether the device still works."""


def timer_for(device: torch.device) -> Timer:
    return DeviceTimer(device) if device.type == "cuda" else HostTimer()


class HostTimer:
    """The processor, by the clock of the system. Its caches are warm."""

    def prepare(self, launches: Sequence[Launch]) -> None:
        pass

    def once(self, launch: Launch) -> int:
        launch()
        return 0

    def seconds(self, launch: Launch, count: int) -> list[float]:
        found = []
        for _ in range(count):
            began = time.perf_counter()
            launch()
            found.append(time.perf_counter() - began)
        return found

    def release(self) -> None:
        gc.collect()

    def alive(self) -> bool:
        return True


class DeviceTimer:
    """A CUDA or HIP device, by its events.

    Before each run a large buffer is written: that empties the caches, and while it is at work the host has the time to
    queue the launch, so that only the device's own time is measured.
    """

    def __init__(self, device: torch.device, limit: float = LIMIT) -> None:
        self.device, self.limit = device, limit
        cached = int(getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0) or FLUSH // 4)
        self.flushed = torch.empty(min(FLUSH, 4 * cached), dtype=torch.int8, device=device)

    def prepare(self, launches: Sequence[Launch]) -> None:
        with torch.cuda.device(self.device):
            compile_together(launches)

    def once(self, launch: Launch) -> int:
        with torch.cuda.device(self.device), launched() as handles:
            launch()
            self._wait(self._event())
        return sum(spills(handles).values())

    def seconds(self, launch: Launch, count: int) -> list[float]:
        with torch.cuda.device(self.device):
            pairs = []
            for _ in range(count):
                self.flushed.zero_()
                begin = self._event()
                launch()
                pairs.append((begin, self._event()))
            self._wait(pairs[-1][1])
        return [begin.elapsed_time(end) / 1e3 for begin, end in pairs]

    def _event(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _wait(self, event: torch.cuda.Event) -> None:
        deadline = time.monotonic() + self.limit
        while not event.query():  # type: ignore[no-untyped-call]
            if time.monotonic() > deadline:
                raise Hung(f"it did not end within {self.limit:g} s")
            time.sleep(20e-6)

    def release(self) -> None:
        gc.collect()
        torch.cuda.empty_cache()

    def alive(self) -> bool:
        try:
            self.flushed[:16].zero_()
            torch.cuda.synchronize(self.device)
            return True
        except Exception:  # a context that an illegal access has ended refuses everything
            return False


# --- what Triton compiled ------------------------------------------------------------------------------------------


@contextmanager
def launched() -> Iterator[set[int]]:
    """The handles of the Triton kernels that are launched inside."""
    handles: set[int] = set()
    if "triton" not in sys.modules:
        yield handles
        return
    from triton import knobs

    def seen(metadata: Any) -> None:
        if metadata is not None:
            handles.add(metadata.get()["function"])

    knobs.runtime.launch_enter_hook.add(seen)
    try:
        yield handles
    finally:
        knobs.runtime.launch_enter_hook.remove(seen)


def spills(handles: set[int]) -> dict[int, int]:
    """The registers that these kernels spill, by handle: of those that spill any."""
    found: dict[int, int] = {}
    for compiled in compiled_kernels():
        if compiled.function in handles and compiled.n_spills > 0:
            found[compiled.function] = compiled.n_spills
    return found


def compiled_kernels() -> Iterator[Any]:
    """What Triton has compiled and loaded of the functions of `netdsl_triton.jit`."""
    for name, module in list(sys.modules.items()):
        if name.startswith("netdsl_triton.jit."):
            for function in vars(module).values():
                for caches in getattr(function, "device_caches", {}).values():
                    yield from (compiled for compiled in caches[0].values() if is_loaded(compiled))


def is_loaded(compiled: Any) -> bool:
    try:
        return getattr(compiled, "module", None) is not None
    except Exception:  # one that could not be compiled says so whatever it is asked
        return False


def compile_together(launches: Sequence[Launch], workers: int | None = None) -> None:
    """Compiles what launches run, in threads, with the arguments that they have; nothing is launched.

    LLVM and the assembler work outside of Python's lock, and most of the time of a compilation is theirs.
    """
    if len(launches) < 2 or "triton" not in sys.modules:
        return
    from triton import AsyncCompileMode

    count = workers or min(len(launches), os.cpu_count() or 1, WORKERS)
    with ThreadPoolExecutor(count) as pool, AsyncCompileMode(pool, ignore_errors=True), only_compiling():
        for launch in launches:
            with suppress(Exception):  # it comes again when the launch is run
                launch()


@contextmanager
def only_compiling() -> Iterator[None]:
    """In this thread, what launches a Triton function only compiles it. Other threads launch as ever."""
    from triton.runtime.jit import JITFunction

    run, here = JITFunction.run, threading.get_ident()

    def compiled(self: Any, *args: Any, grid: Any, warmup: bool, **named: Any) -> Any:
        return run(self, *args, grid=grid, warmup=warmup or threading.get_ident() == here, **named)

    JITFunction.run = compiled
    try:
        yield
    finally:
        JITFunction.run = run
