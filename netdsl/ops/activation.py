"""Non-linearities, element by element or over the channels."""

from __future__ import annotations

from typing import Any, ClassVar

from netdsl.ops.base import Argument, Elementwise, Op, Weight, known_channels
from netdsl.ops.kept import INPUT, OUTPUT, Kept, More
from netdsl.ops.sight import Sight, mixed_channels
from netdsl.prove import Prover
from netdsl.types import TensorType


class Activation(Elementwise):
    """A non-linearity, element by element."""

    slot: ClassVar[str] = "activation"
    rectifier: ClassVar[bool] = False
    """Whether He's initialisation is meant for it (He et al. 2015, "Delving deep into rectifiers", §2.2)."""

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return INPUT


class ReLU(Activation):
    """y = max(x, 0)."""

    name: ClassVar[str] = "relu"
    spellings: ClassVar[tuple[str, ...]] = ("RELU",)
    flag: ClassVar[str] = "relu"
    rectifier: ClassVar[bool] = True

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return OUTPUT


class ReLU6(Activation):
    """y = min(max(x, 0), 6) (Howard et al. 2017)."""

    name: ClassVar[str] = "relu6"
    spellings: ClassVar[tuple[str, ...]] = ("RELU6",)
    flag: ClassVar[str] = "relu6"
    rectifier: ClassVar[bool] = True


class LeakyReLU(Activation):
    """y = x where x > 0, slope·x elsewhere (Maas et al. 2013)."""

    name: ClassVar[str] = "leaky_relu"
    spellings: ClassVar[tuple[str, ...]] = ("LEAKY_RELU", "LRELU")
    flag: ClassVar[str] = "leaky_relu"
    rectifier: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("slope", "positional", "number", 0.01, scales=True, doc="0.01 by default"),
    )

    slope: float = 0.01


class PReLU(Activation):
    """y = x where x > 0, a·x elsewhere, a learned for each channel (He et al. 2015, "Delving deep", eq. 1)."""

    name: ClassVar[str] = "prelu"
    spellings: ClassVar[tuple[str, ...]] = ("PRELU",)
    flag: ClassVar[str] = "prelu"
    rectifier: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("initial", "positional", "number", 0.25, doc="what a starts from, 0.25 by default"),
        Argument("sharing", "word", default=None, words=("shared",), doc="one a for all channels"),
    )

    initial: float = 0.25
    shared: bool = False

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        return cls(given["initial"], given["sharing"] == "shared")

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        self.slopes(inputs)
        return inputs[0]

    def slopes(self, inputs: tuple[TensorType, ...]) -> int:
        return 1 if self.shared else known_channels("PRELU", inputs[0])

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        return (Weight("weight", (self.slopes(inputs),)),)

    def works_back(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """The products that are summed for each slope."""
        return (More(output.elements),)

    def describe(self) -> str:
        return "shared" if self.shared else ""


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


class HardSwish(Activation):
    """y = x·min(max(x + 3, 0), 6)/6 (Howard et al. 2019, §5.2)."""

    name: ClassVar[str] = "hard_swish"
    spellings: ClassVar[tuple[str, ...]] = ("HARD_SWISH", "H_SWISH")
    flag: ClassVar[str] = "hard_swish"
    rectifier: ClassVar[bool] = True


class Mish(Activation):
    """y = x·tanh(ln(1 + exp(x))) (Misra 2019)."""

    name: ClassVar[str] = "mish"
    spellings: ClassVar[tuple[str, ...]] = ("MISH",)
    flag: ClassVar[str] = "mish"
    rectifier: ClassVar[bool] = True


class Sigmoid(Activation):
    """y = 1/(1 + exp(-x))."""

    name: ClassVar[str] = "sigmoid"
    spellings: ClassVar[tuple[str, ...]] = ("SIGMOID",)
    flag: ClassVar[str] = "sigmoid"

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return OUTPUT


class HardSigmoid(Activation):
    """y = min(max(x + 3, 0), 6)/6 (Howard et al. 2019, §5.2)."""

    name: ClassVar[str] = "hard_sigmoid"
    spellings: ClassVar[tuple[str, ...]] = ("HARD_SIGMOID",)
    flag: ClassVar[str] = "hard_sigmoid"


class Tanh(Activation):
    """y = tanh(x)."""

    name: ClassVar[str] = "tanh"
    spellings: ClassVar[tuple[str, ...]] = ("TANH",)
    flag: ClassVar[str] = "tanh"

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return OUTPUT


class Softplus(Activation):
    """y = ln(1 + exp(x)) (Dugas et al. 2000)."""

    name: ClassVar[str] = "softplus"
    spellings: ClassVar[tuple[str, ...]] = ("SOFTPLUS",)


class Softmax(Activation):
    """y[c] = exp(x[c]) / Σ_c exp(x[c]), over the channels."""

    name: ClassVar[str] = "softmax"
    spellings: ClassVar[tuple[str, ...]] = ("SOFTMAX",)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (mixed_channels(output),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return OUTPUT
