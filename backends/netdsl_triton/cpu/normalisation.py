"""Local response normalisation over channels that lie innermost: sums of shifted slices instead of a 3-d pool."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from netdsl.ops.normalisation import LRN
from netdsl.passes.fused import concrete
from netdsl_triton.cpu.bind import Bound, Site


def power(beta: float) -> Callable[[Tensor], Tensor]:
    """u → u^(-β) in place, by roots where β is a multiple of a quarter."""
    if beta == 0.5:
        return torch.rsqrt_
    if beta == 0.75:
        return lambda u: u.sqrt_().mul_(u.sqrt()).reciprocal_()
    if beta == 1:
        return torch.reciprocal_
    return lambda u: u.pow_(-beta)


def lrn(site: Site) -> Bound:
    """y = x·(k + α·Σ x²)^(-β), the sum over n channels, from n//2 below on."""
    op = site.op
    assert isinstance(op, LRN)
    c, n = concrete(site.output.channels), op.n
    before = n // 2
    shrink = power(float(op.beta))
    alpha, k = float(op.alpha), float(op.k)

    def write(out: Tensor, x: Tensor) -> None:
        for sample in range(x.shape[0]):
            a = x[sample : sample + 1].movedim(1, -1)
            squares = torch.zeros((*a.shape[:-1], c + n - 1), dtype=x.dtype)
            torch.mul(a, a, out=squares[..., before : before + c])
            sums = window_sums(squares, n, c)
            u = shrink(torch.mul(sums, alpha).add_(k))
            torch.mul(a, u, out=out[sample : sample + 1].movedim(1, -1))

    return Bound(write=write)


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
