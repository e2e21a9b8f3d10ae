"""What programs are told: codes and elements as plain data (docs/explain.md says what each field is)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.analysis.receptive import Reach
from netdsl.diagnostic import Diagnostic
from netdsl.explain.code import Meaning
from netdsl.explain.element import Explanation, Neighbour, Step
from netdsl.render.full import render
from netdsl.size import Size


def meaning_fields(meaning: Meaning, faults: Sequence[Diagnostic]) -> dict[str, Any]:
    """A code in full; `says` is what netdsl says about the wrong example."""
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


def explanation_fields(found: Explanation) -> dict[str, Any]:
    """Elements, worked. Sizes are numbers, or formulas as text where they are open."""
    return {
        "net": found.net,
        "title": found.title,
        "lines": [{"file": file, "line": line, "text": text} for file, line, text in found.lines],
        "from": [_neighbour(other) for other in found.feeds],
        "output": found.output,
        "to": [_neighbour(other) for other in found.uses],
        "places": list(found.places),
        "params": found.params,
        "macs": plain(found.macs),
        "limits": list(found.limits),
        "steps": [_step(step) for step in found.steps],
    }


def _neighbour(other: Neighbour) -> dict[str, Any]:
    return {"name": other.name, "shape": other.shape, "at": other.place}


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "op": step.op,
        "what": step.what,
        "count": step.count,
        "at": step.place,
        "inputs": [_neighbour(other) for other in step.inputs],
        "shape": [plain(size) for size in step.output.shape],
        "rule": step.rule,
        "worked": {
            "shape": list(step.worked.shape),
            "params": step.worked.params,
            "macs": step.worked.macs,
            "notes": list(step.worked.notes),
        },
        "params": step.params,
        "macs": plain(step.macs),
        "sees": [_reach(reach) for reach in step.sees],
        "frozen": step.frozen,
        "training": step.training,
    }


def _reach(reach: Reach) -> dict[str, Any]:
    return {
        "input": reach.input,
        "axis": reach.axis,
        "size": None if reach.size is None else plain(reach.size),
        "stride": None if reach.jump is None else float(reach.jump),
        "offset": reach.offset,
        "all": reach.whole,
    }


def plain(size: Size) -> int | str:
    return int(size) if isinstance(size, int) else str(size)
