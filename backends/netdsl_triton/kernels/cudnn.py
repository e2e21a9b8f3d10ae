"""When does the vendor's library do a convolution or product?  cuDNN and cuBLAS, or MIOpen and hipBLAS on AMD.

Steps that a library does not take are launches of `jit.pointwise` around it: a prologue, or a slice that has to lie
alone, before it; the rest of the epilogue behind it. Its convolutions with an epilogue return a tensor of their own,
so these steps always run, if only to put the result where it belongs; a plain one of cuDNN, and a product, write it
there themselves. Memory that a launch needs it allocates, and frees before it ends: in a CUDA graph it is the graph's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from netdsl.devices import BYTES, Device
from netdsl.passes.fused import FusedConv, Pointwise, Step, Steps
from netdsl.passes.recipe import Constant
from netdsl.record import Record
from netdsl_triton.kernels.base import Compilation, Config, Launch
from netdsl_triton.kernels.common import (
    CACHE,
    FIRST,
    STEP,
    coded,
    in_type,
    launch_options,
    rate,
    refusal,
    round_up,
    supported,
)
from netdsl_triton.kernels.pointwise import PointwiseSteps
from netdsl_triton.kernels.rows import EFFICIENCY as MOVING
from netdsl_triton.task import Task, View

if TYPE_CHECKING:
    from torch import Tensor

    Call = Callable[[Tensor, Tensor], Tensor]
    """From x, alone in its memory, and the output: writes the output and returns it, or returns a tensor of its own."""

PEAK = 0.8
"""Of the peak, what a library's products reach for many channels; a guess, near what is published for Hopper."""
FEW = 24
"""With so many channels in or out it reaches half of that; a guess."""
GROUPED = 0.5
"""Of its speed, what is left in grouped convolutions; a guess."""
MIOPEN = 0.5
"""Of the peak of cuDNN, what MIOpen reaches with the channels innermost; a guess."""
TILES = ((128, 128, 1.0), (64, 64, 0.6))
"""Rows and columns of its tiles, and of its speed what they reach; a guess."""
SPLIT = 4
"""Into so many parts it divides a sum where there are few tiles; a guess."""
NEIGHBOURS = 2
"""So many tiles share what they read from the second-level cache; a guess."""
NARROW = 32
"""Its tiles read so many channels at once, if there are fewer, too; a guess."""
DEEP = 64
"""Of the sum, what one step of its loop takes; a guess."""

POINTWISE = PointwiseSteps()


class Parts(Record):
    """A task as the library and the launches around it have it.

    before    steps that make x as the library takes it: the prologue, or a copy; None where it is
    taken     how many steps of the epilogue are the library's
    biased    whether the bias is
    after     steps on its result, the bias among them; None where there is nothing left
    direct    whether the result is written where it belongs
    """

    before: Task | None
    taken: int
    biased: bool
    after: Task | None
    direct: bool

    @property
    def around(self) -> tuple[Task, ...]:
        return tuple([task for task in (self.before, self.after) if task is not None])


