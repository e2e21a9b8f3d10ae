"""What is compared with what?  A row for each network, in groups of those that do the same work.

MACs and memory grow with the input, and accuracies are of a data set: so networks stand in one group when they take the
same kind of input (axes and channels), of about the same size, and give as many values, or maps. 224 and 299 pixels are
together, with their sizes in the table; 32 and 64 are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from netdsl.analysis.depth import depth
from netdsl.analysis.memory import Memory, memory
from netdsl.analysis.receptive import receptive_field, widest
from netdsl.comparison.published import Accuracy, Published, published, published_of
from netdsl.net import Net, Shape
from netdsl.record import Record
from netdsl.size import Formula, Size, symbols
from netdsl.types import TensorType

ALIKE = 1.5
"""Inputs are of about the same size when no side is more than so many times the smallest one."""


class Entry(Record):
    """One network as it is compared. What it costs is computed when it is asked for.

    name        that of the net; where two have it, with their files
    published   the paper and its figures, where the network is a shipped one as it stands
    """

    name: str
    file: str
    net: Net
    published: Published | None = None

    @cached_property
    def inputs(self) -> tuple[Shape, ...]:
        """Shapes without the batch."""
        return tuple(self.net.inputs.values())

    @cached_property
    def outputs(self) -> tuple[Shape, ...]:
        """Those of inference."""
        return tuple(self.net.outputs.values())

    @cached_property
    def params(self) -> int:
        """Parameters that inference has."""
        return self.net.params_inference

    @cached_property
    def macs(self) -> Size:
        """Multiply-accumulates for one sample; a formula where sizes are open."""
        return self.net.macs

    @cached_property
    def depth(self) -> int:
        """Layers with products of weights, on the longest path."""
        return depth(self.net.graph)

    @cached_property
    def field(self) -> int | str | None:
        """Receptive field of the last map, the larger of its axes; `all` where a place sees the whole input."""
        reaches = receptive_field(self.net)
        return "all" if any(reach.whole for reach in reaches) else widest(reaches)

    @cached_property
    def memory(self) -> Memory | None:
        """For one sample, in fp32; None where sizes are open."""
        return None if self.is_open else memory(self.net)

    @property
    def accuracy(self) -> Accuracy | None:
        """The figure that is compared: the first."""
        return self.published.accuracy[0] if self.published and self.published.accuracy else None

    @property
    def family(self) -> str:
        return self.published.family if self.published else "others"

    @property
    def year(self) -> int | None:
        return self.published.paper.year if self.published else None

    @property
    def top1(self) -> float | None:
        return self.accuracy.top1 if self.accuracy else None

    @property
    def top5(self) -> float | None:
        return self.accuracy.top5 if self.accuracy else None

    @property
    def density(self) -> float | None:
        """Top-1 per million parameters: the "information density" of Canziani et al. 2016, figure 10."""
        return self.top1 / (self.params / 1e6) if self.top1 is not None and self.params else None

    @property
    def is_open(self) -> bool:
        return any(map(symbols, _sizes(self.inputs)))


class Group(Record):
    """Networks that do the same work."""

    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """`3 x 224 x 224 to 3 x 299 x 299 -> 1000`."""
        return f"{_range(entry.inputs for entry in self.entries)} -> {_range(entry.outputs for entry in self.entries)}"

    @property
    def data_set(self) -> str:
        """What the accuracies are measured on: that of most of them; empty without any."""
        sets = [entry.accuracy.on for entry in self.entries if entry.accuracy]
        return max(sets, key=sets.count) if sets else ""


class Comparison(Record):
    """Groups, the largest first, and what has to be said of them."""

    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry for group in self.groups for entry in group.entries)

    def __str__(self) -> str:
        """What `netdsl compare` prints."""
        from netdsl.comparison.table import comparison_table

        return comparison_table(self)

    def __repr__(self) -> str:
        return str(self)


def compare(nets: Iterable[tuple[str, Net]]) -> Comparison:
    """The comparison of some networks, each with the file that it is of, as it is called."""
    entries = _told_apart([Entry(net.name, file, net, published_of(net)) for file, net in nets])
    groups = tuple(sorted(_grouped(entries), key=lambda group: -len(group.entries)))
    return Comparison(groups, tuple(_notes(groups)))


def _sizes(shapes: Iterable[Shape]) -> Iterable[Size]:
    return (size for shape in shapes for size in shape)


def _told_apart(entries: Sequence[Entry]) -> list[Entry]:
    names = [entry.name for entry in entries]
    return [
        entry.replace(name=f"{entry.name} ({entry.file})") if names.count(entry.name) > 1 else entry
        for entry in entries
    ]


def _grouped(entries: Sequence[Entry]) -> list[Group]:
    kinds: dict[object, list[Entry]] = {}
    for entry in entries:
        kinds.setdefault(_kind(entry), []).append(entry)
    groups: list[Group] = []
    for alike in kinds.values():
        some: list[Entry] = []
        for entry in sorted(alike, key=lambda entry: _side(entry.inputs)):
            if some and _side(entry.inputs) > ALIKE * _side(some[0].inputs):
                groups.append(Group(tuple(some)))
                some = []
            some.append(entry)
        groups.append(Group(tuple(e for e in alike if e in some)))
    return groups


def _kind(entry: Entry) -> object:
    """What networks of one group have in common, but for their sizes: of outputs that are maps, the axes alone."""
    inputs = tuple((len(shape), str(shape[0])) for shape in entry.inputs)
    outputs = tuple((len(shape), str(shape[0]) if len(shape) == 1 else "") for shape in entry.outputs)
    return inputs, outputs, entry.is_open


def _side(shapes: Sequence[Shape]) -> int:
    """The longest side of the inputs; 0 where it is open."""
    return max((int(size) for shape in shapes for size in shape[1:] if not isinstance(size, Formula)), default=0)


def _range(every: Iterable[Sequence[Shape]]) -> str:
    """From the smallest to the largest."""
    shapes = sorted({tuple(shapes) for shapes in every}, key=lambda shapes: (_side(shapes), _said(shapes)))
    return " to ".join(dict.fromkeys([_said(shapes[0]), _said(shapes[-1])]))


def _said(shapes: Sequence[Shape]) -> str:
    return ", ".join(str(TensorType(shape)) for shape in shapes)


def _notes(groups: Sequence[Group]) -> Iterable[str]:
    if len(groups) > 1:
        yield "groups differ in their inputs or outputs: neither operations nor accuracies compare across them"
    entries = [entry for group in groups for entry in group.entries]
    ten = [entry.name for entry in entries if entry.accuracy and entry.accuracy.crops > 1]
    if ten:
        yield f"measured on 10 crops, about 2 points above a single one: {', '.join(ten)}"
    variants = [entry.name for entry in entries if entry.accuracy and entry.accuracy.variant]
    if variants:
        yield f"measured on a variant, or trained otherwise, see --json: {', '.join(variants)}"
    changed = [entry.name for entry in entries if entry.name in published() and entry.published is None]
    if changed:
        yield f"not the shipped network as it stands, so without its published accuracy: {', '.join(changed)}"
    sizes = [entry.name for entry in entries if entry.is_open]
    if sizes:
        yield f"open sizes, so costs are formulas (--input 3x512x512 gives them sizes): {', '.join(sizes)}"
