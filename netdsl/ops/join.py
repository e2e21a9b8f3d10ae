"""Ops with several inputs: sum, mean, concatenation."""

from __future__ import annotations

from typing import ClassVar

from netdsl.ops.base import Op
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Size
from netdsl.types import TensorType


class Join(Op):
    """Several tensors become one. The output of a join is that of its first input but for what it adds up."""


class Add(Join):
    """y = Σ x_i, all of one shape: nothing is broadcast."""

    name: ClassVar[str] = "add"
    linear: ClassVar[bool] = True

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        return all_alike("sum", "E0302", inputs, prove)


class Mean(Join):
    """y = 1/n Σ x_i, all of one shape (FractalNet's join, Larsson et al. 2016, eq. 2)."""

    name: ClassVar[str] = "mean"
    linear: ClassVar[bool] = True

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        return all_alike("mean", "E0302", inputs, prove)


class Concat(Join):
    """The channels of all inputs, one after the other; the other axes agree."""

    name: ClassVar[str] = "concat"
    linear: ClassVar[bool] = True

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        first = inputs[0]
        channels: Size = first.channels
        for i, other in enumerate(inputs[1:], 1):
            if other.rank != first.rank:
                raise JoinFault("E0301", f"concat inputs have different numbers of axes: {first} and {other}", (0, i))
            axes = [axis for axis, a, b in zip(first.axes[1:], first.spatial, other.spatial) if a != b]
            for a, b in zip(first.spatial, other.spatial):
                agree(a, b, "E0301", f"concat inputs differ in {_words(axes)}", (0, i), prove)
            channels = channels + other.channels
        return TensorType((channels, *first.spatial))


class JoinFault(ShapeFault):
    """A fault between two inputs of a join, known by their positions."""

    def __init__(self, code: str, message: str, pair: tuple[int, int], notes: tuple[str, ...] = ()) -> None:
        super().__init__(code, message, notes=notes)
        self.pair = pair


def all_alike(what: str, code: str, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
    first = inputs[0]
    for i, other in enumerate(inputs[1:], 1):
        if other.rank != first.rank:
            raise JoinFault(code, f"{what} inputs have different numbers of axes: {first} and {other}", (0, i))
        axes = [axis for axis, a, b in zip(first.axes, first.shape, other.shape) if a != b]
        for a, b in zip(first.shape, other.shape):
            agree(a, b, code, f"{what} inputs differ in {_words(axes)}", (0, i), prove)
    return first


def agree(a: Size, b: Size, code: str, message: str, pair: tuple[int, int], prove: Prover) -> None:
    """Proves that two sizes are equal; where that limits an open size, the reason names both sides."""
    names = [prove.subjects[i] if i < len(prove.subjects) else f"input {i + 1}" for i in pair]
    prove.equal(
        a,
        b,
        f"`{names[0]}` is {a}, `{names[1]}` is {b}",
        lambda limit: JoinFault(code, message, pair, tuple(filter(None, [limit]))),
    )


def _words(axes: list[str]) -> str:
    names = {"C": "channels", "H": "height", "W": "width", "D": "depth"}
    return " and ".join(names.get(axis, axis) for axis in axes)
