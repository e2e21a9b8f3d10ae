"""What does training keep of an element, until the backward pass comes by?  As PyTorch's autograd keeps it.

A tensor that two elements keep is kept once: the output of a ReLU is also the input of the convolution after it.
"""

from __future__ import annotations

from netdsl.record import Record
from netdsl.size import Size


class More(Record):
    """A tensor of the element's own.

    count    values: for one sample, or for the whole batch where `batch` is false
    kind     `value`, of the type of the activations; `index`, 8 bytes each; `mask`, a byte each on a GPU and a
             value on a CPU; `flag`, a byte; `cpu`, a value on a CPU alone; `statistic`, 4 bytes
    """

    count: Size
    kind: str = "value"
    batch: bool = True


class Kept(Record):
    """The inputs that are kept, by number, whether the output is, and what else."""

    inputs: tuple[int, ...] = ()
    output: bool = False
    more: tuple[More, ...] = ()


NOTHING = Kept()
INPUT = Kept((0,))
OUTPUT = Kept(output=True)
