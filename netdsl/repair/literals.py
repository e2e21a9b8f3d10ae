"""Which numbers does the user's file have?  Whole ones, where they stand; both of `3x3` are one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netdsl import tree as t
from netdsl.evaluate import ungroup
from netdsl.program import Program
from netdsl.record import Record
from netdsl.source import Source, Span
from netdsl.values import Function


class Literal(Record):
    """A whole number of the user's file; both of `3x3` are one, and so are height and width of an input."""

    name: str
    spans: tuple[Span, ...]
    value: int
    role: str = ""
    """`input`, or nothing."""


def literals_of(program: Program) -> dict[int, Literal]:
    """The whole numbers of the user's file by where they stand."""
    found: dict[int, Literal] = {}
    for tree in walk(roots_of(program), program.source):
        if isinstance(tree, t.Input):
            channels, *spatial = tree.shape.sizes
            add(found, [channels], "input")
            add(found, spatial, "input")
        elif isinstance(tree, t.Extent):
            add(found, tree.sizes)
        elif isinstance(tree, t.Number) and isinstance(tree.value, int) and tree.span.start not in found:
            add(found, [tree])
    return found


def roots_of(program: Program) -> list[t.Tree]:
    """The statements of the user's file."""
    nets = [program.nets[name] for name in program.own_nets]
    roots: list[t.Tree] = [net.header for net in nets] + [s for net in nets for s in net.statements]
    return roots + [f.block for name in program.scope.own() if isinstance(f := program.scope.get(name), Function)]


def add(found: dict[int, Literal], sizes: Sequence[t.Expr], role: str = "") -> None:
    """The whole numbers among these sizes: one literal where all are alike, as the two of `3x3` are."""
    numbers = [n for n in map(ungroup, sizes) if isinstance(n, t.Number) and isinstance(n.value, int)]
    alike = len(numbers) == len(sizes) and len({n.value for n in numbers}) == 1
    for group in [numbers] if alike else [[n] for n in numbers]:
        spans = tuple(number.span for number in group)
        for span in spans:
            found.setdefault(span.start, Literal(f"#{spans[0].start}", spans, int(group[0].value), role))


def walk(trees: list[t.Tree], source: Source) -> Iterator[t.Tree]:
    """These trees and all inside them that the source holds, outer ones first."""
    stack = list(reversed(trees))
    while stack:
        tree = stack.pop()
        if tree.span.source is source:
            yield tree
            stack.extend(reversed(t.children(tree)))
