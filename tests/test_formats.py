"""How are faults shown to programs, and does everything fit the screen?

The goldens of `tests/golden/faults` hold one spec in each format: `pytest tests/test_formats.py --update-golden`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from commands import Run
from golden import GOLDEN, check_golden
from hypothesis import given
from hypothesis import strategies as st
from test_errors import Example, checked, every_example, faults_in

from netdsl.diagnostic import CODES, Diagnostic, Edit, Label, Repair, diagnose
from netdsl.render import FORMATS, render, rendered
from netdsl.render.text import WIDTH, char_width, excerpt, width, wrap
from netdsl.repair import applied
from netdsl.source import Source, Span

SPEC = """net small(classes=10)
input 3 x 32 x 32
block body(c) = CONV c 3x3 | CONV c 5x5 valid
CONVV 16 -> POOL          # 100 % wrong: a typo, and more
CONV 16 -> body(8)
GAP -> FC clases
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.net").write_text(SPEC, encoding="utf-8")
    return "small.net"


# --- the formats -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_golden(form: str, small: str, run: Run, update_golden: bool) -> None:
    done = run("check", small, "--format", form)
    assert done.code == 1
    assert (done.out, done.err).count("") == 1, "one of the two streams"
    assert bool(done.out) == (form in ("json", "github", "sarif"))
    check_golden(GOLDEN / "faults" / f"{form}.txt", done.out + done.err, update_golden)


def test_formats_for_programs_are_one_text_for_all_specs(small: str, run: Run) -> None:
    done = run("check", small, "alexnet", small, "--format", "json")
    assert [fault["code"] for fault in json.loads(done.out)["diagnostics"]] == ["E0201", "E0201"] * 2
    assert run("check", "alexnet", "--format", "json").out == '{\n  "diagnostics": []\n}\n'
    assert run("check", "alexnet", "--format", "github").out == ""
    assert json.loads(run("check", "alexnet", "--format", "sarif").out)["runs"][0]["results"] == []


def test_what_open_sizes_must_be_does_not_mix_with_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "open.net").write_text("net n\ninput 3 x H x W\nCONV 8 relu -> POOL\nGAP -> FC 10\n")
    assert "H must be" in run("check", tmp_path / "open.net").out
    assert json.loads(run("check", tmp_path / "open.net", "--format", "json").out) == {"diagnostics": []}


@pytest.mark.parametrize("command", ["show", "compile"])
def test_other_commands_keep_their_output_apart(command: str, small: str, run: Run) -> None:
    done = run(command, small, "--format", "json")
    assert done.code == 1
    assert not done.out
    assert json.loads(done.err)["diagnostics"]


def test_a_file_that_is_not_there_is_said_in_a_sentence(run: Run) -> None:
    done = run("check", "nowhere.net", "--format", "json")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("netdsl: there is no file nowhere.net")


def test_an_unknown_format_is_refused(run: Run) -> None:
    done = run("check", "alexnet", "--format", "xml")
    assert done.code == 2
    assert "concise" in done.err


@every_example
def test_concise_is_one_line(example: Example) -> None:
    for fault in checked(example)[1]:
        (row,) = rendered([fault], "concise").splitlines()
        assert row.startswith(f"{fault.place}: {fault.severity}[{fault.code}]: ")


# --- JSON ------------------------------------------------------------------------------------------------------------


def offset(text: str, position: dict[str, int]) -> int:
    """Where a position of the JSON is in a text, by its own description."""
    starts = [0, *(found.end() for found in re.finditer(r"\r\n|\r|\n", text))]
    return starts[position["line"] - 1] + position["column"] - 1


@every_example
def test_edits_by_line_and_column_give_the_text_of_the_engine(example: Example) -> None:
    """And what stands between the positions of a fault is its text."""
    faults = checked(example)[1]
    for fault, fields in zip(faults, json.loads(rendered(faults, "json"))["diagnostics"], strict=True):
        source = fault.label.span.source
        place = slice(offset(source.text, fields["start"]), offset(source.text, fields["end"]))
        assert source.text[place] == fault.label.span.text
        for repair, told in zip(fault.repairs, fields["repairs"], strict=True):
            text = source.text
            for edit in reversed(told["edits"]):
                text = text[: offset(text, edit["start"])] + edit["text"] + text[offset(text, edit["end"]) :]
            assert text == applied(source, repair.edits).text


