"""Steps that no other element has absorbed: one kernel reads every operand once, and writes once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.devices import Device
from netdsl.passes.fused import BINARY, MAX_OPERANDS, Pointwise, Step
from netdsl_triton.kernels.base import Config
from netdsl_triton.kernels.common import (
    Coded,
    Pointer,
    coded,
    pack_vectors,
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


class PointwiseSteps(RowKernel):
    """y = f(x), f the steps (`jit.pointwise`). Where they have more than two operands, a launch for every two."""

    name = "pointwise"

    def claims(self, task: Task, device: Device) -> str:
        return moving_refusal(task, device) if isinstance(task.op, Pointwise) else "not a sequence of steps"

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        return row_configs(task.output.channels, task.output.pixels)

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        again = (self.launches(task, config) - 1) * 2 * task.output.bytes
        return moving_seconds(device, task.bytes + again) + (self.launches(task, config) - 1) * device.launch

    def launches(self, task: Task, config: Config) -> int:
        return len(portions(task))

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple([pack_vectors(code, weights, task.output.channels) for code in portions(task)])

    def stand_ins(self, task: Task, config: Config) -> Sequence[Pointer]:
        return [vectors_pointer(code, task.output.channels) for code in portions(task)]

    def calls(
        self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]
    ) -> Sequence[Call]:
        from netdsl_triton.jit.pointwise import pointwise

        found = []
        for i, (code, vectors) in enumerate(zip(portions(task), packed, strict=True)):
            y = task.output
            x, view = (output, y) if i else (inputs[0], task.inputs[0])
            maps = [v for v in (view, *written(task, code)) if v.pixels == y.pixels]
            arguments = {
                "x": x,
                "y": output,
                "rows": y.pixels,
                "pixels": math.prod(y.spatial),
                "channels": y.channels,
                "x_pitch": view.pitch,
                "y_pitch": y.pitch,
                **step_arguments(task, code, vectors, inputs),
                "UNIT": unit([*maps, *written(task, code)]),
                **blocks_of(config),
            }
            found.append((pointwise, arguments, programs(y.pixels, y.channels, config)))
        return found


def portions(task: Task) -> list[Coded]:
    """The steps in runs of at most two operands, each as the kernel takes it."""
    assert isinstance(task.op, Pointwise)
    runs: list[list[tuple[int, Step]]] = [[]]
    for i, step in enumerate(task.op.epilogue):
        others = {step.input for _, step in [*runs[-1], (i, step)] if step.kind in BINARY}
        if len(others) > MAX_OPERANDS:
            runs.append([])
        runs[-1].append((i, step))
    return [_renamed(coded(tuple([step for _, step in run]), "epilogue"), run) for run in runs]


def _renamed(code: Coded, run: list[tuple[int, Step]]) -> Coded:
    """The names of weights say the number of the step among all."""
    names = [f"epilogue.{i}.{k}" for i, step in run for k in range(len(step.weights))]
    return code.replace(vectors=tuple(names))
