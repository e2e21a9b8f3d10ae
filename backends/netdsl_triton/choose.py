"""Which kernel does a task?  The fastest that was measured on this machine, else the one that the cost model favours.

Nothing here needs a device, torch or Triton. For one task, one device and one store the answer is always the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.devices import Device
from netdsl_triton import kernels as registry
from netdsl_triton.kernels.base import Candidate, Choice, Kernel
from netdsl_triton.store import Result, Store
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
    results = {} if store is None else {result.key: result for result in store.recall(task)}
    found = [known(candidate, results) for candidate in candidates(task, device, kernels)]
    refused = {kernel.name: why for kernel in kernels if (why := kernel.claims(task, device))}
    usable = [candidate for candidate in found if not candidate.dropped]
    if not usable:
        return unclaimed(task, device, tuple(found), refused)
    measured = [candidate for candidate in usable if candidate.measured is not None]
    best = min(measured or usable, key=lambda candidate: candidate.seconds)
    rivals = sorted((rival for rival in found if rival is not best), key=_rank)
    how = "the fastest measured" if measured else "the fastest predicted"
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


def known(candidate: Candidate, results: dict[str, Result]) -> Candidate:
    """A candidate with what was measured of it."""
    result = results.get(candidate.key)
    if result is None:
        return candidate
    return candidate.replace(measured=result.seconds, error=result.error, dropped=result.dropped)


def _rank(candidate: Candidate) -> tuple[bool, bool, float]:
    return bool(candidate.dropped), candidate.measured is None, candidate.seconds


def unclaimed(
    task: Task, device: Device, failed: tuple[Candidate, ...] = (), refused: dict[str, str] | None = None
) -> Choice:
    """Runs as the PyTorch backend has it; predicted from what it moves alone."""
    moved = sum(view.bytes for view in task.inputs) + task.output.bytes
    dtype = task.output.dtype if task.output.dtype in device.flops else "fp32"
    reason = "every kernel failed on this machine" if failed else "no kernel claims it"
    return Choice("", {}, device.seconds(0, moved, dtype), rivals=failed, refused=refused or {}, reason=reason)
