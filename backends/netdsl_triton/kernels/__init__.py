"""The ways to do a task: Triton kernels, and those of libraries."""

from __future__ import annotations

from netdsl_triton.kernels.base import Kernel

KERNELS: tuple[Kernel, ...] = ()
"""All of them, of equals the preferred one first."""
