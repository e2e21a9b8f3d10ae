"""The ways to do a task: Triton kernels, and those of libraries."""

from __future__ import annotations

from netdsl_triton.kernels.base import Kernel
from netdsl_triton.kernels.conv import Conv
from netdsl_triton.kernels.depthwise import Depthwise
from netdsl_triton.kernels.matmul import Matmul

KERNELS: tuple[Kernel, ...] = (Matmul(), Conv(), Depthwise())
"""All of them, of equals the preferred one first."""
