"""How is an explanation shown?  As text of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from netdsl.diagnostic import CODES, Diagnostic
from netdsl.explain.code import Example, Meaning
from netdsl.render.full import render
from netdsl.render.text import WIDTH, wrap


def code_list() -> str:
    """Every code, a line for each."""
    return "\n".join(f"{code}  {title}" for code, title in CODES.items())


def meaning_text(meaning: Meaning, faults: Sequence[Diagnostic], colour: bool = False) -> str:
    """A code in full; `faults` is what netdsl says about its wrong example."""
    return "\n".join(_meaning(meaning, faults, colour)).rstrip()


def _meaning(meaning: Meaning, faults: Sequence[Diagnostic], colour: bool) -> Iterator[str]:
    yield bold(f"{meaning.code}: {meaning.title}", colour)
    yield ""
    for paragraph in meaning.paragraphs:
        yield from wrap(paragraph.replace("**", ""), WIDTH, "")
        yield ""
    yield from _example("Wrong", meaning.wrong, colour)
    yield bold("netdsl says", colour)
    yield ""
    for fault in faults:
        yield render(fault, colour)
        yield ""
    yield from _example("Right", meaning.right, colour)
    yield from wrap(f"Source: {meaning.source}", WIDTH, "        ")


def _example(title: str, example: Example, colour: bool) -> Iterator[str]:
    yield bold(title + (f", with {example.options}" if example.options else ""), colour)
    yield ""
    yield from _indented(example.text)
    for name, text in example.files if title == "Wrong" else ():
        yield bold(f"and beside it, {name}", colour)
        yield ""
        yield from _indented(text)


def _indented(text: str) -> Iterator[str]:
    yield from (f"    {line}".rstrip() for line in text.rstrip().splitlines())
    yield ""


def bold(text: str, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour and text else text


def meaning_fields(meaning: Meaning, faults: Sequence[Diagnostic]) -> dict[str, Any]:
    """A code in full, for programs."""
    return {
        "code": meaning.code,
        "title": meaning.title,
        "text": "\n\n".join(meaning.paragraphs),
        "wrong": meaning.wrong.text,
        "says": "\n\n".join(map(render, faults)),
        "right": meaning.right.text,
        "options": {"wrong": meaning.wrong.options, "right": meaning.right.options},
        "files": dict(meaning.wrong.files),
        "source": meaning.source,
    }
