"""Faults as JSON, for programs: docs/diagnostics-json.md describes the fields, which are an interface."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from netdsl.diagnostic import Diagnostic, Edit, Repair
from netdsl.source import Source, Span

Fields = dict[str, Any]
_POSITION = re.compile(r'\{\s+"line": (\d+),\s+"column": (\d+)\s+\}')
"""A position, which is one line of the text; no text in quotes holds these characters unescaped."""


def as_json(faults: Sequence[Diagnostic]) -> str:
    """All faults, also none of them, as one object. It is ASCII, so no encoding can spoil it."""
    text = json.dumps({"diagnostics": [fields_of(fault) for fault in faults]}, indent=2)
    return _POSITION.sub(r'{"line": \1, "column": \2}', text)


def fields_of(fault: Diagnostic) -> Fields:
    """One fault. Lines and columns count from 1, columns in characters (code points); `end` is behind the last one."""
    spans = [(label.span, label.text) for label in (fault.label, *fault.others)]
    return {
        "code": fault.code,
        "severity": fault.severity,
        "message": fault.message,
        **place(fault.label.span),
        "labels": [{"text": text, "primary": i == 0, **place(span)} for i, (span, text) in enumerate(spans)],
        "notes": list(fault.notes),
        "helps": list(fault.unrepaired),
        "trail": [{"own": span.source.own, **place(span)} for span in fault.trail],
        "repairs": [_repair(repair) for repair in fault.repairs],
    }


def place(span: Span) -> Fields:
    source = span.source
    return {"file": source.name, "start": position(source, span.start), "end": position(source, span.end)}


def position(source: Source, offset: int) -> dict[str, int]:
    line, column = source.line_column(offset)
    return {"line": line, "column": column}


def _repair(repair: Repair) -> Fields:
    return {
        "title": repair.title,
        "file": repair.edits[0].span.source.name,
        "edits": [_edit(edit) for edit in repair.edits],
    }


def _edit(edit: Edit) -> Fields:
    source = edit.span.source
    return {"start": position(source, edit.span.start), "end": position(source, edit.span.end), "text": edit.text}
