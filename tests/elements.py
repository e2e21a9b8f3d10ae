"""Does a kernel compute its element?  Random tensors in poisoned buffers, held against `netdsl_triton.reference`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from netdsl.devices import DEVICES, Device
from netdsl.passes.fused import UNARY, Step
from netdsl.passes.recipe import Parameter
from netdsl_triton import reference
from netdsl_triton.dtypes import DTYPES
from netdsl_triton.task import Task, View

SENTINEL = 12345.0
H200 = DEVICES["h200"]


def vector(channels: int) -> Parameter:
    return Parameter("v", (channels,))


def view(draw: Any, batch: int, shape: Sequence[int], dtype: str) -> View:
    """Of a buffer of its own, or a slice of a wider one."""
    before, after = draw(st.sampled_from([(0, 0), (0, 0), (8, 8), (0, 3), (5, 0), (16, 32)]))
    return View(batch, tuple(shape), before + shape[0] + after, before, dtype)


def chain(draw: Any, channels: int, operands: int, longest: int = 3) -> tuple[Step, ...]:
    """Steps on a map of so many channels, with inputs 1 to `operands` for those that take one."""
    kinds = [*UNARY, "relu", "relu", "affine", "affine", "scale", "prelu"]
    others = iter(range(1, operands + 1))
    steps = []
    for kind in draw(
        st.lists(st.sampled_from(kinds + ["add", "add", "mul", "gate"] * bool(operands)), max_size=longest)
    ):
        if kind in ("add", "mul", "gate"):
            if (number := next(others, None)) is not None:
                steps.append(Step(kind, input=number))
        elif kind == "affine":
            steps.append(Step(kind, weights=(vector(channels), vector(channels))))
        elif kind == "prelu":
            steps.append(Step(kind, weights=(vector(draw(st.sampled_from([1, channels]))),)))
        else:
            steps.append(Step(kind, 0.25 if kind in ("leaky_relu", "scale") else 0.0))
    return tuple(steps)


def operand_views(draw: Any, steps: Sequence[Step], output: View) -> tuple[View, ...]:
    """The inputs that the steps take, in order."""
    shapes = {step.input: (output.channels,) if step.kind == "gate" else output.shape for step in steps if step.input}
    return tuple([view(draw, output.batch, shapes[number], output.dtype) for number in sorted(shapes)])


def tensor(view: View, fill: float) -> Tensor:
    """N x C x …, channels innermost, in a buffer as wide as the pitch that is full of `fill`."""
    spatial = view.spatial
    buffer = torch.full((view.batch, *spatial, view.pitch), fill, dtype=DTYPES[view.dtype])
    return buffer[..., view.offset : view.offset + view.channels].movedim(-1, 1)


def random_weights(op: Any, seed: int) -> dict[str, Tensor]:
    """Values for the recipes; fan-in keeps results near one. Scales may be negative, and one is zero."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, recipe in op.weight_recipes().items():
        value = torch.randn(recipe.dims, generator=generator)
        if name == "weight":
            value /= math.sqrt(max(math.prod(recipe.dims[1:]), 1))
        elif name.startswith("prologue") and name.endswith(".0") and value.numel() > 1:
            value[0] = 0.0
        found[name] = value
    return found


def check(kernel: Any, task: Task, config: Any, device: Device = H200, seed: int = 0) -> None:
    """Runs the kernel with this configuration: its result, its whole output, and nothing beside it."""
    torch.manual_seed(seed)
    assert not kernel.claims(task, device), kernel.claims(task, device)
    weights = random_weights(task.op, seed)
    inputs = []
    for given in task.inputs:
        x = tensor(given, math.nan)  # what is read beside the slice shows
        x.copy_(torch.randn(x.shape))
        inputs.append(x)
    output = tensor(task.output, math.nan)
    buffer = output._base
    assert buffer is not None
    wide = torch.ones(task.output.pitch, dtype=torch.bool)
    wide[task.output.offset : task.output.offset + task.output.channels] = False
    buffer[..., wide] = SENTINEL
    packed = kernel.pack(task, config, weights)
    launch = kernel.bind(task, config, inputs, output, packed)
    launch()
    expected = reference.run(task.op, [x.double() for x in inputs], {k: v.double() for k, v in weights.items()})
    assert (buffer[..., wide] == SENTINEL).all(), "it wrote beside its slice"
    tolerance = {"fp32": 2e-5, "fp16": 1e-2}[task.output.dtype]
    torch.testing.assert_close(
        output.double(),
        expected.reshape(output.shape),
        rtol=tolerance,
        atol=tolerance * (1 + expected.abs().max().item() / 4),
    )
    first = output.clone()
    output.fill_(math.nan)
    launch()  # what it keeps between launches is as it was
    torch.testing.assert_close(output, first, rtol=0, atol=0, equal_nan=True)
