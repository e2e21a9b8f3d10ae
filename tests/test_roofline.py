"""Floors: the published table, small networks by hand, and what holds for every network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from netdsl import UsageError, load, loads
from netdsl.devices import DEVICES
from netdsl.files import shipped
from netdsl.net import Net
from netdsl.roofline import Floor, floor_of

ROOT = Path(__file__).resolve().parent.parent
H200 = DEVICES["h200"]


def both(net: Net, dtype: str = "bf16", batch: int = 256) -> tuple[Floor, Floor]:
    return floor_of(net, "library", H200, dtype, batch), floor_of(net, "fused", H200, dtype, batch)


# Floors that were computed independently of this code (bf16, batch 256, 790 TFLOP/s, 4.3 TB/s): milliseconds and
# kernels. The library's classifiers had a kernel more (VGG), and ReLUs of their own.
TABLE = {
    "vgg16": (14.5, 11.3, 36, 21),
    "googlenet_bn": (2.66, 1.89, 129, 71),
    "densenet121": (6.76, 3.03, 247, 125),
    "squeezenet1_1": (1.41, 0.80, 56, 30),
    "inception_v4": (14.3, 10.7, 318, 168),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_floors_are_those_of_an_independent_count(name: str) -> None:
    library, fused = both(load(name))
    *milliseconds, before, after = TABLE[name]
    assert [library.seconds * 1e3, fused.seconds * 1e3] == pytest.approx(milliseconds, rel=0.01)
    assert (library.kernels, fused.kernels) == (before, after)


def test_resnet50_differs_by_what_its_projections_need_not_do() -> None:
    """The independent count: 7.03 and 4.33 ms, 109 and 55 kernels.

    There a projection reads all pixels, of which it needs a quarter, and its bias has a kernel of its own.
    """
    library, fused = both(load("resnet50"))
    outputs = [256 * 56**2, 512 * 28**2, 1024 * 14**2, 2048 * 7**2]
    unneeded = [256 * 56**2 * 3 // 4, 512 * 28**2 * 3 // 4, 1024 * 14**2 * 3 // 4]
    kernels, reads = (256 * 2 * sum(values) / 4.3e12 for values in ([2 * n for n in outputs], unneeded))
    assert (fused.seconds + reads) * 1e3 == pytest.approx(4.33, rel=0.01)  # a part of it hides behind arithmetic
    assert (library.seconds + reads + kernels) * 1e3 == pytest.approx(7.03, rel=0.01)
    assert (library.kernels + len(outputs), fused.kernels) == (109, 55)


def tiny(*lines: str, input: str = "8 x 6 x 6") -> Net:
    return loads("\n".join(["net tiny", f"input {input}", *lines]))


def moved(floor: Floor) -> list[tuple[str, int]]:
    """Values, where they have two bytes."""
    return [(element.op, element.moved // 2) for element in floor.elements]


def test_a_convolution_with_its_epilogue() -> None:
    library, fused = both(tiny("CONV 4 3x3 same bn relu"), batch=1)
    weights, x, y = 4 * 8 * 9 + 4, 8 * 36, 4 * 36
    assert moved(library) == [("fused_conv", x + weights + y), ("pointwise", y + y)]
    assert moved(fused) == [("fused_conv", x + weights + y)]
    assert fused.macs == 4 * 8 * 9 * 36
    element = fused.elements[0]
    assert element.seconds == max(2 * element.macs / 790e12, element.moved / 4.3e12)


def test_a_batch_reads_weights_once() -> None:
    one, many = (both(tiny("CONV 4 3x3 same"), batch=batch)[1] for batch in (1, 10))
    assert many.macs == 10 * one.macs
    weights = 2 * (4 * 8 * 9 + 4)
    assert many.moved - weights == 10 * (one.moved - weights)


def test_a_sum_reads_the_other_operand_in_the_later_convolution() -> None:
    net = tiny("residual(CONV 8 1x1 -> RELU -> CONV 8 1x1) -> RELU")
    library, fused = both(net, batch=1)
    x, weights = 8 * 36, 8 * 8 + 8
    assert moved(fused) == [("fused_conv", 2 * x + weights), ("fused_conv", 3 * x + weights)]
    assert moved(library) == [
        ("fused_conv", 2 * x + weights),
        ("pointwise", 2 * x),
        ("fused_conv", 2 * x + weights),
        ("pointwise", 3 * x),
    ]


def test_a_norm_before_a_convolution_is_its_prologue() -> None:
    library, fused = both(tiny("BN -> RELU -> CONV 4 1x1"), batch=1)
    x, y, weights, affine = 8 * 36, 4 * 36, 4 * 8 + 4, 2 * 8
    assert moved(library) == [("pointwise", 2 * x + affine), ("fused_conv", x + y + weights)]
    assert [values for _, values in moved(fused)] == [x + y + weights]


def test_branches_are_written_into_the_concatenation() -> None:
    fused = both(tiny("concat(CONV 2 1x1, CONV 4 1x1) -> CONV 3 1x1"), batch=1)[1]
    x = 36
    assert moved(fused) == [
        ("fused_conv", 8 * x + 2 * 8 + 2 + 2 * x),
        ("fused_conv", 8 * x + 4 * 8 + 4 + 4 * x),
        ("fused_conv", 6 * x + 3 * 6 + 3 + 3 * x),
    ]


def test_global_pooling_runs_in_the_classifier() -> None:
    library, fused = both(tiny("GAP -> FC 5"), batch=1)
    assert [op for op, _ in moved(library)] == ["fused_mean", "fused_conv"]
    assert moved(fused) == [("fused_conv", 8 * 36 + 5 * 8 + 5 + 5)]


def test_a_stride_leaves_pixels_out() -> None:
    narrow, wide = (both(tiny(f"CONV 4 {kernel} /2 floor"), batch=1)[1] for kernel in ("1x1", "3x3"))
    assert moved(narrow)[0][1] == 8 * 36 // 4 + (4 * 8 + 4) + 4 * 9
    assert moved(wide)[0][1] == 8 * 36 + (4 * 8 * 9 + 4) + 4 * 9


FIXED = [name for name in shipped() if name not in {"resnet1202", "preact_resnet1001"}]


@pytest.mark.parametrize("name", FIXED)
def test_what_is_fused_is_never_slower_and_does_the_same_arithmetic(name: str) -> None:
    net = load(name)
    if net.constraints:
        with pytest.raises(UsageError, match="say which, --input"):
            both(net)
        return
    library, fused = both(net, batch=2)
    assert library.macs == fused.macs == 2 * int(str(net.macs))
    assert fused.seconds <= library.seconds
    assert fused.kernels <= library.kernels
    assert fused.moved <= library.moved


def test_the_script_prints_the_table() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "floors.py"), "squeezenet1_1", "--elements"],
        capture_output=True,
        text=True,
        check=True,
    )
    row = next(line for line in done.stdout.splitlines() if line.startswith("squeezenet1_1 "))
    assert row.split()[1:4] == ["1.41", "0.80", "1.78"]
    assert "h200, bf16, batch 256: 790 TFLOP/s, 4.3 TB/s" in done.stdout
    assert done.stdout.count("fused_conv") == 26
