"""Shortcuts without parameters: what `match_pad` is made of."""

from __future__ import annotations

from typing import ClassVar

from netdsl.ops.base import Op
from netdsl.prove import Prover
from netdsl.types import TensorType


class PadChannels(Op):
    """C x H x W → (C + n) x H x W: n channels of zeros at the end (He et al. 2015, §3.3, option A)."""

    name: ClassVar[str] = "pad_channels"
    linear: ClassVar[bool] = True

    channels: int

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        return TensorType((x.channels + self.channels, *x.spatial))

    def describe(self) -> str:
        return f"+{self.channels}"
