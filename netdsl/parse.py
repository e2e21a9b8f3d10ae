"""What does the text say?  text → syntax tree, or syntax errors worth reading.

Lark builds the tables of the grammar, and explains the errors; `lalr.py` runs the tables. These, and the trees of texts
that were read before, are cached (`cache.py`).
"""

from __future__ import annotations

import os
import pickle
import re
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from netdsl import __version__ as VERSION
from netdsl import tree as t
from netdsl import treebuilder
from netdsl.cache import fetch, keep
from netdsl.diagnostic import Diagnostic, diagnose
from netdsl.lalr import Tables, Unsupported, read, tables_of
from netdsl.recursion import deep_recursion
from netdsl.source import Source, Span
from netdsl.treebuilder import TreeBuilder

if TYPE_CHECKING:
    import lark

BRACKETS = re.compile(r'#[^\r\n]*|"[^"\r\n]*"|[(\[]|[)\]]')
"""Brackets, and the comments and texts in which brackets mean nothing."""
MAX_NESTING = 100
"""Parentheses, brackets and `else if` may nest this deep. The deepest published network needs four."""
MAX_ERRORS = 20
MAX_CACHED = 200_000
"""Texts longer than this are not cached: reading such a tree back would take as long as parsing."""
MAX_LENGTH = 5_000_000
"""Of a file, in characters. A hundred thousand lines of a network are three million."""


def parse(source: Source) -> tuple[t.File, list[Diagnostic]]:
    """The tree of a file. With errors, the statements that could be read are there, the others are not."""
    faults = _unreadable(source)
    if faults:
        return t.File(source, (), whole=False), faults
    text = source.text
    name = _tree_name(text) if len(text) <= MAX_CACHED and not source.tried else ""
    known: t.File | None = fetch(name, lambda file: _load_tree(file, source)) if name else None
    if known is not None:
        return known, []
    if text.startswith("\ufeff"):  # a byte order mark is no part of the text
        text = " " + text[1:]
    errors: list[Diagnostic] = []
    items: list[Any] = []
    at = 0
    while True:
        found, failed, error = _read(text, at)
        items += found
        if error is None:
            break
        from netdsl.syntaxerror import syntax_error  # not needed for a text without faults
        from netdsl.syntaxhelp import statement_around

        diagnostic, here, end = syntax_error(source, text, error)
        errors.append(diagnostic)
        if len(errors) >= MAX_ERRORS:
            return t.File(source, (), whole=False), errors
        begin, stop = statement_around(source, text, here, end)
        if not text[begin:stop].strip():
            begin = 0  # what is wrong lies before: give up on all of it
        text = text[:begin] + re.sub(r"[^\r\n]", " ", text[begin:stop]) + text[stop:]
        items = [item for item in items if start_of(item) < begin]
        at = stop if failed >= begin else failed
    too_deep = _depth(items)
    if too_deep is not None:
        return t.File(source, (), whole=False), [*errors, _nesting(source, too_deep)]
    build = TreeBuilder(source)
    with deep_recursion():
        tree = t.File(source, tuple([build(item) for item in items]), whole=not errors)
    faults = errors + build.faults
    if name and not faults:
        keep(name, lambda file: _store_tree(file, tree))
    return tree, faults


def _read(text: str, at: int) -> tuple[list[Any], int, lark.UnexpectedInput | None]:
    """The statements from `at` on, where the first begins that cannot be read, and what Lark says of it."""
    tables, found = _tables(), list[Any]()
    if tables is not None:
        found, failed = read(tables, text, at)
        if failed is None:
            return found, len(text), None
        at = failed
    try:
        return [*found, *_grammar().parse(" " * at + text[at:]).children], len(text), None
    except _lark().UnexpectedInput as error:
        return found, at, error


# --- the grammar and trees, cached -----------------------------------------------------------------------------


@cache
def _lark() -> Any:
    import lark

    return lark


@cache
def _grammar_text() -> str:
    with open(os.path.join(os.path.dirname(__file__), "grammar.lark"), encoding="utf-8") as file:
        return file.read()


