"""What do the Triton kernels share?  Steps as arguments, packed vectors, alignment, ahead-of-time compilation, costs.

A kernel makes its arguments by one function, from tensors to launch it (`bind`) and from `Pointer`s to compile it ahead
of time (`compilations`), so that the two cannot differ. Nothing here imports torch or Triton when it is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from operator import le
from typing import TYPE_CHECKING, Any

from netdsl.devices import BYTES, Device
from netdsl.passes.fused import BINARY, MAX_OPERANDS, Steps
from netdsl.record import Record
from netdsl_triton.kernels.base import Compilation
from netdsl_triton.task import Task, View

if TYPE_CHECKING:
    from torch import Tensor

CHANNEL_PAD = 256
"""Packed vectors are as long as a multiple of it; no block of channels is wider, so none reaches over the end."""
Block = tuple[int, int, int, int]
"""M, N and K of a block, and warps."""
BLOCKS: tuple[Block, ...] = (
    (128, 256, 64, 8),
    (256, 128, 64, 8),
    (128, 128, 64, 8),
    (128, 128, 64, 4),
    (128, 128, 32, 4),
    (256, 64, 64, 8),
    (128, 64, 64, 4),
    (64, 128, 64, 4),
    (128, 32, 64, 4),
    (64, 64, 64, 4),
    (64, 64, 32, 4),
    (64, 32, 64, 4),
    (64, 32, 128, 4),
    (64, 16, 128, 4),
    (32, 64, 128, 4),
    (16, 64, 128, 4),
    (16, 32, 256, 4),
)
"""For the matrix instructions."""
EXACT_BLOCKS: tuple[Block, ...] = ((64, 64, 16, 4), (64, 32, 32, 4), (32, 32, 32, 4), (16, 32, 64, 4))
"""For fp32 that must not be rounded: ordinary arithmetic, so every product needs registers."""
MOST_HELD: dict[int | str, int] = {80: 152, 90: 170, 100: 127}
"""Of the registers of a thread (255, on AMD twice as many), how many `held` may count; on sm_100 what leaves the
tensor memory takes its share."""
SPILLING: dict[int | str, tuple[Block, ...]] = {80: ((64, 64, 16, 4),), 100: ((128, 32, 64, 4),)}
"""Blocks that need more registers than there are on a device for no reason that `held` knows, as its compiler says."""
SMALLEST: Block = (16, 16, 32, 4)
DTYPES = ("fp32", "fp16", "bf16")
Arguments = dict[str, Any]


class Coded(Record):
    """Steps as `netdsl_triton.jit.steps` takes them.

    codes       kind, value, first row of the vectors, number of the operand: four for each step
    vectors     for each row of the vectors, the name of the weight
    operands    for operands 1, 2: which input of the element
    """

    codes: tuple[str | float | int, ...] = ()
    vectors: tuple[str, ...] = ()
    operands: tuple[int, ...] = ()


def coded(steps: Steps, part: str, bias: bool = False) -> Coded:
    """The steps of `part` (prologue or epilogue), after those of the bias if there is one.

    They may have more operands than a kernel takes: `refusal` tells.
    """
    codes: list[str | float | int] = ["bias", 0.0, 0, 0] if bias else []
    vectors = ["bias"] if bias else []
    others = tuple(dict.fromkeys(step.input for step in steps if step.kind in BINARY))
    for i, step in enumerate(steps):
        number = others.index(step.input) + 1 if step.kind in BINARY else 0
        codes += [step.kind, float(step.value), len(vectors) if step.weights else 0, number]
        vectors += [f"{part}.{i}.{k}" for k in range(len(step.weights))]
    return Coded(tuple(codes), tuple(vectors), others)


def coded_steps(task: Task, bias: bool = False) -> tuple[Coded, Coded]:
    """Of the prologue of a task, and of its epilogue; a bias, its own or one that packing makes, comes first there."""
    op = task.op
    own = getattr(op, "bias", None) is not None
    return coded(getattr(op, "prologue", ()), "prologue"), coded(getattr(op, "epilogue", ()), "epilogue", own or bias)


def refusal(task: Task, *parts: Steps, gates: bool = False) -> str:
    """Why no kernel of ours can do a task with these steps, or ''. `gates`: whether its prologue may read operands."""
    views = (*task.inputs, task.output)
    if len({view.dtype for view in views}) > 1:
        return "its tensors are of several types"
    if task.output.dtype not in DTYPES:
        return f"no kernel for {task.output.dtype}"
    if max(len(coded(steps, "").operands) for steps in (*parts, ())) > MAX_OPERANDS:
        return f"more than {MAX_OPERANDS} operands"
    if not gates and any(step.kind in BINARY for step in getattr(task.op, "prologue", ())):
        return "its prologue has a gate"
    return ""


def supported(device: Device) -> bool:
    """Whether Triton compiles for it and has the matrix instructions that the blocks are made for."""
    kind, arch = device.arch
    return kind == "hip" or (kind == "cuda" and int(arch) >= 80)


def clampable(steps: Steps) -> bool:
    """Whether it is relu(s·x + t), which `clamp_form` turns into bounds."""
    return [step.kind for step in steps] == ["affine", "relu"]


def clamp_form(s: Tensor, t: Tensor, dtype: str) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """low, high, f, c, d with relu(s·x + t) = f·(min(max(x, low), high) - c) + d, for each channel.

    c is -t/s, the lower bound of x where s > 0, the upper one where s < 0. It is rounded to `dtype`, that of x, so that
    what relu cuts off is zero exactly. Where it is beyond the range of the type (s is zero, or nearly), the channel
    is always on, or always off.
    """
    import torch

    c = in_type(-t / s, dtype).float()
    beyond = torch.isinf(c) | (s == 0)
    constant = (beyond & (t <= 0)) | (s == 0)
    infinite = torch.full_like(c, math.inf)
    low = torch.where(beyond | (s < 0), -infinite, c).masked_fill(constant, 0.0)
    high = torch.where(beyond | (s > 0), infinite, c).masked_fill(constant, 0.0)
    return (
        low,
        high,
        s.masked_fill(constant, 0.0),
        c.masked_fill(beyond, 0.0),
        torch.where(beyond, t.clamp(min=0.0), 0.0),
    )


def in_type(x: Tensor, dtype: str) -> Tensor:
    from netdsl_triton.dtypes import DTYPES

    return x.to(DTYPES[dtype])


def padded(matrix: Tensor, blocks: tuple[int, ...]) -> Tensor:
    """The same, with zeros after the end of each axis, up to a multiple of the block."""
    import torch

    out = torch.zeros(
        [round_up(size, block) for size, block in zip(matrix.shape, blocks)], dtype=matrix.dtype, device=matrix.device
    )
    out[tuple([slice(size) for size in matrix.shape])] = matrix
    return out


def pack_vectors(code: Coded, weights: Mapping[str, Tensor], channels: int, times: int = 1, room: int = 0) -> Tensor:
    """rows x (channels, padded with zeros), fp32; a vector of one value is spread. At least one row.

    `times` is how often the channels come, for a map that is read as one row; `room` is left after them at least, for
    tiles that do not begin at multiples of their blocks.
    """
    import torch

    like = next(iter(weights.values()), torch.empty(0, device="cpu"))
    out = torch.zeros(max(len(code.vectors), 1), round_up(channels * times + room, CHANNEL_PAD), device=like.device)
    for row, name in enumerate(code.vectors):
        out[row, : channels * times] = weights[name].reshape(-1).expand(channels).repeat(times)
    return out


def prologue_arguments(code: Coded, vectors: Any) -> Arguments:
    """PROLOGUE, prologue_vectors, prologue_pitch for what a kernel does on what it reads."""
    return {"PROLOGUE": code.codes, "prologue_vectors": vectors, "prologue_pitch": int(vectors.shape[1])}


def step_arguments(task: Task, code: Coded, vectors: Any, inputs: Sequence[Any]) -> Arguments:
    """STEPS, vectors, pitch, other1, pitch1, other2, pitch2 for `apply_steps`; `vectors` is from `pack_vectors`."""
    found: Arguments = {"STEPS": code.codes, "vectors": vectors, "pitch": int(vectors.shape[1])}
    for number in range(1, MAX_OPERANDS + 1):
        used = number <= len(code.operands)
        found[f"other{number}"] = inputs[code.operands[number - 1]] if used else None
        found[f"pitch{number}"] = task.inputs[code.operands[number - 1]].pitch if used else 0
    return found


def unit(views: Iterable[View]) -> int:
    """How many channels, 16 at most, divide the pitch, the offset and the width of all: so many are read at once."""
    return math.gcd(16, *[value for view in views for value in (view.pitch, view.offset, view.channels)])


def written(task: Task, code: Coded) -> tuple[View, ...]:
    """The output, and the operands that are read like it."""
    return (task.output, *[task.inputs[i] for i in code.operands])


class Pointer(Record):
    """Stands for a tensor where there is none: what its address is known to be a multiple of, in bytes."""

    dtype: str
    aligned: bool = True
    shape: tuple[int, ...] = ()


def pointer(view: View) -> Pointer:
    """Buffers begin at multiples of 16 bytes; slices may not."""
    return Pointer(view.dtype, view.offset * BYTES[view.dtype] % 16 == 0, (view.batch, *view.shape))


def vectors_pointer(code: Coded, channels: int, room: int = 0) -> Pointer:
    return Pointer("fp32", shape=(max(len(code.vectors), 1), round_up(channels + room, CHANNEL_PAD)))


def split_scratch(split: int, tiles: int, values: int, device: Any) -> tuple[Any, Any]:
    """For sums that are divided: the parts, fp32, and a counter for each tile. None if they are not divided.

    A launch owns them, so one launch must end before it is launched again.
    """
    import torch

    if split == 1:
        return None, None
    return torch.empty(split * tiles * values, device=device), torch.zeros(tiles, dtype=torch.int32, device=device)


def compilation(function: Any, arguments: Arguments, options: dict[str, int], matrix: bool) -> Compilation:
    """What a launch with these arguments compiles, as Triton specialises it.

    Ones and None become constants, multiples of 16 are marked. The names of constants are in capitals.
    """
    signature: dict[str, str] = {}
    constants: dict[str, Any] = {}
    attributes: dict[tuple[int, ...], list[list[Any]]] = {}
    for position, name in enumerate(function.arg_names):
        value = arguments[name]
        aligned = False
        if name.isupper() or value is None or (isinstance(value, int) and value == 1):
            signature[name] = "constexpr"
            constants[name] = value
        elif isinstance(value, Pointer):
            signature[name] = f"*{value.dtype}"
            aligned = value.aligned
        elif isinstance(value, int):
            signature[name] = "i32" if -(2**31) <= value < 2**31 else "i64"
            aligned = value % 16 == 0
        else:  # a descriptor: its type in the words of the compiler
            signature[name] = str(value)
        if aligned:
            attributes[(position,)] = [["tt.divisibility", 16]]
    return Compilation(function, signature, constants, attributes, options, matrix)


def is_exact(task: Task, device: Device) -> bool:
    """Whether products must not be rounded, so that the matrix instructions are of no use."""
    return task.output.dtype == "fp32" and matrix_precision(task, device.arch[0]) == "ieee"


def held(task: Task, device: Device, block: Block, descriptors: bool = False) -> float:
    """About how many registers of a thread a block takes: more than `MOST_HELD`, and the compiler spills.

    One for each sum; one for each value of x where it is changed before it is multiplied (by a prologue, or rounded to
    tf32), so that it does not stay in shared memory; where blocks are loaded through pointers, an address of two for
    each eight values of 16 bits. On sm_90, as wgmma gives a thread a quarter of the columns, so many for a vector of
    the epilogue, and of a tensor that it reads a quarter of the values that are on their way.
    """
    block_m, block_n, block_k, warps = block
    changed = bool(getattr(task.op, "prologue", ())) or BYTES[task.output.dtype] == 4
    reads = any(step.kind in BINARY for step in getattr(task.op, "epilogue", ()))
    loaded = 0.0 if descriptors else (block_m + block_n) * block_k * 2 / 8
    values = block_m * block_n + loaded + (block_m * block_k if changed else 0)
    if device.arch != ("cuda", 90):
        return values / (32 * warps)
    return (values + (block_m * block_n / 4 if reads else 0)) / (32 * warps) + block_n / 4


def fitting(task: Task, device: Device, m: int, n: int, k: int, descriptors: bool = False) -> list[Block]:
    """The blocks (M, N, K, warps) that are not too large for sizes and registers; the smallest always fits."""
    blocks = EXACT_BLOCKS if is_exact(task, device) else BLOCKS
    spilling, most = SPILLING.get(device.arch[1], ()), MOST_HELD.get(device.arch[1], MOST_HELD[80])
    limits = [max(power_of_two(size), least) for size, least in ((m, 16), (n, 16), (k, 32))]
    found = [block for block in blocks if block not in spilling and all(map(le, block, limits))]
    return [block for block in found if held(task, device, block, descriptors) <= most] or [SMALLEST]


def shared_memory(device: Device) -> int:
    """Bytes that the blocks of one program may take, on the smallest of the devices of this kind."""
    kind, arch = device.arch
    if kind == "hip":
        return 64 << 10
    return {80: 160 << 10, 90: 224 << 10, 100: 224 << 10}.get(int(arch), 96 << 10)


def block_config(
    task: Task, device: Device, block: Block, depth: int, stored: bool = False
) -> dict[str, int | str | bool]:
    """A configuration with this block, and as many stages as shared memory holds, beside a block of M x N if `stored`.

    That block needs more room, as much again in fp32 and half in 16 bits, to be brought into the order in which it is
    stored. No more stages than the loop over the depth has steps: what is reserved for them would keep others out.
    """
    block_m, block_n, block_k, warps = block
    if BYTES[task.output.dtype] == 4 and block_k > 16:
        block_k //= 2
    size = BYTES[task.output.dtype]
    room = shared_memory(device) - (block_m * block_n * (8 if size == 4 else 3) if stored else 0)
    stages = min(room // ((block_m + block_n) * block_k * size), -(-depth // block_k), 4)
    return {
        "block_m": block_m,
        "block_n": block_n,
        "block_k": block_k,
        "num_warps": warps,
        "num_stages": 2 if device.arch[0] == "hip" else max(stages, 2),
    }


def launch_options(config: Mapping[str, Any]) -> dict[str, int]:
    """What of a configuration is the compiler's."""
    return {name: int(config[name]) for name in ("num_warps", "num_stages") if name in config}


