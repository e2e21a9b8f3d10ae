"""The way through, on one screen:

    text ─parse→ tree ─elaborate→ graph ─check→ typed graph ─backend→ source, module

Every step is a function of its input, without files and without printing, and returns a value and a list of faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from netdsl.checking import check
from netdsl.diagnostic import Diagnostic, diagnose
from netdsl.evaluate import MAX_FAULTS
from netdsl.garbage import collection_paused
from netdsl.graph import Graph
from netdsl.network import Elaborated, elaborate
from netdsl.options import Options, UsageError
from netdsl.program import Loader, Program, Read
from netdsl.record import Record
from netdsl.source import Source, Span
from netdsl.types import TensorType


class Checked(Record):
    """A network that was proven: its graph, and the limits of its open sizes."""

    graph: Graph[TensorType]
    elaborated: Elaborated
    source: Source
    program: Program
    options: Options
    warnings: tuple[Diagnostic, ...] = ()


@collection_paused()
def check_source(
    source: Source, read: Read, options: Options | None = None, net: str | None = None
) -> tuple[Checked | None, list[Diagnostic]]:
    """Parse, elaborate, check. `net` picks one of several networks in a file; the last one by default."""
    loader = Loader(read)
    program = loader.load(source)
    if not loader.whole or any(fault.code in ("E0404", "E0405", "E0406") for fault in loader.faults):
        return None, in_order(loader.faults, source)  # what an unread line defines is missing: nothing more is said
    if not program.own_nets:
        return None, [
            *loader.faults,
            diagnose(
                "E0106",
                "there is no network in the file",
                (Span(source, 0, 1),),
                helps=("a network starts with `net name` and `input 3 x 224 x 224`",),
            ),
        ]
    if net is not None and net not in program.own_nets:
        raise UsageError(f"{source.name} has no net {net!r}: it has {', '.join(program.own_nets)}")
    elaborated, faults = elaborate(program, net or program.own_nets[-1], options or Options())
    faults = in_order([*loader.faults, *faults], source)
    graph = check(elaborated, faults)
    if graph is None or elaborated is None:
        return None, faults
    checked = Checked(graph, elaborated, source, program, options or Options(), tuple(faults))
    if elaborated.budgets:
        from netdsl.analysis.budget import over_budget

        over = over_budget(checked)
        if over:
            return None, in_order([*faults, *over], source)
    return checked, faults


@collection_paused()
def check_varied(checked: Checked, params: Mapping[str, int | Fraction]) -> Checked | None:
    """The same network with other numbers, what it asserts set aside; None where that does not fit."""
    options = Options({**checked.options.params, **params}, checked.options.inputs)
    elaborated, faults = elaborate(checked.program, checked.graph.name, options, check_assertions=False)
    graph = check(elaborated, faults)
    if graph is None or elaborated is None:
        return None
    return checked.replace(graph=graph, elaborated=elaborated, options=options)


def in_order(faults: list[Diagnostic], source: Source) -> list[Diagnostic]:
    """By place: those of the spec itself, then those of the files it imports. The rest of very many is left out."""
    kept: list[Diagnostic] = []
    for severity in ("error", "warning"):
        some = [fault for fault in faults if fault.severity == severity]
        kept += some[:MAX_FAULTS]
        if len(some) > MAX_FAULTS + 1:  # one more says itself that there are too many
            message = f"{len(some) - MAX_FAULTS:,} more {severity}s are not shown"
            kept.append(some[MAX_FAULTS].replace(message=message, others=(), notes=(), helps=(), trail=()))
        else:
            kept += some[MAX_FAULTS:]
    return sorted(kept, key=lambda d: (d.label.span.source is not source, d.label.span.start))
