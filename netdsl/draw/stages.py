"""Which rows does the paper's table have?  Layers by stage, blocks as matrices (He et al. 2015, table 1).

A row holds what follows in one size, or under one label. As in the papers, norms, activations, dropout and shortcuts
are left out, and blocks of a row that differ in the stride of the first alone are counted together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import TypeAlias

from netdsl.draw.structure import EXIT, Box, Diagram, Link, Parallel, Series
from netdsl.record import Record
from netdsl.recursion import deep_recursion

MAX_COLUMNS = 8
MAX_NESTED = 2
"""Matrices that are wider, or deeper, are written as the author's words."""


class Matrix(Record):
    """A block: the layers of each branch from top to bottom; `count` such blocks in a row.

    skips   whether a shortcut leads past it: then it is a block in the table, too, where there is one alone
    """

    columns: tuple[tuple[Term, ...], ...]
    count: int = 1
    skips: bool = False


Term: TypeAlias = str | Matrix
"""A layer in words, or a block."""


class Stage(Record):
    """One row: its name, the size of the maps that come out, and its layers from top to bottom.

    `training` is true for a head that only training has.
    """

    name: str
    size: tuple[str, ...]
    terms: tuple[Term, ...]
    training: bool = False


def stages(diagram: Diagram) -> tuple[Stage, ...]:
    """The rows of a network, further outputs last."""
    with deep_recursion():
        return _stages(diagram)


def _stages(diagram: Diagram) -> tuple[Stage, ...]:
    rows: list[Stage] = []
    last: str | None = None
    for item in diagram.series.items:
        box = item if isinstance(item, Box) else item.join or _last_of(item)
        terms = _terms_of_item(item, 0)
        if not terms:
            continue
        size = spatial(box.shape)
        label = _label(_first_box(item), last or "")
        if last == label and _same_stage(rows[-1].size, size, item):
            rows[-1] = rows[-1].replace(size=size, terms=_merged([*rows[-1].terms, *terms]))
        else:
            rows.append(Stage(label or _first_box(item).id.partition(".")[0], size, _merged(terms)))
        last = label
    rows += [_head(link) for link in diagram.links if link.target == EXIT and link.via is not None]
    return tuple(row.replace(terms=_unpacked(row.terms)) for row in rows)


def _label(box: Box, before: str) -> str:
    """The label of the line that a box stands in; only the first box of a line has it."""
    same = before and (box.id == before or box.id.startswith((f"{before}.", f"{before}_")))
    return box.label or (before if same else "")


def _same_stage(before: tuple[str, ...], size: tuple[str, ...], item: Box | Parallel) -> bool:
    """Maps that only lose their border stay in their stage; strides, blocks and pools of all places begin a new one."""
    if size == before:
        return True
    plain = isinstance(item, Box) and item.body is None
    return len(size) == len(before) and plain and "stride" not in layer(_first_box(item))


def _head(link: Link) -> Stage:
    assert link.via is not None
    final = link.via.items[-1]
    box = final if isinstance(final, Box) else final.join or _last_of(final)
    return Stage(link.label, spatial(box.shape), _merged(_terms(link.via, (), 0)), link.training)


def _first_box(item: Box | Parallel) -> Box:
    while isinstance(item, Parallel):
        item = next((branch.items[0] for branch in item.branches if branch.items), item.join)  # type: ignore[assignment]
    return item


def _last_of(item: Parallel) -> Box:
    final = next(branch.items[-1] for branch in item.branches if branch.items)
    return final if isinstance(final, Box) else final.join or _last_of(final)


def spatial(shape: str) -> tuple[str, ...]:
    """The sizes of a map, without its channels: none of a vector."""
    return tuple(shape.split(" x ")[1:])


def _terms(series: Series, links: Sequence[Link], depth: int) -> list[Term]:
    terms: list[Term] = []
    for item in series.items:
        terms += _terms_of_item(item, depth)
    for link in links:
        if link.kind == "branch" and link.via is not None:
            side = tuple(_terms(link.via, (), depth))
            terms = [Matrix((tuple(terms), side))] if side else terms
    return list(_blocks_merged(terms))


def _terms_of_item(item: Box | Parallel, depth: int) -> list[Term]:
    if isinstance(item, Box):
        return _terms_of_box(item, depth)
    columns = []
    for branch in item.branches:
        inner = tuple(_terms(branch, (), depth + 1))
        if inner:
            columns.append(inner if branch.count == 1 else (Matrix((inner,), branch.count),))
    skips = any(not branch.items for branch in item.branches)
    if len(columns) == 1 and not skips:
        return list(columns[0])
    return [Matrix(tuple(columns), 1, skips)] if columns else []


def _terms_of_box(box: Box, depth: int) -> list[Term]:
    if box.body is None:
        words = layer(box)
        return [] if not words else [words] if box.count == 1 else [Matrix(((words,),), box.count)]
    inner = _terms(box.body.series, box.body.links, depth)
    if not inner:
        return []
    if _nested(inner) > MAX_NESTED or _widest(inner) > MAX_COLUMNS:
        return [box.title] if box.count == 1 else [Matrix(((box.title,),), box.count)]
    if box.holds_steps:
        return inner
    skips = any(link.kind in ("skip", "projection") for link in box.body.links)
    if len(inner) == 1 and isinstance(inner[0], Matrix) and (inner[0].count == 1 or box.count == 1):
        only = inner[0]
        return [only.replace(count=only.count * box.count, skips=only.skips or skips)]
    if box.count == 1 and any(isinstance(term, Matrix) for term in inner):
        return inner
    return [Matrix((tuple(inner),), box.count, skips)]


