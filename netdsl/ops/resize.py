"""Making feature maps larger."""

from __future__ import annotations

from typing import Any, ClassVar

from netdsl.ops.base import Argument, Op, need_spatial
from netdsl.prove import Prover
from netdsl.types import TensorType


class Upsample(Op):
    """Each value becomes a block of n x n equal ones: H' = n·H (nearest neighbour)."""

    name: ClassVar[str] = "upsample"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("UPSAMPLE",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("factor", "positional", "count", 2, doc="how many times larger, 2 by default"),
    )

    factor: int = 2

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial("UPSAMPLE", x)
        return cls(given["factor"])

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        return TensorType((x.channels, *(size * self.factor for size in x.spatial)))

    def describe(self) -> str:
        return f"x{self.factor}"