@every_example
def test_the_fields_are_those_that_are_described(example: Example) -> None:
    said = rendered(checked(example)[1], "json")
    assert said.isascii()
    for fields in json.loads(said)["diagnostics"]:
        assert fields["code"] in CODES
        assert fields["severity"] in ("error", "warning")
        assert set(fields) == {
            *("code", "severity", "message", "file", "start", "end", "labels", "notes", "helps", "trail", "repairs"),
        }
        for label in fields["labels"]:
            assert set(label) == {"text", "primary", "file", "start", "end"}
        assert [label["primary"] for label in fields["labels"]] == [True] + [False] * (len(fields["labels"]) - 1)
        for place in fields["trail"]:
            assert set(place) == {"own", "file", "start", "end"}
        for repair in fields["repairs"]:
            assert set(repair) == {"title", "file", "edits"}
            assert all(set(edit) == {"start", "end", "text"} for edit in repair["edits"])


# --- GitHub ----------------------------------------------------------------------------------------------------------

COMMAND = re.compile(r"::(error|warning) ((?:\w+=[^:,]*)(?:,\w+=[^:,]*)*)::(.*)")


@every_example
def test_github_reads_back_what_was_said(example: Example) -> None:
    faults = checked(example)[1]
    for fault, row in zip(faults, rendered(faults, "github").splitlines(), strict=True):
        found = COMMAND.fullmatch(row)
        assert found, row
        values = dict(pair.split("=", 1) for pair in found[2].split(","))
        assert unquote(values["file"]) == fault.label.span.source.name
        assert (values["line"], values["col"]) == tuple(fault.place.rsplit(":", 2)[1:])
        assert unquote(found[3]).splitlines()[0] == fault.message


def test_what_would_end_a_command_is_escaped() -> None:
    source = Source("a,b:c%.net", "CONV\n")
    (row,) = rendered([diagnose("E0201", "100% wrong:\nno", (Span(source, 0, 4),))], "github").splitlines()
    assert row == (
        "::error file=a%2Cb%3Ac%25.net,line=1,col=1,endLine=1,endColumn=5,title=netdsl E0201::100%25 wrong:%0Ano"
    )


# --- SARIF -----------------------------------------------------------------------------------------------------------


def check_region(region: dict[str, int]) -> None:
    """Section 3.30: lines and columns from 1, the end not before the start."""
    assert set(region) == {"startLine", "startColumn", "endLine", "endColumn"}
    assert all(value >= 1 for value in region.values())
    assert (region["startLine"], region["startColumn"]) <= (region["endLine"], region["endColumn"])


def check_place(location: dict[str, Any]) -> None:
    physical = location["physicalLocation"]
    assert re.fullmatch(r"[A-Za-z0-9._~/%:-]+", physical["artifactLocation"]["uri"])
    check_region(physical["region"])
    assert "message" not in location or location["message"]["text"]


