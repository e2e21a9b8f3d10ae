"""Local response normalisation over channels that lie innermost: sums of shifted slices instead of a 3-d pool."""

from __future__ import annotations

import torch
from torch import Tensor

from netdsl.ops.normalisation import LRN
from netdsl.passes.fused import concrete
from netdsl_triton.cpu.bind import Bound, Site

BLOCK = 1 << 16
"""Elements that are done at a time: what is between input and output stays in the cache."""


def lrn(site: Site) -> Bound:
    """y = x/(k + α·Σ x²)^β, the sum over n channels, from n//2 below on."""
    op = site.op
    assert isinstance(op, LRN)
    c, n = concrete(site.output.channels), op.n
    k = torch.tensor(float(op.k), dtype=site.dtype, device="cpu")
    alpha, beta = float(op.alpha), float(op.beta)
    rows = max(1, BLOCK // (c + n))

    def block(out: Tensor, x: Tensor, squares: Tensor) -> None:
        torch.mul(x, x, out=squares[:, n // 2 : n // 2 + c])
        u = torch.add(k, window_sums(squares, n, c), alpha=alpha)
        torch.div(x, power(u, beta), out=out)

    def write(out: Tensor, x: Tensor) -> None:
        pixels, found = x.movedim(1, -1).reshape(-1, c), out.movedim(1, -1)
        dense = found.is_contiguous()
        target = found.view(-1, c) if dense else torch.empty_like(pixels)
        squares = torch.zeros((min(rows, len(pixels)), c + n - 1), dtype=x.dtype, device=x.device)
        for start in range(0, len(pixels), rows):
            part = pixels[start : start + rows]
            block(target[start : start + rows], part, squares[: len(part)])
        if not dense:
            found.copy_(target.view(found.shape))

    return Bound(write=write)


def power(u: Tensor, beta: float) -> Tensor:
    """u^β, of memory that may be overwritten; by roots where β is three quarters or a half."""
    if beta == 0.5:
        return u.sqrt_()
    if beta == 0.75:
        root = u.sqrt_()
        return root.mul_(root.sqrt())
    return u if beta == 1 else u.pow_(beta)


def window_sums(x: Tensor, n: int, count: int) -> Tensor:
    """The first `count` sums of n neighbours along the last axis: sums of 2, 4, 8 … put together, as n is in binary."""
    total: Tensor | None = None
    covered, width, sums = 0, 1, x
    while True:
        if n & width:
            part = sums[..., covered : covered + count]
            total = part if total is None else total + part
            covered += width
        width *= 2
        if width > n:
            assert total is not None
            return total
        sums = sums[..., : -width // 2] + sums[..., width // 2 :]
