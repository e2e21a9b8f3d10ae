"""What does the text say?  text → syntax tree, or syntax errors worth reading.

Lark does the parsing. The built grammar and the trees of texts that were read before are cached (`cache.py`).
"""

from __future__ import annotations

import os
import pickle
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from netdsl import __version__ as VERSION
from netdsl import tree as t
from netdsl.cache import fetch, keep
from netdsl.diagnostic import Diagnostic, diagnose
from netdsl.source import Source, Span
from netdsl.syntaxerror import BRACKETS, syntax_error, without_statement
from netdsl.treebuilder import TreeBuilder

if TYPE_CHECKING:
    import lark

MAX_NESTING = 100
"""Parentheses, brackets and `else if` may nest this deep. The deepest published network needs four."""
MAX_ERRORS = 20
MAX_CACHED = 200_000
"""Texts longer than this are not cached: reading such a tree back would take as long as parsing."""
MAX_LENGTH = 20_000_000


def parse(source: Source) -> tuple[t.File, list[Diagnostic]]:
    """The tree of a file. With errors, the statements that could be read are there, the others are not."""
    faults = _unreadable(source)
    if faults:
        return t.File(source, (), whole=False), faults
    text = source.text
    name = _tree_name(text) if len(text) <= MAX_CACHED else ""
    known: t.File | None = fetch(name, lambda file: _load_tree(file, source)) if name else None
    if known is not None:
        return known, []
    if text.startswith("\ufeff"):  # a byte order mark is no part of the text
        text = " " + text[1:]
    errors: list[Diagnostic] = []
    root = None
    while root is None:
        try:
            root = _grammar().parse(text)
        except _lark().UnexpectedInput as error:
            diagnostic, at, end = syntax_error(source, text, error)
            errors.append(diagnostic)
            if len(errors) >= MAX_ERRORS:
                return t.File(source, (), whole=False), errors
            text = without_statement(source, text, at, end)
    too_deep = _depth(root)
    if too_deep is not None:
        return t.File(source, (), whole=False), [*errors, _nesting(source, too_deep)]
    build = TreeBuilder(source)
    tree = t.File(source, tuple([build(item) for item in root.children]), whole=not errors)
    faults = errors + build.faults
    if name and not faults:
        keep(name, lambda file: _store_tree(file, tree))
    return tree, faults


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


def _tree_name(text: str) -> str:
    return f"tree-{_digest(VERSION, _grammar_text(), text)}.pickle"


class _Pickler(pickle.Pickler):
    """Writes trees without the text that they are of."""

    def persistent_id(self, thing: Any) -> str | None:
        return "source" if isinstance(thing, Source) else None


class _Unpickler(pickle.Unpickler):
    """Reads trees as those of a given source."""

    source: Source

    def persistent_load(self, _: Any) -> Source:
        return self.source


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


def _depth(root: lark.Tree[Any]) -> int | None:
    """Where the tree is too deep to walk, or None. Parentheses were counted before.

    This is for chains that have none: `else if`, `- -`, `not not`.
    """
    layer, depth = [root], 0
    Tree = _lark().Tree
    while layer:
        depth += 1
        if depth > 8 * MAX_NESTING:
            token = next(layer[0].scan_values(lambda _: True))
            return int(token.start_pos)
        layer = [child for node in layer for child in node.children if isinstance(child, Tree)]
    return None
