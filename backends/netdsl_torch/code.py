"""A piece of Python with numbers in it that are not settled yet.

Bodies that differ only in numbers share a class. So the code of a body is text with *holes*: each holds a number, and
how it follows from the block's parameters where that is known. Once all bodies of a class are at hand, each hole
becomes an expression, a literal, or one more parameter of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from netdsl.record import Record
from netdsl.size import Formula, Size, Traced, TracedFloat, substitute, trace_of


class Hole(Record):
    """A number in the code. With a `default`, the hole and its `prefix` vanish where it is that number everywhere."""

    value: int | float
    trace: Formula | None
    hint: str
    prefix: str = ""
    default: int | float | None = None
    factor: bool = False
    """Whether it is multiplied, so that a sum in it needs parentheses."""


Code = tuple[str | Hole, ...]


def hole(value: Size, hint: str, prefix: str = "", default: int | None = None) -> Hole:
    """A hole for a size; its trace goes along."""
    assert isinstance(value, int), f"{hint} is not known"
    trace = trace_of(value)
    return Hole(int(value), trace if isinstance(trace, Formula) else None, hint, prefix, default)


def rate(value: float, hint: str, prefix: str = "", default: float | None = None) -> Hole:
    """A hole for a number that is no size: a probability, an epsilon."""
    trace = value.trace if isinstance(value, TracedFloat) else None
    return Hole(float(f"{value:.12g}"), trace, hint, prefix, default)


def holes_of(code: Code) -> list[Hole]:
    return [part for part in code if isinstance(part, Hole)]


def skeleton(code: Code) -> tuple[str, ...]:
    """The code without its numbers: what bodies of one class have in common."""
    parts = [f"\0{part.hint}{part.prefix}" if isinstance(part, Hole) else part for part in code]
    return tuple("".join(parts).split("\0"))


def joined(codes: list[Code], separator: str = ", ") -> Code:
    """The codes, one after the other."""
    out: list[str | Hole] = []
    for i, code in enumerate(codes):
        if i:
            out.append(separator)
        out.extend(code)
    return tuple(out)


def in_terms(code: Code, env: Mapping[str, Size]) -> Code:
    """The code with its traces in the terms of the caller, as `env` says; a trace that becomes a number vanishes."""
    if not env:
        return code
    out: list[str | Hole] = []
    for part in code:
        if isinstance(part, Hole) and part.trace is not None:
            trace = substitute(part.trace, env)
            part = part.replace(trace=trace if isinstance(trace, Formula) else None)
        out.append(part)
    return tuple(out)


def rendered(code: Code, text: Callable[[Hole], str]) -> str:
    """The code as text, with what `text` says for each hole."""
    out = []
    for part in code:
        if isinstance(part, str):
            out.append(part)
            continue
        shown = text(part)
        if part.default is None or shown != repr(part.default):
            out.append(part.prefix + shown)
    return "".join(out)


def traced(hole: Hole) -> Size:
    """The size in a hole, with its trace."""
    value = int(hole.value)
    return Traced(value, hole.trace) if hole.trace is not None else value