def _digest(*parts: str) -> str:
    import hashlib

    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@cache
def _grammar() -> lark.Lark:
    Lark = _lark().Lark
    name = f"grammar-{_digest(_lark().__version__, _grammar_text())}.pickle"
    kept: lark.Lark | None = fetch(name, Lark.load)
    if kept is not None:
        return kept
    built: lark.Lark = Lark(_grammar_text(), parser="lalr", lexer="basic", maybe_placeholders=True)
    keep(name, built.save)
    return built


@cache
def _tables() -> Tables | None:
    """The tables that are run; None where Lark hides them, and parses itself."""
    name = f"tables-{_digest(VERSION, _grammar_text())}.pickle"
    kept: Tables | None = fetch(name, pickle.load)
    if kept is not None:
        return kept
    try:
        tables = tables_of(_grammar())
    except Unsupported:
        return None
    keep(name, lambda file: pickle.dump(tables, file, pickle.HIGHEST_PROTOCOL))
    return tables


@cache
def _builders() -> str:
    """Which code makes the trees: for those who change it without a new version."""
    return " ".join(str(os.stat(module.__file__ or "").st_mtime_ns) for module in (t, treebuilder))


def _tree_name(text: str) -> str:
    return f"tree-{_digest(VERSION, _grammar_text(), _builders(), text)}.pickle"


def _given_source() -> Source:
    """Stands in pickles for the text that a tree is of, which is not kept with it."""
    raise pickle.UnpicklingError("a tree is read with its text")


class _Pickler(pickle.Pickler):
    dispatch_table = {Source: lambda _: (_given_source, ())}  # noqa: RUF012


class _Unpickler(pickle.Unpickler):
    """Reads trees as those of a given source."""

    source: Source

    def find_class(self, module: str, name: str) -> Any:
        return (lambda: self.source) if name == _given_source.__name__ else super().find_class(module, name)


def _load_tree(file: IO[bytes], source: Source) -> t.File:
    unpickler = _Unpickler(file)
    unpickler.source = source
    tree = unpickler.load()
    assert isinstance(tree, t.File)
    return tree


def _store_tree(file: IO[bytes], tree: t.File) -> None:
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(tree)


# --- what cannot be read at all --------------------------------------------------------------------------------


def _unreadable(source: Source) -> list[Diagnostic]:
    text = source.text
    if len(text) > MAX_LENGTH:
        return [
            diagnose("E0403", f"the file has {len(text):,} characters, more than {MAX_LENGTH:,}", (Span(source, 0, 1),))
        ]
    at = text.find("\0")
    if at >= 0:
        return [diagnose("E0105", "not a text file: it holds a NUL byte", (Span(source, at, at + 1),))]
    depth = 0
    for found in BRACKETS.finditer(text):
        if found[0] in ("(", "["):
            depth += 1
            if depth > MAX_NESTING:
                return [_nesting(source, found.start())]
        elif found[0] in (")", "]"):
            depth = max(0, depth - 1)
    return []


def _nesting(source: Source, at: int) -> Diagnostic:
    return diagnose(
        "E0103",
        f"nested more than {MAX_NESTING} deep",
        (Span(source, at, at + 1),),
        "this is one level too many",
        helps=("give the inner part a name: `block name = …`",),
    )


def _depth(items: list[Any]) -> int | None:
    """Where the tree is too deep to walk, or None. Parentheses were counted before.

    This is for chains that have none: `else if`, `- -`, `not not`.
    """
    layer, depth = items, 0
    while layer:
        depth += 1
        if depth >= 8 * MAX_NESTING:
            return start_of(layer[0])
        layer = [child for node in layer for child in node.children if hasattr(child, "children")]
    return None


def start_of(node: Any) -> int:
    """Where a piece of Lark's tree, or of ours, begins."""
    while hasattr(node, "children"):
        node = next(child for child in node.children if child is not None)
    return int(node.start_pos)
