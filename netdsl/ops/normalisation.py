"""Normalisation over the batch, over space, or over channels."""

from __future__ import annotations

from typing import Any, ClassVar

from netdsl.ops.base import Argument, Elementwise, Op, Weight, known_channels, nearest_divisors, need_spatial
from netdsl.ops.kept import Kept, More
from netdsl.ops.sight import EVERYTHING, UNSURE, Sight, Taps, all_of, each_place, mixed_channels, whole
from netdsl.ops.strides import Strides, features_last
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Size
from netdsl.types import TensorType

EPS = Argument("eps", "keyword", "number", 1e-5, doc="ε, 1e-5 by default")


class BatchNorm(Elementwise):
    """y = γ·(x - μ)/√(σ² + ε) + β, with μ and σ² of each channel over batch and space (Ioffe & Szegedy 2015)."""

    name: ClassVar[str] = "batchnorm"
    stem: ClassVar[str] = "bn"
    linear: ClassVar[bool] = True
    spellings: ClassVar[tuple[str, ...]] = ("BN", "BATCH_NORM")
    flag: ClassVar[str] = "bn"
    slot: ClassVar[str] = "norm"
    arguments: ClassVar[tuple[Argument, ...]] = (
        EPS,
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

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        channels = inputs[0].channels
        return (f"γ and β for each of {channels} channels; the running μ and σ² are not learned",)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept((0,), more=(More(2 * output.channels, "statistic", batch=False),))


class Affine(Elementwise):
    """y = γ·(x - μ)/√(σ² + ε) + β, with μ and σ² of each sample by itself, and γ and β of each channel.

    σ² is the mean squared deviation. Training and inference are the same; there are no running statistics.
    """

    affine: bool = True

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        if given["eps"] <= 0:
            raise ShapeFault("E0202", f"eps of {cls.spellings[0]} must be above 0, not {given['eps']:g}")
        return cls(**given)

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        known_channels(self.spellings[0], inputs[0])
        return inputs[0]

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        channels = (known_channels(self.spellings[0], inputs[0]),)
        return (Weight("weight", channels), Weight("bias", channels)) if self.affine else ()

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        return (f"γ and β for each of {inputs[0].channels} channels",) if self.affine else ()

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept((0,), more=(More(2 * self.means(output), "statistic"),))

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        return self.keeps(inputs, output).more

    def means(self, x: TensorType) -> Size:
        """How many means there are for one sample."""
        raise NotImplementedError


class LayerNorm(Affine):
    """y = γ·(x - μ)/√(σ² + ε) + β, with μ and σ² over the channels, at each position by itself (Ba et al. 2016, §3).

    On C x W that is the layer norm of a transformer, on C x H x W that of ConvNeXt. `GN 1` takes them over all of
    C x H x W.
    """

    name: ClassVar[str] = "layernorm"
    stem: ClassVar[str] = "ln"
    spellings: ClassVar[tuple[str, ...]] = ("LN", "LAYER_NORM")
    flag: ClassVar[str] = "ln"
    slot: ClassVar[str] = "norm"
    arguments: ClassVar[tuple[Argument, ...]] = (EPS,)

    eps: float = 1e-5

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (mixed_channels(output),)

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return features_last(output)

    def means(self, x: TensorType) -> Size:
        return TensorType((1, *x.spatial)).elements


class GroupNorm(Affine):
    """y = γ·(x - μ)/√(σ² + ε) + β, with μ and σ² over space and the channels of a group (Wu & He 2018, §3.1)."""

    name: ClassVar[str] = "groupnorm"
    stem: ClassVar[str] = "gn"
    spellings: ClassVar[tuple[str, ...]] = ("GN", "GROUP_NORM")
    flag: ClassVar[str] = "gn"
    slot: ClassVar[str] = "norm"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("groups", "positional", default=32, scales=True, doc="the number of groups, 32 by default"),
        EPS,
    )
    example: ClassVar[str] = "8"

    groups: int = 32
    eps: float = 1e-5

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        channels = known_channels("GN", inputs[0])
        if channels % self.groups:
            near = nearest_divisors(channels, self.groups)
            raise ShapeFault(
                "E0306",
                f"{self.groups} groups do not divide {channels} channels",
                f"input is {inputs[0]}",
                notes=(f"{channels}/{self.groups} = {round(channels / self.groups, 3)}",),
                helps=(
                    " or ".join(f"`GN {g}`" for g in sorted(near)) + f" divides {channels}",
                    f"for the flag `gn`, write `default GN {near[0]}`",
                ),
            )
        return inputs[0]

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        channels = known_channels("GN", inputs[0])
        size = f"{self.groups} groups of {channels}/{self.groups} = {channels // self.groups} channels"
        return (*super().remarks(inputs, output), size)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        """The mean over space sees everything."""
        return ((EVERYTHING if self.groups == 1 else UNSURE, *all_of(output)[1:]),)

    def means(self, x: TensorType) -> Size:
        return self.groups

    def describe(self) -> str:
        return f"groups {self.groups}"


class InstanceNorm(Affine):
    """y = (x - μ)/√(σ² + ε), with μ and σ² over the space of each channel; `affine`: γ·y + β (Ulyanov et al. 2016)."""

    name: ClassVar[str] = "instancenorm"
    stem: ClassVar[str] = "in"
    spellings: ClassVar[tuple[str, ...]] = ("IN", "INSTANCE_NORM")
    arguments: ClassVar[tuple[Argument, ...]] = (
        EPS,
        Argument("affine", "word", default=None, words=("affine",), doc="a learned γ and β for each channel"),
    )

    eps: float = 1e-5
    affine: bool = False

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_spatial("IN", x)
        return super().build({**given, "affine": given["affine"] == "affine"}, x)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (whole(output),)

    def means(self, x: TensorType) -> Size:
        return x.channels

    def describe(self) -> str:
        return "affine" if self.affine else ""


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

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return ((Taps(0, -(self.n // 2), self.n // 2), *each_place(output)[1:]),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        """The squares with padding for n channels, the sums, and their power."""
        padded = TensorType((output.channels + self.n - 1, *output.spatial)).elements
        return Kept((0,), more=(More(padded), More(output.elements), More(output.elements)))

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """The sums, and twice their power before it is done."""
        return (More(2 * output.elements),)

    def works_back(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """Quotients, their negative and their product with the gradient."""
        return (More(3 * output.elements),)
