"""What is dropped at random in training: values, channels, whole branches."""

from __future__ import annotations

from typing import Any, ClassVar

from netdsl.ops.base import Argument, Elementwise, Op, need_share, need_spatial
from netdsl.ops.kept import NOTHING, Kept, More
from netdsl.types import TensorType

HALF = Argument("p", "positional", "number", 0.5, scales=True, doc="the share that is dropped, 0.5 by default")
SHARE = Argument("p", "positional", "number", scales=True, doc="the share that is dropped")


class Regularisation(Elementwise):
    """Something is dropped with probability p, in training only."""

    linear: ClassVar[bool] = True

    p: float

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        p = given["p"]
        helps = (f"{p:g} % is `{p / 100:g}`",) if 1 < p < 100 else ()
        return cls(need_share("the share that is dropped", p, helps))

    def describe(self) -> str:
        return f"p={self.p:g}"


class Dropout(Regularisation):
    """In training each value is zeroed with probability p and the rest divided by 1 - p (Srivastava et al. 2014)."""

    name: ClassVar[str] = "dropout"
    spellings: ClassVar[tuple[str, ...]] = ("DROPOUT",)
    arguments: ClassVar[tuple[Argument, ...]] = (HALF,)

    p: float = 0.5

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept(more=(More(output.elements, "mask"),)) if self.p else NOTHING

    def views(self, training: bool) -> bool:
        return not training or not self.p


class SpatialDropout(Regularisation):
    """In training each channel is zeroed with probability p, the rest divided by 1 - p (Tompson et al. 2015, §3.2).

    One draw for each channel of each sample. Neighbouring values agree so much that dropping single ones drops little.
    """

    name: ClassVar[str] = "spatial_dropout"
    spellings: ClassVar[tuple[str, ...]] = ("SPATIAL_DROPOUT",)
    arguments: ClassVar[tuple[Argument, ...]] = (HALF,)

    p: float = 0.5

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial("SPATIAL_DROPOUT", x)
        return super().build(given, x)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept(more=(More(output.channels),)) if self.p else NOTHING

    def views(self, training: bool) -> bool:
        return not training or not self.p


class StochasticDepth(Regularisation):
    """In training y = b·x, with one b for the batch: 0 with probability p, else 1; in inference y = (1 - p)·x.

    Huang et al. 2016, "Deep networks with stochastic depth", §3; its p is the probability of keeping.
    """

    name: ClassVar[str] = "stochastic_depth"
    spellings: ClassVar[tuple[str, ...]] = ("STOCHASTIC_DEPTH",)
    arguments: ClassVar[tuple[Argument, ...]] = (SHARE,)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept(more=(More(1, batch=False),))


class DropPath(Regularisation):
    """In training each sample is zeroed as a whole with probability p, the rest divided by 1 - p.

    Stochastic depth as later networks have it: a draw for each sample, and inference leaves x as it is.
    """

    name: ClassVar[str] = "drop_path"
    spellings: ClassVar[tuple[str, ...]] = ("DROP_PATH",)
    arguments: ClassVar[tuple[Argument, ...]] = (SHARE,)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept(more=(More(1),))

    def views(self, training: bool) -> bool:
        return not training
