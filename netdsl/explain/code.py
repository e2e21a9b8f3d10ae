"""What does a code mean?  Its page in `codes/`: words, a spec that has the fault and one without, the rule's source.

A page is Markdown: the meaning, then `## Wrong`, `## Right` and `## Source`. The examples are fenced blocks:

    ```net                      the spec
    ```net input=3x100x96       the spec, given an input of these sizes
    ```net encoding=latin-1     the spec, in a file of another encoding
    ```net file=blocks.net      a file that lies beside the specs
"""

from __future__ import annotations

import re
from pathlib import Path

from netdsl.diagnostic import CODES, Diagnostic, nearest
from netdsl.driver import check_source
from netdsl.files import TextReader, Unreadable, decoded
from netdsl.options import UsageError, options_of
from netdsl.record import Record

NAME = "example.net"


class Example(Record):
    """A spec, the files beside it, and with what it is checked."""

    text: str
    input: str = ""
    encoding: str = "utf-8"
    files: tuple[tuple[str, str], ...] = ()

    @property
    def options(self) -> str:
        """What the command line would be given beside the spec."""
        return f"--input {self.input}" if self.input else ""


class Meaning(Record):
    """A code in full. `title` is that of its diagnostics' list; `text` is one or more paragraphs."""

    code: str
    title: str
    text: str
    wrong: Example
    right: Example
    source: str

    @property
    def paragraphs(self) -> list[str]:
        return [" ".join(part.split()) for part in self.text.split("\n\n")]


def meaning(code: str) -> Meaning:
    """The page of a code, whatever its case. Raises UsageError for one that there is not."""
    name = code.strip().upper()
    if name not in CODES:
        close = nearest(name, CODES)
        help_ = f"did you mean {close}?" if close else "`netdsl explain` lists them all"
        raise UsageError(f"there is no code {code!r}: {help_}")
    page = (Path(__file__).parent / "codes" / f"{name}.md").read_text(encoding="utf-8")
    text, *parts, source = (part.strip() for part in re.split(r"^## (?:Wrong|Right|Source)$", page, flags=re.M))
    blocks = [_block(found) for part in parts for found in re.finditer(_FENCE, part)]
    files = tuple((options["file"], text) for options, text in blocks if "file" in options)
    wrong, right = (
        Example(text, options.get("input", ""), options.get("encoding", "utf-8"), files)
        for options, text in blocks
        if "file" not in options
    )
    return Meaning(name, CODES[name], text, wrong, right, " ".join(source.split()))


_FENCE = re.compile(r"^```net([^\n]*)\n(.*?)^```$", re.M | re.S)


def _block(found: re.Match[str]) -> tuple[dict[str, str], str]:
    """The options of a fenced block, and its text."""
    return dict(word.split("=", 1) for word in found[1].split()), found[2]


def said(example: Example) -> list[Diagnostic]:
    """What netdsl says about an example, now: errors and warnings, with repairs."""
    from netdsl.repair import repaired

    try:
        source = decoded(example.text.encode(example.encoding), NAME)
    except Unreadable as error:
        return [error.diagnostic]
    options, read = options_of(example.input or None, {}), TextReader(NAME, dict(example.files))
    return repaired(check_source(source, read, options)[1], source, read, options)
