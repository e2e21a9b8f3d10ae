"""Is what `netdsl explain CODE` says true?  Each wrong example has exactly that fault, each right one has none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import Run

from netdsl.diagnostic import CODES
from netdsl.explain.code import Example, meaning, said
from netdsl.options import UsageError

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "netdsl" / "explain" / "codes"

every_code = pytest.mark.parametrize("code", CODES)


def test_there_is_a_page_for_every_code() -> None:
    assert {path.stem for path in PAGES.iterdir()} == set(CODES)


@every_code
def test_the_wrong_example_has_that_fault_and_no_other(code: str) -> None:
    assert {fault.code for fault in said(meaning(code).wrong)} == {code}


@every_code
def test_the_right_example_has_none(code: str) -> None:
    assert said(meaning(code).right) == []


@every_code
def test_the_words_say_something(code: str) -> None:
    found = meaning(code)
    assert len(found.text.split()) >= 15
    assert found.source.endswith(".")
    assert found.wrong.text != found.right.text or found.wrong != found.right
    for line in found.text.splitlines():
        assert len(line) <= 130


@every_code
def test_sections_of_the_language_page_exist(code: str) -> None:
    """`docs/language.md, Lines and Blocks.` names headings of that page."""
    titles = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "language.md").read_text(encoding="utf-8"), re.MULTILINE)
    source = meaning(code).source
    named = re.search(r"docs/language\.md, ([^.;:]*)", source)
    assert named or "docs/" in source, source
    for title in re.split(r" and (?=[A-Z])", named[1]) if named and named[1] not in titles else []:
        assert title in titles, title


@every_code
def test_it_is_said_on_the_command_line(code: str, run: Run) -> None:
    done = run("explain", code.lower())
    found = meaning(code)
    assert done.code == 0
    assert done.out.startswith(f"{code}: {found.title}\n")
    assert f"[{code}]" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines() if not line.startswith("    ")), done.out


def test_without_an_argument_the_codes_are_listed(run: Run) -> None:
    lines = run("explain").out.splitlines()
    assert lines == [f"{code}  {title}" for code, title in CODES.items()]


@pytest.mark.parametrize(
    ("code", "close"), [("E0399", "E0309"), ("e301", "E0301"), ("0301", "E0301"), ("w51", "W0501")]
)
def test_an_unknown_code_is_answered_with_the_nearest(code: str, close: str, run: Run) -> None:
    done = run("explain", code)
    assert done.code == 2
    assert done.out == ""
    assert f"did you mean {close}?" in done.err


def test_a_code_that_is_like_none() -> None:
    with pytest.raises(UsageError, match="lists them all"):
        meaning("nonsense")


def test_as_json(run: Run) -> None:
    fields = json.loads(run("explain", "E0310", "--json").out)
    assert fields["code"] == "E0310"
    assert fields["options"] == {"wrong": "--input 3x100x96", "right": "--input 3x104x96"}
    assert "H must be a multiple of 8" in fields["says"]
    assert set(fields) == {"code", "title", "text", "wrong", "says", "right", "options", "files", "source"}


def test_files_beside_an_example_are_shown_and_read(run: Run) -> None:
    assert "and beside it, heads.net\n\n    import" in run("explain", "E0404").out
    assert said(Example('import "b.net"\nnet a\ninput 1\nf', files=(("b.net", "block f = FC 3"),))) == []
    (fault,) = said(Example('import "c.net"\nnet a\ninput 1\nf', files=(("b.net", "block f = FC 3"),)))
    assert (fault.code, fault.helps) == ("E0405", ('did you mean "b.net"?',))
    assert said(Example('import "vgg16"\nnet a = vgg16 with\n    fc8 = FC 3\n')) == []
