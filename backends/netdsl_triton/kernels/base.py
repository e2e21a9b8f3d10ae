"""What is a kernel?  One way to do a task: what it claims, how it can be configured, how it is launched.

Several kernels may claim one task, each with several configurations; which is taken, the cost model guesses or the
device decides (`choose.py`). Everything but `pack` and `bind` is answered from shapes alone, without a device.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from netdsl.devices import Device
from netdsl.record import Record
from netdsl_triton.task import Task

if TYPE_CHECKING:
    from torch import Tensor

Config = Mapping[str, int | str | bool]
"""Block sizes, warps, stages …, by name; as it stands in the cache and in reports."""
Launch = Callable[[], None]
"""Does the task once: reads the inputs, writes the whole output. What it allocates (libraries do) it frees again."""


class Candidate(Record):
    """One way to do one task.

    predicted    seconds of one launch, as the cost model has it
    measured     seconds of one launch, where it was timed on this device
    error        how far its numbers were from fp32: max |y - y₃₂| / max |y₃₂|
    dropped      why it is not used; empty for what may be
    """

    kernel: str
    config: Config
    predicted: float
    launches: int = 1
    measured: float | None = None
    error: float | None = None
    dropped: str = ""

    @property
    def seconds(self) -> float:
        """Measured where it was, else predicted."""
        return self.predicted if self.measured is None else self.measured

    @property
    def key(self) -> str:
        return candidate_key(self.kernel, self.config)


def candidate_key(kernel: str, config: Config) -> str:
    """The same text for the same way to do a task."""
    return f"{kernel} {json.dumps(dict(config), sort_keys=True)}"


class Choice(Record):
    """What does one task, and what else could have.

    kernel       its name; empty where no kernel claims the task, and it runs as the PyTorch backend has it
    predicted, measured, launches, error    as of a `Candidate`
    rivals       the other candidates, the best first, those that were dropped last
    refused      {kernel: why it does not claim the task}
    reason       how it was chosen, in a few words
    """

    kernel: str
    config: Config
    predicted: float
    launches: int = 1
    measured: float | None = None
    error: float | None = None
    rivals: tuple[Candidate, ...] = ()
    refused: Mapping[str, str] = {}
    reason: str = ""

    @property
    def seconds(self) -> float:
        """Measured where it was, else predicted."""
        return self.predicted if self.measured is None else self.measured

    @property
    def dropped(self) -> tuple[Candidate, ...]:
        """Rivals that failed on this device, and why."""
        return tuple([rival for rival in self.rivals if rival.dropped])


class Compilation(Record):
    """One compilation of one Triton function, as `triton.compile(ASTSource(...))` takes it.

    function      the `@triton.jit` function
    signature     {argument: "*fp16", "i32", "constexpr" …}
    constants     {argument: value} of the constexpr ones
    attributes    {argument position: [["tt.divisibility", 16]]}, as at a launch with aligned pointers and sizes
    options       num_warps, num_stages …
    matrix        whether it must use the matrix instructions of the device
    """

    function: Any
    signature: dict[str, str]
    constants: dict[str, Any]
    attributes: dict[tuple[int, ...], list[list[Any]]]
    options: dict[str, int]
    matrix: bool = False


class Kernel(Protocol):
    """One way to do tasks. Tensors come as N x C x H x W with the strides of their views (channels innermost).

    It may have `cautious = True`: then a configuration of several launches is not taken on a prediction alone where
    another kernel does the task.
    """

    name: str
    """As in reports and in the cache: `matmul`, `conv`, `fallback` …"""

    def claims(self, task: Task, device: Device) -> str:
        """Empty if it can do the task on this kind of device, else why not, in a few words."""

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        """The configurations worth trying, the best guess first. The task is one that it claims."""

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        """What the cost model predicts for one launch."""

    def launches(self, task: Task, config: Config) -> int:
        """How many kernels run on the device."""

    def pack(self, task: Task, config: Config, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The weights as the kernel reads them: laid out, padded, in the type of the task.

        `weights` has the tensors of `op.weight_recipes()`, in fp32, in PyTorch's layout. The result depends on
        nothing else, so that new weights can be copied into the old tensors.
        """

    def bind(
        self, task: Task, config: Config, inputs: Sequence[Tensor], output: Tensor, packed: Sequence[Tensor]
    ) -> Launch:
        """What does the task on these tensors, as often as it is called."""

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Compilation]:
        """What a launch would compile: so that it can be compiled ahead of time. Empty for library kernels."""