class Library:
    """y = epilogue(conv(prologue(x); w) + b), as far as a library goes."""

    name = ""
    cautious = True

    def parts(self, task: Task, config: Config) -> Parts:
        raise NotImplementedError

    def forms(self, task: Task, device: Device) -> Sequence[str]:
        raise NotImplementedError

    def refused(self, task: Task, op: FusedConv) -> str:
        """Why it is not for this library, or ''."""
        raise NotImplementedError

    def arithmetic(self, task: Task, device: Device) -> float:
        """Seconds in which it multiplies."""
        raise NotImplementedError

    def weight(self, task: Task, weight: Tensor) -> Tensor:
        raise NotImplementedError

    def call(self, task: Task, config: Config, inputs: Sequence[Tensor], weight: Tensor, bias: Any) -> Call:
        """The library's function. Raises AttributeError where this PyTorch has none."""
        raise NotImplementedError

    def claims(self, task: Task, device: Device) -> str:
        op = task.op
        if not isinstance(op, FusedConv):
            return "not a convolution or linear layer"
        if not supported(device):
            return f"no library for {device.name}"
        if coded(op.prologue, "prologue").operands:
            return "its prologue has operands"
        return self.refused(task, op) or refusal(task)

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        found: list[Config] = [{"form": form} for form in self.forms(task, device)]
        found.sort(key=lambda config: self.seconds(task, config, device))
        return found

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        """The library's floor at its usual share, and every launch around it."""
        op, parts = task.op, self.parts(task, config)
        assert isinstance(op, FusedConv)
        read = task.inputs if parts.taken > 1 else task.inputs[:1]
        moved = sum(view.bytes for view in read) + task.output.bytes + op.weight.size * BYTES[task.output.dtype]
        seconds = max(self.arithmetic(task, device) + FIRST, moved / (MOVING * device.bandwidth) + FIRST, device.launch)
        return seconds + sum(POINTWISE.seconds(one, {}, device) for one in parts.around)

    def launches(self, task: Task, config: Config) -> int:
        return 1 + sum(POINTWISE.launches(one, {}) for one in self.parts(task, config).around)

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The weight; the bias, where the library adds it; the vectors of the steps before and after."""
        import torch

        op, parts, dtype = task.op, self.parts(task, config), task.output.dtype
        assert isinstance(op, FusedConv)
        packed = [self.weight(task, in_type(weights["weight"], dtype))]
        if parts.biased:
            bias = weights.get("bias", torch.zeros(op.out_channels, device=packed[0].device))
            packed.append(in_type(bias, dtype))
        if parts.before is not None:
            packed += POINTWISE.pack(parts.before, {}, renamed(weights, "prologue", 0, 0) or weights)
        if parts.after is not None:
            own = op.bias is not None and not parts.biased
            given = renamed(weights, "epilogue", parts.taken, int(own))
            if own:
                given |= {"epilogue.0.0": torch.ones_like(weights["bias"]), "epilogue.0.1": weights["bias"]}
            packed += POINTWISE.pack(parts.after, {}, given or weights)
        return tuple(packed)

    def bind(
        self, task: Task, config: Config, inputs: Sequence[Tensor], output: Tensor, packed: Sequence[Tensor]
    ) -> Launch:
        """The library's part runs once: what it refuses is known from then on, and it has chosen its kernel."""
        parts, rest = self.parts(task, config), list(packed)
        weight, bias = rest.pop(0), rest.pop(0) if parts.biased else None
        call = self.call(task, config, inputs, weight, bias)
        first = rest[: 0 if parts.before is None else POINTWISE.launches(parts.before, {})]
        before = steps_on(parts.before, inputs, None, first) if parts.before is not None else None
        after = steps_on(parts.after, inputs, output, rest[len(first) :]) if parts.after is not None else None

        def launch() -> None:
            x = inputs[0]
            if before is not None:
                x = dense(x)
                before(inputs[0], x)
            y = call(x, output)
            if after is not None:
                after(y, output)
            elif y is not output:  # a library that cannot write there
                output.copy_(y)

        call(inputs[0] if before is None else dense(inputs[0]), output)
        return launch

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Compilation]:
        return [
            one
            for around in self.parts(task, config).around
            for one in POINTWISE.compilations(around, POINTWISE.configs(around, device)[0], device)
        ]


def renamed(weights: Mapping[str, Tensor], part: str, taken: int, room: int) -> dict[str, Tensor]:
    """The vectors of a part's steps after those that are taken, by their names in a Pointwise; `room` comes first."""
    found = {}
    for name, value in weights.items():
        if name.startswith(f"{part}."):
            i, k = name.split(".")[1:]
            if int(i) >= taken:
                found[f"epilogue.{int(i) - taken + room}.{k}"] = value
    return found


def alone(view: View) -> View:
    """The same in memory of its own."""
    return view.replace(pitch=view.channels, offset=0)


def split_up(task: Task, taken: int, biased: bool, direct: bool, packed_x: bool) -> Parts:
    """`packed_x`: whether the library wants x alone in its memory."""
    op, x, y = task.op, task.inputs[0], task.output
    assert isinstance(op, FusedConv)
    before = after = None
    if op.prologue or (packed_x and x.is_slice):
        before = Task(Pointwise(epilogue=op.prologue), (x,), alone(x))
    steps: Steps = op.epilogue[taken:]
    if op.bias is not None and not biased:
        ones = Constant(1.0, op.out_channels)
        steps = (Step("affine", weights=(ones, op.bias)), *steps)
    if steps or not direct:
        source = y if direct else alone(y)
        after = Task(Pointwise(epilogue=steps), (source, *task.inputs[1:]), y)
    return Parts(before, taken, biased, after, direct)


