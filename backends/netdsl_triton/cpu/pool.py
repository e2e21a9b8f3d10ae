"""Pools.  A maximum over a window is one over rows of one over columns, each of a few slices: no indices are kept."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from netdsl.passes.fused import FusedMean, FusedPool
from netdsl_triton.cpu.bind import Bound, Site, channels_last, empty, shape_of
from netdsl_triton.cpu.steps import finished, in_place, written
from netdsl_triton.reference import pool_of

SMALL = 1 << 14
"""Elements of a map for which one call of PyTorch's pool is quicker than several maxima."""

Range = tuple[int, int, int]
"""From, to, step."""


def pool(site: Site) -> Bound:
    op = site.op
    assert isinstance(op, FusedPool)
    steps = in_place(site, op.epilogue)
    if op.kind == "max" and site.output.rank == 3 and separable(op, site):
        return Bound(write=written(maximum(op, site), steps))
    function = pool_of(op, len(op.kernel))
    return Bound(make=finished(lambda x, *others: function(channels_last(x)), steps))


def separable(op: FusedPool, site: Site) -> bool:
    """Whether some row and column of the window lies inside the map everywhere, and it is worth several calls."""
    c, h, w = shape_of(site.inputs[0])
    _, oh, ow = shape_of(site.output)
    whole = all(any(r[1] == (0, n) for r in axis(op, i, size, n)) for i, size, n in ((0, h, oh), (1, w, ow)))
    return whole and c * h * w >= SMALL


def axis(op: FusedPool, i: int, size: int, count: int) -> list[tuple[Range, tuple[int, int]]]:
    """For each position of the window: which rows it reads, for which rows of the output; not those outside."""
    k, s, d, before = op.kernel[i], op.stride[i], op.dilation[i], op.padding[i][0]
    found = []
    for j in range(k):
        at = j * d - before  # output row o reads row o·s + at
        first = max(0, -(at // s))
        end = min(count, (size - 1 - at) // s + 1)
        if first < end:
            found.append(((first * s + at, (end - 1) * s + at + 1, s), (first, end)))
    return sorted(found, key=lambda pair: pair[1] != (0, count))  # those that cover the output first


def maximum(op: FusedPool, site: Site) -> Callable[..., None]:
    """y = max over the window, first over its rows, then over its columns, sample by sample."""
    c, h, w = shape_of(site.inputs[0])
    _, oh, ow = shape_of(site.output)
    rows, columns = axis(op, 0, h, oh), axis(op, 1, w, ow)

    def one(out: Tensor, x: Tensor, between: Tensor) -> None:
        along(between, x, rows, 2)
        along(out, between, columns, 3)

    def write(out: Tensor, x: Tensor, *others: Tensor) -> None:
        between = empty((1, c, oh, w), site.dtype)
        for n in range(x.shape[0]):
            one(out[n : n + 1], x[n : n + 1], between)

    return write


def along(out: Tensor, x: Tensor, parts: list[tuple[Range, tuple[int, int]]], dim: int) -> None:
    def read(part: Range) -> Tensor:
        view: Tensor = torch.ops.aten.slice.Tensor(x, dim, *part)
        return view

    (first, covered), *rest = parts
    if rest and rest[0][1] == covered:
        torch.maximum(read(first), read(rest[0][0]), out=out)
        del rest[0]
    else:
        out.copy_(read(first))
    for part, (start, end) in rest:
        target = out.narrow(dim, start, end - start)
        torch.maximum(target, read(part), out=target)


def mean(site: Site) -> Bound:
    op = site.op
    assert isinstance(op, FusedMean)
    axes = list(range(2, 1 + site.inputs[0].rank))
    average = op.kind == "avg"
    steps = in_place(site, op.epilogue)
    return Bound(make=finished(lambda x, *others: x.mean(axes) if average else x.amax(axes), steps))
