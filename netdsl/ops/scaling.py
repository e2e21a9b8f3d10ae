"""Multiplication by a constant, or by a learned factor for each channel."""

from __future__ import annotations

from typing import ClassVar

from netdsl.ops.base import Argument, Elementwise, Weight, known_channels
from netdsl.ops.kept import INPUT, NOTHING, Kept, More
from netdsl.prove import Prover
from netdsl.types import TensorType


class Scale(Elementwise):
    """y = s·x, s a constant (Szegedy et al. 2016, "Inception-v4", §3.3)."""

    name: ClassVar[str] = "scale"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("SCALE",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("factor", "positional", "number", scales=True, doc="the factor s"),
    )

    factor: float

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def describe(self) -> str:
        return f"{self.factor:g}"


class LayerScale(Elementwise):
    """y[c] = γ[c]·x[c], γ learned (Touvron et al. 2021, "Going deeper with image transformers", eq. 4)."""

    serves: ClassVar[str] = "weights"
    name: ClassVar[str] = "layer_scale"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("LAYER_SCALE",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("initial", "positional", "number", 1e-6, doc="what γ starts from, 1e-6 by default"),
    )

    initial: float = 1e-6

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        known_channels("LAYER_SCALE", inputs[0])
        return inputs[0]

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        return (Weight("weight", (known_channels("LAYER_SCALE", inputs[0]),)),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return INPUT

    def works_back(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """The products that are summed for each channel."""
        return (More(output.elements),)

    def describe(self) -> str:
        return f"{self.initial:g}"
