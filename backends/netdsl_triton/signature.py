"""For what is a program made?"""

from __future__ import annotations

from typing import Any

import torch

from netdsl.record import Record
from netdsl_triton.dtypes import NAMES


class Signature(Record):
    """What a program is made for.

    shapes      of the inputs, without the batch axis
    dtype       of the values: that of the inputs, or that of autocast
    tf32        whether convolutions, and matrix products, may round fp32 to it
    """

    batch: int
    shapes: tuple[tuple[int, ...], ...]
    dtype: torch.dtype
    device: torch.device
    tf32: tuple[bool, bool]

    def __str__(self) -> str:
        shapes = ", ".join(" x ".join(map(str, (self.batch, *shape))) for shape in self.shapes)
        return f"{shapes}, {NAMES.get(self.dtype, str(self.dtype))}, {self.device}"


def tf32_allowed() -> tuple[bool, bool]:
    """Whether convolutions and matrix products may round fp32 to tf32, as `torch.backends` says."""
    backends = torch.backends
    try:
        return backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32
    except RuntimeError:  # the newer switches were used: they say it each for itself
        conv: Any = backends.cudnn.conv  # type: ignore[attr-defined]
        return conv.fp32_precision == "tf32", backends.cuda.matmul.fp32_precision == "tf32"
