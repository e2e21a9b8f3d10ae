"""How long does a call take?  Several actions in turns, so that a slow moment of the machine falls on all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

from netdsl.record import Record

Action = Callable[[int], object]
"""One call, with the number of the input to take. What it returns is kept until the next call."""

SAMPLE = {"cuda": 0.02, "cpu": 0.01}
"""A sample lasts about so many seconds: as many calls as fit."""
MAX_CALLS = 500
CLOCKS = {"wall": time.perf_counter, "process": time.process_time}
FEWEST, MOST = 5, 200
"""Samples of each action, unless their number is given."""


class Times(Record):
    """Seconds for one call.

    samples    each the mean over `calls` calls, one after the other
    latency    the median of single calls, from the call to the end of the device's work
    """

    samples: tuple[float, ...]
    calls: int
    latency: float

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def percentile(self, percent: int) -> float:
        """The sample below which so many percent lie, by the nearest rank."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def alternating(
    actions: Mapping[str, Action], inputs: int, device: str, seconds: float, repeats: int | None, clock: str = "wall"
) -> dict[str, Times | Exception]:
    """The times of each action, sampled in turns; the inputs 0, 1, … are taken in turns, too.

    `clock` is one of CLOCKS, for what runs on a CPU. What fails on the way is left out from then on, and its exception
    is the result.
    """
    found: dict[str, Times | Exception] = {}
    runs = {name: Run(action, inputs, device, clock) for name, action in actions.items()}

    def attempt(name: str, step: Callable[[Run], None]) -> None:
        if name not in found:
            try:
                step(runs[name])
            except Exception as error:
                found[name] = error

    for name in actions:
        attempt(name, Run.pilot)
    lasts = sum(run.lasts for name, run in runs.items() if name not in found)
    names = [name for name in actions if name not in found]
    for turn in range(0 if not names else repeats or max(FEWEST, min(MOST, round(seconds / max(lasts, 1e-6))))):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            attempt(name, Run.sample)
    return {name: found.get(name) or run.times() for name, run in runs.items()}


class Run:
    """The samples of one action so far. Mutable: it is what the turns fill."""

    def __init__(self, action: Action, inputs: int, device: str, clock: str = "wall") -> None:
        self.clock = CLOCKS[clock]
        self.action, self.inputs, self.device = action, inputs, device
        self.calls, self.lasts, self.turn = 1, 0.0, 0
        self.samples: list[float] = []
        self.alone: list[float] = []

    def pilot(self) -> None:
        """Finds how many calls make a sample."""
        single = min(self.call(1) for _ in range(3))
        self.calls = max(1, min(MAX_CALLS, round(SAMPLE[self.device] / max(single, 1e-7))))
        self.lasts = single * (self.calls + 2)

    def sample(self) -> None:
        self.samples.append(self.call(self.calls))
        self.alone.append(alone(self.action, self.turn % self.inputs, self.device, self.clock))

    def call(self, calls: int) -> float:
        """Seconds for one of so many calls."""
        self.turn += 1
        if self.device == "cuda":
            return on_cuda(self.action, self.turn, calls, self.inputs)
        return on_cpu(self.action, self.turn, calls, self.inputs, self.clock)

    def times(self) -> Times:
        return Times(tuple(self.samples), self.calls, statistics.median(self.alone))


def on_cuda(action: Action, first: int, calls: int, inputs: int) -> float:
    """Seconds for one call: device time between two events, and the host's where it is what takes longer."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    kept = action(first % inputs)
    torch.cuda.synchronize()
    start.record()
    for i in range(calls):
        kept = action((first + i) % inputs)
    end.record()
    torch.cuda.synchronize()
    del kept
    return float(start.elapsed_time(end)) / 1e3 / calls


def on_cpu(action: Action, first: int, calls: int, inputs: int, clock: Callable[[], float]) -> float:
    kept = action(first % inputs) if calls > 1 else None  # the caches hold what others left
    start = clock()
    for i in range(calls):
        kept = action((first + i) % inputs)
    took = clock() - start
    del kept
    return took / calls


def alone(action: Action, input: int, device: str, clock: Callable[[], float]) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = clock()
    kept = action(input)
    if device == "cuda":
        torch.cuda.synchronize()
    took = clock() - start
    del kept
    return took
