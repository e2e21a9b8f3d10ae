"""On what is a task run to be measured?  Random tensors, each in a buffer as wide as its view says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from netdsl.passes.fused import Absorbing
from netdsl.record import Record
from netdsl_triton.dtypes import DTYPES
from netdsl_triton.task import Task, View


class Tensors(Record):
    """What a task is run on.

    inputs     N x C x H x W …, with the strides of their views
    output     the same; what it holds is lost
    weights    those of `op.weight_recipes()`, fp32, in PyTorch's layout
    beside     the buffer of which the output is a slice, N x C x …; what it holds is lost
    """

    inputs: tuple[Tensor, ...]
    output: Tensor
    weights: Mapping[str, Tensor]
    beside: Tensor | None = None


MakeTensors = Callable[[Task], Tensors]


def random_tensors(task: Task, device: torch.device, seed: int = 0) -> Tensors:
    """Tensors for a task: normal inputs, weights that keep their size. Each lies in a buffer as wide as its pitch.

    Raises ValueError for what has weights of its own.
    """
    generator = torch.Generator(device).manual_seed(seed)
    weights: dict[str, Tensor] = {}
    if isinstance(task.op, Absorbing):
        scales = scales_of(task.op)
        for name, recipe in task.op.weight_recipes().items():
            fan = math.prod(recipe.dims[1:]) if len(recipe.dims) > 1 else 1
            values = torch.randn(recipe.dims, generator=generator, device=device) / math.sqrt(fan)
            # as those of a norm are: of either sign, and away from 0
            weights[name] = values / 4 + torch.where(values > -1.3, 1.0, -1.0) if name in scales else values
    elif task.has_own_weights:
        raise ValueError(f"{task.op.name} has weights of its own")
    buffers = [_buffer(view, device, generator) for view in task.inputs]
    inputs = tuple([_slice(buffer, view) for buffer, view in zip(buffers, task.inputs)])
    out = _buffer(task.output, device, generator)
    return Tensors(inputs, _slice(out, task.output), weights, out if task.output.is_slice else None)


def scales_of(op: Absorbing) -> frozenset[str]:
    """The factors of affine steps, by the names of their weights."""
    parts = [(part, getattr(op, part, ())) for part in ("prologue", "epilogue")]
    return frozenset(f"{part}.{i}.0" for part, steps in parts for i, step in enumerate(steps) if step.kind == "affine")


def _buffer(view: View, device: torch.device, generator: torch.Generator) -> Tensor:
    """N x pitch x H x W, the channels innermost."""
    shape = (view.batch, *view.spatial, view.pitch)
    dtype = DTYPES[view.dtype]
    if dtype is torch.int64:
        return torch.zeros(shape, dtype=dtype, device=device).movedim(-1, 1)
    return torch.randn(shape, generator=generator, device=device, dtype=dtype).movedim(-1, 1)


def _slice(buffer: Tensor, view: View) -> Tensor:
    return buffer.narrow(1, view.offset, view.channels)
