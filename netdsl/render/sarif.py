"""Faults as SARIF 2.1.0, the OASIS standard that code-scanning services and editors read.

Numbers in brackets are its sections (docs.oasis-open.org/sarif/sarif/v2.1.0). Columns are code points from 1, and a
region ends before its `endColumn` [3.30], as everywhere in netdsl.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from netdsl.diagnostic import CODES, Diagnostic, Label, Repair
from netdsl.render.github import message
from netdsl.source import Span

Fields = dict[str, Any]
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_sarif(faults: Sequence[Diagnostic]) -> str:
    """A log of one run, also where nothing was found."""
    from netdsl import __version__

    index = {code: i for i, code in enumerate(CODES)}
    run = {
        "tool": {"driver": {"name": "netdsl", "semanticVersion": __version__, "rules": [rule(code) for code in CODES]}},
        "columnKind": "unicodeCodePoints",  # [3.14.17]
        "results": [result(fault, index[fault.code]) for fault in faults],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def rule(code: str) -> Fields:
    """A reportingDescriptor [3.49]."""
    meaning = CODES[code][0].upper() + CODES[code][1:]
    return {
        "id": code,
        "shortDescription": {"text": f"{meaning}."},
        "help": {"text": f"{meaning}. `netdsl explain {code}` says what it means, with a wrong and a right example."},
        "defaultConfiguration": {"level": "warning" if code.startswith("W") else "error"},
    }


def result(fault: Diagnostic, index: int) -> Fields:
    """A result [3.27]; the places beside its own are related locations [3.27.22]."""
    others = [_location(label) for label in fault.others]
    others += [_location(Label(span, "called from here" if span.source.own else "inside this")) for span in fault.trail]
    fields: Fields = {
        "ruleId": fault.code,
        "ruleIndex": index,
        "level": fault.severity,
        "message": {"text": message(fault)},
        "locations": [_location(fault.label)],
    }
    if others:
        fields["relatedLocations"] = [{"id": i + 1, **other} for i, other in enumerate(others)]
    if fault.repairs:
        fields["fixes"] = [_fix(repair) for repair in fault.repairs]
    return fields


def _location(label: Label) -> Fields:
    fields: Fields = {"physicalLocation": {"artifactLocation": _artifact(label.span), "region": region(label.span)}}
    if label.text:
        fields["message"] = {"text": label.text}
    return fields


def region(span: Span) -> dict[str, int]:
    line, column = span.source.line_column(span.start)
    end_line, end_column = span.source.line_column(span.end)
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}


def _artifact(span: Span) -> Fields:
    """A URI reference [3.4.3]: relative for what lies below the current folder, else absolute."""
    path = PurePath(span.source.name)
    return {"uri": path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))}


def _fix(repair: Repair) -> Fields:
    """A fix [3.55]: replacements [3.57] of one file."""
    replacements = [
        {"deletedRegion": region(edit.span), "insertedContent": {"text": edit.text}} for edit in repair.edits
    ]
    change = {"artifactLocation": _artifact(repair.edits[0].span), "replacements": replacements}
    return {"description": {"text": repair.title}, "artifactChanges": [change]}
