"""Is there one text for a program?  `netdsl fmt`: meaning and comments stay, a second run changes nothing, lines fit.

The laws hold for networks drawn at random, with comments and empty lines strewn in wherever the language takes them, for
every shipped file, and for the examples of the documentation, at several widths. `format/` holds what formatting makes
of single cases, byte for byte.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from golden import check_golden
from hypothesis import event, given
from hypothesis import strategies as st
from strategies import Program, mangled, programs, share, soups
from test_docs import every
from test_laws import graph_of

from netdsl import tree as t
from netdsl.layout import WIDTH, layout
from netdsl.ops import BY_SPELLING
from netdsl.parse import parse
from netdsl.source import Source

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted([*(ROOT / "specs").glob("*.net"), *(ROOT / "netdsl" / "prelude").glob("*.net")])
CASES = sorted((ROOT / "tests" / "format").glob("*.net"))
WIDTHS = (30, 60, WIDTH)


# --- the laws ---------------------------------------------------------------------------------------------------------


def formatted(text: str, width: int = WIDTH) -> str:
    out, faults = layout(Source("<text>", text), width)
    assert out is not None, [fault.message for fault in faults]
    return out


def readable(text: str) -> bool:
    file, faults = parse(Source("<text>", text))
    return file.whole and all(fault.severity == "warning" for fault in faults)


def meaning(text: str) -> object:
    """What the tree says, primitives in capitals."""

    def capitals(said: object) -> object:
        if isinstance(said, tuple):
            return tuple(map(capitals, said))
        return said.upper() if isinstance(said, str) and said.upper() in BY_SPELLING else said

    file, faults = parse(Source("<text>", text))
    assert file.whole and all(fault.severity == "warning" for fault in faults), (text, faults)
    return capitals(t.content(file.statements))


PIECES = re.compile(r'(?P<comment>#[^\r\n]*)|(?P<text>"[^"\r\n]*")|(?P<word>\w+)|[^\w#"]', re.DOTALL)
UNSPOKEN = {"then", "else", "do", "and", "or", "conv", "x"}


def comments_in_place(text: str) -> list[tuple[str, str]]:
    """The comments, each with the letters and digits before it: operators may change sides, words may not."""
    found, before = [], ""
    for piece in PIECES.finditer(text):
        if piece.lastgroup == "comment":
            found.append(("".join(piece[0].split()), before))
        elif piece.lastgroup == "text":
            before += piece[0]
        elif piece.lastgroup == "word" and piece[0].lower() not in UNSPOKEN:
            before += re.sub(r"(?<=\d)[x×](?=\d)", "", piece[0].lower())
    return found


def assert_laws(text: str, width: int = WIDTH) -> str:
    """What holds for every text and what is made of it; returns that."""
    out = formatted(text, width)
    assert meaning(out) == meaning(text), out
    assert formatted(out, width) == out, "a second run changes it"
    assert comments_in_place(out) == comments_in_place(text)
    assert "\t" not in re.sub("#.*", "", out) and "\r" not in out and "\ufeff" not in out and "\n\n\n" not in out
    assert out == "" or (out.endswith("\n") and not out.startswith("\n") and not out.endswith("\n\n"))
    for line in out.split("\n"):
        assert line == line.rstrip(), repr(line)
        if len(code_of(line)) > width:
            assert not breakable(code_of(line), width), (width, line)
    return out


def code_of(line: str) -> str:
    """A line without its comment."""
    return re.match(r'(?:[^"#]|"[^"]*")*', line)[0].rstrip()  # type: ignore[index]


def breakable(code: str, width: int) -> bool:
    """Whether a line could be broken: at an operator between blocks, before an assertion, or inside parentheses."""
    rest = re.sub(r"^\s*(-> |\| |\+ |: |(net|block) \w+)?", "", code)
    while (emptied := re.sub(r"\([^()]+\)", "()", code)) != code:
        code = emptied
    shape = code.lstrip().startswith(":")
    return bool(re.search(r" (->|\||\+|:) ", rest)) or (len(code) <= width and "()" in code and not shape)


# --- drawn programs ---------------------------------------------------------------------------------------------------

STREWN = ("\n", "\n\n", "  # {}\n", "# {}\n\n", "\n#{}\n", "\n\n    # {}\n\n\n  # and\n", "  \t ", " # -> | ({}\n")


@st.composite
def strewn(draw: st.DrawFn) -> str:
    """A program with comments, line breaks and blanks wherever they change nothing."""
    text = draw(programs()).text
    meant = meaning(text)
    for i in range(draw(st.integers(1, 6))):
        gaps = [match.start() for match in re.finditer(r"(?<![\w\s])|\b|(?=\()", text)]
        at = draw(st.sampled_from(gaps))
        more = text[:at] + draw(st.sampled_from(STREWN)).format(f"note {i}") + text[at:]
        if readable(more) and meaning(more) == meant:
            text = more
    return text


@share(100)
@given(strewn(), st.sampled_from(WIDTHS))
def test_laws(text: str, width: int) -> None:
    event(f"{text.count('#')} comments")
    assert_laws(text, width)


@share(100)
@given(programs())
def test_formatting_keeps_the_graph(program: Program) -> None:
    assert graph_of(formatted(program.text)) == graph_of(program.text)
    assert graph_of(formatted(program.text, 40)) == graph_of(program.text)


@share(50)
@given(strewn())
def test_the_graph_is_kept_with_comments(text: str) -> None:
    assert graph_of(formatted(text)) == graph_of(text)


@share(100)
@given(programs(), st.sampled_from((" \t", "   ", "\f ")))
def test_blanks_do_not_matter(program: Program, blank: str) -> None:
    """However wide the spaces between words and operators are, the text is the same."""
    wide = re.sub(r'("[^"]*"|#.*)| ', lambda found: found[1] or blank, program.text)
    assert formatted(wide) == formatted(program.text)


@share(50)
@given(strewn(), st.sampled_from(("\r\n", "\r")))
def test_ends_of_lines_do_not_matter(text: str, end: str) -> None:
    assert formatted("\ufeff" + text.replace("\n", end)) == formatted(text)


@share(100)
@given(st.one_of(soups(), mangled()))
def test_any_text_is_formatted_or_explained(text: str) -> None:
    out, faults = layout(Source("<text>", text))
    if out is None:
        assert any(fault.severity == "error" for fault in faults)
    else:
        assert_laws(text)
    event("formatted" if out is not None else "explained")


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_laws_on_shipped_files(path: Path, width: int) -> None:
    assert_laws(path.read_text(encoding="utf-8"), width)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


@pytest.mark.parametrize("width", WIDTHS)
def test_laws_on_the_examples_of_the_pages(width: int) -> None:
    texts = [block.text for block in every("net") if readable(block.text)]
    assert len(texts) > 100
    for text in texts:
        assert_laws(text, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_laws_on_files_with_errors_of_meaning(width: int) -> None:
    folders = [ROOT / "tests" / "errors", ROOT / "tests" / "fuzz" / "finds"]
    texts = [path.read_bytes().decode("utf-8", "replace") for folder in folders for path in folder.glob("*.net")]
    read = [text for text in texts if readable(text)]
    assert len(read) > 50
    for text in read:
        assert_laws(text, width)


@cache
def case(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_cases(path: Path, update_golden: bool) -> None:
    """`format/x.net` becomes `format/x.formatted`."""
    check_golden(path.with_suffix(".formatted"), assert_laws(case(path)), update_golden)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("width", WIDTHS)
def test_laws_on_cases(path: Path, width: int) -> None:
    assert_laws(case(path), width)
