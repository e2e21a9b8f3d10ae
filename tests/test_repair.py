"""Are repairs repairs?  Each is applied and checked; shipped specs are broken, and get their own text offered again."""

from __future__ import annotations

import importlib.util
import random
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import netdsl
from netdsl.diagnostic import Diagnostic, Edit, SpecError
from netdsl.driver import check_source
from netdsl.files import no_files
from netdsl.layout import layout
from netdsl.net import load, loads
from netdsl.options import Options
from netdsl.repair import MOST, applied, repaired, verify
from netdsl.repair.observe import MAX_MADE
from netdsl.repair.verify import SEEN_LATE, Verifier, before_edits
from netdsl.source import Source, Span

ROOT = Path(__file__).resolve().parent.parent
HEAD = "net n\ninput 3 x 32 x 32\n"


def load_script(name: str) -> ModuleType:
    """A script of benchmarks/, which knows how specs are broken."""
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


BREAKS: Any = load_script("repairs")


def repairs_of(text: str) -> list[tuple[str, str]]:
    """The repairs of the first fault: their titles, and the lines that they change as they read then."""
    source = Source("x.net", text)
    _, faults = check_source(source, no_files)
    found = []
    for repair in repaired(faults, source, no_files)[0].repairs:
        new = applied(source, repair.edits).text.splitlines()
        changed = [line for line, old in zip(new, text.splitlines()) if line != old]
        found.append((repair.title, " / ".join(" ".join(line.split()) for line in changed)))
    return found


def check_laws(source: Source, faults: list[Diagnostic]) -> list[Diagnostic]:
    """What holds for the repairs of every text; gives the faults with their repairs."""
    found = repaired(faults, source, no_files)
    plain = [fault.replace(repairs=(), helps=()) for fault in found]
    assert plain == [fault.replace(repairs=(), helps=()) for fault in faults], "the faults stay what they are"
    assert found == repaired(faults, source, no_files), "the same text, the same repairs"
    for fault in found:
        assert len(fault.repairs) <= MOST
        assert len({repair.title for repair in fault.repairs}) == len(fault.repairs)
        assert len({repair.edits for repair in fault.repairs}) == len(fault.repairs)
        for repair in fault.repairs:
            check_repair(source, faults, fault, repair.edits)
    return found


def check_repair(source: Source, faults: list[Diagnostic], fault: Diagnostic, edits: tuple[Edit, ...]) -> None:
    """Within the file, apart from one another, in order; the fault is gone, and no other has come."""
    assert edits
    end = 0
    for edit in edits:
        assert edit.span.source is source
        assert end <= edit.span.start <= edit.span.end <= len(source.text)
        assert edit.span.text != edit.text
        end = edit.span.end
    text = applied(source, edits)
    _, after = check_source(text, no_files)
    places = {(d.code, d.label.span.start) for d in faults}
    here = (fault.code, fault.label.span.start)
    for other in after:
        if other.label.span.source is text and other.code not in SEEN_LATE:
            place = other.code, before_edits(other.label.span.start, edits)
            assert place in places - {here}, f"{edits} brings {other.message}"


# --- broken specs ----------------------------------------------------------------------------------------------------


@cache
def broken(count: int, seed: int) -> tuple[Any, ...]:
    """Breakages of the shipped specs that are faults, drawn at random."""
    names = sorted(path.stem for path in BREAKS.SPECS.glob("*.net"))
    drawn = [breakage for name in names for breakage in BREAKS.breakages(name)]
    random.Random(seed).shuffle(drawn)
    found = []
    for breakage in drawn:
        _, faults = check_source(breakage.broken, no_files)
        if faults and faults[0].code in BREAKS.SHAPE_CODES:
            found.append(breakage)
            if len(found) == count:
                break
    return tuple(found)


