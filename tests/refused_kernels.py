"""Kernels that the gates of ahead-of-time compilation must refuse. Run as a program: prints `name: faults` for each.

It is a program of its own, because Triton compiles nothing in a process where its interpreter is on.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from netdsl_triton.aot import Unit, compile_all
from netdsl_triton.kernels.base import Compilation


@triton.jit
def add_one(x, BLOCK: tl.constexpr):
    """x ← x + 1"""
    at = x + tl.arange(0, BLOCK)
    tl.store(at, tl.load(at) + 1.0)


@triton.jit
def product(x, y, z, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """z = x·y"""
    m, n, k = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    found = tl.dot(tl.load(x + m[:, None] * K + k[None, :]), tl.load(y + k[:, None] * N + n[None, :]))
    tl.store(z + m[:, None] * N + n[None, :], found.to(tl.float16))


@triton.jit
def centre(x, BLOCK: tl.constexpr):
    """x ← x - Σx: all of the block must be held at once"""
    at = x + tl.arange(0, BLOCK)
    block = tl.load(at)
    tl.store(at, block - tl.sum(block, 0))


@triton.jit
def unknown(x):
    """Calls what there is not."""
    tl.store(x, tl.nonsense(tl.load(x)))


def unit(
    name: str, arch: str, function: Any, matrix: bool = False, options: dict[str, int] | None = None, **constants: int
) -> Unit:
    pointers = {argument: "*fp16" for argument in function.arg_names if argument not in constants}
    signature = {argument: pointers.get(argument, "constexpr") for argument in function.arg_names}
    one = Compilation(function, signature, constants, {}, options or {"num_warps": 4}, matrix)
    return Unit(name, {}, "fp16", arch, one)


UNITS = (
    unit("good sm_80", "sm_80", product, matrix=True, M=64, N=64, K=64),
    unit("good sm_90", "sm_90", product, matrix=True, M=64, N=64, K=64),
    unit("few rows", "sm_90", product, matrix=True, M=16, N=64, K=64),
    unit("good sm_100", "sm_100", product, matrix=True, M=128, N=64, K=64),
    unit("good gfx942", "gfx942", product, matrix=True, M=64, N=64, K=64),
    unit("spills", "sm_90", centre, options={"num_warps": 1}, BLOCK=16384),
    unit("spills on AMD", "gfx942", centre, options={"num_warps": 1, "waves_per_eu": 8}, BLOCK=16384),
    unit("shared", "sm_80", product, matrix=True, options={"num_warps": 8}, M=128, N=128, K=512),
    unit("no product", "sm_90", add_one, matrix=True, BLOCK=1024),
    unit("unknown", "sm_90", unknown),
)

if __name__ == "__main__":
    for made, result in compile_all(UNITS, 1):
        print(f"{made.kernel}: {'; '.join(result.faults)}")
