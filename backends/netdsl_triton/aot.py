"""Into what do the kernels compile on a device that is not here?  Compilation ahead of time, with gates.

    python -m netdsl_triton.aot [SPEC…] [--arch sm_90] [--kernel NAME] [--dtype bf16] [--full] [--verbose]

Every launch that the networks can ask for is a specialisation of a Triton function. Those are compiled for each
architecture, and the binary is looked at: no register may spill, the shared memory must fit, and what multiplies
matrices must use the device's instructions for it. The layers are those of a few networks which have every kind of
them; what multiplies has, besides its own steps, those of `step_lists`.

Without `--full`, every kernel is compiled once with each of its configurations as far as the binary differs (`shape`),
in bf16, products also in exact fp32, with the steps that need most registers; and with each kind of step, and each
form. With `--full` in every type, with each list of steps, of all shipped networks.

It needs Triton, and the compilers that come with it, but no device.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import netdsl
from netdsl.devices import DEVICES, Device
from netdsl.diagnostic import SpecError
from netdsl.files import shipped
from netdsl.graph import Graph
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.options import UsageError
from netdsl.passes import Context, inline, optimise, retype
from netdsl.passes.fused import BINARY, FusedConv, Step, Steps
from netdsl.prove import ShapeFault
from netdsl.record import Record
from netdsl.table import align
from netdsl.types import TensorType
from netdsl_triton.kernels import KERNELS
from netdsl_triton.kernels.base import Compilation, Config, Kernel
from netdsl_triton.task import Task, View

DTYPES = ("bf16", "fp16", "fp32", "tf32")
"""Of tensors; tf32 is fp32 whose products may be rounded."""
FEW_DTYPES = ("bf16", "fp32")
"""What is compiled without `--full`: fp16 takes the registers and instructions of bf16, tf32 has the same blocks."""
BATCHES = (1, 32)
OPEN_SIZES = (224, 256, 320)
"""What open heights and widths are tried with: the first that fits the network."""
NETWORKS = (
    "alexnet",
    "densenet121",
    "fcn8s",
    "googlenet",
    "mobilenet_v3_large",
    "resnet50",
    "resnext50_32x4d",
    "squeezenet1_1",
)
"""What is compiled without `--full`: what they ask for."""
MAX_ELEMENTS = 2000
"""Of a network that is looked at: longer ones repeat what shorter ones have."""

SHARED_MEMORY = {"sm_80": 163 << 10, "sm_90": 227 << 10, "sm_100": 227 << 10, "gfx942": 64 << 10}
"""Bytes that one block may have (CUDA C++ Programming Guide, table of technical specifications; CDNA 3 ISA, §2)."""
TENSOR_MEMORY = 512
"""Columns of tensor memory of a multiprocessor of sm_100 (PTX ISA, tcgen05.alloc)."""
MATRIX = {"sm_80": r"\bHMMA\b|\bDMMA\b", "sm_100": r"\bUTC\w*MMA\b|\bHMMA\b", "gfx942": r"\bv_mfma_\w+"}
"""The matrix instructions in the disassembled binary."""


class Unit(Record):
    """One compilation, and for what: a kernel in one configuration, tensors of one type, one architecture."""

    kernel: str
    config: Config
    dtype: str
    arch: str
    compilation: Compilation

    def __str__(self) -> str:
        config = ", ".join(f"{name} {value}" for name, value in self.config.items())
        return f"{self.kernel} ({config}) {self.dtype} {self.arch}"


class Compiled(Record):
    """What came of it.

    registers      for each thread
    spills         bytes (or registers, on AMD) that did not fit and live in memory
    shared         bytes of shared memory for each block
    instructions   the matrix instructions that the binary has
    faults         what the gates say; empty where all is well
    """

    registers: int
    spills: int
    shared: int
    instructions: tuple[str, ...]
    faults: tuple[str, ...]
    seconds: float


def architecture(device: Device) -> str:
    """`sm_90`, `gfx942`."""
    backend, arch = device.arch
    return f"sm_{arch}" if backend == "cuda" else str(arch)


ARCHITECTURES = {architecture(device): device for device in DEVICES.values() if device.arch[0] != "cpu"}


# --- what is compiled -------------------------------------------------------------------------------------------


def fused(net: Net, context: Context) -> Graph[TensorType] | None:
    """The fused graph of a network, open sizes made numbers; None where none of those that are tried fits."""
    flat = inline(net.graph)
    for size in OPEN_SIZES:
        shapes = [tuple([s if isinstance(s, int) else size for s in shape]) for shape in net.inputs.values()]
        try:
            return optimise(retype(flat, shapes), context)
        except ShapeFault:
            continue
    return None


def tasks_of(graph: Graph[TensorType], batch: int, dtype: str) -> Iterator[Task]:
    """What the elements of a fused graph have to do, each on buffers of its own."""
    views = [_view(input.type, batch, dtype) for input in graph.inputs]
    for node in graph.nodes:
        assert isinstance(node.op, Op)
        views.append(_view(node.type, batch, dtype))
        yield Task(node.op, tuple([views[v] for v in node.inputs]), views[-1])


def _view(type: TensorType, batch: int, dtype: str) -> View:
    shape = tuple([int(size) for size in type.shape if isinstance(size, int)])
    return View(batch, shape, shape[0], 0, dtype)


def step_lists(op: FusedConv, full: bool) -> Iterator[tuple[Steps, Steps, bool]]:
    """Prologue and epilogue, and whether there is a bias: without `full`, the longest that networks have."""
    affine, relu, silu = Step(kind="affine", weights=(op.weight, op.weight)), Step(kind="relu"), Step(kind="silu")
    add, gate = Step(kind="add", input=1), Step(kind="gate", input=1)
    yield (), (add, relu), True
    yield (affine, relu), (add, relu), True
    if full:
        yield (affine, silu), (add, relu), True
        yield (), (), False
        yield (), (relu,), True
        yield (), (gate,), True


def stepped(task: Task, full: bool) -> Iterator[Task]:
    """The task, and where it multiplies, the same with each of `step_lists`."""
    yield task
    op, x, y = task.op, task.inputs[0], task.output
    if not isinstance(op, FusedConv):
        return
    for prologue, epilogue, bias in step_lists(op, full):
        other = [step.kind for step in epilogue if step.kind in BINARY]
        read = {"add": y, "gate": View(y.batch, y.shape[:1], y.channels, 0, y.dtype)}
        changed = op.replace(prologue=prologue, epilogue=epilogue, bias=op.weight if bias else None)
        yield Task(changed, (x, *[read[kind] for kind in other]), y)


def tasks(specs: Iterable[str], dtypes: Iterable[str], full: bool = False) -> list[Task]:
    """All different tasks of these networks, fused as for bf16 on an H200. Names of weights make no difference."""
    found: dict[tuple[str, str], Task] = {}
    nets = [net for spec in specs if len((net := netdsl.load(spec)).layers) <= MAX_ELEMENTS]
    for net in nets:
        for batch in BATCHES:
            graph = fused(net, Context(batch, "bf16"))
            own = tasks_of(graph, batch, "bf16") if graph else ()
            for task in (changed for one in own for changed in stepped(one, full)):
                shape = re.sub(r"name='[^']*'|norm='[^']*'", "", repr(task))
                for dtype in dtypes:
                    found.setdefault((shape, dtype), in_dtype(task, dtype))
    return list(found.values())


def in_dtype(task: Task, dtype: str) -> Task:
    """The same task on tensors of another type."""
    stored = "fp32" if dtype == "tf32" else dtype
    inputs = tuple([view.replace(dtype=stored) for view in task.inputs])
    return task.replace(inputs=inputs, output=task.output.replace(dtype=stored), allow_tf32=dtype == "tf32")


def units(kernels: Sequence[Kernel], tasks: Iterable[Task], device: Device) -> list[Unit]:
    """Every different compilation that the tasks can ask for."""
    found: dict[str, Unit] = {}
    arch = architecture(device)
    for task in tasks:
        for kernel in kernels:
            if kernel.claims(task, device):
                continue
            for config in kernel.configs(task, device):
                for one in kernel.compilations(task, config, device):
                    unit = Unit(kernel.name, config, "tf32" if task.allow_tf32 else task.output.dtype, arch, one)
                    found.setdefault(f"{kernel.name} {_key(one)}", unit)
    return list(found.values())


def _key(one: Compilation) -> str:
    function = f"{one.function.__module__}.{one.function.__name__}"
    return repr((function, one.signature, one.constants, sorted(one.attributes.items()), sorted(one.options.items())))


def cover(units: Iterable[Unit], full: bool = False) -> list[Unit]:
    """Of the units, so many that each of their `traits` is there at least once; the costliest come first."""
    taken, seen = [], set[Any]()
    for unit in sorted(units, key=cost, reverse=True):
        if not (found := traits(unit, full)) <= seen:
            seen |= found
            taken.append(unit)
    return taken


def cost(unit: Unit) -> tuple[int, ...]:
    """What takes registers and memory, the most important first: steps, masks and stages, whole sums, narrow loads."""
    one = unit.compilation
    steps = sum(len(one.constants.get(name) or ()) for name in ("PROLOGUE", "STEPS"))
    uneven = sum(value is False for name, value in one.constants.items() if name.startswith("EVEN"))
    units = sum(value for name, value in one.constants.items() if name.endswith("UNIT"))
    return steps, uneven + one.options.get("num_stages", 0), -int(one.constants.get("SPLIT", 1)), -units


def traits(unit: Unit, full: bool) -> set[Any]:
    """What must have been compiled once: configurations in each type, kinds of steps, values of constants.

    If not `full`, only as far as another binary comes of it: of numbers, those that are the sizes of blocks, and each
    type for each block of products alone, since what else is computed is computed in fp32.
    """
    one, function = unit.compilation, unit.compilation.function.__name__
    lists = tuple([repr((one.constants.get(name) or ())[::4]) for name in ("PROLOGUE", "STEPS")])
    if full:
        found: set[Any] = {(unit.kernel, function, repr(unit.config), unit.dtype, lists)}
        return found | {(function, name, repr(value)) for name, value in one.constants.items()}
    divided = one.constants.get("SPLIT", 1) > 1
    dtype = unit.dtype if "PRECISION" in one.constants else ""
    found = {(function, shape(unit), dtype), (unit.kernel, unit.dtype), (function, "SPLIT", divided)}
    for name, value in one.constants.items():
        if name in ("PROLOGUE", "STEPS"):
            found |= {(name, kind) for kind in (value or ())[::4]}
        elif isinstance(value, bool | str):
            found.add((function, name, value))
    return found


def shape(unit: Unit) -> tuple[Any, ...]:
    """What of a configuration makes another binary: blocks, warps and forms, not how often there is one."""
    same = ("group", "num_stages", "split", "clamp")  # a prologue as bounds or not: both change x
    return tuple(sorted((name, value) for name, value in unit.config.items() if name not in same and value != "two"))


# --- compiling and looking at it ----------------------------------------------------------------------------------


def compile_unit(unit: Unit) -> Compiled:
    """Compiles one, and looks at the binary. What the compiler refuses is a fault, too."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler import compile as triton_compile

    backend, arch = ARCHITECTURES[unit.arch].arch
    one = unit.compilation
    source = ASTSource(one.function, one.signature, one.constants, one.attributes)
    target = GPUTarget(backend, arch, 64 if backend == "hip" else 32)
    start, log = time.process_time(), io.StringIO()
    try:
        with contextlib.redirect_stdout(log):  # the report of ptxas comes there
            made = triton_compile(source, target=target, options=dict(one.options))
    except Exception as error:
        return Compiled(0, 0, 0, (), (f"does not compile: {_reason(error)}",), 0.0)
    registers, spills = (_ptxas if backend == "cuda" else _amd)(log.getvalue(), made.asm)
    instructions = _instructions(unit.arch, made.asm) if one.matrix else ()
    faults = list(gates(unit, made, spills, instructions))
    seconds = time.process_time() - start
    return Compiled(registers, spills, made.metadata.shared, instructions, tuple(faults), seconds)


