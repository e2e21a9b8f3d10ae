"""The primitives: every op the compiler knows, by the names people write.

| file                | what                                                                   |
|---------------------|------------------------------------------------------------------------|
| `convolution.py`    | CONV, DECONV                                                           |
| `pooling.py`        | MAXPOOL, AVGPOOL, their adaptive forms, GAP, GMP                       |
| `linear.py`         | FC, FLATTEN                                                            |
| `geometry.py`       | CROP, PAD, SLICE, RESHAPE, TRANSPOSE, CHANNEL_SHUFFLE; zero channels   |
| `sequence.py`       | RNN, GRU, LSTM, ATTENTION, EMBED, TOKENS, POSITIONS                    |
| `activation.py`     | RELU and the others, SOFTMAX                                           |
| `normalisation.py`  | BN, LN, GN, IN, LRN                                                    |
| `regularisation.py` | DROPOUT, SPATIAL_DROPOUT, STOCHASTIC_DEPTH, DROP_PATH                  |
| `scaling.py`        | SCALE, LAYER_SCALE                                                     |
| `resize.py`         | UPSAMPLE                                                               |
| `join.py`           | the ops behind `+`, `|`, `mean(…)`, `gate(…)` and their like           |
| `base.py`           | what an op is, and what several of them ask of their input             |
| `worked.py`         | formulas with their numbers put in, as `netdsl explain` shows them     |
| `window.py`         | how many windows fit: the formula of convolutions and pools            |
| `initial.py`        | from what weights start: an argument of convolutions and FC            |
"""

from __future__ import annotations

from netdsl.ops.activation import (
    ELU,
    GELU,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from netdsl.ops.base import Argument, Op, Weight
from netdsl.ops.convolution import Conv, ConvTranspose
from netdsl.ops.geometry import ChannelShuffle, Crop, Pad, PadChannels, Reshape, Slice, Transpose
from netdsl.ops.join import Add, Concat, CropTo, FractalJoin, Gate, Join, Mean, Product, ResizeTo
from netdsl.ops.linear import Flatten, Linear
from netdsl.ops.normalisation import LRN, BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from netdsl.ops.pooling import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from netdsl.ops.regularisation import Dropout, DropPath, SpatialDropout, StochasticDepth
from netdsl.ops.resize import Upsample
from netdsl.ops.scaling import LayerScale, Scale
from netdsl.ops.sequence import (
    GRU,
    LSTM,
    RNN,
    Attention,
    Embedding,
    Positions,
    SinusoidalPositions,
    Tokens,
)

OPS: tuple[type[Op], ...] = (
    Conv,
    ConvTranspose,
    MaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    Linear,
    Flatten,
    Reshape,
    Transpose,
    Slice,
    Crop,
    Pad,
    ChannelShuffle,
    RNN,
    GRU,
    LSTM,
    Attention,
    Embedding,
    Tokens,
    Positions,
    SinusoidalPositions,
    BatchNorm,
    LayerNorm,
    GroupNorm,
    InstanceNorm,
    LRN,
    ReLU,
    ReLU6,
    LeakyReLU,
    PReLU,
    ELU,
    GELU,
    SiLU,
    HardSwish,
    Mish,
    Sigmoid,
    HardSigmoid,
    Tanh,
    Softplus,
    Softmax,
    Scale,
    LayerScale,
    Dropout,
    SpatialDropout,
    StochasticDepth,
    DropPath,
    Upsample,
    PadChannels,
    Add,
    Mean,
    Product,
    Gate,
    Concat,
    CropTo,
    ResizeTo,
    FractalJoin,
)
"""Every primitive, in the order of the reference page."""

BY_SPELLING: dict[str, type[Op]] = {
    form: op for op in OPS for spelling in op.spellings for form in (spelling, spelling.replace("_", ""))
}
"""In capitals, with and without underscores: `BATCH_NORM`, `BATCHNORM`."""
BY_CALL: dict[str, type[Join]] = {op.call: op for op in OPS if issubclass(op, Join)}
BY_FLAG: dict[str, type[Op]] = {op.flag: op for op in OPS if op.flag}

__all__ = [
    "BY_CALL",
    "BY_FLAG",
    "BY_SPELLING",
    "OPS",
    "Add",
    "Argument",
    "BatchNorm",
    "Concat",
    "Conv",
    "CropTo",
    "FractalJoin",
    "Gate",
    "Join",
    "MaxPool",
    "Op",
    "PadChannels",
    "Weight",
]
