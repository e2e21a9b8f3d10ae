"""What became of each element of the text, which kernel does it, how fast?  A report as data; `table` draws it.

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
from netdsl_triton.kernels.base import Candidate, Choice, Config
from netdsl_triton.plan import NotPlanned, Plan, Stage, plan
from netdsl_triton.store import Machine, Store
from netdsl_triton.task import Task

if TYPE_CHECKING:
    from netdsl.net import Net

FORMAT = 1
PLAIN = "pytorch"
"""What runs where no kernel claims an element, by name."""
LAST_RESORTS = ("", "fallback")
"""Where one of these is chosen, a reader asks why no other kernel was."""


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
    macs = macs_of(stage.task)
    floor = max(2 * macs / device.flops[dtype], stage.bytes / device.bandwidth)
    return Work(stage.name, elements, stage.choice, macs, stage.bytes, floor)


def macs_of(task: Task) -> int:
    types = tuple([TensorType(view.shape) for view in task.inputs])
    return task.output.batch * concrete(task.op.macs(types, TensorType(task.output.shape)))


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


# --- as text -------------------------------------------------------------------------------------------------------

WIDTH = 100
WHAT = 24


def table(report: Report) -> str:
    """The report for people: totals, then each block with its elements; equal blocks in a row are drawn once."""
    head = f"{_row('element', 'what', 'kernel, or what it became'):<76} {'time':>9}  floor"
    lines = [*summary(report), "", head]
    for paths, rows in _merged(_blocks(report)):
        lines.append(_heading(paths) if any(paths) else "")
        lines.extend(rows)
    lines += ["", *_legend(report)]
    return "\n".join(line.rstrip() for line in lines)


def summary(report: Report) -> list[str]:
    """The totals in a few lines."""
    totals, device = report.totals, report.device
    size = ", ".join(f"{name} " + " x ".join(map(str, shape)) for name, shape in report.inputs.items())
    where = device.name if report.machine is None else f"{device.name} ({report.machine.device})"
    lines = [
        f"{report.name} on {where}, batch {report.batch}, {report.dtype}; {size}",
        f"{totals.kernels} kernels for {totals.elements} elements ({totals.library} where only the steps after a layer "
        "are fused)",
        f"{_bytes(totals.moved)} moved; {_bytes(totals.arena)} of memory, at least {_bytes(totals.bound)}",
        f"predicted {_time(totals.predicted)}, floor {_time(totals.floor)}: {_share(totals.floor, totals.predicted)}",
    ]
    if totals.measured is not None:
        lines.append(f"measured  {_time(totals.measured)}, kernel by kernel: {_share(totals.floor, totals.measured)}")
    else:
        known = sum(one.choice.measured is not None for one in report.work)
        lines.append(f"measured: {f'{known} of {len(report.work)} tasks' if known else 'nothing yet: `netdsl tune`'}")
    return lines


Rows = tuple[str, ...]


def _blocks(report: Report) -> list[tuple[str, Rows]]:
    """The rows of each run of elements in one block, with names as they are in that block."""
    work: dict[str, list[Work]] = {}
    for one in report.work:
        work.setdefault(one.name, []).append(one)
    named = {element.name for element in report.elements}
    found: list[tuple[str, list[str]]] = []
    for element in report.elements:
        if not found or found[-1][0] != element.block:
            found.append((element.block, []))
        rows = found[-1][1]
        home = element.into or element.name
        if home not in named:  # several elements in one: drawn above the first of them
            for one in work.pop(home, ()):
                rows.extend(_work_rows(one, element.block, "together"))
        rows.extend(_element_rows(element, work.pop(element.name, [])))
    return [(path, tuple(rows)) for path, rows in found]


def _merged(blocks: list[tuple[str, Rows]]) -> list[tuple[list[str], Rows]]:
    """Equal blocks that follow each other as one, with all their paths."""
    found: list[tuple[list[str], Rows]] = []
    for path, rows in blocks:
        if found and path and found[-1][1] == rows:
            found[-1][0].append(path)
        else:
            found.append(([path], rows))
    return found


def _heading(paths: list[str]) -> str:
    if len(paths) == 1:
        return paths[0]
    return f"{paths[0]} … {paths[-1]}: {len(paths)} equal ones"


def _element_rows(element: Element, work: list[Work]) -> list[str]:
    rows: list[str] = []
    if work:
        for one in work:
            rows.extend(_work_rows(one, element.block, element.what))
        moves = [step for step in element.done if step.into != element.name]
        rows.extend(_said(f"{step.rule}: {step.reason}") for step in moves)
    elif element.becomes == "fused":
        into = _local(element.into, element.block)
        first = _local(element.done[-1].into, element.block)
        way = into if first == into else f"{first} → {into}"  # with what it was fused into, it went on
        rows.append(_row(_local(element.name, element.block), element.what, f"→ {way}: {_reason(element, first)}"))
    else:
        reason = _reason(element, "")
        said = f"a view of memory{f': {reason}' if reason else ''}" if element.becomes == "view" else reason
        rows.append(_row(_local(element.name, element.block), element.what, said))
    rows.extend(_said(f"not in {step.rule}: {step.reason}") for step in element.left)
    return rows


def _reason(element: Element, into: str) -> str:
    """Why, in the words of the pass; the name of the host is not said twice."""
    step = element.done[-1] if element.done else None
    if step is None:
        return ""
    return step.reason.replace(f" of {step.into}", "").replace(f" {into} ", " ")


def _work_rows(one: Work, block: str, what: str) -> list[str]:
    choice = one.choice
    kernel = f"{one.kernel} {_config(choice.config)}".rstrip()
    time = f"{_time(choice.seconds)}{' ' if choice.measured is None else '*'}"
    row = f"{_row(_local(one.name, block), what, kernel):<76} {time:>10} {_share(one.floor, choice.seconds):>5}"
    rows = [row]
    details = []
    other = one.runner_up
    if one.margin is not None and other is not None and (other.kernel != choice.kernel or other.measured is not None):
        against = other.kernel if other.kernel != choice.kernel else f"its {_config(other.config)}"
        details.append(f"{one.margin:.2f} x as fast as {against} ({_time(other.seconds)})")
    if choice.measured is not None:
        details.append(f"predicted {_time(choice.predicted)}")
    if choice.error is not None:
        details.append(f"error {choice.error:.0e}")
    if choice.launches > 1:
        details.append(f"{choice.launches} kernels")
    if not choice.kernel:
        details.append(choice.reason)
    if choice.kernel in LAST_RESORTS:
        details.extend(f"{kernel}: {why}" for kernel, why in choice.refused.items())
    rows.extend(_said(text) for text in _wrapped(details))
    rows.extend(_said(f"{drop.kernel} {_config(drop.config)} dropped: {drop.dropped}") for drop in choice.dropped)
    return rows


def _wrapped(parts: list[str]) -> list[str]:
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) < WIDTH - 12:
            lines[-1] += f"; {part}"
        else:
            lines.append(part)
    return lines


def _row(name: str, what: str, rest: str) -> str:
    what = what if len(what) <= WHAT else f"{what[: WHAT - 1]}…"
    return f"  {name:<16} {what:<{WHAT}} {rest}"


def _said(text: str) -> str:
    text = text if len(text) <= WIDTH - 8 else f"{text[: WIDTH - 9]}…"
    return f"      {text}"


def _local(name: str, block: str) -> str:
    """A name, or several joined by +, as the block has it."""
    prefix = f"{block}."
    parts = [part.removeprefix(prefix) if block else part for part in name.split("+")]
    return "+".join(parts)


SHORT = {"num_warps": "w", "num_stages": "s"}


def _config(config: Config) -> str:
    """`128x64x32 w4 s3 split=2`: block sizes joined, what is not set left out."""
    blocks = [str(value) for name, value in config.items() if name.startswith("block")]
    words = ["x".join(blocks)] if blocks else []
    for name, value in config.items():
        if name in SHORT:
            words.append(f"{SHORT[name]}{value}")
        elif not name.startswith("block") and value not in (False, 1, ""):
            words.append(name if value is True else f"{name}={value}")
        elif value is True:
            words.append(name)
    return " ".join(words)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def _bytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"


def _share(floor: float, seconds: float) -> str:
    return f"{100 * floor / seconds:.0f} %" if seconds else "-"


def _legend(report: Report) -> list[str]:
    measured = any(one.choice.measured is not None for one in report.work)
    mark = "* measured on this machine, others predicted" if measured else "times are predicted, not measured"
    return [f"{mark}; % of the floor: max(arithmetic / rate, bytes / bandwidth)"]