def _reason(error: BaseException) -> str:
    """The cause of what the compiler raised, on one line: where it was found comes before it."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = getattr(error, "error_message", None) or str(error)
    return f"{type(error).__name__}: {' '.join(said.split())[-300:]}"


def gates(unit: Unit, made: Any, spills: int, instructions: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with a binary."""
    if spills:
        yield f"spills {spills}"
    if made.metadata.shared > SHARED_MEMORY[unit.arch]:
        yield f"needs {made.metadata.shared} bytes of shared memory, there are {SHARED_MEMORY[unit.arch]}"
    if (getattr(made.metadata, "tmem_size", 0) or 0) > TENSOR_MEMORY:
        yield f"needs {made.metadata.tmem_size} columns of tensor memory, there are {TENSOR_MEMORY}"
    if unit.compilation.matrix and not instructions:
        yield "has no matrix instructions"
    elif unit.compilation.matrix and unit.arch == "sm_90" and _wants_wgmma(unit, made.asm["ttir"]):
        if "HGMMA" not in instructions:
            yield f"has {', '.join(instructions)} where wgmma is possible"


def _wants_wgmma(unit: Unit, ttir: str) -> bool:
    """Whether every product is large enough: wgmma takes 64 rows at least, and four warps (PTX ISA, wgmma)."""
    rows = [int(found) for found in re.findall(r"tt\.dot .*-> tensor<(\d+)x", ttir)]
    return unit.dtype != "fp32" and min(rows, default=0) >= 64 and unit.compilation.options.get("num_warps", 4) >= 4


