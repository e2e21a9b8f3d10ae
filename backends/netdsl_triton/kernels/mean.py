"""Global average and maximum pooling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.devices import Device
from netdsl.passes.fused import FusedMean
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
from netdsl_triton.kernels.rows import Call, RowKernel, blocks_of, moving_refusal, row_configs
from netdsl_triton.task import Task

if TYPE_CHECKING:
    from torch import Tensor

BLOCKS = (2048, 1024, 4096)


class Mean(RowKernel):
    """y = g(mean over space(f(x))), or its maximum (`jit.mean`). A program for each sample and block of channels."""

    name = "mean"

    def claims(self, task: Task, device: Device) -> str:
        if not isinstance(task.op, FusedMean):
            return "not a mean over space"
        return moving_refusal(task, device, task.op.prologue, task.op.epilogue)

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        x = task.inputs[0]
        found: list[Config] = []
        for most in (32, 64, 128):  # few channels make many programs
            for config in row_configs(min(x.channels, most), math.prod(x.spatial), BLOCKS[:2]):
                if config not in found:
                    found.append(config)
        return found

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        channels = task.output.channels
        return tuple([pack_vectors(code, weights, channels) for code in coded_steps(task)])

    def stand_ins(self, task: Task, config: Config) -> Sequence[Pointer]:
        return [vectors_pointer(code, task.output.channels) for code in coded_steps(task)]

    def calls(
        self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]
    ) -> Sequence[Call]:
        from netdsl_triton.jit.mean import mean

        op, x, y = task.op, task.inputs[0], task.output
        assert isinstance(op, FusedMean)
        first, last = coded_steps(task)
        arguments = {
            "x": inputs[0],
            "y": output,
            "pixels": math.prod(x.spatial),
            "channels": x.channels,
            "x_pitch": x.pitch,
            "y_pitch": y.pitch,
            "KIND": op.kind,
            **prologue_arguments(first, packed[0]),
            **step_arguments(task, last, packed[1], inputs),
            "UNIT": unit((x, *written(task, last))),
            **blocks_of(config),
        }
        return [(mean, arguments, (x.batch, -(-x.channels // int(config["channels"]))))]
