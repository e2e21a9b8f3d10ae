"""plan → what runs on a device: one arena, the weights folded and packed, every launch bound to its tensors.

A program has one batch, one type and one device, and static memory. It is called under its lock; calls from several
streams wait for each other. What it returns is copied out: the next call leaves it alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

from netdsl.devices import BYTES
from netdsl.ops import Op
from netdsl.passes.fused import Absorbing, Channels
from netdsl.types import TensorType
from netdsl_torch.single import function_of
from netdsl_triton import reference
from netdsl_triton.choose import registered
from netdsl_triton.dtypes import DTYPES
from netdsl_triton.fold import State, fold
from netdsl_triton.graphs import Recorder, Recording
from netdsl_triton.kernels.base import Candidate, Choice, Launch
from netdsl_triton.plan import Plan, Stage
from netdsl_triton.task import View
from netdsl_triton.timing import compile_together


class Program:
    """A plan with its memory.

    plan        what it does
    notes       which kernels failed, and what runs instead; why it runs without a CUDA graph
    tensors     of each value, as a view of the arena
    """

    def __init__(
        self,
        plan: Plan,
        module: nn.Module,
        device: torch.device,
        recorder: Recorder | None = None,
        graphs: bool = True,
    ) -> None:
        """`module` has the parameters, and does what no kernel claims. A CUDA device has a recorder.

        With `graphs`, all launches become one CUDA graph.
        """
        self.plan, self.module, self.device, self.recorder = plan, module, device, recorder
        self.lock = Lock()
        self.notes: list[str] = []
        with ordinary(device), self.turn():
            self._make()
        self.recording: Recording | None = None
        if recorder is not None and self.launches:
            with ordinary(device):
                with self.turn():
                    compile_together(self.compiled())
                if graphs:
                    self.recording, note = recorder.record(self.run)
                    self.notes += [note] if note else []

    def _make(self) -> None:
        plan, device = self.plan, self.device
        self.dtype = DTYPES[plan.dtype]
        self.arena = torch.zeros(plan.arena, dtype=torch.uint8, device=device)
        self.tensors = [self.tensor(view, plan.buffers[home].offset) for view, home in zip(plan.views, plan.homes)]
        self.kernels = {kernel.name: kernel for kernel in registered()}
        self.state: State = {}
        self.packed: dict[int, tuple[Tensor, ...]] = {}
        self.fold()
        self.launches: list[Launch] = [self.able(i, stage) for i, stage in enumerate(plan.stages)]

    def compiled(self) -> list[Launch]:
        """The launches that Triton compiles."""
        found = []
        for launch, stage in zip(self.launches, self.plan.stages):
            kernel = self.kernels.get(stage.choice.kernel)
            if kernel is not None and kernel.compilations(stage.task, stage.choice.config, self.plan.device):
                found.append(launch)
        return found

    # --- memory ---------------------------------------------------------------------------------------------------

    def tensor(self, view: View, offset: int) -> Tensor:
        """A value N x C x H x W in the buffer at `offset` bytes of the arena."""
        dtype = DTYPES[view.dtype]
        size = view.pixels * view.pitch * BYTES[view.dtype]
        flat = self.arena[offset : offset + size].view(dtype)
        return flat.as_strided(shape_of(view), strides_of(view), flat.storage_offset() + view.offset)

    @property
    def bytes(self) -> int:
        """Memory on the device: the arena and the packed weights."""
        return self.arena.nbytes + sum(tensor.nbytes for packed in self.packed.values() for tensor in packed)

    # --- weights --------------------------------------------------------------------------------------------------

    def refold(self) -> None:
        """Folds the weights as they are now, into the same memory: what is bound and recorded stays valid."""
        with self.lock, ordinary(self.device), self.turn():
            self.fold()

    def fold(self) -> None:
        self.state = tensors_of(self.module)
        for i, stage in enumerate(self.plan.stages):
            if not isinstance(stage.task.op, Absorbing):
                continue
            new = self.pack(stage, fold(stage.task.op, self.state))
            for old, value in zip(self.packed.setdefault(i, new), new, strict=True):
                if old is not value:
                    old.copy_(value)

    def pack(self, stage: Stage, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        kernel = self.kernels.get(stage.choice.kernel)
        if kernel is None:
            return tuple([weight.to(self.dtype) if weight.dim() > 1 else weight for weight in weights.values()])
        packed: tuple[Tensor, ...] = kernel.pack(stage.task, stage.choice.config, weights)
        return packed

    # --- launches -------------------------------------------------------------------------------------------------

    def able(self, i: int, stage: Stage) -> Launch:
        """The launch of a stage. Where its kernel cannot be bound, the next best does it, at last plain PyTorch."""
        try:
            return self.bound(i, stage)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            choice = stage.choice
            if not choice.kernel or os.environ.get("NETDSL_DEBUG"):
                raise
            others = tuple([r for r in choice.rivals if not r.dropped and r.kernel != choice.kernel])
            name = others[0].kernel if others else ""
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            self.notes.append(f"{stage.name}: {choice.kernel} failed, {name or 'PyTorch'} does it: {reason}")
            taken = others[0] if others else Candidate("", {}, choice.predicted)
            stage = stage.replace(
                choice=Choice(
                    taken.kernel,
                    taken.config,
                    taken.predicted,
                    taken.launches,
                    taken.measured,
                    taken.error,
                    others[1:],
                    choice.refused,
                    f"{choice.kernel} failed",
                )
            )
            self.plan = self.plan.replace(stages=(*self.plan.stages[:i], stage, *self.plan.stages[i + 1 :]))
            if isinstance(stage.task.op, Absorbing):
                self.packed[i] = self.pack(stage, fold(stage.task.op, self.state))
            return self.able(i, stage)

    def bound(self, i: int, stage: Stage) -> Launch:
        inputs = [self.tensors[x] for x in stage.inputs]
        output = self.output(stage)
        kernel = self.kernels.get(stage.choice.kernel)
        if kernel is not None:
            launch: Launch = kernel.bind(stage.task, stage.choice.config, inputs, output, self.packed.get(i, ()))
            return launch
        function = self.plain(stage.task.op, stage.name, [view.shape for view in stage.task.inputs], i)

        def run() -> None:
            output.copy_(function(*inputs))

        return run

    def output(self, stage: Stage) -> Tensor:
        """What a stage writes: the value, or the part of it that a copy fills."""
        whole, at = self.plan.views[stage.output], stage.task.output.offset
        if stage.task.output == whole:
            return self.tensors[stage.output]
        return self.tensors[stage.output].narrow(1, at - whole.offset, stage.task.output.channels)

    def plain(self, op: Op, name: str, shapes: Sequence[tuple[int, ...]], i: int) -> Callable[..., Tensor]:
        """An element that no kernel claims: its module, or its steps."""
        if isinstance(op, Absorbing | Channels):
            weights = dict(zip(op.weight_recipes(), self.packed[i])) if isinstance(op, Absorbing) else {}
            return lambda *inputs: reference.run(op, inputs, weights)
        types = tuple([TensorType(shape) for shape in shapes])
        if not op.weights(types):
            return function_of(op, types)
        element = self.module.get_submodule(name)
        kinds = {p.dtype for p in element.parameters()}

        def call(*inputs: Tensor) -> Tensor:
            with self.converting() if kinds - {self.dtype} else nullcontext():
                found: Tensor = element(*inputs)
            return found

        return call

    def converting(self) -> AbstractContextManager[Any]:
        """Parameters of another type than the values: they are brought to that of the values."""
        return torch.autocast(self.device.type, self.dtype)

    def run(self) -> None:
        """All launches, from the inputs in the arena to the outputs there."""
        for launch in self.launches:
            launch()

    # --- calls ----------------------------------------------------------------------------------------------------

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs, as new tensors, for at most `batch` samples."""
        count = inputs[0].shape[0]
        with self.lock, torch.no_grad(), torch.autocast(self.device.type, enabled=False), self.turn():
            for tensor, x in zip(self.tensors, inputs):
                tensor[:count].copy_(x, non_blocking=True)
            if self.recording is not None:
                self.recording.replay()
            else:
                self.run()
            last = is_channels_last(inputs)
            return tuple([copied(self.tensors[out.value][:count], last) for out in self.plan.graph.outputs])

    def turn(self) -> AbstractContextManager[Any]:
        """The memory is this call's alone, on whatever stream it runs."""
        return nullcontext() if self.recorder is None else self.recorder.turn()


@contextmanager
def ordinary(device: torch.device) -> Iterator[None]:
    """Tensors made here are no inference tensors: they may be written anywhere. Nothing is converted or recorded."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def shape_of(view: View) -> tuple[int, ...]:
    return (view.batch, *view.shape)


def strides_of(view: View) -> tuple[int, ...]:
    """Of N x C x H x W: the channels innermost, a pixel every `pitch` values."""
    spatial = [view.pitch * math.prod(view.spatial[i + 1 :]) for i in range(len(view.spatial))]
    return (view.pitch * math.prod(view.spatial), 1, *spatial)


def is_channels_last(inputs: Sequence[Tensor]) -> bool:
    """Whether what comes in has its channels innermost: then what goes out has."""
    x = inputs[0]
    if x.dim() not in (4, 5) or x.is_contiguous():
        return False
    return x.is_contiguous(memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d)


def copied(x: Tensor, channels_last: bool) -> Tensor:
    """A new tensor, laid out as the PyTorch module's would be."""
    if channels_last and x.dim() in (4, 5):
        return x.clone(memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d)
    return x.clone(memory_format=torch.contiguous_format)