@pytest.mark.parametrize("number", range(16))
def test_each_repair_of_a_broken_spec_repairs_it(number: int) -> None:
    breakage = broken(16, 7)[number]
    source = breakage.broken
    _, faults = check_source(source, no_files)
    (first, *_) = check_laws(source, faults[:1] + faults[1:])
    for repair in first.repairs:  # columns move where a number gets another digit; all else is as the formatter has it
        text = applied(source, repair.edits)
        laid_out, _ = layout(text)
        assert laid_out is not None
        assert laid_out.split() == text.text.split()


def test_the_original_is_among_the_repairs_as_a_rule() -> None:
    found = [BREAKS.tried(breakage) for breakage in broken(16, 7)]
    assert sum(original for original, _ in found) >= 14
    assert sum(count > 0 for _, count in found) == 16


# --- one rule after the other ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "title", "line"),
    [
        ("CONV 8 | CONV 8 5x5 pad 1", "`pad 2` keeps 32 x 32", "CONV 8 | CONV 8 5x5 pad 2"),
        ("CONV 8 | CONV 8 5x5 valid", "`same` keeps 32 x 32", "CONV 8 | CONV 8 5x5 same"),
        ("CONV 8 | CONV 8 5x5 pad 1 relu", "`pad 2` keeps 32 x 32", "CONV 8 | CONV 8 5x5 pad 2 relu"),
        ("CONV 8 | MAXPOOL 3x3 /1", "`pad 1` keeps 32 x 32", "CONV 8 | MAXPOOL 3x3 /1 pad 1"),
        ("CONV 8 | 5x5 conv, 8, /2", "`/1` keeps 32 x 32", "CONV 8 | 5x5 conv, 8, /1"),
        ("CONV 8 /2 | conv3-8", "`/1` in `CONV 8 /2` keeps 32 x 32", "CONV 8 /1 | conv3-8"),
        ("(CONV 8 -> CONV 7) + CONV 8", "`CONV 8` makes both 8 x 32 x 32", "(CONV 8 -> CONV 8) + CONV 8"),
        ("CONV 64\nidentity + CONV 32", "`CONV 64` makes both 64 x 32 x 32", "identity + CONV 64"),
        ("let c = 8\nresidual(CONV c valid -> CONV c)", "`same` keeps 32 x 32", "residual(CONV c same -> CONV c)"),
        ("let c = 8\nresidual(CONV c valid -> CONV c)", "`pad 2` gives 32 x 32", "-> CONV c pad 2)"),
        ("gate(GAP -> FC 16 -> FC 4)", "`FC 3` makes both 3 x 32 x 32", "gate(GAP -> FC 16 -> FC 3)"),
        ("CONV 8 3x3 /2 valid", "`floor` drops the last rows", "CONV 8 3x3 /2 floor"),
        ("MAXPOOL 3x3 /2", "`ceil` keeps a partial window", "MAXPOOL 3x3 /2 ceil"),
        ("CONV 8 33x33 valid", "`pad 1` makes it fit", "CONV 8 33x33 pad 1"),
        ("CONV 10 groups=3", "`groups=1` fits", "CONV 10 groups=1"),
        ("CONV 12 -> SHUFFLE 5", "`SHUFFLE 4` fits", "CONV 12 -> SHUFFLE 4"),
        ("CROP 40", "`CROP 32` makes it fit", "CROP 32"),
        ("POOL 2x1 /2x1 -> CROP 16x33", "`16x32` makes it fit", "POOL 2x1 /2x1 -> CROP 16x32"),
        ("CONVV 8 rleu", "did you mean `CONV`?", "CONV 8 rleu"),
        ("CONV 8 relu\nFC-10", "`FC-10` is written `FC 10`", "FC 10"),
        ("CONV 8 rleu", "did you mean `relu`?", "CONV 8 relu"),
        ("SLICE 0 5", "`SLICE 0 3` makes it fit", "SLICE 0 3"),
        ("RESHAPE 3 x 512", "`6 x 512` fits", "RESHAPE 6 x 512"),
        ("CONV 63 : 64 x 32 x 32", "`CONV 64` gives 64 x 32 x 32", "CONV 64 : 64 x 32 x 32"),
        ("CONV 64 /2 : 64 x 32 x 32", "`/1` gives 64 x 32 x 32", "CONV 64 /1 : 64 x 32 x 32"),
        (
            "POOL -> DECONV 8 3x3 : 8 x 32 x 32",
            "`2x2` in `DECONV 8 3x3` gives 8 x 32 x 32",
            "POOL -> DECONV 8 2x2 : 8 x 32 x 32",
        ),
        ("POOL -> UPSAMPLE 3 : 3 x 32 x 32", "`UPSAMPLE 2` gives 3 x 32 x 32", "POOL -> UPSAMPLE 2 : 3 x 32 x 32"),
        (
            "dense_block(5, 8) : 51 x 32 x 32",
            "`dense_block(6, 8)` gives 51 x 32 x 32",
            "dense_block(6, 8) : 51 x 32 x 32",
        ),
        ("fire(8, 30) : 64 x 32 x 32", "`fire(8, 32)` gives 64 x 32 x 32", "fire(8, 32) : 64 x 32 x 32"),
        ("(CONV 8 valid) * 4 : 8 x 26 x 26", "", "(CONV 8 valid) * 3 : 8 x 26 x 26"),
        ("default CONV 8 valid\nCONV 16 7x7 : 16 x 28 x 28", "`5x5` gives 16 x 28 x 28", "CONV 16 5x5 : 16 x 28 x 28"),
        ("let c = 60\nCONV c : 64 x 32 x 32", "`let c = 64` on line 3 gives 64 x 32 x 32", "let c = 64"),
        ("CONV 8 : 9 x 32 x 32", "if the shape is right, write `: 8 x 32 x 32`", "CONV 8 : 8 x 32 x 32"),
    ],
)
def test_a_fault_and_one_of_its_repairs(body: str, title: str, line: str) -> None:
    found = repairs_of(f"{HEAD}{body}\n")
    assert any((not title or title == t) and (not line or line in changed) for t, changed in found), found


