"""Which kernels are the fastest for a network on this device?  Its tasks are measured, and the results remembered.

Equal tasks are measured once, those first on which the network is predicted to spend most of its time (`measure.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from netdsl.devices import DEVICES, Device
from netdsl.options import UsageError
from netdsl.record import Record
from netdsl_triton.choose import candidates, registered
from netdsl_triton.device import interpreted, rates_of, triton_missing
from netdsl_triton.kernels.base import Candidate, Kernel
from netdsl_triton.measure import Tuning, products
from netdsl_triton.plan import Plan
from netdsl_triton.progress import Progress
from netdsl_triton.report import Report, explain, planned
from netdsl_triton.store import Store, machine, task_key
from netdsl_triton.task import Task
from netdsl_triton.tensors import MakeTensors, random_tensors
from netdsl_triton.timing import Timer, timer_for

if TYPE_CHECKING:
    from netdsl.net import Net


class Tuned(Record):
    """What was done.

    tasks       different ones, all together
    measured    candidates whose time was taken now
    notes       what was dropped or left out, and why
    """

    tasks: int
    measured: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        count = f"{self.measured} candidates measured for {self.tasks} different tasks"
        return "\n".join([count, *self.notes])


class TunedNetwork(Record):
    """What was done for a network, and the report for each size of batch."""

    tuned: Tuned
    reports: tuple[Report, ...]


def tune_here(net: Net, batches: Sequence[int], dtype: str, budget: float | None = None) -> TunedNetwork:
    """Tunes a network on the GPU of this machine. Where Triton's interpreter is asked for, on the processor.

    Raises UsageError where there is neither, and DeviceLost.
    """
    device, rates = place()
    store = Store(machine(device))
    tasks = [
        (f"{stage.name}, batch {batch}" if len(batches) > 1 else stage.name, stage.task)
        for batch in batches
        for stage in planned(net, batch, dtype, rates, store)[2].stages
        if stage.is_tunable
    ]
    tuned = tune_tasks(tasks, rates, lambda task: random_tensors(task, device), timer_for(device), store, budget=budget)
    return TunedNetwork(tuned, tuple([explain(net, batch, dtype, rates, store) for batch in batches]))


def place() -> tuple[torch.device, Device]:
    """Where kernels can be timed here, and its rates. Raises UsageError where they cannot."""
    if missing := triton_missing():
        raise UsageError(missing)
    if interpreted():
        return torch.device("cpu"), DEVICES["h200"]
    if not torch.cuda.is_available():
        raise UsageError("there is no GPU here to time kernels on: without one, the cost model chooses")
    device = torch.device("cuda", torch.cuda.current_device())
    rates = rates_of(device)
    if isinstance(rates, str):
        raise UsageError(rates)
    return device, rates


def tune_plan(
    plan: Plan, device: torch.device, store: Store, progress: Progress | None = None, *, budget: float | None = None
) -> Tuned:
    """Measures what a plan runs, for what is remembered from then on: plan it again to have the winners."""
    tasks = [(stage.name, stage.task) for stage in plan.stages if stage.is_tunable]
    return tune_tasks(
        tasks, plan.device, lambda task: random_tensors(task, device), timer_for(device), store, progress, budget=budget
    )


def tune_tasks(
    tasks: Iterable[tuple[str, Task]],
    device: Device,
    make_tensors: MakeTensors,
    timer: Timer,
    store: Store,
    progress: Progress | None = None,
    *,
    kernels: Sequence[Kernel] | None = None,
    budget: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Measures the candidates of each task that are not known yet, and stores the results after each task.

    tasks      with the names of their elements; equal ones are measured once
    budget     seconds; what takes most of the network's time comes first

    Interrupted, it keeps what was measured, and goes on there the next time. Raises DeviceLost.
    """
    once = different(tasks, device, kernels)
    found = {kernel.name: kernel for kernel in (registered() if kernels is None else kernels)}
    deadline = math.inf if budget is None else clock() + budget
    measured = 0
    notes: list[str] = []
    with progress or Progress() as shown:
        for i, (name, task, found_candidates) in enumerate(once):
            tuning = Tuning(task, found_candidates, device, found, store, timer, lambda: clock() > deadline)
            shown.show(i, len(once), name)
            try:
                with products(task.allow_tf32):
                    for share in tuning.run(make_tensors):
                        shown.show(i + share, len(once), name)
            finally:
                measured += tuning.measured
                notes.extend(f"{name}: {note}" for note in tuning.notes)
            if clock() > deadline and i + 1 < len(once):
                notes.append(f"the time is up: {len(once) - i - 1} of {len(once)} tasks are as they were")
                break
    return Tuned(len(once), measured, tuple(notes))


def different(
    tasks: Iterable[tuple[str, Task]], device: Device, kernels: Sequence[Kernel] | None = None
) -> list[tuple[str, Task, tuple[Candidate, ...]]]:
    """Each task once, with its candidates: those on which the network is predicted to spend most time first."""
    groups: dict[str, list[tuple[str, Task]]] = {}
    for name, task in tasks:
        groups.setdefault(task_key(task), []).append((name, task))
    rows = []
    for group in groups.values():
        (name, task), count = group[0], len(group)
        if ways := candidates(task, device, kernels):
            title = f"{name} and {count - 1} like it" if count > 1 else name
            rows.append((count * ways[0].predicted, (title, task, ways)))
    return [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
