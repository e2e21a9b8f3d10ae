"""Who is right, and who is fast?  One network at one batch: compared with a reference first, then timed in turns."""

from __future__ import annotations

import copy
import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from netdsl.devices import Device
from netdsl.net import Net
from netdsl.roofline import floor_of
from netdsl_triton.bench import machine
from netdsl_triton.bench.contestants import Call, Scene, contestants, flat, note_of, time_limit
from netdsl_triton.bench.question import OURS, Question
from netdsl_triton.bench.timing import Times, alternating
from netdsl_triton.notes import fault

TOLERANCE = {"fp32": 1e-4, "tf32": 5e-3, "fp16": 1e-2, "bf16": 3e-2}
"""Of ‖y - y_ref‖/‖y_ref‖; three times the error of the emitted module, where that is more."""
CHUNK = 32
"""Samples of the reference at once."""
EXACT = 2e11
"""MACs up to which the reference on a CPU is computed in fp64; that takes some ten seconds."""

Case = dict[str, Any]
Row = dict[str, Any]


class DeviceLost(RuntimeError):
    """The device refuses everything from now on in this process; `case` has what was found before."""

    def __init__(self, reason: str, case: Case) -> None:
        super().__init__(reason)
        self.case = case


def compare(
    net: Net, question: Question, batch: int, rates: tuple[Device, str], say: Callable[[str], None] = lambda _: None
) -> Case:
    """All rows of one network at one batch, as docs/benchmarks/json.md describes them. Raises DeviceLost."""
    case: Case = {
        "network": net.name,
        "inputs": {name: list(map(int, shape)) for name, shape in net.inputs.items()},  # type: ignore[arg-type]
        "batch": batch,
        "dtype": question.dtype,
        "floor": floors(net, question, batch, rates),
        "clock": {"before": machine.clocks(question.device)},
        "results": [],
    }
    with settings(question), torch.inference_mode():
        try:
            run(case, net, question, batch, say)
        except Exception as error:  # the reference has no room, say
            case["results"] = [{"backend": name, **failed(error)} for name, _ in contestants(question)]
        finally:
            tidy(question.device)
    case["clock"]["after"] = machine.clocks(question.device)
    if question.device == "cuda" and not alive():
        raise DeviceLost("the device no longer answers", case)
    return case


def run(case: Case, net: Net, question: Question, batch: int, say: Callable[[str], None]) -> None:
    scene = Scene(net, question, batch)
    reference, precision = answers(scene)
    yardstick, _ = errors(flat(scene.fresh()(*scene.inputs[0])), reference)
    limit = max(TOLERANCE[question.dtype], 3 * yardstick if math.isfinite(yardstick) else 0.0)
    case["reference"] = {"dtype": precision, "error_of_emitted": finite(yardstick), "limit": limit}
    calls: dict[str, Call] = {}
    rows: dict[str, Row] = {}
    for name, make in contestants(question):
        say(f"{net.name}, batch {batch}: {name}")
        rows[name] = prepared(name, lambda make=make: make(scene), scene, reference, limit, calls)  # type: ignore[misc]
        case["results"] = list(rows.values())
    say(f"{net.name}, batch {batch}: timing")
    actions = {name: (lambda i, call=call: call(*scene.inputs[i % len(scene.inputs)])) for name, call in calls.items()}
    times = alternating(actions, len(scene.inputs), question.device, question.seconds, question.repeats, question.clock)
    for name, found in times.items():
        if isinstance(found, Times):
            again, _ = errors(flat(calls[name](*scene.inputs[0])), reference)
            right = again <= limit
            rows[name] |= timed(found, batch) if right else {"status": "wrong", "reason": "other numbers after timing"}
        else:
            rows[name] |= failed(found)
    judge(case)


def prepared(
    name: str, make: Callable[[], Call], scene: Scene, reference: Sequence[Tensor], limit: float, calls: dict[str, Call]
) -> Row:
    """One row, up to its numbers. What is right goes into `calls`."""
    row: Row = {"backend": name}
    tidy(scene.question.device)
    on_cuda = scene.device.type == "cuda"
    before = torch.cuda.memory_allocated() if on_cuda else 0
    start = time.perf_counter()
    try:
        with time_limit(scene.question.prepare_limit):
            call = make()
            if on_cuda:
                torch.cuda.synchronize()
            row["prepare_s"] = time.perf_counter() - start
            for i in (0, 1):  # other inputs before those that count: a graph that keeps its first ones is found out
                call(*scene.inputs[i])
            out = [tensor.clone() for tensor in flat(call(*scene.inputs[0]))]
    except Exception as error:
        return row | failed(error)
    row["peak_bytes"] = torch.cuda.max_memory_allocated() - before if on_cuda else None
    rms, largest = errors(out, reference)
    row["error"] = {"rms": finite(rms), "max": finite(largest)}
    if note := note_of(call):
        row["note"] = note
    if not rms <= limit:
        allowed = f"the error is {rms:.2g}, and {limit:.2g} is allowed"
        what = allowed if math.isfinite(rms) else "NaN, inf, or outputs of other sizes"
        return row | {"status": "wrong", "reason": what}
    calls[name] = call
    return row