def test_bracket_rows_and_block_arguments_are_changed_in_place() -> None:
    text = "net n\ninput 64 x 32 x 32\n[3x3, 64; 3x3, 60] : 64 x 32 x 32\n"
    assert ("`3x3, 64` gives 64 x 32 x 32", "[3x3, 64; 3x3, 64] : 64 x 32 x 32") in repairs_of(text)
    text = "block b(c, k) = CONV c k x k valid\nnet n\ninput 3 x 32 x 32\nb(8, 3) : 8 x 28 x 28\n"
    assert ("`b(8, 5)` gives 8 x 28 x 28", "b(8, 5) : 8 x 28 x 28") in repairs_of(text)


def test_a_remainder_in_the_prelude_is_repaired_in_the_users_file() -> None:
    found = repairs_of("net n\ninput 512 x 15 x 15\naux_head(10)\n")
    assert found == [("an input of 512 x 14 x 14 divides evenly", "input 512 x 14 x 14")]


BEHIND = "CONV 8 1x1 | CONV 8 5x5 valid | CONV 8 7x7 valid"


@pytest.mark.parametrize(
    ("body", "title", "line"),
    [
        # of what stands behind a fault nothing is known, and what is wrong there comes to light
        (f"CONV 8 5x5 /4 valid\n{BEHIND}", "`/3` divides evenly", "CONV 8 5x5 /3 valid"),
        ("b = CONV 7 3x3 /3 valid\nb : 9 x 9 x 9", "`5x5` divides evenly", "b = CONV 7 5x5 /3 valid"),
        (BEHIND, "`pad 2` keeps 32 x 32", "CONV 8 1x1 | CONV 8 5x5 pad 2 | CONV 8 7x7 valid"),
        ("CONV 8 groups=3\nrequire params < 1", "`groups=1` fits", "CONV 8 groups=1"),
        # where one repair brings nothing to light, it stands alone
        ("MAXPOOL 5x5 /4\nMAXPOOL 2x2 /2", "`ceil` keeps a partial window", "MAXPOOL 5x5 /4 ceil"),
    ],
)
def test_what_a_fault_hides_does_not_hinder_its_repair(body: str, title: str, line: str) -> None:
    assert (title, line) in repairs_of(f"{HEAD}{body}\nGAP -> FC 10\n")


