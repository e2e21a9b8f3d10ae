"""Maximum and average pooling over windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.devices import Device
from netdsl.passes.fused import FusedPool
from netdsl_triton.kernels.base import Config
from netdsl_triton.kernels.common import (
    Pointer,
    coded_steps,
    pack_vectors,
    prologue_arguments,
    step_arguments,
    unit,
    vectors_pointer,
    written,
)
from netdsl_triton.kernels.rows import (
    Call,
    RowKernel,
    blocks_of,
    moving_refusal,
    moving_seconds,
    programs,
    row_configs,
)
from netdsl_triton.task import Task

if TYPE_CHECKING:
    from torch import Tensor

MAX_WINDOW = 64
"""Places of a window: the loop over them is unrolled."""
STRIPS = (2, 1, 4)
"""So many windows, one below the other, of one program, where they overlap."""


class Pool(RowKernel):
    """y = g(pool(f(x))) (`jit.pool`)."""

    name = "pool"

    def claims(self, task: Task, device: Device) -> str:
        op = task.op
        if not isinstance(op, FusedPool):
            return "not a pool"
        if len(op.kernel) > 2:
            return "more than two axes"
        if math.prod(op.kernel) > MAX_WINDOW:
            return f"a window of more than {MAX_WINDOW} places"
        return moving_refusal(task, device, op.prologue, op.epilogue)

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        op = task.op
        assert isinstance(op, FusedPool)
        overlap = len(op.kernel) == 2 and op.dilation[0] * (op.kernel[0] - 1) + 1 > op.stride[0]
        found: list[Config] = []
        for strip in STRIPS if overlap else (1,):
            for config in row_configs(task.output.channels, task.output.pixels, (1024, 2048)):
                found.append({**config, "strip": strip})
        return sorted(found, key=lambda config: self.seconds(task, config, device))

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        """What overlaps is in the cache: each program reads its rows, (strip - 1)·S + k of them for strip windows."""
        op = task.op
        assert isinstance(op, FusedPool)
        strip = int(config["strip"])
        rows = (strip - 1) * op.stride[0] + op.kernel[0] if len(op.kernel) == 2 else 1
        lines = math.ceil(((1, *task.output.spatial)[-2]) / strip) * rows
        across = (1, *task.output.spatial)[-1] * op.kernel[-1]
        cached = lines * across * task.output.bytes / max(1, math.prod(task.output.spatial))
        return moving_seconds(device, task.bytes, cached)

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple([pack_vectors(code, weights, task.output.channels) for code in coded_steps(task)])

    def stand_ins(self, task: Task, config: Config) -> Sequence[Pointer]:
        return [vectors_pointer(code, task.output.channels) for code in coded_steps(task)]

    def calls(
        self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]
    ) -> Sequence[Call]:
        from netdsl_triton.jit.pool import pool

        op, x, y = task.op, task.inputs[0], task.output
        assert isinstance(op, FusedPool)
        first, last = coded_steps(task)
        height, width = (1, *x.spatial)[-2:]
        out_height, out_width = (1, *y.spatial)[-2:]
        strips = -(-out_height // int(config["strip"]))
        rows = x.batch * strips * out_width
        arguments = {
            "x": inputs[0],
            "y": output,
            "rows": rows,
            "height": height,
            "width": width,
            "out_height": out_height,
            "out_width": out_width,
            "strips": strips,
            "channels": x.channels,
            "x_pitch": x.pitch,
            "y_pitch": y.pitch,
            "KIND": op.kind,
            "WINDOW": _window(op),
            "COUNTED": op.count_pad,
            **prologue_arguments(first, packed[0]),
            **step_arguments(task, last, packed[1], inputs),
            "STRIP": config["strip"],
            "UNIT": unit((x, *written(task, last))),
            **blocks_of(config),
        }
        return [(pool, arguments, programs(rows, x.channels, config))]


def _window(op: FusedPool) -> tuple[int, ...]:
    """Kernel, stride, padding before and after, dilation, each of height and width; one axis is the width."""
    padding = ((0, 0), *op.padding)[-2:]
    before, after = zip(*padding)
    return (
        *(1, *op.kernel)[-2:],
        *(1, *op.stride)[-2:],
        *before,
        *after,
        *(1, *op.dilation)[-2:],
    )
