"""Steps element by element, in place on what was just computed, or as one pass from an input into an output."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from netdsl.passes.fused import BINARY, Pointwise, Step, Steps
from netdsl_triton.cpu.bind import Bound, Site
from netdsl_triton.cpu.clamp import Clamp

InPlace = Callable[[Tensor, tuple[Tensor, ...]], object]
"""Changes its first argument; the second are the inputs of the element."""

UNARY: dict[str, Callable[[Tensor], object]] = {
    "relu": torch.relu_,
    "relu6": lambda y: F.hardtanh_(y, 0.0, 6.0),
    "elu": F.elu_,
    "gelu": torch.ops.aten.gelu_,
    "silu": lambda y: F.silu(y, inplace=True),
    "hard_swish": lambda y: F.hardswish(y, inplace=True),
    "mish": lambda y: F.mish(y, inplace=True),
    "sigmoid": torch.sigmoid_,
    "hard_sigmoid": lambda y: F.hardsigmoid(y, inplace=True),
    "tanh": torch.tanh_,
    "softplus": lambda y: torch.ops.aten.softplus.out(y, out=y),
}


def vectors(site: Site, part: str, i: int, step: Step) -> list[Tensor]:
    """The weights of a step, to be spread over N x C x …"""
    shape = (1, -1, *[1] * (site.output.rank - 1))
    return [site.weights[f"{part}.{i}.{k}"].reshape(shape) for k in range(len(step.weights))]


def in_place(site: Site, steps: Steps, first: int = 0, part: str = "epilogue") -> list[InPlace]:
    """The steps from number `first` on, each as a change in place."""
    return [one(step, vectors(site, part, i, step)) for i, step in enumerate(steps) if i >= first]


def one(step: Step, weights: list[Tensor]) -> InPlace:
    if step.kind == "affine":
        s, t = weights
        return lambda y, inputs: torch.addcmul(t, y, s, out=y)
    if step.kind == "prelu":
        slope = weights[0].flatten()
        return lambda y, inputs: y.copy_(torch.prelu(y, slope))
    if step.kind == "scale":
        return lambda y, inputs: y.mul_(step.value)
    if step.kind == "leaky_relu":
        return lambda y, inputs: F.leaky_relu_(y, step.value)
    at = step.input
    if step.kind == "add":
        return lambda y, inputs: y.add_(inputs[at])
    if step.kind == "mul":
        return lambda y, inputs: y.mul_(inputs[at])
    if step.kind == "gate":
        return lambda y, inputs: y.mul_(inputs[at].reshape(*y.shape[:2], *[1] * (y.dim() - 2)))
    change = UNARY[step.kind]
    return lambda y, inputs: change(y)


def first_pass(site: Site, step: Step) -> Callable[[Tensor, tuple[Tensor, ...]], object] | None:
    """A step from the first input into an output; None where there is only the way in place."""
    if step.kind == "affine":
        s, t = vectors(site, "epilogue", 0, step)
        return lambda out, inputs: torch.addcmul(t, inputs[0], s, out=out)
    if step.kind == "scale":
        return lambda out, inputs: torch.mul(inputs[0], step.value, out=out)
    if step.kind == "relu":
        return lambda out, inputs: torch.clamp_min(inputs[0], 0, out=out)
    at = step.input
    if step.kind == "add":
        return lambda out, inputs: torch.add(inputs[0], inputs[at], out=out)
    if step.kind == "mul":
        return lambda out, inputs: torch.mul(inputs[0], inputs[at], out=out)
    return None


def pointwise(site: Site) -> Bound:
    op = site.op
    assert isinstance(op, Pointwise)
    start = first_pass(site, op.epilogue[0])
    rest = in_place(site, op.epilogue, 0 if start is None else 1)

    def write(out: Tensor, *inputs: Tensor) -> None:
        if start is not None:
            start(out, inputs)
        else:
            out.copy_(inputs[0])
        for change in rest:
            change(out, inputs)

    def overwrite(*inputs: Tensor) -> Tensor:
        x = inputs[0]
        if start is not None:
            start(x, inputs)
        for change in rest:
            change(x, inputs)
        return x

    others = {step.input for step in op.epilogue if step.kind in BINARY}
    if 0 in site.free and 0 not in others:
        return Bound(make=overwrite, write=write)
    return Bound(write=write)


def finished(make: Callable[..., Tensor], changes: list[InPlace]) -> Callable[..., Tensor]:
    """`make`, and then the changes in place."""
    if not changes:
        return make

    def made(*inputs: Tensor) -> Tensor:
        y = make(*inputs)
        for change in changes:
            change(y, inputs)
        return y

    return made


def written(write: Callable[..., object], changes: list[InPlace]) -> Callable[..., object]:
    """`write`, and then the changes in place."""
    if not changes:
        return write

    def all_written(out: Tensor, *inputs: Tensor) -> None:
        write(out, *inputs)
        for change in changes:
            change(out, inputs)

    return all_written


def clamp(site: Site) -> Bound:
    assert isinstance(site.op, Clamp)
    shape = (1, -1, *[1] * (site.output.rank - 1))
    low, high = (site.weights[name].reshape(shape) for name in ("low", "high"))
    return Bound(write=lambda out, x: torch.clamp(x, low, high, out=out))
