"""Which kernel does a task?  The fastest that was measured on this machine, else the one that the cost model favours.

Nothing here needs a device, torch or Triton. For one task, one device and one store the answer is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netdsl.devices import Device
from netdsl_triton import kernels as registry
from netdsl_triton.kernels.base import Candidate, Choice, Kernel
from netdsl_triton.store import Result, Store, task_key
from netdsl_triton.task import Task


def registered() -> tuple[Kernel, ...]:
    """Every kernel there is, the first of equals first."""
    return registry.KERNELS


def candidates(task: Task, device: Device, kernels: Sequence[Kernel] | None = None) -> tuple[Candidate, ...]:
    """Every way to do a task, as predicted: the fastest first; of equals, the kernel and the guess that come first."""
    found = [
        Candidate(kernel.name, config, kernel.seconds(task, config, device), kernel.launches(task, config))
        for kernel in (registered() if kernels is None else kernels)
        if not kernel.claims(task, device)
        for config in kernel.configs(task, device)
    ]
    return tuple(sorted(found, key=lambda candidate: candidate.predicted))


def choose(task: Task, device: Device, store: Store | None = None, kernels: Sequence[Kernel] | None = None) -> Choice:
    """What does a task on this kind of device.

    Where no kernel claims it, or all of them failed on this machine, `kernel` is empty, and `reason` says why.
    """
    kernels = registered() if kernels is None else kernels
    refused = {kernel.name: why for kernel in kernels if (why := kernel.claims(task, device))}
    able = [kernel for kernel in kernels if kernel.name not in refused]
    results = () if store is None else store.recall(task)
    found = remembered(task, device, results, able)
    if not any(candidate.measured is not None for candidate in found):
        failed = {candidate.key: candidate for candidate in found}
        offered = candidates(task, device, able)
        found = [failed.get(candidate.key, candidate) for candidate in offered] if failed else list(offered)
    usable = [candidate for candidate in found if not candidate.dropped]
    if not usable:
        return unclaimed(task, device, tuple(found), refused)
    cautious = frozenset([kernel.name for kernel in kernels if getattr(kernel, "cautious", False)])
    best, *rivals = sorted(found, key=lambda candidate: _rank(candidate, cautious))
    how = "the fastest predicted" if best.measured is None else "the fastest measured"
    if any(rival.kernel in cautious and not rival.dropped and rival.seconds < best.seconds for rival in rivals):
        how += ", of those with fewer launches" if best.measured is None else ""
    return Choice(
        best.kernel,
        best.config,
        best.predicted,
        best.launches,
        best.measured,
        best.error,
        tuple(rivals),
        refused,
        how if rivals else "the only one",
    )


def chooser(store: Store | None = None) -> Callable[[Task, Device], Choice]:
    """`choose`, which thinks once about tasks that differ in names alone: a network has many."""
    made: dict[tuple[str, str], Choice] = {}

    def chosen(task: Task, device: Device) -> Choice:
        key = device.name, task_key(task)
        if key not in made:
            made[key] = choose(task, device, store)
        return made[key]

    return chosen


def remembered(task: Task, device: Device, results: Sequence[Result], kernels: Sequence[Kernel]) -> list[Candidate]:
    """The candidates that were measured, or dropped, on this machine: nothing else has to be thought of then."""
    by_name = {kernel.name: kernel for kernel in kernels}
    return [
        Candidate(
            result.kernel,
            result.config,
            kernel.seconds(task, result.config, device),
            kernel.launches(task, result.config),
            result.seconds,
            result.error,
            result.dropped,
        )
        for result in results
        if (kernel := by_name.get(result.kernel)) is not None
    ]


def _rank(candidate: Candidate, cautious: frozenset[str]) -> tuple[bool, bool, bool, float]:
    """What is `cautious` and needs several launches comes behind the others until it is measured."""
    predicted = candidate.measured is None
    behind = predicted and candidate.kernel in cautious and candidate.launches > 1
    return bool(candidate.dropped), predicted, behind, candidate.seconds


def unclaimed(
    task: Task, device: Device, failed: tuple[Candidate, ...] = (), refused: dict[str, str] | None = None
) -> Choice:
    """Runs as the PyTorch backend has it; predicted as one kernel."""
    dtype = task.output.dtype if task.output.dtype in device.flops else "fp32"
    seconds = device.seconds(task.macs, task.bytes, dtype)
    reason = "every kernel failed on this machine" if failed else "no kernel claims it"
    return Choice("", {}, seconds, rivals=failed, refused=refused or {}, reason=reason)
