"""How is each backend used, as well as one can?  From a network and its weights to a call that takes inputs."""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from netdsl.net import Net
from netdsl.passes import inline
from netdsl_triton.bench.question import BACKENDS, Question
from netdsl_triton.dtypes import DTYPES
from netdsl_triton.module import FusedModule

Inputs = tuple[Tensor, ...]
Call = Callable[..., Any]


class Scene:
    """What all contestants share: the network, its weights, and inputs, some sets of them, that are taken in turns."""

    def __init__(self, net: Net, question: Question, batch: int, seed: int = 0) -> None:
        self.net, self.question, self.batch = net, question, batch
        self.type, self.device = DTYPES[question.dtype], torch.device(question.device)
        torch.manual_seed(seed)
        self.module = net.compile("torch").eval()
        randomise(self.module, sample_inputs(net, 4))
        state = self.module.state_dict()
        self.module.load_state_dict({name: self.typed(value) for name, value in state.items()})  # rounded
        self.module.to(self.device)
        self.inputs = [self.draw() for _ in range(self.sets())]

    def draw(self) -> Inputs:
        return tuple([self.typed(x.to(self.device)) for x in sample_inputs(self.net, self.batch)])

    def typed(self, x: Tensor) -> Tensor:
        return x.to(self.type) if x.is_floating_point() else x

    def sets(self) -> int:
        """So many sets of inputs that the last-level cache cannot hold them, but at most eight, and at least two."""
        size = sum(x.numel() for x in sample_inputs(self.net, 1)) * self.batch * self.type.itemsize
        cache = torch.cuda.get_device_properties(0).L2_cache_size if self.question.device == "cuda" else 2**25
        return max(2, min(8, 2 * cache // max(size, 1) + 1))

    def fresh(self) -> nn.Module:
        """The module with its weights, in the type and on the device of the run."""
        return copy.deepcopy(self.module).to(self.type)


def sample_inputs(net: Net, batch: int) -> Inputs:
    """Random inputs: normal, and whole numbers where an embedding takes them."""
    vocabulary: dict[int, int] = {}
    for node in inline(net.graph).nodes:
        if node.op.name == "embedding":
            vocabulary[node.inputs[0]] = node.op.vocabulary  # type: ignore[union-attr]
    found = []
    for i, shape in enumerate(net.inputs.values()):
        sizes = (batch, *map(int, shape))  # type: ignore[arg-type]
        found.append(torch.randint(vocabulary[i], sizes) if i in vocabulary else torch.randn(sizes))
    return tuple(found)


def randomise(module: nn.Module, inputs: Inputs) -> None:
    """Gives batch norms weights as after some training, and the statistics of random data: nothing overflows."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
        if norm.affine:
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0.0, 0.2)
    if norms:
        with torch.no_grad():
            module(*inputs)
    module.eval()


def flat(out: Any) -> list[Tensor]:
    """The tensors of an output, in order."""
    if isinstance(out, Tensor):
        return [out]
    values = out.values() if isinstance(out, Mapping) else out
    return [tensor for value in values for tensor in flat(value)]


# --- the contestants: each gives a call, for inputs of the run's type on the run's device -----------------------------
# A maker does what is done once (a library's own search, compilation), then calls `settled`: memory counts from there.


def settled(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def as_emitted(scene: Scene) -> Call:
    return warmed(scene.fresh(), scene)


def warmed(call: Call, scene: Scene) -> Call:
    call(*scene.inputs[0])
    settled(scene.device)
    return call


def channels_last(module: nn.Module) -> Call:
    """The module and its inputs in channels-last layout. Inputs of other ranks stay as they are."""
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def call(*inputs: Tensor) -> Any:
        return module(*map(laid_out, inputs))

    return call


def laid_out(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def eager(scene: Scene) -> Call:
    return warmed(channels_last(scene.fresh()), scene)


def folded(scene: Scene) -> Call:
    """Batch norms folded in fp32, then rounded."""
    from torch.fx.experimental.optimization import fuse

    module = fuse(copy.deepcopy(scene.module).float()).to(scene.type).eval()
    return warmed(channels_last(module), scene)


def graphed(call: Call, scene: Scene) -> Call:
    """The call in a CUDA graph: inputs are copied into the graph's own."""
    held = tuple([laid_out(x).clone() for x in scene.inputs[0]])
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call(*held)
    torch.cuda.current_stream().wait_stream(stream)
    settled(scene.device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = call(*held)

    def replay(*inputs: Tensor) -> Any:
        for own, x in zip(held, inputs, strict=True):
            own.copy_(x)
        graph.replay()
        return out

    return replay


def compiled(scene: Scene) -> Call:
    """torch.compile with freezing. On CUDA, the mode brings CUDA graphs too; on a CPU it is the default one."""
    import torch._dynamo
    import torch._inductor.config as config

    torch._dynamo.reset()
    module = scene.fresh().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    on_cuda = scene.device.type == "cuda"
    optimised = torch.compile(module, mode=scene.question.compile_mode if on_cuda else "default", dynamic=False)

    def call(*inputs: Tensor) -> Any:
        if on_cuda:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return optimised(*map(laid_out, inputs))  # type: ignore[no-untyped-call]

    with config.patch(freezing=True):
        return warmed(call, scene)


def fused_module(scene: Scene) -> FusedModule:
    """What is not ready yet: its first call makes the program."""
    module = scene.net.compile("triton")
    module.load_state_dict(scene.module.state_dict())
    assert isinstance(module, FusedModule)
    return module.to(scene.device).to(scene.type).eval()


def triton(scene: Scene) -> Call:
    module = fused_module(scene)
    if scene.question.tune and scene.device.type == "cuda":
        module.tune(*scene.inputs[0], budget=scene.question.tune_budget)
    return warmed(module, scene)


MAKERS: dict[str, Callable[[Scene], Call]] = {
    "torch": as_emitted,
    "eager": eager,
    "folded": folded,
    "compile": compiled,
    "triton": triton,
}
assert MAKERS.keys() == BACKENDS.keys()
GRAPHED = ("eager", "folded")


def contestants(question: Question) -> Iterator[tuple[str, Callable[[Scene], Call]]]:
    """Each row of the table: its name, and how its call is made."""
    for name in question.backends:
        make = MAKERS[name]
        yield name, make
        if name in GRAPHED and question.device == "cuda":
            yield f"{name} graph", lambda scene, make=make: graphed(make(scene), scene)  # type: ignore[misc]


def note_of(call: Call) -> str:
    """What one should know of a row: that the fused module fell back to PyTorch, and why."""
    if not isinstance(call, FusedModule) or call.programs:
        return ""
    return "; ".join(["runs as PyTorch has it", *call.notes])


class TookTooLong(Exception):
    """A row was not ready in time."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TookTooLong inside once the time is over; off the main thread, and without alarms, it does nothing."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TookTooLong(f"not ready within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, 1e7))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
