"""What has one kernel to do?  A fused element with the shapes, memory layout and type of its tensors; no torch.

Maps lie in memory with the channels innermost (N, H, W, C), and a tensor can be a slice of the channels of a wider
buffer: then neighbouring pixels are further apart than it has channels.
"""

from __future__ import annotations

import math

from netdsl.devices import BYTES
from netdsl.ops import Op
from netdsl.record import Record


class View(Record):
    """How a tensor lies in memory.

    batch     samples
    shape     C, C x W, C x H x W …: without the batch, as in a TensorType
    pitch     values from one pixel to the next: C, or the channels of the buffer of which it is a slice
    offset    the first channel of the slice
    dtype     fp32, fp16, bf16
    """

    batch: int
    shape: tuple[int, ...]
    pitch: int
    offset: int = 0
    dtype: str = "fp32"

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def spatial(self) -> tuple[int, ...]:
        return self.shape[1:]

    @property
    def pixels(self) -> int:
        """Positions, over the batch: the rows of a matrix with one column for each channel."""
        return self.batch * math.prod(self.spatial)

    @property
    def is_slice(self) -> bool:
        return self.pitch != self.channels

    @property
    def bytes(self) -> int:
        """What has to be moved to read it once."""
        return self.pixels * self.channels * BYTES[self.dtype]


class Task(Record):
    """One element to be computed: `output` from `inputs`, of which the first is x, the others operands of its steps."""

    op: Op
    inputs: tuple[View, ...]
    output: View
    allow_tf32: bool = False
    """Whether fp32 products may be rounded to tf32, as `torch.backends` says."""
