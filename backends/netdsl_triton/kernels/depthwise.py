"""When is a convolution depthwise, and how many pixels does a program compute?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.devices import BYTES, Device
from netdsl.passes.fused import FusedConv
from netdsl_triton.kernels.base import Compilation, Config, Launch
from netdsl_triton.kernels.common import (
    CHANNEL_PAD,
    FIRST,
    Arguments,
    Pointer,
    coded_steps,
    compilation,
    launch_options,
    moved_bytes,
    pack_vectors,
    padded,
    pointer,
    power_of_two,
    prologue_arguments,
    refusal,
    round_up,
    step_arguments,
    supported,
    unit,
    vectors_pointer,
    written,
)
from netdsl_triton.task import Task

if TYPE_CHECKING:
    from torch import Tensor

VALUES = (1024, 2048)
"""Of a block of strips x channels: 8 or 16 for each thread of four warps."""
STRIPS = (1, 2, 4)
"""Pixels side by side that a program computes from one row of loads; one with a prologue, which takes registers."""
SPILLING: dict[int | str, frozenset[tuple[int, int, int]]] = {
    80: frozenset({(9, 2, 1024)}),
    90: frozenset({(25, 1, 1024)}),
    100: frozenset({(9, 4, 1024), (25, 1, 2048)}),
}
"""By taps, strip and values: where the compiler spills a few registers to fit one more block on a multiprocessor."""
MANY = 8
"""So many configurations are worth trying."""
FIRST_LEVEL = 128 * 1.5e9
"""Bytes that the first-level cache of a multiprocessor gives in a second: 128 in a cycle; a guess."""
OVERHEAD = 1.1
"""Of the time that memory takes, as no kernel reaches all of its bandwidth; a guess."""


class Sizes:
    """C x H x W in and out; H is 1 where there is one axis."""

    def __init__(self, task: Task) -> None:
        op, x, y = task.op, task.inputs[0], task.output
        assert isinstance(op, FusedConv)
        self.height, self.width = (1, *x.spatial)[-2:]
        self.out_height, self.out_width = (1, *y.spatial)[-2:]
        self.kernel = (1, *op.kernel)[-2:]
        self.stride = (1, *op.stride)[-2:]
        self.dilation = (1, *op.dilation)[-2:]
        self.padding = ((0, 0), *op.padding)[-2:]

    def strips(self, task: Task, config: Config) -> int:
        return task.output.batch * self.out_height * -(-self.out_width // int(config["across"]))


class Depthwise:
    """y = epilogue(depthwise(prologue(x); w) + b), read through the first-level cache (`jit.depthwise`)."""

    name = "depthwise"

    def claims(self, task: Task, device: Device) -> str:
        op = task.op
        if not isinstance(op, FusedConv) or not op.kernel:
            return "not a convolution"
        if not (op.groups == task.inputs[0].channels == op.out_channels) or op.groups == 1:
            return "not depthwise"
        if len(op.kernel) > 2 or op.flat:
            return "more than two axes" if len(op.kernel) > 2 else "its output is a vector"
        if not supported(device):
            return f"Triton compiles nothing for {device.name}"
        return refusal(task, op.prologue, op.epilogue)

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        sizes, widest = Sizes(task), power_of_two(task.output.channels)
        before = bool(task.op.prologue)  # type: ignore[attr-defined]
        spilling = SPILLING.get(device.arch[1], frozenset())
        found: list[Config] = [
            {"block_p": values // block_c, "block_c": block_c, "across": across, "num_warps": 4, "num_stages": 1}
            for values in VALUES
            for block_c in (32, 64, 128)
            if block_c == 32 or block_c <= widest
            for across in STRIPS
            if across == 1 or (not before and across <= sizes.out_width and across * values <= 4096)
            if (math.prod(sizes.kernel), across, values) not in spilling
        ]
        found.sort(key=lambda config: self.seconds(task, config, device))
        return found[:MANY]

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        sizes, across, y = Sizes(task), int(config["across"]), task.output
        block_c, block_p = int(config["block_c"]), int(config["block_p"])
        strips = sizes.strips(task, config)
        programs = -(-strips // block_p) * -(-y.channels // block_c)
        loads = sizes.kernel[0] * min(
            across * sizes.kernel[1], (across - 1) * sizes.stride[1] + (sizes.kernel[1] - 1) * sizes.dilation[1] + 1
        )
        rounds = -(-programs // device.units)
        cached = rounds * block_p * block_c * BYTES[y.dtype] * (loads + across) / FIRST_LEVEL
        return device.launch + FIRST + max(moved_bytes(task, 0) / device.bandwidth * OVERHEAD, cached)

    def launches(self, task: Task, config: Config) -> int:
        return 1

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        channels = task.output.channels
        taps = weights["weight"].reshape(channels, -1).movedim(0, 1)
        first, last = coded_steps(task)
        return (
            padded(taps.float(), (1, CHANNEL_PAD)),
            pack_vectors(first, weights, channels),
            pack_vectors(last, weights, channels),
        )

    def bind(
        self, task: Task, config: Config, inputs: Sequence[Tensor], output: Tensor, packed: Sequence[Tensor]
    ) -> Launch:
        function, arguments = self._arguments(task, config, inputs, output, packed)
        options = launch_options(config)
        strips = Sizes(task).strips(task, config)
        grid = (-(-strips // int(config["block_p"])), -(-task.output.channels // int(config["block_c"])))

        def launch() -> None:
            function[grid](**arguments, **options)

        return launch

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Compilation]:
        first, last = coded_steps(task)
        channels = task.output.channels
        taps = math.prod(Sizes(task).kernel)
        packed = (
            Pointer("fp32", shape=(taps, round_up(channels, CHANNEL_PAD))),
            vectors_pointer(first, channels),
            vectors_pointer(last, channels),
        )
        inputs = [pointer(view) for view in task.inputs]
        function, arguments = self._arguments(task, config, inputs, pointer(task.output), packed)
        return (compilation(function, arguments, launch_options(config), False),)

    def _arguments(
        self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]
    ) -> tuple[Any, Arguments]:
        """The function and its arguments; tensors or Pointers go in and come out."""
        from netdsl_triton.jit import depthwise as jit

        x, y, sizes, across = task.inputs[0], task.output, Sizes(task), int(config["across"])
        w, prologue_vectors, vectors = packed
        first, last = coded_steps(task)
        (top, _), (left, _) = sizes.padding
        return jit.depthwise, {
            "x": inputs[0],
            "w": w,
            "y": output,
            "strips": sizes.strips(task, config),
            "channels": y.channels,
            "x_pitch": x.pitch,
            "w_pitch": int(w.shape[1]),
            "y_pitch": y.pitch,
            "in_height": sizes.height,
            "in_width": sizes.width,
            "out_height": sizes.out_height,
            "out_width": sizes.out_width,
            "strips_across": -(-sizes.out_width // across),
            "top": top,
            "left": left,
            **prologue_arguments(first, prologue_vectors),
            **step_arguments(task, last, vectors, inputs),
            "KH": sizes.kernel[0],
            "KW": sizes.kernel[1],
            "DOWN": sizes.stride[0],
            "RIGHT": sizes.stride[1],
            "DILATED_DOWN": sizes.dilation[0],
            "DILATED_RIGHT": sizes.dilation[1],
            "BLOCK_P": config["block_p"],
            "BLOCK_C": config["block_c"],
            "ACROSS": across,
            "EVEN_C": y.channels % int(config["block_c"]) == 0,
            "X_UNIT": unit((x,)),
            "Y_UNIT": unit(written(task, last)),
        }
