"""What does a primitive compute, and how is it written?  Its equation and its arguments, from its class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netdsl.bind import usage
from netdsl.ops import Op
from netdsl.render.text import WIDTH, wrap


def equation(op: type[Op]) -> str:
    """The first paragraph of the op's docstring, which is its equation, with its source."""
    return " ".join((op.__doc__ or "").split("\n\n")[0].split())


def primitive_text(op: type[Op]) -> str:
    """For people, in 80 columns."""
    return "\n".join(_told(op))


def _told(op: type[Op]) -> Iterator[str]:
    yield ", ".join(op.spellings) + (f"; as a flag `{op.flag}`" if op.flag else "")
    yield from (f"    {row}" for row in wrap(equation(op), WIDTH - 4, ""))
    rows = [("written", usage(op, op.spellings[0])), *((a.name, a.doc) for a in op.arguments)]
    room = max(len(name) for name, _ in rows) + 2
    for name, text in rows:
        for i, row in enumerate(wrap(text, WIDTH - 4 - room, "") or [""]):
            yield f"    {'' if i else name:<{room}}{row}".rstrip()


def primitive_fields(op: type[Op]) -> dict[str, Any]:
    """The same for `--json`."""
    return {
        "primitive": op.spellings[0],
        "spellings": list(op.spellings),
        "flag": op.flag or None,
        "computes": equation(op),
        "written": usage(op, op.spellings[0]),
        "arguments": [{"name": a.name, "meaning": a.doc} for a in op.arguments],
    }
