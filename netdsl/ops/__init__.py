"""The primitives: every op the compiler knows, by the names people write.

| file             | ops                                                                  |
|------------------|----------------------------------------------------------------------|
| `convolution.py` | CONV, DECONV                                                         |
| `pooling.py`     | MAXPOOL, AVGPOOL, GAP, GMP                                           |
| `linear.py`      | FC, FLATTEN                                                          |
| `elementwise.py` | activations, BN, LRN, DROPOUT                                        |
| `join.py`        | the ops behind `+`, `|` and `mean(…)`                                |
| `resize.py`      | UPSAMPLE                                                             |
"""

from __future__ import annotations

from netdsl.ops.base import Argument, Op, Weight
from netdsl.ops.convolution import Conv, ConvTranspose
from netdsl.ops.elementwise import (
    ELU,
    GELU,
    LRN,
    BatchNorm,
    Dropout,
    LeakyReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from netdsl.ops.join import Add, Concat, Join, Mean
from netdsl.ops.linear import Flatten, Linear
from netdsl.ops.pooling import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from netdsl.ops.resize import Upsample

OPS: tuple[type[Op], ...] = (
    Conv,
    ConvTranspose,
    MaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    Linear,
    Flatten,
    BatchNorm,
    LRN,
    ReLU,
    ReLU6,
    LeakyReLU,
    ELU,
    GELU,
    SiLU,
    Sigmoid,
    Tanh,
    Softmax,
    Dropout,
    Upsample,
    Add,
    Mean,
    Concat,
)
"""Every primitive, in the order of the reference page."""

BY_SPELLING: dict[str, type[Op]] = {spelling: op for op in OPS for spelling in op.spellings}
BY_FLAG: dict[str, type[Op]] = {op.flag: op for op in OPS if op.flag}

__all__ = [
    "BY_FLAG",
    "BY_SPELLING",
    "OPS",
    "Add",
    "Argument",
    "BatchNorm",
    "Concat",
    "Conv",
    "Join",
    "Mean",
    "Op",
    "Weight",
]
