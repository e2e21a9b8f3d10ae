"""What does netdsl say about a faulty spec?  One small spec per mistake, beside it the rendered diagnostics.

`tests/errors/E0301.net` and `E0301.txt`; docs/make_errors.py describes the folder and makes docs/errors.md from it.
`pytest --update-golden` rewrites the `.txt` files and the page.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from contextlib import chdir
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netdsl.cli.arguments import build_parser
from netdsl.cli.asked import read_net
from netdsl.diagnostic import CODES, Diagnostic, Label, SpecError, diagnose
from netdsl.net import Net, loads
from netdsl.render import render, use_colour
from netdsl.render.text import WIDTH
from netdsl.source import Source, Span

ROOT = Path(__file__).resolve().parent.parent


def load_maker() -> ModuleType:
    """docs/make_errors.py, which knows the folder of the examples."""
    spec = importlib.util.spec_from_file_location("make_errors", ROOT / "docs" / "make_errors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


MAKER = load_maker()
Example = Any  # MAKER.Example, which mypy cannot see

every_example = pytest.mark.parametrize("example", MAKER.examples(), ids=lambda example: example.name)

NEVER_REPORTED: set[str] = set()
"""Codes that are listed and that nothing reports yet: take one out when something does, and add its example."""


@cache
def checked(example: Example) -> tuple[Net | None, tuple[Diagnostic, ...]]:
    """What `netdsl check` finds. Paths are shown relative to the folder of the examples."""
    with chdir(MAKER.EXAMPLES):
        args = build_parser().parse_args(["check", str(example.spec), *example.options])
        net, faults = read_net(args.specs[0], args)
    return net, tuple(faults)


def faults_of(example: Example) -> tuple[Diagnostic, ...]:
    return checked(example)[1]


def faults_in(text: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(SpecError) as caught:
        loads(text)
    return caught.value.diagnostics


# --- the folder ------------------------------------------------------------------------------------------------------


@every_example
def test_golden(example: Example, update_golden: bool) -> None:
    said = "\n\n".join(map(render, faults_of(example))) + "\n"
    if update_golden:
        example.golden.write_text(said, encoding="utf-8")
    assert example.golden.exists(), "no golden file: run pytest --update-golden, and read what it wrote"
    assert said == example.golden.read_text(encoding="utf-8")


@every_example
def test_an_example_shows_its_code(example: Example) -> None:
    assert example.code in CODES
    assert example.code in {fault.code for fault in faults_of(example)}
    assert f"[{example.code}]" in example.golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_an_example_on_the_page(code: str) -> None:
    names = {example.name for example in MAKER.examples()}
    assert (code in names) == (code not in NEVER_REPORTED)


def test_every_golden_belongs_to_an_example() -> None:
    goldens = {path.stem for path in MAKER.EXAMPLES.glob("*.txt")}
    assert goldens <= {example.name for example in MAKER.examples()}


def test_the_page_is_up_to_date(update_golden: bool) -> None:
    """After test_golden, so that `--update-golden` makes the page from the files it wrote."""
    if update_golden:
        assert MAKER.main([]) == 0
    assert MAKER.main(["--check"]) == 0, "docs/errors.md is stale: run python docs/make_errors.py"


def test_the_page_names_every_code() -> None:
    for code, meaning in CODES.items():
        assert re.search(rf"^\| .*{code}.* \| {re.escape(meaning)} \|$", MAKER.page(), re.MULTILINE)


def test_a_stale_page_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(MAKER, "PAGE", tmp_path / "errors.md")
    assert MAKER.main(["--check"]) == 1
    assert MAKER.main([]) == 0
    assert MAKER.main(["--check"]) == 0
    (tmp_path / "errors.md").write_text("old", encoding="utf-8")
    assert MAKER.main(["--check"]) == 1
    assert "stale" in capsys.readouterr().err
    assert MAKER.main(["--chekc"]) == 2


def test_the_maker_runs_as_a_command() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "make_errors.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


# --- what holds for every diagnostic ---------------------------------------------------------------------------------


@every_example
def test_errors_stop_the_network_and_warnings_do_not(example: Example) -> None:
    net, faults = checked(example)
    severities = {fault.severity for fault in faults}
    assert severities - {"warning"} == (set() if example.code.startswith("W") else {"error"})
    assert (net is None) == ("error" in severities)


@every_example
def test_the_place_lies_in_the_users_file(example: Example) -> None:
    names = {str(file) for file in example.files}
    for fault in faults_of(example):
        span = fault.label.span
        assert span.source.own
        assert span.source.name in names
        assert 0 <= span.start < max(span.end, 1)
        assert span.start < max(len(span.source.text), 1)
        line, column = span.source.line_column(span.start)
        assert fault.place == f"{span.source.name}:{line}:{column}"
        assert line <= len((MAKER.EXAMPLES / span.source.name).read_bytes().splitlines())
        assert column <= len(span.source.line(line)) + 1  # one behind the end: what is missing there


@every_example
def test_each_fault_is_reported_once(example: Example) -> None:
    faults = faults_of(example)
    assert len({(fault.code, fault.place, fault.message) for fault in faults}) == len(faults)
    places = [fault.label.span for fault in faults]
    assert len({(span.source.name, span.start) for span in places}) == len(places), "two faults for one mistake"


@every_example
def test_faults_come_in_the_order_of_the_file(example: Example) -> None:
    spans = [fault.label.span for fault in faults_of(example)]
    starts = [span.start for span in spans if span.source.name == str(example.spec)]
    assert starts == sorted(starts)


@every_example
def test_messages_are_sentences_for_people(example: Example) -> None:
    for fault in faults_of(example):
        labels = [label.text for label in (fault.label, *fault.others)]
        for text in (fault.message, *labels, *fault.notes, *fault.helps):
            assert text == text.strip()
            assert "\n" not in text
            assert not text.endswith(".")
            assert text.count("`") % 2 == 0
            assert not re.search(r"\b(None|True|False|Fraction|Formula|object at)\b|<netdsl", text), text
        assert fault.message
        assert not fault.message[0].isupper() or fault.message.split()[0].isupper(), "lower case, but for a primitive"


@every_example
def test_the_excerpt_shows_and_underlines_the_source(example: Example) -> None:
    """Under the marks stands the text of the span, in lines that were neither cut nor hold tabs."""
    for fault in faults_of(example):
        span = fault.label.span
        number, column = span.source.line_column(span.start)
        rows = render(fault).split("\n")
        at = next(i for i, row in enumerate(rows) if row.lstrip().startswith(f"{number} | "))
        left = rows[at].index("|") + 2
        if rows[at][left:] != span.source.line(number):
            continue
        marks = next(found for row in rows[at + 1 :] if (found := re.search(r"\^+", row)))
        assert marks.start() - left == column - 1
        wanted = span.text.splitlines()[0] if span.text.strip() else ""
        assert rows[at][marks.start() : marks.end()] == wanted or not wanted


@every_example
def test_excerpts_fit_the_screen(example: Example) -> None:
    """The renderer's own lines: places and source text, whatever the length of the source's lines."""
    for fault in faults_of(example):
        for row in render(fault).split("\n"):
            if re.match(r" *\d+ \| | *(-->|:::) ", row):
                assert len(row) <= WIDTH, row


@every_example
def test_every_line_fits_the_screen(example: Example) -> None:
    """Headlines, labels, notes and repairs too."""
    for fault in faults_of(example):
        for row in render(fault).split("\n"):
            assert len(row) <= WIDTH, row


# --- several faults, and faults in blocks ----------------------------------------------------------------------------


def test_independent_faults_are_all_reported_in_one_run() -> None:
    (example,) = (example for example in MAKER.examples() if example.name == "E0201-several-faults")
    found = [(fault.code, int(fault.place.split(":")[1])) for fault in faults_of(example)]
    assert found == [("E0303", 4), ("E0201", 5), ("E0201", 6), ("E0201", 7), ("E0206", 8)]


def test_what_depends_on_a_fault_is_silent() -> None:
    """One typo at the front of a deep network is one error."""
    text = "net deep\ninput 3 x 32 x 32\nstem = CONVV 64\nstem -> CONV 8 -> POOL\nCONV (C/2) | stem\nGAP -> FC 10\n"
    assert [fault.code for fault in faults_in(text)] == ["E0201"]


def test_a_fault_in_a_prelude_block_is_told_at_the_users_line() -> None:
    (fault,) = faults_in("net small\ninput 512 x 15 x 15\naux_head(10)\n")
    assert fault.place == "<text>:3:1"
    assert fault.label.span.text == "aux_head(10)"
    assert [span.source.name for span in fault.trail] == ["prelude/inception.net"]
    assert "inside prelude/inception.net:" in render(fault)


def test_a_fault_in_a_users_block_shows_the_lines_that_called_it() -> None:
    text = "block inner = CONV 8 7x7 valid\nblock outer = POOL -> inner\nnet small\ninput 3 x 8 x 8\nouter -> GAP\n"
    (fault,) = faults_in(text)
    assert fault.place == "<text>:1:15"
    assert [span.place for span in fault.trail] == ["<text>:2:23", "<text>:5:1"]
    assert render(fault).count("called from <text>:") == 2


def test_a_fault_in_a_block_is_told_once_however_often_it_is_called() -> None:
    text = "block odd = CONV 8 3x3 /2 valid\nnet small\ninput 3 x 8 x 8\na = odd\nb = odd\nGAP -> FC 10\n"
    assert [(fault.code, fault.place) for fault in faults_in(text)] == [("E0303", "<text>:1:13")]


# --- the renderer ----------------------------------------------------------------------------------------------------


def fault_at(text: str, part: str, label: str = "here", name: str = "a.net") -> Diagnostic:
    start = text.index(part)
    return diagnose("E0201", "unknown name", (Span(Source(name, text), start, start + len(part)),), label)


def test_the_layout() -> None:
    source = Source("specs/small.net", "net small\ninput 3 x 8 x 8\nCONV 8 | CONV 8 5x5 valid\n")
    one, other = source.text.index("CONV 8 |"), source.text.index("CONV 8 5x5")
    fault = diagnose(
        "E0301", "concat inputs differ", (Span(source, other, other + 16),), "8 x 4 x 4",
        others=[Label(Span(source, one, one + 6), "8 x 8 x 8")], notes=["W = 4"], helps=["`pad 2` keeps 8", "or both"],
    )  # fmt: skip
    assert render(fault).split("\n") == [
        "error[E0301]: concat inputs differ",
        " --> specs/small.net:3:10",
        "  |",
        "3 | CONV 8 | CONV 8 5x5 valid",
        "  |          ^^^^^^^^^^^^^^^^ 8 x 4 x 4",
        "  | ------ 8 x 8 x 8",
        "  |",
        "  = W = 4",
        "  = help: `pad 2` keeps 8",
        "  = help: or both",
    ]


def test_the_gutter_is_as_wide_as_the_largest_line_number() -> None:
    source = Source("a.net", "CONV 8\n" * 120)
    fault = diagnose("E0201", "m", (Span(source, 0, 4),), others=[Label(Span(source, 7 * 104, 7 * 104 + 4), "too")])
    assert render(fault).split("\n")[1:] == [
        "   --> a.net:1:1",
        "    |",
        "  1 | CONV 8",
        "    | ^^^^",
        "105 | CONV 8",
        "    | ---- too",
    ]


def test_tabs_are_shown_as_spaces_and_the_marks_stay_below_their_text() -> None:
    rows = render(fault_at("\tCONV\t64 -> POOOL\n", "POOOL")).split("\n")
    assert rows[3].index("POOOL") == rows[4].index("^")
    assert "\t" not in rows[3]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind(end: str) -> None:
    fault = fault_at(f"net small{end}input 3{end}CONVV 64{end}", "CONVV")
    assert fault.place == "a.net:3:1"
    assert render(fault).split("\n")[3:] == ["3 | CONVV 64", "  | ^^^^^ here"]


@pytest.mark.parametrize("before", [0, 5, 60, 79, 80, 81, 500, 100_000])
def test_a_long_line_is_cut_around_its_fault(before: int) -> None:
    rows = render(fault_at("a" * before + " CONVV " + "b" * 100_000, "CONVV", "")).split("\n")
    assert all(len(row) <= WIDTH for row in rows)
    assert rows[3].endswith("…")
    assert rows[3][rows[4].index("^") :].startswith("CONVV")
    assert rows[4].count("^") == 5


def test_both_places_of_a_long_line_are_in_sight() -> None:
    source = Source("a.net", "first = CONV 8" + " -> CONV 8" * 40 + " | second -> " + "RELU -> " * 40 + "TANH\n")
    one, other = source.text.index("first"), source.text.index("second")
    first = Label(Span(source, one, one + 5), "a")
    fault = diagnose("E0301", "m", (Span(source, other, other + 6),), "b", others=[first])
    rows = render(fault).split("\n")
    assert all(len(row) <= WIDTH for row in rows)
    for mark, text in (("^^^^^^ b", "second"), ("----- a", "first")):
        at = next(i for i, row in enumerate(rows) if row.endswith(mark))
        above = next(row for row in reversed(rows[:at]) if row.startswith("1 | "))
        assert above[rows[at].index(mark[0], 4) :].startswith(text)


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = render(fault_at("CONVV \x1b[31m 64 \x07 \u202e\n", "CONVV"))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text


def test_a_fault_over_several_lines_is_marked_on_its_first() -> None:
    rows = render(fault_at("(CONV 8\n POOL)\n", "(CONV 8\n POOL)")).split("\n")
    assert rows[3:] == ["1 | (CONV 8", "  | ^^^^^^^ here"]


def test_a_fault_at_the_end_of_the_file() -> None:
    assert render(fault_at("", "", "nothing")).split("\n")[3:] == ["1 | ", "  | ^ nothing"]


# --- colour ----------------------------------------------------------------------------------------------------------

ESCAPE = re.compile(r"\x1b\[[\d;]*m")


@every_example
def test_colour_changes_nothing_but_the_colour(example: Example) -> None:
    for fault in faults_of(example):
        coloured = render(fault, colour=True)
        assert ESCAPE.search(coloured)
        assert ESCAPE.sub("", coloured) == render(fault)
        assert "\x1b" not in render(fault)
        assert coloured.count("\x1b[0m") * 2 == coloured.count("\x1b["), "every colour is switched off again"


@pytest.mark.parametrize(
    ("terminal", "variables", "wanted"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),  # no-color.org: an empty value does not count
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_colour_is_for_terminals(
    terminal: bool, variables: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert use_colour(terminal) is wanted