def test_other_ways_stay_beside_repairs_and_numbers_do_not() -> None:
    with pytest.raises(SpecError) as caught:
        loads(f"{HEAD}MAXPOOL 40x40")
    (fault,) = caught.value.diagnostics
    assert len(fault.repairs) == MOST
    assert fault.helps == ("`GMP` pools over whatever size there is",)


def test_what_repairs_two_faults_is_drawn_once() -> None:
    with pytest.raises(SpecError) as caught:
        loads(f"{HEAD}CONV 8 5x5 valid : 8 x 32 x 32\nCONV 8 : 8 x 32 x 32\n")
    said = str(caught.value)
    assert said.count("`pad 2` in `CONV 8 5x5 valid` on line 3 gives 8 x 32 x 32 (as above)") == 1
    assert said.count("3 | CONV 8 5x5 pad 2") == 1


def test_a_repair_that_breaks_what_was_well_is_none() -> None:
    assert not any(
        "match" in title for title, _ in repairs_of("net n\ninput 8 x H x W\nidentity + CONV 8 4x4 /3 valid\n")
    )


def test_the_majority_of_branches_is_right() -> None:
    found = repairs_of(f"{HEAD}CONV 8 | CONV 8 5x5 valid | CONV 8 1x1\n")
    assert found[0][1] == "CONV 8 | CONV 8 5x5 pad 2 | CONV 8 1x1"
    assert all("valid" not in line or "5x5" not in line for _, line in found)


def test_what_heals_all_faults_comes_first() -> None:
    text = f"{HEAD}CONV 8 5x5 valid : 8 x 30 x 30\nCONV 8 : 8 x 30 x 30\nPOOL : 8 x 15 x 15\n"
    source = Source("x.net", text)
    _, faults = check_source(source, no_files)
    assert len(faults) == 3
    for fault in check_laws(source, faults):
        assert not check_source(applied(source, fault.repairs[0].edits), no_files)[1]


def test_what_repairs_more_of_the_network_comes_first() -> None:
    """Behind 223 the pool does not divide; behind 227 the asserted shape alone is wrong."""
    text = "input 3 x 224 x 224\nCONV 96 11x11 /4 valid relu -> MAXPOOL 3x3 /2\nCONV 8 : 8 x 26 x 26\nGAP -> FC 10\n"
    assert repairs_of(text)[0][0] == "an input of 3 x 227 x 227 divides evenly"


def test_independent_faults_stay() -> None:
    source = Source("x.net", f"{HEAD}CONV 63 : 64 x 32 x 32\nPOOL : 60 x 16 x 16\nCONV 9 : 8 x 16 x 16\n")
    _, faults = check_source(source, no_files)
    found = check_laws(source, faults)
    assert all(fault.repairs for fault in found)


def test_a_match_is_offered_for_an_identity_in_the_users_text_only() -> None:
    assert any(line == "match + CONV 64" for _, line in repairs_of(f"{HEAD}identity + CONV 64\n"))
    assert not any("match" in title for title, _ in repairs_of(f"{HEAD}CONV 64 + CONV 32\n"))


