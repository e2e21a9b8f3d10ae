"""Compilation ahead of time: what every kernel becomes on each architecture, and gates that can refuse it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from netdsl.passes.fused import FusedConv, Step
from netdsl.passes.recipe import Parameter
from netdsl_triton.aot import ARCHITECTURES, FEW_DTYPES, Unit, cover, gates, main, shape, tasks, units
from netdsl_triton.kernels import KERNELS
from netdsl_triton.kernels.base import Compilation
from netdsl_triton.kernels.conv import LONGEST, Conv
from netdsl_triton.task import Task, View

pytest.importorskip("triton", reason="triton is missing")

NAMES = ("matmul", "conv", "depthwise", "head", "pool", "lrn", "mean", "pointwise", "copy")
HERE = Path(__file__).parent
PRODUCT = "%z = tt.dot %x, %y : tensor<64x64xf16> * tensor<64x64xf16> -> tensor<64x64xf32>"


def compiling(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs Python where Triton's interpreter is off."""
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    path = os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parent / "backends"), env.get("PYTHONPATH", "")])
    return subprocess.run([sys.executable, *command], env=env | {"PYTHONPATH": path}, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_kernel_and_configuration_compiles(arch: str) -> None:
    done = compiling("-m", "netdsl_triton.aot", "--arch", arch)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 faults" in done.stdout and all(f"\n{name} " in done.stdout for name in NAMES)


@pytest.fixture(scope="module")
def refused() -> dict[str, str]:
    done = compiling(str(HERE / "refused_kernels.py"))
    assert done.returncode == 0, done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", ["good sm_80", "good sm_90", "few rows", "good sm_100", "good gfx942"])
def test_a_good_product_passes(refused: dict[str, str], name: str) -> None:
    assert refused[name] == ""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("spills", "spills "),
        ("spills on AMD", "spills "),
        ("shared", "bytes of shared memory, there are 166912"),
        ("no product", "has no matrix instructions"),
        ("unknown", "does not compile: CompilationError"),
    ],
)
def test_what_must_not_be_is_refused(refused: dict[str, str], name: str, fault: str) -> None:
    assert fault in refused[name]


def unit(steps: str = "", rows: int = 64, warps: int = 4, dtype: str = "fp16", **constants: Any) -> Unit:
    function = SimpleNamespace(__name__="product", __module__="nowhere")
    codes = tuple([code for kind in steps.split() for code in (kind, 0.0, 0, 0)])
    constants |= {"STEPS": codes, "PRECISION": "ieee"}
    one = Compilation(function, {"x": f"*{dtype}"}, constants, {}, {"num_warps": warps}, matrix=True)
    return Unit("product", {"rows": rows, "group": constants.pop("GROUP", 1)}, dtype, "sm_90", one)


@pytest.mark.parametrize(
    ("of", "instructions", "faults"),
    [
        (unit(), ("HGMMA",), []),
        (unit(), ("HMMA",), ["has HMMA where wgmma is possible"]),
        (unit(warps=2), ("HMMA",), []),  # wgmma takes four warps
        (unit(dtype="fp32"), ("HMMA",), []),
        (unit(), (), ["has no matrix instructions"]),
    ],
)
def test_hopper_multiplies_with_wgmma(of: Unit, instructions: tuple[str, ...], faults: list[str]) -> None:
    made = SimpleNamespace(metadata=SimpleNamespace(shared=0), asm={"ttir": PRODUCT})
    assert list(gates(of, made, 0, instructions)) == faults


def test_tensor_memory_must_fit() -> None:
    made = SimpleNamespace(metadata=SimpleNamespace(shared=0, tmem_size=1024), asm={"ttir": ""})
    assert list(gates(unit(), made, 0, ("UTCHMMA",))) == ["needs 1024 columns of tensor memory, there are 512"]


def test_each_choice_is_compiled_once_with_the_most_steps() -> None:
    """Every configuration, type and kind of step is there, the longest first, and nothing that adds none of them."""
    units = [unit("relu"), unit("relu add"), unit("relu add", rows=128), unit("relu", rows=128), unit(dtype="bf16")]
    assert cover(units) == [units[1], units[2], units[4]]
    assert cover([unit("relu"), unit("add gate"), unit("gate add")]) == [unit("add gate"), unit("relu")]


def test_what_takes_more_registers_comes_first() -> None:
    units = [unit(EVEN=True), unit(EVEN=False), unit("relu", EVEN=True)]
    assert cover(units) == [units[2], units[1]]


def test_with_full_every_list_of_steps_is_compiled() -> None:
    units = [unit("relu"), unit("relu add"), unit("relu add", GROUP=8), unit("add")]
    assert len(cover(units)) == 1 and len(cover(units, full=True)) == 4


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_configuration_that_a_network_can_choose_is_covered(arch: str) -> None:
    """What is compiled has each block, of each function, that the tasks of a network allow."""
    found = units(KERNELS, tasks(["alexnet"], FEW_DTYPES), ARCHITECTURES[arch])
    chosen = {(one.compilation.function.__name__, shape(one)) for one in found}
    assert chosen == {(one.compilation.function.__name__, shape(one)) for one in cover(found)}


def test_the_interpreter_does_not_compile(capsys: pytest.CaptureFixture[str]) -> None:
    assert os.environ["TRITON_INTERPRET"]
    assert main(["alexnet"]) == 2
    assert "TRITON_INTERPRET is set" in capsys.readouterr().err


def test_an_unknown_network_is_told() -> None:
    done = compiling("-m", "netdsl_triton.aot", "alexnett")
    assert done.returncode == 2
    assert done.stderr.startswith("netdsl: there is no file and no shipped network called alexnett: did you mean")


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("groups", [1, 2])
def test_where_every_block_would_spill_the_smallest_is_left(arch: str, groups: int) -> None:
    """Few outputs of many inputs allow only long blocks, and a prologue forbids those."""
    weight = Parameter("w", (16, 512 // groups, 3, 3))
    steps = (Step(kind="affine", weights=(weight, weight)), Step(kind="relu"))
    op = FusedConv(
        kernel=(3, 3),
        stride=(1, 1),
        padding=((1, 1), (1, 1)),
        dilation=(1, 1),
        rounding="exact",
        out_channels=16,
        groups=groups,
        weight=weight,
        prologue=steps,
    )
    task = Task(op, (View(4, (512, 14, 14), 512, 0, "bf16"),), View(4, (16, 14, 14), 16, 0, "bf16"))
    configs = Conv().configs(task, ARCHITECTURES[arch])
    assert configs and all(int(config["block_k"]) <= LONGEST for config in configs)
