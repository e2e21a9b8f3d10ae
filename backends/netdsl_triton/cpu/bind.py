"""What runs one element?  For each op a rule, which binds weights and shapes once, and gives a function of tensors.

A function either makes its output, or writes it into a tensor that it is given: a slice of a concatenation, say.
Maps are N x C x H x W with the channels innermost, perhaps a slice of a wider buffer; whatever else comes is taken too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from netdsl.ops import Op
from netdsl.passes.fused import concrete
from netdsl.record import Record
from netdsl.types import TensorType

Make = Callable[..., Tensor]
"""Inputs → output, a tensor of its own."""
Write = Callable[..., object]
"""Output, inputs → nothing; every value of the output is written."""


class Bound(Record):
    """How an element is run: one of the two, the one that is natural for it. `view`: the output is part of an input."""

    make: Make | None = None
    write: Write | None = None
    view: bool = False


class Site(Record):
    """One element in its place.

    inputs, output    types, without the batch
    samples           how many come at a time
    weights           what `fold` gives, in the type of the network
    free              positions of inputs that nothing reads after this, and that may be overwritten
    exact             nothing may turn NaN into a number: oneDNN's relu and clamps do
    module            the PyTorch module of an op that has weights
    """

    op: Op
    name: str
    inputs: tuple[TensorType, ...]
    output: TensorType
    samples: int
    dtype: torch.dtype
    weights: Mapping[str, Tensor]
    free: frozenset[int] = frozenset()
    exact: bool = False
    module: nn.Module | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.samples, *shape_of(self.output))


Rule = Callable[[Site], Bound]


def shape_of(type: TensorType) -> tuple[int, ...]:
    return tuple(concrete(size) for size in type.shape)


FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """N x C x … with the channels innermost; its values are not set."""
    return torch.empty(shape, dtype=dtype, device="cpu", memory_format=FORMATS.get(len(shape), torch.contiguous_format))


def channels_last(x: Tensor) -> Tensor:
    """The same values with the channels innermost; `x` itself, where they are."""
    return x.contiguous(memory_format=FORMATS[x.dim()]) if x.dim() in FORMATS else x.contiguous()


def has_onednn() -> bool:
    """Whether PyTorch was built with oneDNN's fused convolutions, and they are not switched off."""
    present = bool(torch._C._has_mkldnn) and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    return present and bool(torch._C._get_mkldnn_enabled())
