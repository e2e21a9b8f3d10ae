"""Local response normalisation as one kernel, where PyTorch runs half a dozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.devices import Device
from netdsl.ops.normalisation import LRN
from netdsl_triton.kernels.base import Config
from netdsl_triton.kernels.common import unit
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

MAX_NEIGHBOURS = 64
"""Each is a load of its own."""


class LocalResponse(RowKernel):
    """y = x / (k + α·Σ x²)^β over neighbouring channels (`jit.lrn`)."""

    name = "lrn"

    def claims(self, task: Task, device: Device) -> str:
        if not isinstance(task.op, LRN):
            return "not LRN"
        return f"more than {MAX_NEIGHBOURS} neighbours" if task.op.n > MAX_NEIGHBOURS else moving_refusal(task, device)

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        return row_configs(task.output.channels, task.output.pixels)

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        assert isinstance(task.op, LRN)
        return moving_seconds(device, task.bytes, cached=(task.op.n - 1) * task.output.bytes / 2)

    def calls(
        self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]
    ) -> Sequence[Call]:
        from netdsl_triton.jit.lrn import lrn

        op, x, y = task.op, task.inputs[0], task.output
        assert isinstance(op, LRN)
        arguments = {
            "x": inputs[0],
            "y": output,
            "rows": y.pixels,
            "channels": y.channels,
            "x_pitch": x.pitch,
            "y_pitch": y.pitch,
            "K": float(op.k),
            "ALPHA": float(op.alpha),
            "BETA": float(op.beta),
            "BEFORE": op.n // 2,
            "AFTER": (op.n - 1) // 2,
            "UNIT": unit((x, y)),
            **blocks_of(config),
        }
        return [(lrn, arguments, programs(y.pixels, y.channels, config))]
