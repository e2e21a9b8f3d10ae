"""What became of each element of the text, which kernel does it, how fast?  A report as data; `report_text` draws it.

It is made from the plan alone: no device, torch or Triton is needed. A time is *measured* where the store of this
machine remembers it, and else *predicted* by the cost model; they are never mixed without saying so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from netdsl.devices import Device
from netdsl.devices import dtype as known_dtype
from netdsl.graph import Graph, Node
from netdsl.ops import Op
from netdsl.options import UsageError
from netdsl.passes import Context, Event, optimise, retype
from netdsl.passes.cost import VIEWS
from netdsl.passes.fused import concrete
from netdsl.prove import ShapeFault
from netdsl.record import Record
from netdsl.roofline import floor_of, sizes_of
from netdsl.source import place_of
from netdsl.types import TensorType
from netdsl_torch.paths import flat
from netdsl_triton.choose import chooser
from netdsl_triton.kernels.base import Candidate, Choice
from netdsl_triton.plan import NotPlanned, Plan, Stage, plan
from netdsl_triton.store import Machine, Store

if TYPE_CHECKING:
    from netdsl.net import Net

FORMAT = 1
PLAIN = "pytorch"
"""What runs where no kernel claims an element, by name."""


class Step(Record):
    """What a pass did with an element (`into` says which element does its work now), or why it did not."""

    rule: str
    into: str
    reason: str


class Element(Record):
    """A primitive of the network.

    name       its path
    block      the path of the block it is in
    becomes    `kernel`: it runs by itself, or is what others were fused into; `fused`: a part of the kernels of `into`;
               `view`: nothing runs, its parts are written where it lies; `nothing`: inference does not have it
    into       the element whose kernels do its work
    done       what passes did with it, in order
    left       what they did not do, and why
    at         file:line:column
    """

    name: str
    block: str
    op: str
    what: str
    shape: tuple[int, ...]
    becomes: str
    into: str
    done: tuple[Step, ...]
    left: tuple[Step, ...]
    at: str


class Work(Record):
    """One task: the kernels that run for one element.

    name        of the element, or of several in one: `a3.conv2+a3.conv4`
    elements    those whose work it does
    floor       max(arithmetic / rate, bytes / bandwidth), in seconds
    moved       bytes: inputs, weights and output, each once
    """

    name: str
    elements: tuple[str, ...]
    choice: Choice
    macs: int
    moved: int
    floor: float

    @property
    def kernel(self) -> str:
        return self.choice.kernel or PLAIN

    @property
    def runner_up(self) -> Candidate | None:
        """The best of the other kernels; where there is none, the next configuration of the same."""
        usable = [rival for rival in self.choice.rivals if not rival.dropped and comparable(rival, self.choice)]
        others = [rival for rival in usable if rival.kernel != self.choice.kernel]
        return min(others or usable, key=lambda rival: rival.seconds, default=None)

    @property
    def margin(self) -> float | None:
        """How many times as long the runner-up takes."""
        other = self.runner_up
        return None if other is None or not self.choice.seconds else other.seconds / self.choice.seconds


def comparable(one: Candidate | Choice, other: Candidate | Choice) -> bool:
    """Whether both times are measured, or both predicted."""
    return (one.measured is None) == (other.measured is None)


class Totals(Record):
    """Of the whole network.

    kernels       that run on the device
    elements      primitives of inference, as the text has them: so many kernels and views without fusion
    library       kernels of a compiler that folds norms and fuses the steps after a layer into one kernel
    moved         bytes
    arena         bytes of memory for all values; `bound`: the most that is needed at one moment
    predicted     seconds: the sum of all tasks
    measured      seconds: the sum, where all tasks were measured
    floor         seconds: what the network takes at least on this device (`netdsl.roofline`, fused)
    floor_library seconds: the same without prologues, and with a kernel of its own for the steps after a layer
    """

    kernels: int
    elements: int
    library: int
    moved: int
    arena: int
    bound: int
    predicted: float
    measured: float | None
    floor: float
    floor_library: float

    @property
    def seconds(self) -> float:
        return self.predicted if self.measured is None else self.measured


class Report(Record):
    """What `explain` finds. `machine` is None where nothing measured was looked for."""

    name: str
    inputs: Mapping[str, tuple[int, ...]]
    batch: int
    dtype: str
    device: Device
    machine: Machine | None
    elements: tuple[Element, ...]
    work: tuple[Work, ...]
    totals: Totals
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What `--explain-fusion --json` prints: docs/explain-fusion.md."""
        return _dict(self)

    def __str__(self) -> str:
        from netdsl_triton.report_text import table

        return table(self)


