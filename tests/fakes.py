"""Kernels and a timer for tests that have no device: they do and say what they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from netdsl.devices import DEVICES, Device
from netdsl.passes.fused import FusedConv, Pointwise, Step
from netdsl.passes.recipe import NormScale, NormShift, Parameter
from netdsl_triton import reference
from netdsl_triton.kernels.base import Config
from netdsl_triton.store import Machine
from netdsl_triton.task import Task, View
from netdsl_triton.tensors import Tensors
from netdsl_triton.timing import Hung

ROOT = Path(__file__).resolve().parent.parent
H200 = DEVICES["h200"]
MACHINE = Machine("NVIDIA H200", "sm_90", "570.1 12.8", "0.1", "2.13", "3.7", "abc")


class Fake:
    """A kernel with given predictions, by block size. It computes what PyTorch does, or what `run` does instead."""

    def __init__(
        self,
        name: str,
        predicted: Mapping[int, float],
        refusal: str = "",
        run: Callable[[Tensors, Callable[[], None], int], None] = lambda tensors, right, block: right(),
    ) -> None:
        self.name, self.predicted, self.refusal, self.run = name, predicted, refusal, run

    def claims(self, task: Task, device: Device) -> str:
        return self.refusal

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        return [{"block": block} for block in self.predicted]

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        return self.predicted[config["block"]]  # type: ignore[index]

    def launches(self, task: Task, config: Config) -> int:
        return 1

    def pack(self, task: Task, config: Config, weights: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(weights.values())

    def bind(self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]) -> Any:
        weights = dict(zip(getattr(task.op, "weight_recipes", dict)(), packed, strict=True))
        tensors = Tensors(tuple(inputs), output, weights)

        def right() -> None:
            output.copy_(reference.run(task.op, inputs, weights))

        def launch() -> None:
            self.run(tensors, right, config["block"])  # type: ignore[arg-type]

        launch.way = self.name, config["block"]  # type: ignore[attr-defined]
        return launch

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Any]:
        return () if self.name == "library" else ("a Triton function",)


def relu(channels: int = 8, pitch: int = 0, offset: int = 0, dtype: str = "fp32") -> Task:
    view = View(2, (channels, 5, 5), pitch or channels, offset, dtype)
    return Task(Pointwise(epilogue=(Step("relu"),)), (view,), view)


def convolution(name: str) -> Task:
    """A 1x1 convolution with the batch norm after it, of a layer called `name`."""
    scale, shift = NormScale(f"{name}_bn", 1e-5, 4), NormShift(f"{name}_bn", 1e-5, 4)
    op = FusedConv(
        kernel=(1, 1),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
        rounding="exact",
        out_channels=4,
        groups=1,
        weight=Parameter(f"{name}.weight", (4, 8, 1, 1)),
        epilogue=(Step("affine", weights=(scale, shift)),),
    )
    return Task(op, (View(2, (8, 5, 5), 8),), View(2, (4, 5, 5), 4))


class FakeTimer:
    """Says the times that it is told, by kernel and block; it runs every launch. `log` has what was timed."""

    def __init__(self, times: Mapping[tuple[str, int], float | list[float]], spilled: tuple[str, ...] = ()) -> None:
        self.times, self.spilled = times, spilled
        self.log: list[tuple[str, int]] = []
        self.prepared: list[tuple[str, int]] = []
        self.released = 0
        self.living = True
        self.hanging: tuple[str, ...] = ()

    def prepare(self, launches: Sequence[Any]) -> None:
        self.prepared += [launch.way for launch in launches]

    def once(self, launch: Any) -> int:
        if launch.way[0] in self.hanging:
            raise Hung("it did not end within 20 s")
        launch()
        return 12 if launch.way[0] in self.spilled else 0

    def seconds(self, launch: Any, count: int) -> list[float]:
        self.log.append(launch.way)
        time = self.times[launch.way]
        if isinstance(time, list):
            time = time.pop(0) if len(time) > 1 else time[0]
        return [time] * count

    def release(self) -> None:
        self.released += 1

    def alive(self) -> bool:
        return self.living
