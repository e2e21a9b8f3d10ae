"""What do the kernels share that only move memory?  Blocks of pixels x channels, launches, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.devices import Device
from netdsl.passes.fused import Steps
from netdsl_triton.kernels.base import Compilation, Config, Launch
from netdsl_triton.kernels.common import (
    CACHE,
    FIRST,
    Arguments,
    Pointer,
    coded,
    compilation,
    launch_options,
    pointer,
    power_of_two,
    refusal,
    supported,
)
from netdsl_triton.task import Task

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_CHANNELS = 128
"""At most: so a warp reads whole lines of memory."""
BLOCKS = (2048, 4096, 1024)
"""Values of a block, the best guess first."""
EFFICIENCY = 0.9
"""Of the bandwidth, what a kernel that only moves memory reaches; a guess."""

Call = tuple[Any, Arguments, tuple[int, ...]]
"""A function, its arguments, and how many programs of it run."""


def row_configs(channels: int, rows: int, blocks: Sequence[int] = BLOCKS) -> list[Config]:
    """Blocks of several sizes: `rows` and `channels` of one; eight values for each thread."""
    width = min(power_of_two(channels), BLOCK_CHANNELS)
    found: list[Config] = []
    for values in blocks:
        height = max(1, min(values // width, power_of_two(rows)))
        config: Config = {"rows": height, "channels": width, "num_warps": max(1, min(8, height * width // 256))}
        if config not in found:
            found.append(config)
    return found


def moving_refusal(task: Task, device: Device, prologue: Steps = (), epilogue: Steps = ()) -> str:
    """Why no kernel that moves memory can do a task with these steps, or ''."""
    if not supported(device):
        return f"Triton compiles nothing for {device.name}"
    if coded(prologue, "prologue").operands:
        return "its prologue has operands"
    return refusal(task, prologue, epilogue)


def blocks_of(config: Config) -> dict[str, int]:
    """The constants that are the sizes of a block."""
    return {"BLOCK_ROWS": int(config["rows"]), "BLOCK_CHANNELS": int(config["channels"])}


def programs(rows: int, channels: int, config: Config) -> tuple[int, int]:
    """Blocks along the pixels, and along the channels."""
    return (-(-rows // int(config["rows"])), -(-channels // int(config["channels"])))


def moving_seconds(device: Device, moved: float, cached: float = 0.0) -> float:
    """A guess for one launch that moves so many bytes, and reads `cached` more that the cache still has."""
    return max(device.launch, FIRST + max(moved / EFFICIENCY, cached / CACHE) / device.bandwidth)


class RowKernel:
    """A kernel whose launches follow from its task alone: `calls` makes them, of tensors or of what stands for them."""

    def calls(
        self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]
    ) -> Sequence[Call]:
        raise NotImplementedError

    def stand_ins(self, task: Task, config: Config) -> Sequence[Pointer]:
        """For what `pack` gives."""
        return ()

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        return moving_seconds(device, task.bytes)

    def launches(self, task: Task, config: Config) -> int:
        return 1

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return ()

    def bind(
        self, task: Task, config: Config, inputs: Sequence[Tensor], output: Tensor, packed: Sequence[Tensor]
    ) -> Launch:
        calls = self.calls(task, config, inputs, output, packed)
        options = launch_options(config)

        def launch() -> None:
            for function, arguments, grid in calls:
                function[grid](**arguments, **options)

        return launch

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Compilation]:
        inputs = [pointer(view) for view in task.inputs]
        calls = self.calls(task, config, inputs, pointer(task.output), self.stand_ins(task, config))
        options = launch_options(config)
        return [compilation(function, arguments, options, False) for function, arguments, _ in calls]
