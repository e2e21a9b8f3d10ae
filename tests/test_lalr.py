"""Does the table-driven reader read what Lark reads?  The same trees, and the same place where it stops."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import lark
import pytest

from netdsl import parse as parsing
from netdsl.lalr import Node, Tables, read, tables_of
from netdsl.source import Source

ROOT = Path(__file__).resolve().parent.parent
GRAMMAR = (ROOT / "netdsl" / "grammar.lark").read_text(encoding="utf-8")
RIGHT = sorted([*(ROOT / "specs").glob("*.net"), *(ROOT / "netdsl" / "prelude").glob("*.net")])
WRONG = sorted([*(ROOT / "tests" / "errors").glob("*.net"), *(ROOT / "tests" / "fuzz" / "finds").glob("*.net")])
ODD = ["", "\n", "# nothing", "CONV 64", "\r\rCONV 64 -> RELU\r\n", "RESHAPE C x ?\n", "x = (\nCONV 1\n)\n"]


@cache
def larks() -> tuple[lark.Lark, Tables]:
    built = lark.Lark(GRAMMAR, parser="lalr", lexer="basic", maybe_placeholders=True)
    return built, tables_of(built)


def plain(node: Any) -> Any:
    """A tree of Lark's or of ours: names, words and where they stand."""
    if node is None:
        return None
    if isinstance(node, lark.Tree | Node):
        return str(node.data), [plain(child) for child in node.children]
    return str(node), node.start_pos, node.end_pos


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff")


@pytest.mark.parametrize("text", [*map(text_of, RIGHT), *ODD], ids=[*(path.stem for path in RIGHT), *map(repr, ODD)])
def test_trees_are_those_of_lark(text: str) -> None:
    built, tables = larks()
    try:
        wanted = [plain(child) for child in built.parse(text).children]
    except lark.UnexpectedInput:
        assert read(tables, text)[1] is not None
        return
    statements, failed = read(tables, text)
    assert failed is None
    assert [plain(statement) for statement in statements] == wanted


def test_it_stops_where_lark_does() -> None:
    """What it has read by then is what Lark reads of that much; what comes then, Lark cannot read either."""
    built, tables = larks()
    stopped = 0
    for path in WRONG:
        text = text_of(path)
        statements, failed = read(tables, text)
        if failed is None:
            assert [plain(s) for s in statements] == [plain(child) for child in built.parse(text).children], path.name
            continue
        stopped += 1
        before = built.parse(text[:failed]).children
        assert [plain(s) for s in statements] == [plain(child) for child in before], path.name
        with pytest.raises(lark.UnexpectedInput):
            built.parse(" " * failed + text[failed:])
    assert stopped > 20


@pytest.mark.parametrize("path", [*RIGHT[::10], *WRONG[::10]], ids=lambda path: path.stem)
def test_without_tables_lark_itself_parses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "fetch", lambda name, read: None)
    monkeypatch.setattr(parsing, "keep", lambda name, write: None)
    source = Source(path.name, text_of(path))
    ours = parsing.parse(source)
    monkeypatch.setattr(parsing, "_tables", lambda: None)
    assert parsing.parse(source) == ours