def _ptxas(log: str, asm: Any) -> tuple[int, int]:
    """Registers, and bytes that are spilled, of the report of `ptxas -v`."""
    used, spilled = re.search(r"Used (\d+) registers", log), re.findall(r"(\d+) bytes spill (?:stores|loads)", log)
    assert used, f"ptxas did not report: {log!r}"
    return int(used[1]), sum(map(int, spilled))


def _amd(log: str, asm: Any) -> tuple[int, int]:
    """Vector registers, and those that are spilled, of the metadata of the assembly."""
    counts = dict(re.findall(r"^\s*\.(vgpr_count|vgpr_spill_count):\s*(\d+)", asm["amdgcn"], re.MULTILINE))
    return int(counts["vgpr_count"]), int(counts["vgpr_spill_count"])


def _instructions(arch: str, asm: Any) -> tuple[str, ...]:
    """The names of the matrix instructions in the binary."""
    text = asm["amdgcn"] if arch.startswith("gfx") else _sass(asm["cubin"])
    return tuple(sorted(set(re.findall(MATRIX.get(arch, r"\bHGMMA\b|\bHMMA\b"), text))))


def _sass(cubin: bytes) -> str:
    import triton

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, "-sass", file.name]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def compile_all(units: Sequence[Unit], jobs: int) -> Iterator[tuple[Unit, Compiled]]:
    """Compiles them in processes of their own, with nothing kept in Triton's cache."""
    global _units
    _units = units
    with tempfile.TemporaryDirectory(prefix="netdsl-aot-") as folder:
        os.environ |= {"TRITON_CACHE_DIR": folder, "TRITON_ALWAYS_COMPILE": "1", "TRITON_DUMP_PTXAS_LOG": "1"}
        # Functions and step lists need not be pickled where the processes are forks.
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
            yield from zip(units, pool.map(_compile_numbered, range(len(units)), chunksize=4))