@every_example
def test_sarif_keeps_the_rules_of_its_standard(example: Example) -> None:
    log = json.loads(rendered(checked(example)[1], "sarif"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "netdsl"
    assert [rule["id"] for rule in driver["rules"]] == list(CODES)
    assert run["columnKind"] == "unicodeCodePoints"
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning")
        assert result["message"]["text"]
        for place in (*result["locations"], *result.get("relatedLocations", ())):
            check_place(place)
        related = [place["id"] for place in result.get("relatedLocations", ())]
        assert len(set(related)) == len(related)
        for fix in result.get("fixes", ()):
            (change,) = fix["artifactChanges"]
            assert change["replacements"]
            for replacement in change["replacements"]:
                check_region(replacement["deletedRegion"])
                assert isinstance(replacement["insertedContent"]["text"], str)


# --- the screen ------------------------------------------------------------------------------------------------------

LETTERS = st.text(st.sampled_from("abXY ()->|+*/0123\t漢字コ한ｗ\u0301\u0308\u200d\U0001f600é\u202e\x07"), max_size=200)


@st.composite
def faults(draw: st.DrawFn) -> Diagnostic:
    """A fault somewhere in a text of any letters, with another place, a call, words and a repair."""
    text = "\n".join(draw(st.lists(LETTERS, min_size=1, max_size=5)))
    source = Source("drawn.net", text)

    def span() -> Span:
        start = draw(st.integers(0, len(text)))
        return Span(source, start, draw(st.integers(start, min(len(text), start + 120))))

    fault = diagnose(
        "E0301",
        draw(LETTERS),
        (span(), span()),
        draw(LETTERS),
        others=[Label(span(), draw(LETTERS))],
        notes=[draw(LETTERS)],
        helps=[draw(LETTERS)],
    )
    return fault.replace(repairs=(Repair(draw(LETTERS), (Edit(span(), draw(LETTERS)),)),))


@given(faults())
def test_no_line_is_wider_than_the_screen(fault: Diagnostic) -> None:
    for row in render(fault).split("\n"):
        assert width(row) <= WIDTH, row
    assert "\x07" not in render(fault)
    assert "\u202e" not in render(fault)


@given(faults())
def test_colours_are_nothing_but_colours(fault: Diagnostic) -> None:
    assert re.sub(r"\x1b\[[\d;]*m", "", render(fault, colour=True)) == render(fault)
    assert "\x1b" not in render(fault)


@given(faults())
def test_every_format_shows_every_fault(fault: Diagnostic) -> None:
    for form in FORMATS:
        assert fault.code in rendered([fault], form)


@given(LETTERS, st.integers(0, 200), st.integers(20, 80))
def test_the_place_is_in_sight(text: str, first: int, room: int) -> None:
    """An excerpt fits its room, and shows the character that it is for."""
    first = min(first, max(len(text) - 1, 0))
    shown = excerpt(text, first, room)
    assert width(shown.text) <= room
    if text:
        assert 0 <= shown.column(first) <= shown.end


@given(LETTERS, st.integers(20, 80))
def test_wrapping_loses_no_character(text: str, room: int) -> None:
    rows = wrap(text, room, "  ")
    assert all(width(row) <= room for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("char", "columns"), [("a", 1), ("é", 1), ("漢", 2), ("ｗ", 2), ("한", 2), ("\u0301", 0), ("\u20dd", 0), ("α", 1)]
)
def test_the_width_of_a_character(char: str, columns: int) -> None:
    assert char_width(char) == columns


def test_marks_stand_below_wide_characters() -> None:
    source = Source("a.net", "# 画像\n画像 = CONVV 64\n")
    at = source.text.index("CONVV")
    rows = render(diagnose("E0201", "unknown name", (Span(source, at, at + 5),))).split("\n")
    assert rows[3] == "2 | 画像 = CONVV 64"
    assert rows[4] == "  |        ^^^^^"


def test_no_colour_reaches_a_terminal_that_wants_none(small: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("check", small).err
    assert "\x1b" in run("check", small, "--color", "always").err
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b" not in run("check", small, "--color", "never").err


# --- calls -----------------------------------------------------------------------------------------------------------


def test_the_call_chain_leads_through_blocks_to_the_users_line() -> None:
    text = (
        "block inner(c) = CONV c 7x7 valid\nblock middle(c) = CONV c -> inner(c)\nblock outer(c) = middle(c)\n"
        "net n\ninput 3 x 6 x 6\nouter(8)\nGAP -> FC 10\n"
    )
    (fault,) = faults_in(text)
    rows = render(fault).split("\n")
    calls = [row.split()[-1] for row in rows if "called from" in row]
    assert calls == ["<text>:2:29", "<text>:3:18", "<text>:6:1"]
    assert rows[rows.index("6 | outer(8)") + 1] == "  | --------"


def test_a_chain_that_leads_into_the_prelude_shows_its_lines() -> None:
    (fault,) = faults_in("net n\ninput 512 x 15 x 15\nblock head(c) = aux_head(c)\nhead(10)\n")
    text = render(fault)
    assert "inside prelude/inception.net:" in text
    assert "called from <text>:4:1" in text
    assert text.index("inside") < text.index("called from")
