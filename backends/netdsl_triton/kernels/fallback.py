"""What runs where no other kernel does: the element in plain PyTorch, and its result copied to where it belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from netdsl.devices import Device
from netdsl.passes.fused import Absorbing, Channels
from netdsl_triton.kernels.base import Compilation, Config, Launch
from netdsl_triton.kernels.common import in_type
from netdsl_triton.task import Task

if TYPE_CHECKING:
    from torch import Tensor


SLOWER = 10.0
"""So many times the floor, until it is measured: a guess that keeps it where it belongs, behind all others."""


class Fallback:
    """Every fused element, and every primitive without weights: `reference.run`, a PyTorch call for each step."""

    name = "fallback"
    cautious = True

    def claims(self, task: Task, device: Device) -> str:
        if device.arch[0] == "cpu":
            return "a CPU has a program of its own"
        return "it has weights that are no recipes" if task.has_own_weights else ""

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        return [{}]

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        """Each step, and the copy at the end, reads and writes everything; and nothing of it was made for this task."""
        y = task.output
        first = device.seconds(task.macs, task.bytes + task.weight_bytes, y.dtype)
        return SLOWER * (first + (self.launches(task, config) - 1) * device.seconds(0, 2 * y.bytes, y.dtype))

    def launches(self, task: Task, config: Config) -> int:
        steps = sum(len(getattr(task.op, part, ())) for part in ("prologue", "epilogue"))
        return 2 + steps

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The weights in the order of `weight_recipes`: filters in the type of the task, vectors in fp32."""
        dtype = task.output.dtype
        return tuple([in_type(weight, dtype) if weight.dim() > 1 else weight for weight in weights.values()])

    def bind(
        self, task: Task, config: Config, inputs: Sequence[Tensor], output: Tensor, packed: Sequence[Tensor]
    ) -> Launch:
        from netdsl_torch.single import function_of
        from netdsl_triton import reference

        if not isinstance(task.op, Absorbing | Channels):
            function = function_of(task.op, task.types)
            return lambda: _copy(function(*inputs), output)
        names = list(task.op.weight_recipes()) if isinstance(task.op, Absorbing) else []
        weights = dict(zip(names, packed, strict=True))

        return lambda: _copy(reference.run(task.op, inputs, weights), output)

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Compilation]:
        return ()


def _copy(x: Tensor, y: Tensor) -> None:
    y.copy_(x)