def explain(
    net: Net, batch: int, dtype: str, device: Device, store: Store | None = None, fuel: int | None = None
) -> Report:
    """The report of a network. Raises UsageError for sizes that are open, and where there is no plan."""
    plain, context, made = planned(net, batch, dtype, device, store, fuel)
    library, fused = (floor_of(net, kind, device, dtype, batch) for kind in ("library", "fused"))
    elements = _elements(plain, context.events, made)
    parts: dict[str, list[str]] = {}
    for element in elements:
        parts.setdefault(element.into or element.name, []).append(element.name)
    work = tuple([_work(stage, tuple(parts.get(stage.name, ())), device, dtype) for stage in made.stages])
    known = [one.choice.measured for one in work]
    totals = Totals(
        kernels=made.kernels,
        elements=len(elements),
        library=library.kernels,
        moved=made.bytes,
        arena=made.arena,
        bound=made.bound,
        predicted=sum(one.choice.predicted for one in work),
        measured=None if None in known or not known else sum(filter(None, known)),
        floor=fused.seconds,
        floor_library=library.seconds,
    )
    inputs = {input.name: tuple(map(concrete, input.type.shape)) for input in plain.inputs}
    machine = None if store is None else store.machine
    notes = () if store is None else tuple(store.notes)
    return Report(net.name, inputs, batch, dtype, device, machine, elements, work, totals, notes)


def planned(
    net: Net, batch: int, dtype: str, device: Device, store: Store | None = None, fuel: int | None = None
) -> tuple[Graph[TensorType], Context, Plan]:
    """The flat graph, what the passes did with it, and the plan."""
    known_dtype(dtype)
    if batch < 1:
        raise UsageError(f"a batch has at least one sample, not {batch}")
    shapes = [sizes_of(net, name, shape) for name, shape in net.inputs.items()]
    context = Context(batch, dtype, device, fuel)
    tf32 = dtype == "tf32"
    try:
        plain = retype(flat(net.graph), shapes)
        made = plan(optimise(plain, context), batch, "fp32" if tf32 else dtype, device, chooser(store), (tf32, tf32))
    except (NotPlanned, ShapeFault) as error:
        raise UsageError(f"{net.name} runs as the PyTorch backend has it: {error}") from None
    return plain, context, made


def _work(stage: Stage, elements: tuple[str, ...], device: Device, dtype: str) -> Work:
    macs = stage.task.macs
    return Work(stage.name, elements, stage.choice, macs, stage.bytes, device.busy(macs, stage.bytes, dtype))


# --- elements ------------------------------------------------------------------------------------------------------


def _elements(plain: Graph[TensorType], events: Iterable[Event], made: Plan) -> tuple[Element, ...]:
    """The primitives of inference, in the order of the text."""
    done: dict[str, list[Step]] = {}
    left: dict[str, list[Step]] = {}
    for event in events:
        step = Step(event.rule, event.into, event.reason)
        (done if event.done else left).setdefault(event.element, []).append(step)
    final = {node.name: node for node in made.graph.nodes}
    runs = {stage.name for stage in made.stages}
    found = []
    for node in plain.nodes:
        steps = tuple(done.get(node.name, ()))
        if any(step.rule == "dead_code" for step in steps):
            continue
        into = _home(node.name, done, final)
        if node.name in runs or (node.name in final and not isinstance(final[node.name].op, VIEWS)):
            becomes = "kernel"
        elif _does_nothing(steps):
            becomes = "nothing"
        else:
            becomes = "fused" if into in runs else "view"
        found.append(_element(node, becomes, into if becomes == "fused" else "", steps, tuple(left.get(node.name, ()))))
    return tuple(found)


