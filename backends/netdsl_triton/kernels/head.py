"""Global average pooling and the classifier: one kernel for few samples, two where the weights serve many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.devices import BYTES, Device
from netdsl.passes.fused import FusedConv, FusedMean, Head
from netdsl_triton.kernels.base import Compilation, Config, Launch
from netdsl_triton.kernels.common import (
    Pointer,
    coded_steps,
    in_type,
    pack_vectors,
    power_of_two,
    prologue_arguments,
    step_arguments,
    unit,
    vectors_pointer,
)
from netdsl_triton.kernels.matmul import Matmul
from netdsl_triton.kernels.mean import Mean
from netdsl_triton.kernels.rows import Call, RowKernel, blocks_of, moving_refusal, moving_seconds
from netdsl_triton.task import Task, View

if TYPE_CHECKING:
    from torch import Tensor

FEW = 16
"""Samples up to which one kernel is tried: its programs read the map of a sample again for each block of outputs."""
MANY_MATMULS = 4
"""So many configurations of the product are tried where it is a kernel of its own."""


class Classifier(RowKernel):
    """y = g(W·mean over space(f(x)) + b) (`jit.head`); or the mean in a buffer, and `matmul` on it."""

    name = "head"

    def claims(self, task: Task, device: Device) -> str:
        if not isinstance(task.op, Head):
            return "not a pooled classifier"
        reason = moving_refusal(task, device, task.op.prologue, task.op.epilogue)
        return reason or ("" if task.output.batch <= FEW else Matmul().claims(_product(task), device))

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        found: list[Config] = []
        if task.output.batch <= FEW:
            width = min(power_of_two(task.inputs[0].channels), 256)
            rows = min(power_of_two(math.prod(task.inputs[0].spatial)), 16)
            found += [
                {"rows": rows, "channels": width, "features": features, "num_warps": 4} for features in (8, 4, 16)
            ]
        product = _product(task)
        if not Matmul().claims(product, device):
            found += [{"form": "two", **config} for config in Matmul().configs(product, device)[:MANY_MATMULS]]
        return sorted(found, key=lambda config: self.seconds(task, config, device))

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        x, y = task.inputs[0], task.output
        if _two(config):
            mean, product = _mean(task), _product(task)
            first = Mean().seconds(mean, _mean_config(mean, device), device)
            return first + Matmul().seconds(product, config, device)
        size = BYTES[y.dtype]
        weights = y.channels * x.channels * size
        again = y.batch * -(-y.channels // int(config["features"]))
        return moving_seconds(device, x.bytes + y.bytes + weights, cached=again * x.bytes / y.batch)

    def launches(self, task: Task, config: Config) -> int:
        return 2 if _two(config) else 1

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        if _two(config):
            own = {name: tensor for name, tensor in weights.items() if not name.startswith("prologue")}
            return (*Mean().pack(_mean(task), {}, weights), *Matmul().pack(_product(task), config, own))
        first, last = coded_steps(task)
        return (
            in_type(weights["weight"], task.output.dtype).contiguous(),
            pack_vectors(first, weights, task.inputs[0].channels),
            pack_vectors(last, weights, task.output.channels),
        )

    def stand_ins(self, task: Task, config: Config) -> Sequence[Pointer]:
        first, last = coded_steps(task)
        vectors = (vectors_pointer(first, task.inputs[0].channels), vectors_pointer(last, task.output.channels))
        return (Pointer(task.output.dtype), *vectors)

    def calls(
        self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]
    ) -> Sequence[Call]:
        from netdsl_triton.jit.head import head

        x, y = task.inputs[0], task.output
        first, last = coded_steps(task)
        arguments = {
            "x": inputs[0],
            "weight": packed[0],
            "y": output,
            "pixels": math.prod(x.spatial),
            "channels": x.channels,
            "features": y.channels,
            "x_pitch": x.pitch,
            "y_pitch": y.pitch,
            **prologue_arguments(first, packed[1]),
            **step_arguments(task, last, packed[2], inputs),
            "UNIT": unit((x,)),
            **blocks_of(config),
            "BLOCK_FEATURES": int(config["features"]),
        }
        return [(head, arguments, (y.batch, -(-y.channels // int(config["features"]))))]

    def bind(
        self, task: Task, config: Config, inputs: Sequence[Tensor], output: Tensor, packed: Sequence[Tensor]
    ) -> Launch:
        if not _two(config):
            return super().bind(task, config, inputs, output, packed)
        import torch

        mean, product = _mean(task), _product(task)
        pooled = torch.empty(mean.output.batch, mean.output.channels, dtype=output.dtype, device=output.device)
        first = Mean().bind(mean, _mean_config(mean), inputs[:1], pooled, packed[:2])
        second = Matmul().bind(product, config, [pooled, *inputs[1:]], output, packed[2:])

        def launch() -> None:
            first()
            second()

        return launch

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Compilation]:
        if not _two(config):
            return super().compilations(task, config, device)
        mean, product = _mean(task), _product(task)
        return (
            *Mean().compilations(mean, _mean_config(mean), device),
            *Matmul().compilations(product, config, device),
        )


def _two(config: Config) -> bool:
    return config.get("form") == "two"


def _mean(task: Task) -> Task:
    """The mean alone, into a buffer of its own."""
    op, x = task.op, task.inputs[0]
    assert isinstance(op, Head)
    pooled = View(x.batch, (x.channels,), x.channels, 0, x.dtype)
    return Task(FusedMean(kind="avg", prologue=op.prologue), (x,), pooled, task.allow_tf32)


def _mean_config(mean: Task, device: Device | None = None) -> Config:
    from netdsl.devices import DEVICES

    return Mean().configs(mean, device or DEVICES["h200"])[0]


def _product(task: Task) -> Task:
    """The linear layer alone, on the buffer of means."""
    op = task.op
    assert isinstance(op, Head)
    linear = FusedConv(
        kernel=(),
        stride=(),
        padding=(),
        dilation=(),
        rounding="exact",
        out_channels=op.out_features,
        groups=1,
        weight=op.weight,
        bias=op.bias,
        epilogue=op.epilogue,
    )
    return task.replace(op=linear, inputs=(_mean(task).output, *task.inputs[1:]))
