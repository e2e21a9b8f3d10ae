"""Channels that have to be copied: those a view cannot hand on, and inputs of a concatenation that lie elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.devices import Device
from netdsl.ops.join import Concat
from netdsl.passes.fused import Channels
from netdsl.record import Record
from netdsl_triton.kernels.base import Compilation, Config, Launch
from netdsl_triton.kernels.common import Arguments, compilation, launch_options, pointer, unit
from netdsl_triton.kernels.rows import blocks_of, moving_refusal, moving_seconds, programs, row_configs
from netdsl_triton.task import Task, View

if TYPE_CHECKING:
    from torch import Tensor


class Piece(Record):
    """A range of channels of one input, and where it goes in the output."""

    source: int
    start: int
    target: int
    count: int

    def views(self, task: Task) -> tuple[View, View]:
        """The slices of the input and of the output."""
        x, y = task.inputs[self.source], task.output
        slice_of = {"shape": (self.count, *y.spatial)}
        return (
            x.replace(**slice_of, offset=x.offset + self.start),
            y.replace(**slice_of, offset=y.offset + self.target),
        )


def pieces(task: Task) -> Iterator[Piece]:
    """What is copied where."""
    if isinstance(task.op, Channels):
        yield Piece(0, task.op.start, 0, task.op.count)
        return
    at = 0
    for i, x in enumerate(task.inputs):
        yield Piece(i, 0, at, x.channels)
        at += x.channels


class Copy:
    """One launch for each range of channels. An input of a concatenation that already lies in its place is left out."""

    name = "copy"

    def claims(self, task: Task, device: Device) -> str:
        if not (isinstance(task.op, Channels) or (isinstance(task.op, Concat) and task.op.axis == "C")):
            return "it does not just move channels"
        return moving_refusal(task, device)

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        return row_configs(max(piece.count for piece in pieces(task)), task.output.pixels)

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        return sum(moving_seconds(device, 2 * piece.views(task)[0].bytes) for piece in pieces(task))

    def launches(self, task: Task, config: Config) -> int:
        return len(list(pieces(task)))

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return ()

    def bind(
        self, task: Task, config: Config, inputs: Sequence[Tensor], output: Tensor, packed: Sequence[Tensor]
    ) -> Launch:
        from netdsl_triton.jit.copy import copy_channels

        calls = []
        for piece in pieces(task):
            x = inputs[piece.source].narrow(1, piece.start, piece.count)
            y = output.narrow(1, piece.target, piece.count)
            if x.data_ptr() != y.data_ptr():
                launcher = copy_channels[programs(task.output.pixels, piece.count, config)]
                calls.append((launcher, {**_arguments(task, piece, config, x, y), **launch_options(config)}))

        def launch() -> None:
            for call, arguments in calls:
                call(**arguments)

        return launch

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Compilation]:
        from netdsl_triton.jit.copy import copy_channels

        found = []
        for piece in pieces(task):
            x, y = map(pointer, piece.views(task))
            arguments = _arguments(task, piece, config, x, y)
            found.append(compilation(copy_channels, arguments, launch_options(config), matrix=False))
        return found


def _arguments(task: Task, piece: Piece, config: Config, x: Any, y: Any) -> Arguments:
    views = piece.views(task)
    return {
        "x": x,
        "y": y,
        "rows": views[0].pixels,
        "channels": piece.count,
        "x_pitch": views[0].pitch,
        "y_pitch": views[1].pitch,
        "UNIT": unit(views),
        **blocks_of(config),
    }