def test_imported_files_are_never_edited(tmp_path: Path) -> None:
    (tmp_path / "blocks.net").write_text("block odd(c) = CONV c 3x3 /2 valid\n")
    (tmp_path / "main.net").write_text('import "blocks.net"\nnet n\ninput 3 x 32 x 32\nodd(8)\n')
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "main.net")
    (fault,) = caught.value.diagnostics
    assert fault.repairs
    for repair in fault.repairs:
        assert all(edit.span.source.name.endswith("main.net") for edit in repair.edits)


def test_an_input_that_the_caller_gives_is_not_taken_away() -> None:
    text = "input a = 3 x H x H\ninput b = 4 x H x H\nc = b -> CONV 4\noutput c\n"
    assert [r.title for w in netdsl.loads(text).warnings for r in w.repairs]
    given = netdsl.loads(text, input={"a": (3, 8, 8), "b": (4, 8, 8)})
    assert given.warnings
    assert not [r for w in given.warnings for r in w.repairs]


def test_options_are_respected() -> None:
    text = "net n(c=8)\ninput 3 x 32 x 32\nCONV c : 8 x 32 x 32\n"
    with pytest.raises(SpecError) as caught:
        loads(text, c=9)
    (fault,) = caught.value.diagnostics
    for repair in fault.repairs:
        check, faults = check_source(applied(fault.label.span.source, repair.edits), no_files, Options({"c": 9}))
        assert check is not None, faults


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "(CONV 8) * 1000000 : 9 x 32 x 32",
        "\n".join(["CONV 8 : 9 x 32 x 32"] * 3_000),
        " -> ".join(["CONV 8 3x3 pad 1"] * MAX_MADE) + " : 9 x 32 x 32",
        "for i in 1..900 do CONV i : 9 x 32 x 32",
        "fractal(14, 8) : 9 x 32 x 32",
        "CONV 8 : 1000000000000000000 x 32 x 32",
        "CONV 999999999 : 8 x 32 x 32",
        "CONV 8 valid 999999999x999999999",
    ],
)
def test_large_and_strange_texts_cost_no_more_than_the_budget(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[int] = []
    before = Verifier.left_by

    def counted(self: Verifier, fault: Diagnostic, edits: tuple[Edit, ...]) -> int | None:
        left = before(self, fault, edits)
        spent.append(verify.BUDGET - self.left)
        return left

    monkeypatch.setattr(Verifier, "left_by", counted)
    source = Source("x.net", f"{HEAD}{body}\n")
    _, faults = check_source(source, no_files)
    assert faults
    assert len(repaired(faults, source, no_files)) == len(faults)
    assert max(spent, default=0) <= verify.BUDGET


def test_without_a_budget_nothing_is_accepted() -> None:
    source = Source("x.net", f"{HEAD}CONV 63 : 64 x 32 x 32\n")
    _, faults = check_source(source, no_files)
    at = source.text.index("63")
    edit = Edit(Span(source, at, at + 2), "64")
    assert Verifier(faults, source, no_files, Options()).accepts(faults[0], [edit])
    assert not Verifier(faults, source, no_files, Options(), budget=10).accepts(faults[0], [edit])
    assert not Verifier(faults, source, no_files, Options()).accepts(faults[0], [edit.replace(text="65")])


# --- edits -----------------------------------------------------------------------------------------------------------


def test_edits_are_applied_together() -> None:
    source = Source("x.net", "abcdef")

    def at(start: int, end: int, text: str) -> Edit:
        return Edit(Span(source, start, end), text)

    assert applied(source, []).text == "abcdef"
    assert applied(source, [at(4, 6, ""), at(0, 1, "AA"), at(2, 2, "-")]).text == "AAb-cd"
    assert applied(source, [at(0, 6, "")]).name == "x.net"
    with pytest.raises(AssertionError):
        applied(source, [at(0, 3, ""), at(2, 4, "")])
    edits = [at(0, 1, "AA"), at(2, 2, "-")]
    assert [before_edits(i, edits) for i in range(8)] == [0, 0, 1, 2, 2, 3, 4, 5]
