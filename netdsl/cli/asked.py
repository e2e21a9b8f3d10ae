"""Which network is asked for?  It is read with the options that all commands share, and its faults are reported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netdsl.options import UsageError

if TYPE_CHECKING:
    from netdsl.diagnostic import Diagnostic
    from netdsl.net import Net


def read_net(spec: str, args: argparse.Namespace) -> tuple[Net | None, list[Diagnostic]]:
    """The network, or None and why not."""
    from netdsl.diagnostic import SpecError
    from netdsl.net import load_with

    try:
        net = load_with(spec, inputs(args.input), args.net, settings(args.set))
    except SpecError as error:
        return None, list(error.diagnostics)
    return net, list(net.warnings)


def asked_net(spec: str, args: argparse.Namespace) -> Net | None:
    """The network; None where it has faults. What there is to say of it is said."""
    net, faults = read_net(spec, args)
    report(faults, args)
    return net


def settings(pairs: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier() or not value:
            raise UsageError(f"--set takes NAME=NUMBER, not {pair!r}")
        if name in ("input", "net"):
            raise UsageError(f"--set {name}: give it with --{name}")
        values[name] = value
    return values


def inputs(pairs: list[str]) -> dict[str, str] | None:
    sizes = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        sizes[name if equals else "input"] = value if equals else pair
    return sizes or None


def report(faults: Sequence[Diagnostic], args: argparse.Namespace | None = None) -> None:
    """Faults go to the error stream, in the format that is asked for; nothing where there are none."""
    if not faults:
        return
    from netdsl.render import rendered, use_colour

    form, wanted = getattr(args, "faults_as", "full"), getattr(args, "color", "auto")
    print(rendered(faults, form, use_colour(sys.stderr.isatty(), wanted)), file=sys.stderr)
    if form != "full":
        return
    print(file=sys.stderr)
    errors = sum(fault.severity == "error" for fault in faults)
    if errors > 1:
        print(f"{errors} errors", file=sys.stderr)
