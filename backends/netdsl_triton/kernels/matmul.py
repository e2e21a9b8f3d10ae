"""When is an element a matrix product, and with which blocks?  1x1 convolutions and linear layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.devices import BYTES, Device
from netdsl.passes.fused import BINARY, FusedConv
from netdsl_triton.kernels.base import Compilation, Config, Launch
from netdsl_triton.kernels.common import (
    ARRIVAL,
    DESCRIPTORS,
    POINTERS,
    Arguments,
    Pointer,
    block_config,
    clamp_form,
    clampable,
    coded_steps,
    compilation,
    fitting,
    in_type,
    is_exact,
    launch_options,
    matrix_precision,
    moved_bytes,
    pack_vectors,
    padded,
    pointer,
    refusal,
    round_up,
    split_scratch,
    step_arguments,
    supported,
    tiled_seconds,
    unit,
    vectors_pointer,
    written,
)
from netdsl_triton.task import Task

if TYPE_CHECKING:
    from torch import Tensor

MANY = 8
"""So many configurations are worth trying."""
LARGE = 8 << 20
"""Weights of more bytes do not stay in the cache while rows pass by."""


class Sizes:
    """M, N, K of the product, and what of the map its rows are."""

    def __init__(self, task: Task) -> None:
        op, x = task.op, task.inputs[0]
        assert isinstance(op, FusedConv)
        self.n = op.out_channels
        self.k = x.channels * (math.prod(x.spatial) if op.flat else 1)
        self.m = task.output.pixels
        self.pixels = math.prod(task.output.spatial)
        self.strided = not op.is_gemm

    def tiles(self, config: Config) -> int:
        return -(-self.m // int(config["block_m"])) * -(-self.n // int(config["block_n"]))


class Matmul:
    """y = epilogue(prologue(x)·wᵀ + b) over the pixels of a map (`jit.matmul`)."""

    name = "matmul"

    def claims(self, task: Task, device: Device) -> str:
        op = task.op
        if not isinstance(op, FusedConv):
            return "not a convolution or linear layer"
        if not supported(device):
            return f"Triton has no matrix products for {device.name}"
        ones = op.groups == 1 and set(op.kernel) <= {1} and not any(map(any, op.padding)) and len(op.kernel) <= 2
        if not op.is_gemm and not ones:
            return "not a matrix product over pixels"
        if op.flat and task.inputs[0].is_slice and math.prod(task.inputs[0].spatial) > 1:
            return "its map is a slice, and cannot be read as one row"
        return refusal(task, op.prologue, op.epilogue, gates=not op.flat or math.prod(task.inputs[0].spatial) == 1)

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        found = [
            {**config, **form}
            for config in (*self._plain(task, device), *self._descriptors(task, device))
            for form in self._forms(task)
        ]
        found.sort(key=lambda config: self.seconds(task, config, device))
        return found[:MANY]

    def _forms(self, task: Task) -> Sequence[Config]:
        """Of the prologue. Bounds cost least where x is rounded anyway; in exact fp32 they would lose digits."""
        op = task.op
        assert isinstance(op, FusedConv)
        return ({"clamp": True},) if clampable(op.prologue) and task.output.dtype != "fp32" else ({"clamp": False},)

    def _plain(self, task: Task, device: Device) -> list[dict[str, int | str | bool]]:
        sizes = Sizes(task)
        found: list[dict[str, int | str | bool]] = []
        for block in fitting(task, device, sizes.m, sizes.n, sizes.k):
            config = block_config(task, device, block, sizes.k)
            tiles = sizes.tiles(config)
            steps = -(-sizes.k // int(config["block_k"]))
            splits = [1]
            if tiles < device.units:  # a program or two for each multiprocessor, and two steps for each of them
                splits += [s for s in (2, 4, 8, 16) if s * tiles <= 2 * device.units and 2 * s <= steps]
            found += [
                {**config, "group": self._group(task), "split": split, "descriptors": False} for split in splits[-2:]
            ]
        return found

    def _group(self, task: Task) -> int:
        """Rows in a group of tiles: one, so that each row is read once, unless the weights are too large to stay."""
        sizes = Sizes(task)
        return 8 if sizes.n * sizes.k * BYTES[task.output.dtype] > LARGE else 1

    def _descriptors(self, task: Task, device: Device) -> list[dict[str, int | str | bool]]:
        """Hopper and later, where every row begins at a multiple of 16 bytes and there are tiles enough."""
        sizes, size = Sizes(task), BYTES[task.output.dtype]
        x, y = task.inputs[0], task.output
        kind, arch = device.arch
        x_pitch = sizes.k if task.op.flat else x.pitch  # type: ignore[attr-defined]
        gated = any(step.kind in BINARY for step in task.op.prologue)  # type: ignore[attr-defined]
        aligned = not gated and all(value * size % 16 == 0 for value in (x_pitch, x.offset, y.pitch, y.offset))
        if kind != "cuda" or int(arch) < 90 or sizes.strided or not aligned or is_exact(task, device):
            return []
        blocks = fitting(task, device, sizes.m, sizes.n, sizes.k, descriptors=True)
        configs = [block_config(task, device, block, sizes.k, stored=True) for block in blocks]
        return [
            {**config, "group": self._group(task), "split": 1, "descriptors": True}
            for config in configs
            if int(config["block_m"]) >= 64 and int(config["block_n"]) >= 32 and sizes.tiles(config) >= device.units
        ]

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        sizes = Sizes(task)
        block = (int(config["block_m"]), int(config["block_n"]), int(config["block_k"]))
        split = int(config["split"])
        tiles = sizes.tiles(config)
        depth = round_up(-(-sizes.k // split), block[2])
        moved = moved_bytes(task, sizes.n * sizes.k)
        seconds = tiled_seconds(
            device, task, config, tiles * split, depth, moved, DESCRIPTORS if config["descriptors"] else POINTERS
        )
        parts = 2 * 4 * split * tiles * block[0] * block[1] if split > 1 else 0  # written and read, in the cache
        return seconds + parts / device.bandwidth + (ARRIVAL if split > 1 else 0.0)

    def launches(self, task: Task, config: Config) -> int:
        return 1

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        op = task.op
        assert isinstance(op, FusedConv)
        sizes = Sizes(task)
        weight = weights["weight"].movedim(1, -1).reshape(sizes.n, sizes.k)
        channels = task.inputs[0].channels
        given = dict(weights)
        if config["clamp"]:
            s, t = (weights[f"prologue.0.{i}"].reshape(-1).expand(channels) for i in range(2))
            low, high, f, c, d = clamp_form(s, t, task.output.dtype)
            times = sizes.k // channels
            rounded = in_type(weight * f.repeat(times), task.output.dtype)
            shift = weight.double() @ d.repeat(times).double() - rounded.double() @ c.repeat(times).double()
            given["bias"] = (shift + weights["bias"].double() if "bias" in weights else shift).float()
            given["prologue.0.0"], given["prologue.0.1"] = low, high
            weight = rounded
        first, last = coded_steps(task, bool(config["clamp"]))
        return (
            padded(in_type(weight, task.output.dtype), (int(config["block_n"]), int(config["block_k"]))),
            pack_vectors(first, given, channels, sizes.k // channels),
            pack_vectors(last, given, sizes.n),
        )

    def bind(
        self, task: Task, config: Config, inputs: Sequence[Tensor], output: Tensor, packed: Sequence[Tensor]
    ) -> Launch:
        import torch

        sizes, split = Sizes(task), int(config["split"])
        kind = "hip" if torch.version.hip else "cuda"
        values = int(config["block_m"]) * int(config["block_n"])
        scratch = split_scratch(split, sizes.tiles(config), values, output.device)
        function, arguments = self._arguments(task, config, inputs, output, packed, scratch, kind, inputs[0].is_cuda)
        options = launch_options(config)
        grid: tuple[int, ...] = (sizes.tiles(config), split)
        if config["descriptors"]:
            self._describe(task, config, arguments)
            units = torch.cuda.get_device_properties(output.device).multi_processor_count if output.is_cuda else 2
            grid = (min(units, grid[0]),)

        def launch() -> None:
            function[grid](**arguments, **options)

        return launch

    def _describe(self, task: Task, config: Config, arguments: Arguments) -> None:
        """Tensors become descriptors of matrices, M x K, N x K and M x N."""
        from triton.tools.tensor_descriptor import TensorDescriptor

        sizes = Sizes(task)
        block_m, block_n, block_k = (int(config[name]) for name in ("block_m", "block_n", "block_k"))
        x_pitch = sizes.k if task.op.flat else task.inputs[0].pitch  # type: ignore[attr-defined]
        w = arguments["w"]
        arguments["x"] = TensorDescriptor(arguments["x"], [sizes.m, sizes.k], [x_pitch, 1], [block_m, block_k])
        arguments["w"] = TensorDescriptor(w, list(w.shape), [w.shape[1], 1], [block_n, block_k])
        arguments["y"] = TensorDescriptor(
            arguments["y"], [sizes.m, sizes.n], [task.output.pitch, 1], [block_m, block_n]
        )

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Compilation]:
        sizes = Sizes(task)
        block_m, block_n, block_k = (int(config[name]) for name in ("block_m", "block_n", "block_k"))
        first, last = coded_steps(task, bool(config["clamp"]))
        dtype = task.output.dtype
        packed = (
            Pointer(dtype, shape=(round_up(sizes.n, block_n), round_up(sizes.k, block_k))),
            vectors_pointer(first, sizes.k),
            vectors_pointer(last, sizes.n),
        )
        scratch = (Pointer("fp32"), Pointer("i32")) if int(config["split"]) > 1 else (None, None)
        inputs = [pointer(view) for view in task.inputs]
        kind = device.arch[0]
        function, arguments = self._arguments(
            task, config, inputs, pointer(task.output), packed, scratch, kind, kind != "cpu"
        )
        if config["descriptors"]:
            blocks = {"x": (block_m, block_k), "w": (block_n, block_k), "y": (block_m, block_n)}
            arguments |= {name: f"tensordesc<{dtype}[{a}, {b}]>" for name, (a, b) in blocks.items()}
        return (compilation(function, arguments, launch_options(config), not is_exact(task, device)),)

    def _arguments(
        self,
        task: Task,
        config: Config,
        inputs: Sequence[Any],
        output: Any,
        packed: Sequence[Any],
        scratch: tuple[Any, Any],
        kind: str,
        compiled: bool,
    ) -> tuple[Any, Arguments]:
        """The function and its arguments; tensors or Pointers go in and come out. Not `compiled` is interpreted."""
        from netdsl_triton.jit import matmul as jit

        op, x, y = task.op, task.inputs[0], task.output
        assert isinstance(op, FusedConv)
        sizes = Sizes(task)
        w, prologue_vectors, vectors = packed
        first, last = coded_steps(task, bool(config["clamp"]))
        block_m, block_n, block_k = (int(config[name]) for name in ("block_m", "block_n", "block_k"))
        arguments: Arguments = {
            "x": inputs[0],
            "w": w,
            "y": output,
            "height": sizes.m,
            "width": sizes.n,
            "depth": sizes.k,
            "pixels": sizes.pixels,
            "PROLOGUE": first.codes,
            "CLAMP": config["clamp"],
            "PACKED": bool(config["clamp"]) and x.dtype == "bf16" and kind == "cuda" and compiled,
            "prologue_vectors": prologue_vectors,
            "prologue_pitch": int(prologue_vectors.shape[1]),
            **step_arguments(task, last, vectors, inputs),
            "BLOCK_M": block_m,
            "BLOCK_N": block_n,
            "BLOCK_K": block_k,
            "GROUP": config["group"],
            "EVEN_M": sizes.m % block_m == 0,
            "EVEN_N": sizes.n % block_n == 0,
            "Y_UNIT": unit(written(task, last)),
            "PRECISION": matrix_precision(task, kind),
        }
        if config["descriptors"]:
            return jit.matmul_descriptors, arguments
        height, width = (1, 1, *x.spatial)[-2:] if sizes.strided else (1, 1)
        down, right = (1, 1, *op.stride)[-2:] if sizes.strided else (1, 1)
        gates = step_arguments(task, first, prologue_vectors, inputs)
        arguments |= {
            "gate1": gates["other1"],
            "gate_pitch1": gates["pitch1"],
            "gate2": gates["other2"],
            "gate_pitch2": gates["pitch2"],
            "x_pitch": sizes.k if op.flat else x.pitch,
            "w_pitch": int(w.shape[1]),
            "y_pitch": y.pitch,
            "in_width": width,
            "in_pixels": height * width,
            "out_width": (1, *y.spatial)[-1] if sizes.strided else 1,
            "down": down,
            "right": right,
            "partial": scratch[0],
            "counters": scratch[1],
            "SPLIT": config["split"],
            "STRIDED": sizes.strided,
            "EVEN_K": sizes.k % block_k == 0,
            "X_UNIT": unit((x,)),
        }
        return jit.matmul, arguments
