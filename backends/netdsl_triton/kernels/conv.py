"""When is an element a convolution by implicit GEMM, with which blocks?  Groups, strides, dilation, any padding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netdsl.devices import BYTES, Device
from netdsl.passes.fused import FusedConv
from netdsl_triton.kernels.base import Compilation, Config, Launch
from netdsl_triton.kernels.common import (
    ARRIVAL,
    DESCRIPTORS,
    POINTERS,
    SMALLEST,
    Arguments,
    Block,
    Pointer,
    block_config,
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
    power_of_two,
    prologue_arguments,
    refusal,
    split_scratch,
    step_arguments,
    supported,
    tiled_seconds,
    unit,
    vectors_pointer,
    written,
)
from netdsl_triton.task import Task, View

if TYPE_CHECKING:
    from torch import Tensor

FEW = 16
"""With fewer input channels, taps and channels are one axis of the product, or its blocks would be mostly empty."""
WIDEST = 128
"""Columns of a tile for groups, at most."""
NARROWEST: Block = (16, WIDEST, 32, 4)
"""The block for groups that no other fits."""
MANY = 10
"""So many configurations are worth trying."""
LONGEST = 64
"""Channels of a block that a prologue changes, at most: its vectors need registers for each of them."""
GATHERED = 127
"""Registers of a thread for sums and for addresses, where each value that is loaded has one of its own (of two)."""


class Sizes:
    """A convolution over C x H x W (H = 1 where there is one axis), and its tiles' columns and channels."""

    def __init__(self, task: Task, config: Config | None = None) -> None:
        op, x, y = task.op, task.inputs[0], task.output
        assert isinstance(op, FusedConv)
        self.n = op.out_channels
        self.height, self.width = (1, *x.spatial)[-2:]
        self.out_height, self.out_width = (1, 1, *y.spatial)[-2:]
        self.kernel = (1, *op.kernel)[-2:]
        self.stride = (1, *op.stride)[-2:]
        self.dilation = (1, *op.dilation)[-2:]
        self.padding = ((0, 0), *op.padding)[-2:]
        self.taps = math.prod(self.kernel)
        self.m = y.pixels
        self.groups = op.groups
        self.span = span(x)
        self.group_width, self.group_depth = op.out_channels // op.groups, x.channels // op.groups
        if config is not None:
            block_n = int(config["block_n"])
            self.gathered = groups_of(self.groups, self.group_width, block_n)
            self.tile_width = self.gathered * self.group_width if self.groups > 1 else block_n
            self.depth = self.gathered * self.group_depth
            self.tiles_n = -(-self.n // self.tile_width)
            self.form = str(config["form"])
            whole = self.taps * self.span if self.form == "packed" else self.depth
            self.steps = -(-whole // int(config["block_k"])) * (1 if self.form == "packed" else self.taps)


def groups_of(groups: int, width: int, block_n: int) -> int:
    """How many groups a tile has: as many as fit, of which all tiles have the same."""
    return max(
        count for count in range(1, groups + 1) if groups % count == 0 and (count == 1 or count * width <= block_n)
    )


def spills(task: Task, device: Device, block: Block, form: str) -> bool:
    """Whether the compilers have no registers for the block, the addresses and the steps together; as they say."""
    block_m, block_n, block_k, warps = block
    before, arch = bool(task.op.prologue), device.arch[1]  # type: ignore[attr-defined]
    if before and block_k > LONGEST:
        return True
    if form == "nest":
        large = 128 * 64 if arch == 100 else 128 * 128
        return block_m * block_n > large or (block_m > 128 and (before or arch == 80))
    if form == "packed":
        return warps != 4 or (block_m * block_n + 2 * block_m * block_k) / (32 * warps) > GATHERED
    return arch == 80 and block == (64, 64, 32, 4)


class Conv:
    """y = epilogue(conv(prologue(x); w) + b) as a product whose rows are gathered (`jit.conv`)."""

    name = "conv"

    def claims(self, task: Task, device: Device) -> str:
        op = task.op
        if not isinstance(op, FusedConv) or not op.kernel:
            return "not a convolution"
        if len(op.kernel) > 2:
            return "more than two axes"
        if not supported(device):
            return f"Triton has no matrix products for {device.name}"
        whole = op.flat and not (task.inputs[0].is_slice and math.prod(op.kernel) > 1)
        if op.groups == 1 and (whole or (set(op.kernel) == {1} and not any(map(any, op.padding)))):
            return "a matrix product over pixels"
        if op.groups > 1:
            if op.groups == task.inputs[0].channels == op.out_channels:
                return "depthwise"
            if op.out_channels // op.groups > WIDEST:
                return f"groups of more than {WIDEST} channels"
        return refusal(task, op.prologue, op.epilogue)

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        found = [*self._pointers(task, device), *self._descriptors(task, device)]
        found.sort(key=lambda config: self.seconds(task, config, device))
        return found[:MANY]

    def _blocks(self, task: Task, device: Device, few: bool) -> list[Block]:
        sizes = Sizes(task)
        if sizes.groups == 1:
            depth = sizes.span * sizes.taps if few else task.inputs[0].channels
            return fitting(task, device, sizes.m, sizes.n, depth)
        found = []
        for block in fitting(task, device, sizes.m, WIDEST, WIDEST):
            depth = groups_of(sizes.groups, sizes.group_width, block[1]) * sizes.group_depth
            if sizes.group_width <= block[1] and block[2] <= max(32, 2 * depth - 1):
                found.append(block)
        return found or [NARROWEST]

    def _pointers(self, task: Task, device: Device) -> list[dict[str, int | str | bool]]:
        few = task.op.groups == 1 and task.inputs[0].channels < FEW  # type: ignore[attr-defined]
        found = self._gathered(task, device, few)
        return found or self._gathered(task, device, few=False)  # where every block of taps and channels would spill

    def _gathered(self, task: Task, device: Device, few: bool) -> list[dict[str, int | str | bool]]:
        sizes = Sizes(task)
        found: list[dict[str, int | str | bool]] = []
        # One loop over taps and channels is for four warps: with eight it has been compiled to wrong code.
        forms = [
            (block, "packed" if few else "loop" if block[3] == 4 else "nest")
            for block in self._blocks(task, device, few)
        ]
        kept = [(block, form) for block, form in forms if not spills(task, device, block, form)]
        smallest = SMALLEST if sizes.groups == 1 else NARROWEST
        for block, form in kept if kept or few else [(smallest, "loop")]:
            config = {**block_config(task, device, block, 10**9 if form != "nest" else sizes.group_depth), "form": form}
            shape = Sizes(task, config)
            tiles = shape.tiles_n * -(-shape.m // block[0])
            splits = [1]
            if tiles < device.units and form != "nest":
                splits += [s for s in (2, 4, 8, 16) if s * tiles <= 2 * device.units and 2 * s <= shape.steps]
            found += [{**config, "group": 1, "split": split, "descriptors": False} for split in splits[-2:]]
        return found

    def _descriptors(self, task: Task, device: Device) -> list[dict[str, int | str | bool]]:
        """Hopper and later, stride 1, where every pixel begins at a multiple of 16 bytes and there are tiles enough."""
        sizes, size = Sizes(task), BYTES[task.output.dtype]
        x, y = task.inputs[0], task.output
        kind, arch = device.arch
        aligned = all(value * size % 16 == 0 for value in (x.pitch, x.offset, y.pitch, y.offset))
        if kind != "cuda" or int(arch) < 90 or not aligned or is_exact(task, device):
            return []
        if sizes.groups > 1 or sizes.stride != (1, 1) or not y.spatial or x.channels < 2 * FEW:
            return []
        found: list[dict[str, int | str | bool]] = []
        for block in fitting(task, device, sizes.m, sizes.n, x.channels, descriptors=True):
            b, h, w = patch(task, block[0])
            tiles = -(-x.batch // b) * -(-sizes.out_height // h) * -(-sizes.out_width // w) * -(-sizes.n // block[1])
            if block[0] >= 64 and 32 <= block[1] <= 128 and block[3] == 4 and tiles >= device.units:
                config = block_config(task, device, block, 10**9, stored=True)
                found.append({**config, "form": "loop", "group": 1, "split": 1, "descriptors": True})
        return found

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        sizes = Sizes(task, config)
        block_m, block_n, block_k = (int(config[name]) for name in ("block_m", "block_n", "block_k"))
        split = int(config["split"])
        tiles = -(-sizes.m // block_m) * sizes.tiles_n
        efficiency = POINTERS
        if config["descriptors"]:
            efficiency = DESCRIPTORS
            b, h, w = patch(task, block_m)
            across = -(-sizes.out_height // h) * -(-sizes.out_width // w)
            tiles = -(-task.output.batch // b) * across * sizes.tiles_n
        elif sizes.form == "nest":  # each tap fills the pipeline anew
            blocks = -(-sizes.depth // block_k)
            efficiency *= blocks / (blocks + 1)
        elif sizes.form == "packed":  # few values at a time, not 16 bytes
            efficiency *= SCATTERED * (sizes.span if sizes.span > task.inputs[0].channels else 1) ** 0.5
        depth = -(-sizes.steps // split) * block_k
        moved = moved_bytes(task, sizes.tiles_n * block_n * sizes.steps * block_k)
        seconds = tiled_seconds(device, task, config, tiles * split, depth, moved, efficiency)
        parts = 2 * 4 * split * tiles * block_m * block_n if split > 1 else 0
        return seconds + parts / device.bandwidth + (ARRIVAL if split > 1 else 0.0)

    def launches(self, task: Task, config: Config) -> int:
        return 1

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        import torch

        sizes = Sizes(task, config)
        block_n, block_k = int(config["block_n"]), int(config["block_k"])
        weight = weights["weight"].reshape(sizes.n, sizes.group_depth, sizes.taps)
        if sizes.form == "packed":
            taps = padded(weight.movedim(1, 2), (1, 1, sizes.span))
            rows = padded(taps.reshape(sizes.n, -1), (block_n, block_k))
        else:
            each, width = sizes.gathered, sizes.group_width
            apart = weight.reshape(-1, each, width, sizes.group_depth, sizes.taps)
            eye = torch.eye(each, dtype=weight.dtype, device=weight.device)
            diagonal = torch.einsum(
                "tgncp,gh->tgnphc", apart, eye
            )  # a group's filters are zero on the others' channels
            tiles = diagonal.reshape(-1, each * width, sizes.taps, sizes.depth)
            if sizes.groups == 1:
                tiles = tiles.reshape(1, sizes.n, sizes.taps, sizes.depth)
            rows = padded(tiles, (1, block_n, 1, block_k))
            rows = rows.reshape(rows.shape[0] * rows.shape[1], -1)
        first, last = coded_steps(task)
        return (
            in_type(rows, task.output.dtype),
            pack_vectors(first, weights, task.inputs[0].channels, room=block_k),
            pack_vectors(last, weights, sizes.n, room=block_n),
        )

    def bind(
        self, task: Task, config: Config, inputs: Sequence[Tensor], output: Tensor, packed: Sequence[Tensor]
    ) -> Launch:
        import torch

        sizes, split = Sizes(task, config), int(config["split"])
        block_m, block_n = int(config["block_m"]), int(config["block_n"])
        tiles = -(-sizes.m // block_m) * sizes.tiles_n
        scratch = split_scratch(split, tiles, block_m * block_n, output.device)
        kind = "hip" if torch.version.hip else "cuda"
        function, arguments = self._arguments(task, config, inputs, output, packed, scratch, kind)
        options = launch_options(config)
        grid: tuple[int, ...] = (tiles, split)
        if config["descriptors"]:
            b, h, w = self._describe(task, config, arguments)
            across = -(-sizes.out_height // h) * -(-sizes.out_width // w)
            grid = (-(-task.output.batch // b) * across * sizes.tiles_n,)

        def launch() -> None:
            function[grid](**arguments, **options)

        return launch

    def _describe(self, task: Task, config: Config, arguments: Arguments) -> tuple[int, int, int]:
        """Tensors become descriptors of maps (B, H, W, C), the weights one of a matrix. Gives the patch."""
        from triton.tools.tensor_descriptor import TensorDescriptor

        sizes, x, y = Sizes(task, config), task.inputs[0], task.output
        box = patch(task, int(config["block_m"]))
        block_n, block_k = int(config["block_n"]), int(config["block_k"])
        w = arguments["w"]
        for name, view, height, width, block in (
            ("x", x, sizes.height, sizes.width, block_k),
            ("y", y, sizes.out_height, sizes.out_width, block_n),
        ):
            strides = [height * width * view.pitch, width * view.pitch, view.pitch, 1]
            shape = [view.batch, height, width, view.channels]
            arguments[name] = TensorDescriptor(arguments[name], shape, strides, [*box, block])
        arguments["w"] = TensorDescriptor(w, list(w.shape), [w.shape[1], 1], [block_n, block_k])
        return box

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Compilation]:
        sizes = Sizes(task, config)
        block_m, block_n, block_k = (int(config[name]) for name in ("block_m", "block_n", "block_k"))
        first, last = coded_steps(task)
        dtype = task.output.dtype
        packed = (
            Pointer(dtype, shape=(sizes.tiles_n * block_n, sizes.steps * block_k)),
            vectors_pointer(first, task.inputs[0].channels, room=block_k),
            vectors_pointer(last, sizes.n, room=block_n),
        )
        scratch = (Pointer("fp32"), Pointer("i32")) if int(config["split"]) > 1 else (None, None)
        inputs = [pointer(view) for view in task.inputs]
        function, arguments = self._arguments(
            task, config, inputs, pointer(task.output), packed, scratch, device.arch[0]
        )
        if config["descriptors"]:
            b, h, w = patch(task, block_m)
            arguments["x"] = f"tensordesc<{dtype}[{b}, {h}, {w}, {block_k}]>"
            arguments["y"] = f"tensordesc<{dtype}[{b}, {h}, {w}, {block_n}]>"
            arguments["w"] = f"tensordesc<{dtype}[{block_n}, {block_k}]>"
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
    ) -> tuple[Any, Arguments]:
        """The function and its arguments; tensors or Pointers go in and come out."""
        from netdsl_triton.jit import conv as jit

        x, y, sizes = task.inputs[0], task.output, Sizes(task, config)
        w, prologue_vectors, vectors = packed
        first, last = coded_steps(task)
        block_m, block_n, block_k = (int(config[name]) for name in ("block_m", "block_n", "block_k"))
        grouped = sizes.groups > 1
        (top, _), (left, _) = sizes.padding
        arguments: Arguments = {
            "x": inputs[0],
            "w": w,
            "y": output,
            "depth": sizes.depth,
            "in_height": sizes.height,
            "in_width": sizes.width,
            "out_width": sizes.out_width,
            "width": sizes.n,
            "top": top,
            "left": left,
            **prologue_arguments(first, prologue_vectors),
            **step_arguments(task, last, vectors, inputs),
            "KH": sizes.kernel[0],
            "KW": sizes.kernel[1],
            "DILATED_DOWN": sizes.dilation[0],
            "DILATED_RIGHT": sizes.dilation[1],
            "BLOCK_N": block_n,
            "BLOCK_K": block_k,
            "Y_UNIT": math.gcd(unit(written(task, last)), sizes.tile_width),
            "PRECISION": matrix_precision(task, kind),
        }
        if config["descriptors"]:
            b, h, v = patch(task, block_m)
            even = y.batch % b == sizes.out_height % h == sizes.out_width % v == sizes.n % block_n == 0
            arguments |= {"out_height": sizes.out_height, "batch": y.batch, "EVEN": even}
            return jit.conv_descriptors, arguments | {"PATCH_B": b, "PATCH_H": h, "PATCH_W": v}
        return jit.conv, arguments | {
            "height": sizes.m,
            "x_pitch": x.pitch,
            "w_pitch": int(w.shape[1]),
            "y_pitch": y.pitch,
            "pixels": sizes.out_height * sizes.out_width,
            "tiles_n": sizes.tiles_n,
            "tile_width": sizes.tile_width,
            "tile_shift": sizes.depth if grouped else 0,
            "partial": scratch[0],
            "counters": scratch[1],
            "DOWN": sizes.stride[0],
            "RIGHT": sizes.stride[1],
            "CHANNELS": x.channels if sizes.form == "packed" else 0,
            "SPAN": sizes.span if sizes.form == "packed" else 0,
            "FORM": sizes.form,
            "BLOCK_M": block_m,
            "GROUP": config["group"],
            "SPLIT": config["split"],
            "EVEN_M": sizes.m % block_m == 0,
            "EVEN_N": sizes.tile_width == block_n and sizes.n % block_n == 0,
            "EVEN_K": sizes.depth % block_k == 0,
            "PADDED": any(map(any, sizes.padding)),
            "X_UNIT": math.gcd(16, x.pitch, x.offset) if sizes.form == "packed" else math.gcd(unit((x,)), sizes.depth),
        }


def patch(task: Task, block_m: int) -> tuple[int, int, int]:
    """Samples, rows and columns of the pixels of a tile: powers of two, of which fewest lie beyond the edges.

    Of equals the widest, and then the highest: neighbours share what they read.
    """
    y = task.output
    sizes = (y.batch, *(1, *y.spatial)[-2:])
    powers = [1 << i for i in range(block_m.bit_length())]
    fits = [(block_m // (h * w), h, w) for h in powers for w in powers if block_m % (h * w) == 0 and h * w <= block_m]
    fits = [box for box in fits if max(box) <= 256]
    return min(fits, key=lambda box: (math.prod(-(-size // b) for size, b in zip(sizes, box)), -box[2], -box[1]))


def span(x: View) -> int:
    """How many values of a pixel are read in one piece: its channels, or the next power of two, if there is room."""
    whole = power_of_two(x.channels)
    return whole if x.pitch % whole == x.offset % whole == 0 and x.offset + whole <= x.pitch else x.channels


SCATTERED = 0.35
"""Of the efficiency, what is left where values are loaded one by one; a guess."""
