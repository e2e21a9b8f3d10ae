"""What has one kernel to do?  A fused element with the shapes, memory layout and type of its tensors; no torch.

Maps lie in memory with the channels innermost (N, H, W, C), and a tensor can be a slice of the channels of a wider
buffer: then neighbouring pixels are further apart than it has channels.
"""

from __future__ import annotations

import math

from netdsl.devices import BYTES
from netdsl.ops import Op
from netdsl.passes.cost import weights
from netdsl.passes.fused import Absorbing, concrete
from netdsl.record import Record
from netdsl.types import TensorType


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

    @property
    def types(self) -> tuple[TensorType, ...]:
        """Of the inputs, without the batch."""
        return tuple([TensorType(view.shape) for view in self.inputs])

    @property
    def macs(self) -> int:
        """Multiply-accumulates, over the batch."""
        return self.output.batch * concrete(self.op.macs(self.types, TensorType(self.output.shape)))

    @property
    def bytes(self) -> int:
        """What has to be moved to read each input and write the output once; without weights."""
        return sum(view.bytes for view in self.inputs) + self.output.bytes

    @property
    def weight_bytes(self) -> int:
        """Of its weights, in the type of the output."""
        return weights(self.op, self.types) * BYTES[self.output.dtype]

    @property
    def has_own_weights(self) -> bool:
        """Whether it has weights that are no recipes: then its PyTorch module runs it."""
        return not isinstance(self.op, Absorbing) and bool(self.op.weights(self.types))
