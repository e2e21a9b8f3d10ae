"""Does netdsl keep its promises on this text, whatever it is?  What the fuzzer tries, and the tests replay.

A text is accepted or explained: by diagnostics with known codes, places inside the text and a drawing, never by another
exception. What was accepted verifies, is the same network when it is formatted, and can be shown.
"""

from __future__ import annotations

from netdsl.diagnostic import CODES, Diagnostic
from netdsl.driver import check_source
from netdsl.files import no_files
from netdsl.graph import bodies, show_graph, verify
from netdsl.layout import layout
from netdsl.net import Net
from netdsl.options import UsageError
from netdsl.parse import parse
from netdsl.render import render
from netdsl.source import Source
from netdsl.table import network_table

SMALL = 300
"""Networks of up to so many different elements are formatted, read and elaborated once more, and written as code."""


def examine(text: str) -> Net | None:
    """The network of `text`, or None where it has faults. Raises AssertionError where a promise is broken."""
    source = Source("fuzz.net", text)
    file, faults = parse(source)
    explained(faults)
    readable = file.whole and all(fault.severity == "warning" for fault in faults)
    formatted = formatted_again(text) if readable else ""
    try:
        checked, faults = check_source(source, no_files)
    except UsageError:  # a parameter without a default: it has to be given with --set
        return None
    explained(faults)
    if checked is None:
        assert any(fault.severity == "error" for fault in faults), "refused without a reason"
        return None
    assert readable, "accepted, though it could not be read"
    net = Net(checked)
    verify(net.graph)
    assert network_table(net)
    if sum(len(body.nodes) for body in bodies(net.graph)) <= SMALL:
        same_when_formatted(formatted, net)
        compile(net.emit(), "<fuzz>", "exec")
    return net


def explained(faults: list[Diagnostic]) -> None:
    """Every fault has a known code, a place inside its text, and can be drawn."""
    for fault in faults:
        assert fault.code in CODES and fault.message
        for label in (fault.label, *fault.others):
            span = label.span
            assert 0 <= span.start <= span.end <= max(1, len(span.source.text)), (fault.code, span.start, span.end)
        assert f"{fault.place}" in render(fault)
        assert render(fault, colour=True)


def formatted_again(text: str) -> str:
    """The formatted text can be read, and is formatted already."""
    formatted, faults = layout(Source("fuzz.net", text))
    assert formatted is not None, f"it can be read, but not formatted: {faults[0].message}"
    again, faults = layout(Source("formatted.net", formatted))
    assert again is not None, f"{faults[0].code} {faults[0].message} in what was formatted: {formatted!r}"
    assert again == formatted, f"formatted again it differs: {again!r} after {formatted!r}"
    return formatted


def same_when_formatted(formatted: str, net: Net) -> None:
    """The formatted text is the same network."""
    checked, faults = check_source(Source("fuzz.net", formatted), no_files)
    assert checked is not None, f"the formatted text is refused: {faults[0].message}"
    assert show_graph(checked.graph) == show_graph(net.graph), "the formatted text is another network"
