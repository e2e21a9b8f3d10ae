"""Normalisation over the batch, over space, or over channels."""

from __future__ import annotations

from typing import Any, ClassVar

from netdsl.ops.base import Argument, Elementwise, Op, Weight, known_channels
from netdsl.prove import Prover, ShapeFault
from netdsl.types import TensorType


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
