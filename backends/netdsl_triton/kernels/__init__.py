"""The ways to do a task: Triton kernels, and those of libraries."""

from __future__ import annotations

from netdsl_triton.kernels.base import Kernel
from netdsl_triton.kernels.conv import Conv
from netdsl_triton.kernels.copy import Copy
from netdsl_triton.kernels.cudnn import Cublas, Cudnn
from netdsl_triton.kernels.depthwise import Depthwise
from netdsl_triton.kernels.fallback import Fallback
from netdsl_triton.kernels.head import Classifier
from netdsl_triton.kernels.lrn import LocalResponse
from netdsl_triton.kernels.matmul import Matmul
from netdsl_triton.kernels.mean import Mean
from netdsl_triton.kernels.pointwise import PointwiseSteps
from netdsl_triton.kernels.pool import Pool

KERNELS: tuple[Kernel, ...] = (
    Matmul(),
    Conv(),
    Depthwise(),
    Cudnn(),
    Cublas(),
    Pool(),
    LocalResponse(),
    Mean(),
    Classifier(),
    PointwiseSteps(),
    Copy(),
    Fallback(),
)
"""All of them, of equals the preferred one first; the last one does whatever nothing else claims."""
