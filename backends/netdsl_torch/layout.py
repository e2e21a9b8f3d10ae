"""How does a long line of Python break?  At the arguments of its outermost bracket, one to a line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

WIDTH = 110
PAIRS = {"(": ")", "[": "]", "{": "}"}


def laid_out(line: str, indent: int = 0) -> list[str]:
    """The statement as lines of at most WIDTH columns, where its brackets allow it."""
    pad = " " * indent
    if len(pad + line) <= WIDTH:
        return [pad + line]
    code, hash_, comment = line.partition("  # ")
    found = _outermost(code)
    if found is None:
        return [pad + line]
    start, end = found
    items = _split(code[start + 1 : end])
    said = hash_ + comment  # on every line of it: a traceback shows one
    out = [pad + code[: start + 1] + said]
    together = f"{pad}    {', '.join(items)}"
    if len(together + said) <= WIDTH and not code[:start].endswith("Sequential"):
        return [*out, together + said, pad + code[end:]]
    for item in items:
        comma = "" if " for " in _outside_brackets(item) else ","
        out.extend(laid_out(item + comma + said, indent + 4))
    out.append(pad + code[end:])
    return out


def _scanned(code: str) -> Iterator[tuple[int, str, int]]:
    """Every character outside quotes with its place and how many brackets are open after it."""
    depth, quote = 0, ""
    for i, c in enumerate(code):
        if quote:
            quote = "" if c == quote else quote
            continue
        if c in "\"'":
            quote = c
            continue
        depth += (c in PAIRS) - (c in PAIRS.values())
        yield i, c, depth


def _outermost(code: str) -> tuple[int, int] | None:
    """The bracket to break at: the last one on the top level that holds something."""
    best, start = None, 0
    for i, c, depth in _scanned(code):
        if c in PAIRS and depth == 1:
            start = i
        elif c in PAIRS.values() and depth == 0 and i > start + 1:
            best = (start, i)
    return best


def _split(inside: str) -> list[str]:
    """The arguments between commas on the top level; a comprehension stays whole."""
    commas = [i for i, c, depth in _scanned(inside) if c == "," and depth == 0]
    items = [inside[a + 1 : b].strip() for a, b in pairwise([-1, *commas, len(inside)])]
    return [item for item in items if item]


def _outside_brackets(text: str) -> str:
    return "".join(c for _, c, depth in _scanned(text) if depth == 0)
