"""Faults as workflow commands: GitHub shows them beside the lines of a pull request.

docs.github.com/actions/reference/workflow-commands-for-github-actions: `::error file=…,line=…::message`. In the message
`%`, CR and LF are escaped; in the values before it `:` and `,`, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.diagnostic import Diagnostic


def as_commands(faults: Sequence[Diagnostic]) -> str:
    """A command for each fault; nothing where there are none."""
    return "\n".join(map(_command, faults))


def _command(fault: Diagnostic) -> str:
    span = fault.label.span
    line, column = span.source.line_column(span.start)
    end_line, end_column = span.source.line_column(span.end)
    values = {
        "file": span.source.name,
        "line": line,
        "col": column,
        "endLine": end_line,
        "endColumn": end_column,
        "title": f"netdsl {fault.code}",
    }
    before = ",".join(f"{name}={_value(str(value))}" for name, value in values.items())
    return f"::{fault.severity} {before}::{_message(message(fault))}"


def message(fault: Diagnostic) -> str:
    """What is said of the fault where its lines are shown by somebody else."""
    rows = [fault.message]
    if fault.label.text:
        rows.append(f"here: {fault.label.text}")
    for label in fault.others:
        rows.append(f"{label.span.place}: {label.text}")
    rows += [f"{'called from' if span.source.own else 'inside'} {span.place}" for span in fault.trail]
    rows += fault.notes
    rows += [f"help: {text}" for text in (*(repair.title for repair in fault.repairs), *fault.unrepaired)]
    return "\n".join(rows)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _value(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