_units: Sequence[Unit] = ()


def _compile_numbered(i: int) -> Compiled:
    return compile_unit(_units[i])


# --- the command ----------------------------------------------------------------------------------------------------


def table(done: Sequence[tuple[Unit, Compiled]], verbose: bool) -> list[str]:
    """A row for each kernel, architecture and type; with `verbose`, for each configuration."""
    rows: list[tuple[str, ...]] = [("kernel", "arch", "type", "compiled", "registers", "shared", "seconds", "matrix")]
    groups: dict[tuple[str, ...], list[Compiled]] = {}
    for unit, result in done:
        config = ", ".join(f"{name} {value}" for name, value in unit.config.items()) if verbose else ""
        groups.setdefault((unit.kernel, unit.arch, unit.dtype, config), []).append(result)
    for (kernel, arch, dtype, config), results in sorted(groups.items()):
        registers, shared = (max(getattr(result, name) for result in results) for name in ("registers", "shared"))
        seconds = sum(result.seconds for result in results)
        matrix = " ".join(sorted({name for result in results for name in result.instructions}))
        numbers = (str(len(results)), str(registers), str(shared), f"{seconds:.1f}")
        rows.append((kernel, arch, dtype, *numbers, f"{matrix} {config}".strip()))
    return align(rows, right=(3, 4, 5, 6))


def build_parser() -> argparse.ArgumentParser:
    names = [kernel.name for kernel in KERNELS]
    parser = argparse.ArgumentParser(prog="python -m netdsl_triton.aot", description="Compiles the kernels, no device.")
    parser.add_argument("specs", nargs="*", metavar="SPEC", help="for which networks (a few)")
    parser.add_argument("--arch", action="append", choices=list(ARCHITECTURES), help="for which architecture (all)")
    parser.add_argument("--kernel", action="append", choices=names, help="which kernel (all)")
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="for tensors of which type (all)")
    parser.add_argument("--full", action="store_true", help="all networks, types, lists of steps and forms")
    parser.add_argument("--verbose", action="store_true", help="a row for each configuration")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes (2 at most)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Compiles, prints the table and the faults, and returns 1 where there are faults."""
    if os.environ.get("TRITON_INTERPRET"):
        raise UsageError("TRITON_INTERPRET is set, and the interpreter does not compile: unset it")
    try:
        import triton  # noqa: F401
    except ImportError:
        raise UsageError('triton is missing: `pip install "netdsl[triton]"`') from None
    kernels = [kernel for kernel in KERNELS if not args.kernel or kernel.name in args.kernel]
    found: list[Unit] = []
    dtypes = args.dtype or (DTYPES if args.full else FEW_DTYPES)
    asked = tasks(args.specs or (shipped() if args.full else NETWORKS), dtypes, args.full)
    for arch in args.arch or ARCHITECTURES:
        here = units(kernels, asked, ARCHITECTURES[arch])
        found += cover(here, args.full)
    done = list(compile_all(found, max(1, args.jobs)))
    print(*table(done, args.verbose), sep="\n")
    faults = [f"{unit}: {fault}" for unit, result in done for fault in result.faults]
    print(f"\n{len(done)} compiled, {len(faults)} faults", *faults, sep="\n")
    return 1 if faults else 0


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    try:
        return run(args)
    except SpecError as error:
        print(error, file=sys.stderr)
        return 1
    except (UsageError, FileNotFoundError) as error:
        print(f"netdsl: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