def steps_on(
    task: Task, inputs: Sequence[Tensor], output: Tensor | None, packed: Sequence[Tensor]
) -> Callable[[Tensor, Tensor], None]:
    """Steps from one tensor to another, which come with each launch; the other inputs are bound."""
    config = POINTWISE.configs(task, None)[0]  # type: ignore[arg-type]
    options = launch_options(config)
    stands = inputs[0] if output is None else output
    calls = POINTWISE.calls(task, config, [stands, *inputs[1:]], stands, packed)

    def run(x: Tensor, y: Tensor) -> None:
        for i, (function, arguments, grid) in enumerate(calls):
            function[grid](**{**arguments, "x": y if i else x, "y": y}, **options)

    return run


def dense(x: Tensor) -> Tensor:
    """A new tensor of this form, the channels innermost, with nothing between the pixels."""
    return x.new_empty((x.shape[0], *x.shape[2:], x.shape[1])).movedim(-1, 1)


def multiplying(task: Task, device: Device, groups: int, depth: int, taps: int, peak: float) -> float:
    """Seconds for M rows of N columns in `groups`, each a sum over `depth` channels and so many taps."""
    op, rows = task.op, task.output.pixels
    assert isinstance(op, FusedConv)
    columns = op.out_channels // groups
    total = 2.0 * rows * op.out_channels * depth * taps
    peak *= depth / (depth + FEW) * columns / (columns + FEW) * (GROUPED if groups > 1 else 1.0)
    steps = -(-depth * taps // DEEP)
    found = []
    for height, width, share in TILES:
        tiles = -(-rows // height) * -(-columns // width) * groups
        split = max(1, min(SPLIT, steps // 2, device.units // tiles))
        idle = -(-tiles * split // device.units) * device.units / (tiles * split)
        across = -(-columns // width)
        values = height / min(NEIGHBOURS, across) + min(width, columns) / NEIGHBOURS
        read = tiles * values * round_up(depth, NARROW) * taps * BYTES[task.output.dtype]
        found.append(
            max(
                idle * total / (rate(task, device) * peak * share),
                read / (CACHE * device.bandwidth),
                device.launch + STEP * -(-steps // split),
            )
        )
    return min(found)


class Cudnn(Library):
    """Convolutions of cuDNN (MIOpen), alone or with relu(conv(x) + b), relu(conv(x) + z + b)."""

    name = "cudnn"

    def refused(self, task: Task, op: FusedConv) -> str:
        if not op.kernel:
            return "not a convolution"
        if len(op.kernel) > 3:
            return "more than three axes"
        if op.is_gemm:
            return "a matrix product over pixels"
        return "its padding differs from side to side" if any(a != b for a, b in op.padding) else ""

    def forms(self, task: Task, device: Device) -> Sequence[str]:
        op = task.op
        assert isinstance(op, FusedConv)
        kinds, found = [step.kind for step in op.epilogue[:2]], ["plain"]
        if len(op.kernel) == 2 and not op.flat:
            if kinds[:1] == ["relu"]:
                found.append("relu")
            if kinds == ["add", "relu"] and not task.inputs[op.epilogue[0].input].is_slice:
                found.append("add_relu")
        return found

    def parts(self, task: Task, config: Config) -> Parts:
        op, form = task.op, config["form"]
        assert isinstance(op, FusedConv)
        direct = form == "plain" and len(op.kernel) == 2 and not op.flat and not task.output.is_slice
        return split_up(task, {"relu": 1, "add_relu": 2}.get(str(form), 0), form != "plain", direct, True)

    def arithmetic(self, task: Task, device: Device) -> float:
        op, x = task.op, task.inputs[0]
        assert isinstance(op, FusedConv)
        peak = PEAK * (MIOPEN if device.arch[0] == "hip" else 1.0)
        return multiplying(task, device, op.groups, x.channels // op.groups, math.prod(op.kernel), peak)

    def weight(self, task: Task, weight: Tensor) -> Tensor:
        """N x C x kernel, the channels innermost."""
        return weight.movedim(1, -1).contiguous().movedim(-1, 1)

    def call(self, task: Task, config: Config, inputs: Sequence[Tensor], weight: Tensor, bias: Any) -> Call:
        import torch

        op, form = task.op, config["form"]
        assert isinstance(op, FusedConv)
        window = {"stride": list(op.stride), "padding": [a for a, _ in op.padding], "dilation": list(op.dilation)}
        hip = torch.version.hip is not None
        if form == "plain":
            if self.parts(task, config).direct and not hip and inputs[0].is_cuda:
                return _written(torch.ops.aten.cudnn_convolution.out, task, weight, window)
            return _returned(op, weight, window)
        function: Any = getattr(torch, f"{'miopen' if hip else 'cudnn'}_convolution_{form}")
        other = (inputs[op.epilogue[0].input], 1.0) if form == "add_relu" else ()

        def call(x: Tensor, y: Tensor) -> Tensor:
            with choosing():
                found = function(x, weight, *other, bias, *window.values(), op.groups)
            return packed_last(found)

        return call


def _written(function: Any, task: Task, weight: Tensor, window: Mapping[str, list[int]]) -> Call:
    op = task.op
    assert isinstance(op, FusedConv)

    def call(x: Tensor, y: Tensor) -> Tensor:
        function(
            x,
            weight,
            **window,
            groups=op.groups,
            benchmark=True,
            deterministic=False,
            allow_tf32=task.allow_tf32,
            out=y,
        )
        return y

    return call


def _returned(op: FusedConv, weight: Tensor, window: Mapping[str, list[int]]) -> Call:
    import torch

    line = len(op.kernel) == 1
    one = {"stride": [1], "padding": [0], "dilation": [1]}
    sizes = {name: [*(one[name] if line else []), *values] for name, values in window.items()}
    filters = weight.unsqueeze(2) if line else weight

    def call(x: Tensor, y: Tensor) -> Tensor:
        with choosing():
            found = torch.convolution(
                x.unsqueeze(2) if line else x,
                filters,
                None,
                **sizes,
                transposed=False,
                output_padding=[0] * (filters.dim() - 2),
                groups=op.groups,
            )
        return packed_last(found)

    return call


def packed_last(x: Tensor) -> Tensor:
    """The channels innermost, copied if they are not."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


@contextmanager
def choosing() -> Iterator[None]:
    """The library tries its kernels, once for each shape, and remembers the fastest."""
    import torch

    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


class Cublas(Library):
    """Matrix products of cuBLAS (hipBLAS), with the bias and a ReLU behind it where the output lies alone."""

    name = "cublas"

    def refused(self, task: Task, op: FusedConv) -> str:
        return "" if op.is_gemm else "not a matrix product over pixels"

    def forms(self, task: Task, device: Device) -> Sequence[str]:
        return ["relu"] if self._bias(task) and task.op.epilogue[:1] == (Step("relu"),) else ["plain"]  # type: ignore[attr-defined]

    def _bias(self, task: Task) -> bool:
        return task.op.bias is not None and not task.output.is_slice  # type: ignore[attr-defined]

    def _flat(self, task: Task) -> bool:
        """Whether it reads a map as one row."""
        return bool(task.op.flat) and math.prod(task.inputs[0].spatial) > 1  # type: ignore[attr-defined]

    def parts(self, task: Task, config: Config) -> Parts:
        return split_up(task, int(config["form"] == "relu"), self._bias(task), True, self._flat(task))

    def _depth(self, task: Task) -> int:
        x = task.inputs[0]
        return x.channels * (math.prod(x.spatial) if self._flat(task) else 1)

    def arithmetic(self, task: Task, device: Device) -> float:
        return multiplying(task, device, 1, self._depth(task), 1, PEAK)

    def weight(self, task: Task, weight: Tensor) -> Tensor:
        """N x K, a map's channels innermost."""
        return weight.movedim(1, -1).reshape(weight.shape[0], -1).contiguous()

    def call(self, task: Task, config: Config, inputs: Sequence[Tensor], weight: Tensor, bias: Any) -> Call:
        import torch

        parts, depth, rows, columns = self.parts(task, config), self._depth(task), task.output.pixels, weight.shape[0]
        view = task.inputs[0] if parts.before is None else parts.before.output
        pitch = depth if self._flat(task) else view.pitch
        activate: Any = torch.ops.aten._addmm_activation.out

        def call(x: Tensor, y: Tensor) -> Tensor:
            a, c = x.as_strided((rows, depth), (pitch, 1)), y.as_strided((rows, columns), (task.output.pitch, 1))
            if bias is None:
                torch.mm(a, weight.t(), out=c)
            elif parts.taken:
                activate(bias, a, weight.t(), out=c)
            else:
                torch.addmm(bias, a, weight.t(), out=c)
            return y

        return call
