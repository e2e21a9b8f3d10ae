"""Does netdsl keep its promises on this text, whatever it is?  What the fuzzer tries, and the tests replay.

A text is accepted or explained: by diagnostics with known codes, places inside the text and a drawing, never by another
exception. What was accepted verifies, is the same network when it is printed and read again, and can be shown.
"""

from __future__ import annotations

from netdsl import tree as t
from netdsl.diagnostic import CODES, Diagnostic, render
from netdsl.driver import check_source
from netdsl.files import no_files
from netdsl.format import unparse
from netdsl.graph import bodies, show_graph, verify
from netdsl.net import Net
from netdsl.options import UsageError
from netdsl.parse import parse
from netdsl.source import Source
from netdsl.table import network_table

SMALL = 300
"""Networks of up to so many different elements are printed, read and elaborated once more, and written as code."""


def examine(text: str) -> Net | None:
    """The network of `text`, or None where it has faults. Raises AssertionError where a promise is broken."""
    source = Source("fuzz.net", text)
    file, faults = parse(source)
    explained(faults)
    readable = file.whole and all(fault.severity == "warning" for fault in faults)
    if readable:
        printed_again(file)
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
        same_when_printed(file, net)
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


def printed_again(file: t.File) -> str:
    """The printed form can be read, and prints the same."""
    printed = unparse(file)
    again, faults = parse(Source("printed.net", printed))
    errors = [fault for fault in faults if fault.severity == "error"]
    assert not errors, f"{errors[0].code} {errors[0].message} in what was printed: {printed!r}"
    assert unparse(again) == printed, f"printed again it differs: {unparse(again)!r} after {printed!r}"
    return printed


def same_when_printed(file: t.File, net: Net) -> None:
    """The printed form is the same network."""
    checked, faults = check_source(Source("fuzz.net", unparse(file)), no_files)
    assert checked is not None, f"the printed form is refused: {faults[0].message}"
    assert show_graph(checked.graph) == show_graph(net.graph), "the printed form is another network"
