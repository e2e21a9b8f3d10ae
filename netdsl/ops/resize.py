"""Making feature maps larger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from netdsl.ops.base import Argument, Op, brief, need_spatial, per_axis
from netdsl.ops.kept import NOTHING, Kept
from netdsl.ops.sight import Sees, Sight, Taps, between, resized
from netdsl.ops.worked import factor
from netdsl.prove import Prover, ShapeFault
from netdsl.types import TensorType


class Upsample(Op):
    """Each value becomes a block of n x n equal ones: H' = n·H; or what lies between the values, with `bilinear`.

    Row i of the output lies at row (i + 1/2)/n - 1/2 of the input, at the border no further than the outermost one;
    with `align_corners` at i·(H - 1)/(H' - 1).
    """

    name: ClassVar[str] = "upsample"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("UPSAMPLE",)
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("factor", "extent", "extent", 2, doc="how many times larger, one number or one for each axis"),
        Argument(
            "mode",
            "word",
            default="nearest",
            words=("nearest", "bilinear"),
            doc="`bilinear` interpolates over all axes, however many there are",
        ),
        Argument("corners", "word", default=None, words=("align_corners",), doc="outer values stay outermost"),
    )

    factor: tuple[int, ...]
    mode: str = "nearest"
    align_corners: bool = False

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial("UPSAMPLE", x)
        factor = per_axis(given["factor"], len(x.spatial), "factor")
        if given["corners"] is not None and given["mode"] == "nearest":
            raise ShapeFault(
                "E0204",
                "`align_corners` says between which values to interpolate, and `nearest` does not interpolate",
                helps=("write `bilinear align_corners`",),
            )
        return cls(factor, given["mode"], given["corners"] is not None)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        return TensorType((x.channels, *(size * n for size, n in zip(x.spatial, self.factor))))

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        for axis, size, n, out in zip(inputs[0].axes[1:], inputs[0].spatial, self.factor, output.spatial):
            yield axis, f"{n}*{factor(size)} = {out}"

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        rows: list[Sees] = []
        for axis, (n, size) in enumerate(zip(self.factor, inputs[0].spatial), 1):
            if self.mode == "nearest" or n == 1:
                rows.append(Taps(axis, 1 - n, 0, 1, n))
            elif self.align_corners:
                rows.append(resized(axis, size, size * n, linear=True, corners=True))
            else:
                rows.append(between(axis, 2, 2 * n, 1 - n))
        return ((Taps(0), *rows),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def describe(self) -> str:
        return f"x{brief(self.factor)}" + (f" {self.mode}" if self.mode != "nearest" else "")
