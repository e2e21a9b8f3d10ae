"""Fully connected layers, and the flattening before them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from netdsl.ops.base import Argument, Op, Weight, need_spatial
from netdsl.ops.convolution import BIAS
from netdsl.ops.initial import BIAS_INIT, INIT
from netdsl.ops.kept import INPUT, NOTHING, Kept
from netdsl.ops.sight import Sight, Spread, all_of, each_place
from netdsl.ops.strides import Strides, viewed
from netdsl.ops.worked import equation, product
from netdsl.prove import Prover, ShapeFault, known
from netdsl.size import Size
from netdsl.types import TensorType


class Flatten(Op):
    """C x H x W → C·H·W, channels outermost; `spatial`: C x (H·W)."""

    name: ClassVar[str] = "flatten"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("FLATTEN",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            "axes",
            "word",
            default="all",
            words=("all", "spatial"),
            doc="`spatial` leaves the channels, and makes one axis of the others",
        ),
    )

    axes: str = "all"

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        if given["axes"] == "spatial":
            need_spatial("FLATTEN spatial", x)
        return cls(given["axes"])

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        if self.axes == "all":
            return TensorType((x.elements,))
        return TensorType((x.channels, TensorType(x.spatial).elements))

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        (x,) = inputs
        if self.axes == "all":
            return [("C", equation(product(x.shape), output.channels).replace(",", ""))]
        return [("W", equation(product(x.spatial), output.shape[1]).replace(",", ""))]

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        (x,) = inputs
        if x.rank == 1 or (self.axes == "spatial" and x.rank == 2):
            return (each_place(x),)
        kept = 0 if self.axes == "all" else 1
        return ((*each_place(x)[:kept], *(Spread((kept,)),) * (x.rank - kept)),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return viewed(strides, x, output)

    def views(self, training: bool) -> bool:
        return True

    def describe(self) -> str:
        return self.axes if self.axes != "all" else ""


class Linear(Op):
    """y = W x + b, W: out_features x in_features. A tensor with more than one axis is flattened first."""

    serves: ClassVar[str] = "weights"
    name: ClassVar[str] = "linear"
    stem: ClassVar[str] = "fc"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("FC", "LINEAR", "DENSE")
    takes_flags: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("out_features", "positional", scales=True, doc="the number of outputs"),
        BIAS,
        INIT,
        BIAS_INIT,
    )

    out_features: int
    bias: bool
    init: str | None = None
    bias_init: float | None = None

    @classmethod
    def expand(cls, given: dict[str, Any], x: TensorType) -> tuple[Op, ...]:
        linear = cls(given["out_features"], given["bias"], given["init"], given["bias_init"])
        return (Flatten(), linear) if x.rank > 1 else (linear,)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        self.in_features(inputs)
        return TensorType((self.out_features,))

    def in_features(self, inputs: tuple[TensorType, ...]) -> int:
        features = inputs[0].channels
        return known(
            features,
            lambda: ShapeFault(
                "E0308",
                f"FC needs a known number of inputs, but {features} depends on the size of the input",
                f"{features} inputs",
                helps=(
                    "`GAP` before it makes the number of inputs that of the channels",
                    "or give the input concrete sizes",
                ),
            ),
        )

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        weight = Weight("weight", (self.out_features, self.in_features(inputs)))
        return (weight, Weight("bias", (self.out_features,))) if self.bias else (weight,)

    def macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> Size:
        return self.in_features(inputs) * self.out_features

    def worked_params(self, inputs: tuple[TensorType, ...]) -> str:
        features = self.in_features(inputs)
        return f"{self.out_features}*({features} + 1)" if self.bias else f"{self.out_features}*{features}"

    def worked_macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> str:
        return f"{self.out_features}*{self.in_features(inputs)}"

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (all_of(inputs[0]),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return INPUT
