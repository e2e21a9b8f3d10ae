"""Non-linearities, element by element or over the channels."""

from __future__ import annotations

from typing import ClassVar

from netdsl.ops.base import Argument, Elementwise


class Activation(Elementwise):
    """A non-linearity, element by element."""

    slot: ClassVar[str] = "activation"
    rectifier: ClassVar[bool] = False
    """Whether He's initialisation is meant for it (He et al. 2015, "Delving deep into rectifiers", §2.2)."""


class ReLU(Activation):
    """y = max(x, 0)."""

    name: ClassVar[str] = "relu"
    spellings: ClassVar[tuple[str, ...]] = ("RELU",)
    flag: ClassVar[str] = "relu"
    rectifier: ClassVar[bool] = True


class ReLU6(Activation):
    """y = min(max(x, 0), 6) (Howard et al. 2017)."""

    name: ClassVar[str] = "relu6"
    spellings: ClassVar[tuple[str, ...]] = ("RELU6",)
    flag: ClassVar[str] = "relu6"
    rectifier: ClassVar[bool] = True


class LeakyReLU(Activation):
    """y = x where x > 0, slope·x elsewhere (Maas et al. 2013)."""

    name: ClassVar[str] = "leaky_relu"
    spellings: ClassVar[tuple[str, ...]] = ("LEAKY_RELU", "LEAKYRELU", "LRELU")
    flag: ClassVar[str] = "leaky_relu"
    rectifier: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("slope", "positional", "number", 0.01, doc="0.01 by default"),
    )

    slope: float = 0.01


class ELU(Activation):
    """y = x where x > 0, exp(x) - 1 elsewhere (Clevert et al. 2015)."""

    name: ClassVar[str] = "elu"
    spellings: ClassVar[tuple[str, ...]] = ("ELU",)
    flag: ClassVar[str] = "elu"
    rectifier: ClassVar[bool] = True


class GELU(Activation):
    """y = x·Φ(x) (Hendrycks & Gimpel 2016)."""

    name: ClassVar[str] = "gelu"
    spellings: ClassVar[tuple[str, ...]] = ("GELU",)
    flag: ClassVar[str] = "gelu"
    rectifier: ClassVar[bool] = True


class SiLU(Activation):
    """y = x·σ(x), also called swish (Ramachandran et al. 2017)."""

    name: ClassVar[str] = "silu"
    spellings: ClassVar[tuple[str, ...]] = ("SILU", "SWISH")
    flag: ClassVar[str] = "silu"
    rectifier: ClassVar[bool] = True


class Sigmoid(Activation):
    """y = 1/(1 + exp(-x))."""

    name: ClassVar[str] = "sigmoid"
    spellings: ClassVar[tuple[str, ...]] = ("SIGMOID",)
    flag: ClassVar[str] = "sigmoid"


class Tanh(Activation):
    """y = tanh(x)."""

    name: ClassVar[str] = "tanh"
    spellings: ClassVar[tuple[str, ...]] = ("TANH",)
    flag: ClassVar[str] = "tanh"


class Softmax(Activation):
    """y[c] = exp(x[c]) / Σ_c exp(x[c]), over the channels."""

    name: ClassVar[str] = "softmax"
    spellings: ClassVar[tuple[str, ...]] = ("SOFTMAX",)
