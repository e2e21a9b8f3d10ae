"""Which candidate for a task is the fastest?  Each is run on real tensors, its numbers compared before its time.

The reference is computed in fp32. Candidates come in the order of their predictions. Each gets outputs full of NaN, and
has to give the reference's numbers within the tolerance of its type, twice, and to leave what lies beside its output
alone. What raises, spills, hangs, or gives wrong numbers is dropped, and remembered as dropped; what finds no memory
now may find it another time. A kernel is given up when its candidates no longer improve, or are predicted to be much
slower than the best. At the end, the best few are timed against each other in turns.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from netdsl.devices import Device
from netdsl.options import UsageError
from netdsl.record import Record
from netdsl_triton import reference
from netdsl_triton.kernels.base import Candidate, Kernel, Launch
from netdsl_triton.notes import fault
from netdsl_triton.store import Result, Store
from netdsl_triton.task import Task
from netdsl_triton.tensors import MakeTensors, Tensors
from netdsl_triton.timing import Hung, Timer

TOLERANCE = {"fp32": 1e-4, "tf32": 5e-3, "fp16": 5e-3, "bf16": 3e-2}
"""Of max |y - y₃₂| / max |y₃₂|: roundings of inputs, weights and output, and of sums in another order."""
HOPELESS = 3.0
"""What is predicted to take so many times the prediction of the best is not tried."""
MISSES = 6
"""After so many candidates of one kernel that were no better than its best, its others are not tried."""
CLOSE = 1.15
"""Who is within this of the best goes into the last round."""
FINALISTS = 4
WARM = 3
"""Runs before those that count."""
RUNS = 10
"""Runs of a candidate; in the last round, in each turn."""
TURNS = 4
BESIDE = 7.0
"""What stands beside an output that is a slice."""


class DeviceLost(UsageError):
    """The device does not work any more in this process: a candidate broke it. It is remembered as dropped."""


class Trial(Record):
    """A candidate that gives the right numbers, and its times so far."""

    candidate: Candidate
    launch: Launch
    error: float
    times: list[float]

    @property
    def seconds(self) -> float:
        return statistics.median(self.times)


class Tuning:
    """One task while it is measured. `notes` says what was dropped; `measured` counts times that were taken."""

    def __init__(
        self,
        task: Task,
        ways: Sequence[Candidate],
        device: Device,
        kernels: Mapping[str, Kernel],
        store: Store,
        timer: Timer,
        late: Callable[[], bool],
    ) -> None:
        self.task, self.ways, self.device, self.kernels = task, ways, device, kernels
        self.store, self.timer, self.late = store, timer, late
        self.results = {result.key: result for result in store.recall(task)}
        self.new: dict[str, Result] = {}
        self.bound: dict[str, Launch] = {}
        self.notes: list[str] = []
        self.measured = 0

    def run(self, make_tensors: MakeTensors) -> Iterator[float]:
        """Measures; yields which share is done. What is known is stored in any case, however it ends."""
        if not any(self.wanted()):
            return
        try:
            tensors = make_tensors(self.task)
            expected = self.reference(tensors)
        except Exception as error:
            self.release_after(error)
            self.notes.append(f"not measured: {fault(error)}")
            return
        try:
            yield from self.trials(tensors, expected)
        finally:
            if self.new:
                self.store.remember(self.task, self.new.values())

    def reference(self, tensors: Tensors) -> Tensor:
        """What the task means, in fp32."""
        with products(tf32=False):
            exact_inputs = [x.float() if x.is_floating_point() else x for x in tensors.inputs]
            return reference.run(self.task.op, exact_inputs, tensors.weights)

    def wanted(self) -> Iterator[tuple[int, Candidate]]:
        """The candidates that are still to be measured: asked for one by one, as results come in."""
        best: dict[str, Result] = {}
        misses: dict[str, int] = {}
        fastest: tuple[float, float] | None = None
        for i, way in enumerate(self.ways):
            if way.key not in self.results:
                if misses.get(way.kernel, 0) >= MISSES:
                    continue
                if fastest is not None and way.kernel in best and way.predicted > HOPELESS * fastest[1]:
                    continue
                yield i, way
            result = self.results.get(way.key)
            if result is None or result.seconds is None:
                continue
            if fastest is None or result.seconds < fastest[0]:
                fastest = result.seconds, way.predicted
            if way.kernel not in best or result.seconds < float(best[way.kernel].seconds or 0):
                best[way.kernel], misses[way.kernel] = result, 0
            else:
                misses[way.kernel] += 1

    def trials(self, tensors: Tensors, expected: Tensor) -> Iterator[float]:
        running: list[Trial] = []
        self.prepare(tensors)
        for i, way in self.wanted():
            if self.late():
                break
            yield i / len(self.ways)
            trial = self.trial(way, tensors, expected)
            if trial is not None:
                running = sorted([*running, trial], key=lambda trial: trial.seconds)[:FINALISTS]
                running = [trial for trial in running if trial.seconds <= CLOSE * running[0].seconds]
        yield 1.0
        if len(running) > 1:
            self.final(running)

    def prepare(self, tensors: Tensors) -> None:
        """Compiles at once what is likely to be tried; a fault comes again when it is."""
        limit = HOPELESS * min(way.predicted for way in self.ways)
        for way in self.ways:
            compiles = self.kernels[way.kernel].compilations(self.task, way.config, self.device)
            if way.key not in self.results and way.predicted <= limit and compiles and not self.late():
                try:
                    self.bound[way.key] = self.bind(way, tensors)
                except Exception as error:
                    self.release_after(error)
        self.timer.prepare(list(self.bound.values()))

    def bind(self, way: Candidate, tensors: Tensors) -> Launch:
        kernel = self.kernels[way.kernel]
        packed = kernel.pack(self.task, way.config, tensors.weights)
        return kernel.bind(self.task, way.config, tensors.inputs, tensors.output, packed)

    def trial(self, way: Candidate, tensors: Tensors, expected: Tensor) -> Trial | None:
        """Runs one candidate: its numbers first, then its time; None where it is dropped."""
        try:
            launch = self.bound.pop(way.key, None) or self.bind(way, tensors)
            off, wrong, spilled = self.checked(launch, tensors, expected)
            if not spilled and not wrong:  # what a launch leaves behind must not trouble the next
                off, wrong, spilled = self.checked(launch, tensors, expected)
            if spilled or wrong:
                self.drop(way, f"it spills {spilled} registers" if spilled else wrong)
                return None
            self.timer.seconds(launch, WARM)
            times = self.timer.seconds(launch, RUNS)
        except Exception as error:
            self.failed(way, error)
            return None
        self.measured += 1
        trial = Trial(way, launch, off, times)
        self.keep(trial)
        return trial

    def checked(self, launch: Launch, tensors: Tensors, expected: Tensor) -> tuple[float, str, int]:
        """Its error; why its numbers are not taken, or ''; the registers that it spills."""
        if tensors.beside is not None:
            tensors.beside.fill_(BESIDE)
        tensors.output.fill_(math.nan if tensors.output.is_floating_point() else -1)
        spilled = self.timer.once(launch)
        off, wrong = compared(tensors.output, expected, tolerance(self.task))
        if not wrong and tensors.beside is not None:
            tensors.output.fill_(BESIDE)
            if not bool((tensors.beside == BESIDE).all()):
                wrong = "it writes beside its output"
        return off, wrong, spilled

    def final(self, running: Sequence[Trial]) -> None:
        """The best few in turns, so that a change of clock hits all alike."""
        times: list[list[float]] = [[] for _ in running]
        for _ in range(TURNS):
            for trial, found in zip(running, times):
                try:
                    found += self.timer.seconds(trial.launch, RUNS)
                except Exception as error:
                    self.failed(trial.candidate, error)
                    return
        for trial, found in zip(running, times):
            self.keep(trial.replace(times=found))

    # --- results --------------------------------------------------------------------------------------------------

    def keep(self, trial: Trial) -> None:
        way = trial.candidate
        self.add(Result(way.kernel, way.config, trial.seconds, trial.error))

    def drop(self, way: Candidate, why: str) -> None:
        self.notes.append(f"{name_of(way)} is dropped: {why}")
        self.add(Result(way.kernel, way.config, dropped=why))

    def add(self, result: Result) -> None:
        self.results[result.key] = self.new[result.key] = result

    def failed(self, way: Candidate, error: Exception) -> None:
        """A candidate that raises or hangs is dropped; one that finds no memory, only for now."""
        if isinstance(error, Hung):
            self.drop(way, str(error))
            raise DeviceLost(f"{name_of(way)} hangs; it is not tried again, but this process has to end") from error
        if self.release_after(error):
            self.notes.append(f"{name_of(way)} is left out this time: {fault(error)}")
        else:
            self.drop(way, fault(error))
        if not self.timer.alive():
            raise DeviceLost(f"{name_of(way)} broke the device; it is not tried again, but this process has to end")

    def release_after(self, error: Exception) -> bool:
        """Whether there was no memory; if so, what can be freed is freed."""
        if not isinstance(error, torch.OutOfMemoryError | MemoryError):
            return False
        error.__traceback__ = None  # its frames hold tensors, and so does what is bound
        self.bound.clear()
        self.timer.release()
        return True


# --- numbers -----------------------------------------------------------------------------------------------------


def tolerance(task: Task) -> float:
    return TOLERANCE["tf32" if task.allow_tf32 and task.output.dtype == "fp32" else task.output.dtype]


def compared(y: Tensor, expected: Tensor, limit: float) -> tuple[float, str]:
    """max |y - expected| / max |expected|, and what is wrong with y, or ''. NaN is never right."""
    if y.shape != expected.shape:
        return math.inf, f"it has the shape {tuple(y.shape)}, not {tuple(expected.shape)}"
    if not bool(torch.isfinite(y).all()):
        return math.inf, "its output is not finite, or not written everywhere"
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    if not math.isfinite(scale):
        return math.inf, "the reference is not finite"
    error = float((y.to(expected.dtype) - expected).abs().max()) / (scale or 1.0) if y.numel() else 0.0
    return error, "" if error <= limit else f"wrong numbers: an error of {error:.1e}, and {limit:.0e} is allowed"


@contextmanager
def products(tf32: bool) -> Iterator[None]:
    """Products of fp32 by PyTorch's libraries in fp32, or rounded to tf32; without gradients."""
    parts: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    before = [part.fp32_precision for part in parts]
    try:
        for part in parts:
            part.fp32_precision = "tf32" if tf32 else "ieee"
        with torch.no_grad():
            yield
    finally:
        for part, precision in zip(parts, before):
            part.fp32_precision = precision


def name_of(way: Candidate) -> str:
    config = " ".join(f"{name}={value}" for name, value in way.config.items())
    return f"{way.kernel} {config}".rstrip()