def _nested(terms: Iterable[Term]) -> int:
    return max((1 + max(map(_nested, term.columns)) for term in terms if isinstance(term, Matrix)), default=0)


def _widest(terms: Iterable[Term]) -> int:
    wide = [max(len(term.columns), *map(_widest, term.columns)) for term in terms if isinstance(term, Matrix)]
    return max(wide, default=1)


def _merged(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Equal layers and blocks in a row are counted."""
    found: list[Term] = []
    for term in _blocks_merged(terms):
        before = found[-1] if found else None
        if isinstance(term, str) and term == before:
            found[-1] = Matrix(((term,),), 2)
        elif isinstance(term, str) and isinstance(before, Matrix) and before.columns == ((term,),):
            found[-1] = before.replace(count=before.count + 1)
        else:
            found.append(term)
    return tuple(found)


def _blocks_merged(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Equal blocks in a row are counted, those too that differ in strides: the later ones are shown."""
    found: list[Term] = []
    for term in terms:
        before = found[-1] if found else None
        if isinstance(term, Matrix) and isinstance(before, Matrix) and _unstrided(term) == _unstrided(before):
            found[-1] = term.replace(count=term.count + before.count, skips=term.skips or before.skips)
        else:
            found.append(term)
    return tuple(found)


def _unstrided(term: Term) -> object:
    if isinstance(term, str):
        return re.sub(r", stride [\d×]+", "", term)
    return tuple(tuple(_unstrided(inner) for inner in column) for column in term.columns)


def _unpacked(terms: Sequence[Term]) -> tuple[Term, ...]:
    """A chain that stands once, and that nothing leads past, needs no brackets."""
    found: list[Term] = []
    for term in terms:
        if isinstance(term, Matrix) and term.count == 1 and len(term.columns) == 1 and not term.skips:
            found += _unpacked(term.columns[0])
        else:
            found.append(term)
    return tuple(found)


# --- a layer in words --------------------------------------------------------------------------------------------

SHOWN = ("conv", "pool", "fc", "attention", "recurrent", "embedding", "block")
POOLS = {"MAXPOOL": "max pool", "AVGPOOL": "average pool"}
WORDS = {"GAP": "global average pool", "GMP": "global max pool", "SOFTMAX": "softmax"}


def layer(box: Box) -> str:
    """`7×7, 64, stride 2`, `3×3 max pool, stride 2`, `1000-d fc`; nothing for what tables leave out."""
    name, *words = box.title.split()
    if box.title in WORDS:
        return WORDS[box.title]
    if box.kind not in SHOWN and name != "UPSAMPLE":
        return ""
    if name == "FC" and words:
        return f"{words[0]}-d fc"
    if name in POOLS and words:
        return ", ".join([f"{_crossed(words[0])} {POOLS[name]}", *_strides(words[1:])])
    if name == "CONV" and len(words) >= 2:
        depthwise = " depthwise" if "depthwise" in words else ""
        return ", ".join([_crossed(words[1]) + depthwise, words[0], *_strides(words[2:])])
    if name == "DECONV" and len(words) >= 2:
        return ", ".join([f"{_crossed(words[1])} deconv", words[0], *_strides(words[2:])])
    return box.title


UNSAID = ("ceil", "floor", "exact", "depthwise")


def _crossed(kernel: str) -> str:
    return kernel.replace("x", "×")


def _strides(words: list[str]) -> list[str]:
    """`/2` is stride 2, and stride 1 goes without saying; other words stay together."""
    others = " ".join(word for word in words if not word.startswith("/") and word not in UNSAID)
    strides = [f"stride {_crossed(word[1:])}" for word in words if word.startswith("/") and word != "/1"]
    return [*([others] if others else []), *strides]


# --- several networks --------------------------------------------------------------------------------------------


class Line(Record):
    """A row of a table of several networks: for each of them its stage, or None."""

    name: str
    size: tuple[str, ...]
    cells: tuple[Stage | None, ...]


def beside(tables: Sequence[Sequence[Stage]]) -> tuple[Line, ...]:
    """The rows of several networks, those of equal name and size in one line, in an order that suits all of them."""
    keys: list[tuple[str, tuple[str, ...]]] = []
    for rows in tables:
        own = [(row.name, row.size) for row in rows]
        merged: list[tuple[str, tuple[str, ...]]] = []
        for tag, a, b, c, d in SequenceMatcher(None, keys, own, autojunk=False).get_opcodes():
            merged += keys[a:b] + ([] if tag == "equal" else own[c:d])
        keys = list(dict.fromkeys(merged))
    cells = [{(row.name, row.size): row for row in reversed(rows)} for rows in tables]
    return tuple(Line(name, size, tuple(each.get((name, size)) for each in cells)) for name, size in keys)
