"""Compilation ahead of time: what every kernel becomes on each architecture, and gates that can refuse it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from netdsl_triton.aot import ARCHITECTURES, Unit, cover, gates, main
from netdsl_triton.kernels.base import Compilation

pytest.importorskip("triton", reason="triton is missing")

KERNELS = ("pool", "lrn", "mean", "pointwise", "copy")
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
    chosen = [word for name in KERNELS for word in ("--kernel", name)]
    done = compiling("-m", "netdsl_triton.aot", "--arch", arch, "--jobs", "1", *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 faults" in done.stdout and all(f"\n{name} " in done.stdout for name in KERNELS)


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


def unit(steps: str = "", rows: int = 64, warps: int = 4, dtype: str = "fp16", kernel: str = "product") -> Unit:
    function = SimpleNamespace(__name__="product", __module__="nowhere")
    one = Compilation(function, {"x": f"*{dtype}"}, {"STEPS": steps}, {}, {"num_warps": warps}, matrix=True)
    return Unit(kernel, {"rows": rows}, dtype, "sm_90", one)


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


def test_each_choice_is_compiled_once() -> None:
    """Every configuration, type and constant is there, the longest first, and nothing that adds none of them."""
    units = [unit("relu"), unit("relu, add"), unit("relu, add", rows=128), unit("relu", rows=128), unit(dtype="bf16")]
    assert cover(units) == [units[1], units[2], units[0], units[4]]


def test_the_interpreter_does_not_compile(capsys: pytest.CaptureFixture[str]) -> None:
    assert os.environ["TRITON_INTERPRET"]
    assert main(["alexnet"]) == 2
    assert "TRITON_INTERPRET is set" in capsys.readouterr().err


def test_an_unknown_network_is_told() -> None:
    done = compiling("-m", "netdsl_triton.aot", "alexnett")
    assert done.returncode == 2
    assert done.stderr.startswith("netdsl: there is no file and no shipped network called alexnett: did you mean")