def _element(
    node: Node[TensorType], becomes: str, into: str, done: tuple[Step, ...], left: tuple[Step, ...]
) -> Element:
    op = node.op
    assert isinstance(op, Op)
    shape = tuple(map(concrete, node.type.shape))
    block, _, _ = node.name.rpartition(".")
    what = f"{op.name} {op.describe()}".strip()
    return Element(node.name, block, op.name, what, shape, becomes, into, done, left, place_of(node.origin).place)


def _does_nothing(done: tuple[Step, ...]) -> bool:
    return bool(done) and done[-1].rule == "lower" and "nothing" in done[-1].reason


def _home(name: str, done: Mapping[str, list[Step]], final: Mapping[str, Node[TensorType]]) -> str:
    """The element of the optimised graph that does the work of another: the last move counts, from each place on."""
    seen = {name}
    while not (name in final and not isinstance(final[name].op, VIEWS)) and name in done:
        into = done[name][-1].into
        if into in seen:
            break
        seen.add(into)
        name = into
    return name


# --- as data -------------------------------------------------------------------------------------------------------


def _dict(report: Report) -> dict[str, Any]:
    totals = report.totals
    return {
        "format": FORMAT,
        "name": report.name,
        "inputs": {name: list(shape) for name, shape in report.inputs.items()},
        "batch": report.batch,
        "dtype": report.dtype,
        "device": report.device.name,
        "machine": None if report.machine is None else report.machine.to_dict(),
        "totals": {
            "kernels": totals.kernels,
            "elements": totals.elements,
            "kernels_library": totals.library,
            "moved_bytes": totals.moved,
            "arena_bytes": totals.arena,
            "arena_bound_bytes": totals.bound,
            "predicted_s": totals.predicted,
            "measured_s": totals.measured,
            "floor_s": totals.floor,
            "floor_library_s": totals.floor_library,
        },
        "elements": [_element_dict(element) for element in report.elements],
        "work": [_work_dict(one) for one in report.work],
        "notes": list(report.notes),
    }


def _element_dict(element: Element) -> dict[str, Any]:
    return {
        "name": element.name,
        "block": element.block,
        "op": element.op,
        "shape": list(element.shape),
        "at": element.at,
        "becomes": element.becomes,
        "into": element.into,
        "done": [{"pass": step.rule, "into": step.into, "reason": step.reason} for step in element.done],
        "left": [{"pass": step.rule, "reason": step.reason} for step in element.left],
    }


def _work_dict(one: Work) -> dict[str, Any]:
    choice, other = one.choice, one.runner_up
    return {
        "name": one.name,
        "elements": list(one.elements),
        "kernel": one.kernel,
        "config": dict(choice.config),
        "launches": choice.launches,
        "macs": one.macs,
        "moved_bytes": one.moved,
        "predicted_s": choice.predicted,
        "measured_s": choice.measured,
        "error": choice.error,
        "floor_s": one.floor,
        "reason": choice.reason,
        "runner_up": None if other is None else _candidate_dict(other),
        "margin": one.margin,
        "rivals": [_candidate_dict(rival) for rival in choice.rivals if not rival.dropped],
        "dropped": [{"kernel": c.kernel, "config": dict(c.config), "reason": c.dropped} for c in choice.dropped],
        "refused": dict(choice.refused),
    }


def _candidate_dict(candidate: Candidate) -> dict[str, Any]:
    return {
        "kernel": candidate.kernel,
        "config": dict(candidate.config),
        "predicted_s": candidate.predicted,
        "measured_s": candidate.measured,
        "error": candidate.error,
    }