def answers(scene: Scene) -> tuple[list[Tensor], str]:
    """The outputs for the first inputs, of the same rounded weights: in fp32, or in fp64 where that is cheap."""
    exact = scene.device.type == "cpu" and float(str(scene.net.macs)) * scene.batch <= EXACT
    dtype = torch.float64 if exact else torch.float32
    module = copy.deepcopy(scene.module).to(dtype)
    parts = []
    with tf32(False):
        for start in range(0, scene.batch, CHUNK):
            chunk = [x[start : start + CHUNK] for x in scene.inputs[0]]
            parts.append(flat(module(*[x.to(dtype) if x.is_floating_point() else x for x in chunk])))
    outs = [torch.cat(tensors) for tensors in zip(*parts)]
    if not all(bool(out.isfinite().all()) for out in outs):
        raise ArithmeticError("the reference is not finite: the inputs or the weights overflow")
    return outs, "fp64" if exact else "fp32"


def errors(found: Sequence[Tensor], reference: Sequence[Tensor]) -> tuple[float, float]:
    """‖y - y_ref‖/‖y_ref‖ and max|y - y_ref|/max|y_ref|, of the worst output; NaN for NaN, and for other shapes."""
    if [x.shape for x in found] != [y.shape for y in reference]:
        return math.nan, math.nan
    rms = largest = 0.0
    for x, y in zip(found, reference):
        off = x.to(y.dtype) - y
        each = (off.norm() / y.norm()).item(), (off.abs().max() / y.abs().max()).item()
        if not all(map(math.isfinite, each)):
            return math.nan, math.nan
        rms, largest = max(rms, each[0]), max(largest, each[1])
    return rms, largest


def finite(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return value if math.isfinite(value) else None


def failed(error: Exception) -> Row:
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return {"status": "failed", "reason": "out of memory"}
    return {"status": "failed", "reason": fault(error)}


def timed(times: Times, batch: int) -> Row:
    return {
        "status": "timed",
        "median_ms": times.median * 1e3,
        "p10_ms": times.percentile(10) * 1e3,
        "p90_ms": times.percentile(90) * 1e3,
        "latency_ms": times.latency * 1e3,
        "samples": len(times.samples),
        "calls_per_sample": times.calls,
        "per_second": batch / times.median,
    }


def judge(case: Case) -> None:
    """Says of each row that was timed how fast it is against the best of the rivals, and against the floor."""
    rows = [row for row in case["results"] if row["status"] == "timed"]
    rivals = [row for row in rows if row["backend"] != OURS]
    best = min(rivals, key=lambda row: row["median_ms"], default=None)
    case["best_rival"] = best["backend"] if best else None
    for row in rows:
        row["against_best_rival"] = best["median_ms"] / row["median_ms"] if best else None
        row["share_of_floor"] = case["floor"]["fused_ms"] / row["median_ms"]


def floors(net: Net, question: Question, batch: int, rates: tuple[Device, str]) -> dict[str, Any]:
    device, source = rates
    library, fused = (floor_of(net, kind, device, question.dtype, batch) for kind in ("library", "fused"))
    return {
        "library_ms": library.seconds * 1e3,
        "fused_ms": fused.seconds * 1e3,
        "kernels": [library.kernels, fused.kernels],
        "macs": fused.macs,
        "bytes": fused.moved,
        "device": device.name,
        "flops": device.flops[question.dtype],
        "bandwidth": device.bandwidth,
        "rates": source,
    }


# --- the process -----------------------------------------------------------------------------------------------------


@contextmanager
def settings(question: Question) -> Iterator[None]:
    """What one sets for speed, and puts back: the search of cuDNN's algorithms, and tf32 where it is the type."""
    benchmark = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        with tf32(question.dtype == "tf32"):
            yield
    finally:
        torch.backends.cudnn.benchmark = benchmark


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    switches: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = allowed
    try:
        yield
    finally:
        for switch, value in zip(switches, before):
            switch.allow_tf32 = value


def tidy(device: str) -> None:
    gc.collect()
    if device == "cuda" and alive():
        torch.cuda.empty_cache()


def alive() -> bool:
    """Whether the device still works: after an illegal access it refuses everything."""
    try:
        torch.cuda.synchronize()
        return True
    except RuntimeError:
        return False