def matrix_precision(task: Task, device_kind: str) -> str:
    """`input_precision` of tl.dot: tf32 where it is allowed and there; it says nothing for 16-bit types."""
    return "tf32" if task.output.dtype == "fp32" and task.allow_tf32 and device_kind == "cuda" else "ieee"


def rate(task: Task, device: Device) -> float:
    """Operations per second of its matrix instructions for the type of the task."""
    dtype = task.output.dtype
    return device.flops["tf32" if dtype == "fp32" and task.allow_tf32 else dtype]


def tiled_seconds(
    device: Device, task: Task, config: Mapping[str, Any], tiles: int, depth: int, moved: float, efficiency: float
) -> float:
    """A guess for `tiles` blocks of M x N, each a product over `depth` in steps of K.

    The slowest of: arithmetic, of whole rounds of blocks over the multiprocessors; bytes from memory; bytes from the
    second-level cache, which each block reads anew; and the latency of one block's loop. Few programs on a
    multiprocessor hide less of the time in which they load their first block and store their result.
    """
    block_m, block_n, block_k = (int(config[name]) for name in ("block_m", "block_n", "block_k"))
    size = BYTES[task.output.dtype]
    rounds = -(-tiles // device.units)
    arithmetic = rounds * 2.0 * block_m * block_n * depth / (rate(task, device) * efficiency / device.units)
    arithmetic *= max(1.0, math.sqrt(NARROW * (block_m + block_n) / (block_m * block_n)))
    cached = tiles * (block_m + block_n) * depth * size / (CACHE * device.bandwidth)
    latency = device.launch + FIRST + STEP * -(-depth // block_k)
    exposed = EXPOSED / min(resident(device, config, size), -(-tiles // device.units))
    return max(arithmetic * (1 + exposed) + FIRST, moved / device.bandwidth * (1 + exposed) + FIRST, cached, latency)


def resident(device: Device, config: Mapping[str, Any], size: int) -> int:
    """About how many programs share a multiprocessor: by their registers and by shared memory."""
    block_m, block_n, block_k = (int(config[name]) for name in ("block_m", "block_n", "block_k"))
    threads = 32 * int(config["num_warps"])
    registers = block_m * block_n + 64 * threads
    shared = (block_m + block_n) * block_k * size * int(config["num_stages"])
    return max(min((64 << 10) // registers, shared_memory(device) // shared, ENOUGH), 1)


ENOUGH = 4
"""More programs on a multiprocessor hide nothing more; a guess."""
NARROW = 64
"""Blocks of which a value that is loaded is used fewer times (M·N/(M + N)) do not keep the matrix instructions busy."""
EXPOSED = 0.2
"""Of a program's time, what it neither computes nor moves at its peak if it is alone on a multiprocessor; a guess."""
POINTERS = 0.7
"""Of the peak, what large blocks reach in the loop; a guess."""
DESCRIPTORS = 0.8
"""The same where the tensor memory accelerator moves the blocks; a guess."""
ARRIVAL = 1e-6
"""Seconds to hand over the parts of a divided sum; a guess."""
CACHE = 1.6
"""Bandwidth of the second-level cache over that of the memory; a guess, near what is published for Hopper."""
FIRST = 1.0e-6
"""Seconds until the first block is loaded and the last is stored; a guess."""
STEP = 1.5e-7
"""Seconds of one step of a loop with loads in flight, at least; a guess."""


def round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def power_of_two(value: int) -> int:
    """The smallest power of two that is not less."""
    return 1 << max(value - 1, 0).bit_length()


def moved_bytes(task: Task, weights: int) -> float:
    """Bytes that must move once: every input, the output, so many weights."""
    size = BYTES[task.output.dtype]
    return task.bytes + float(weights * size)
