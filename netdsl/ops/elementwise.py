"""Ops that keep the shape: activations, normalisation, dropout."""

from __future__ import annotations

from typing import Any, ClassVar

from netdsl.ops.base import Argument, Op, Weight, known_channels
from netdsl.prove import Prover, ShapeFault
from netdsl.types import TensorType


class Elementwise(Op):
    """The output has the shape of the input."""

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        return inputs[0]


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


class BatchNorm(Elementwise):
    """y = γ·(x - μ)/√(σ² + ε) + β, with μ and σ² of each channel over batch and space (Ioffe & Szegedy 2015)."""

    name: ClassVar[str] = "batchnorm"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("BN", "BATCHNORM", "BATCH_NORM")
    flag: ClassVar[str] = "bn"
    slot: ClassVar[str] = "norm"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("eps", "keyword", "number", 1e-5, doc="ε, 1e-5 by default"),
        Argument(
            "momentum",
            "keyword",
            "number",
            0.1,
            doc="the weight of the newest batch in the running statistics, 0.1 by default",
        ),
    )

    eps: float = 1e-5
    momentum: float = 0.1

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        if given["eps"] <= 0:
            raise ShapeFault("E0202", f"eps of BN must be above 0, not {given['eps']:g}")
        if not 0 <= given["momentum"] <= 1:
            raise ShapeFault("E0202", f"momentum of BN must be from 0 to 1, not {given['momentum']:g}")
        return cls(**given)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        known_channels("BN", inputs[0])
        return inputs[0]

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        channels = (known_channels("BN", inputs[0]),)
        return (
            Weight("weight", channels),
            Weight("bias", channels),
            Weight("running_mean", channels, buffer=True),
            Weight("running_var", channels, buffer=True),
            Weight("num_batches_tracked", (), buffer=True),
        )


class LRN(Elementwise):
    """b[c] = a[c] / (k + α·Σ_j a[j]²)^β over n neighbouring channels j (Krizhevsky et al. 2012, §3.3).

    α multiplies the sum itself, as in the paper; PyTorch and Caffe divide it by n.
    """

    name: ClassVar[str] = "lrn"
    spellings: ClassVar[tuple[str, ...]] = ("LRN",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("n", "keyword", "count", 5, doc="neighbouring channels, 5 in the paper"),
        Argument("k", "keyword", "number", 2, doc="2 in the paper"),
        Argument("alpha", "keyword", "number", 1e-4, doc="1e-4 in the paper"),
        Argument("beta", "keyword", "number", 0.75, doc="0.75 in the paper"),
    )

    n: int = 5
    k: float = 2
    alpha: float = 1e-4
    beta: float = 0.75

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        if given["k"] <= 0 or given["alpha"] < 0 or given["beta"] < 0:
            raise ShapeFault("E0202", "k of LRN must be above 0, alpha and beta at least 0")
        return cls(**given)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        if inputs[0].rank < 2:
            raise ShapeFault(
                "E0307", f"LRN needs channels and spatial axes, its input is {inputs[0]}", f"input is {inputs[0]}"
            )
        return inputs[0]


class Dropout(Elementwise):
    """In training each value is zeroed with probability p and the rest divided by 1 - p (Srivastava et al. 2014)."""

    name: ClassVar[str] = "dropout"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("DROPOUT",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("p", "positional", "number", 0.5, doc="the share that is dropped, 0.5 by default"),
    )

    p: float = 0.5

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        if not 0 <= given["p"] < 1:
            raise ShapeFault(
                "E0202", f"the share that is dropped must be at least 0 and less than 1, not {given['p']:g}"
            )
        return cls(given["p"])

    def describe(self) -> str:
        return f"p={self.p:g}"
