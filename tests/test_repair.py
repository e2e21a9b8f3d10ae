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

from netdsl.diagnostic import Diagnostic, Edit
from netdsl.driver import check_source
from netdsl.files import no_files
from netdsl.format import format_text
from netdsl.repair import MOST, applied, repaired
from netdsl.repair.verify import SEEN_LATE, before_edits
from netdsl.source import Source

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


@pytest.mark.parametrize("number", range(40))
def test_each_repair_of_a_broken_spec_repairs_it(number: int) -> None:
    breakage = broken(40, 7)[number]
    source = breakage.broken
    _, faults = check_source(source, no_files)
    (first, *_) = check_laws(source, faults[:1] + faults[1:])
    for repair in first.repairs:
        text = applied(source, repair.edits).text
        assert format_text(text) == text, "a formatted spec stays formatted"


def test_the_original_is_among_the_repairs_as_a_rule() -> None:
    found = [BREAKS.tried(breakage) for breakage in broken(40, 7)]
    assert sum(original for original, _ in found) >= 36
    assert sum(count > 0 for _, count in found) == 40
