"""`netdsl diff A B`: what changed between two networks. Exit codes as those of diff: 0 the same, 1 not, 2 trouble."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.asked import inputs, report, settings
from netdsl.options import UsageError

if TYPE_CHECKING:
    from netdsl.diagnostic import Diagnostic
    from netdsl.net import Net


def run(args: argparse.Namespace) -> int:
    if args.old == args.new == "-":
        raise UsageError("only one of the two can be read from standard input")
    nets = [asked(spec, args) for spec in (args.old, args.new)]
    old, new = nets
    if old is None or new is None:
        return 2
    from netdsl.difference import difference
    from netdsl.difference.table import difference_fields, difference_table

    found = difference(old, new)
    if args.json:
        from netdsl.cli.output import to_json

        print(to_json(difference_fields(found, args.depth)))
    elif not found.same:
        print(painted(difference_table(found, args.depth)))
    return int(not found.same)


def asked(spec: str, args: argparse.Namespace) -> Net | None:
    """The network of a file, of standard input (`-`) or of a shipped name; `FILE:NET` picks one of several."""
    from netdsl.diagnostic import SpecError

    file, net = file_and_net(spec, args.net)
    faults: list[Diagnostic] = []
    found: Net | None = None
    try:
        found = read(file, net, args)
    except SpecError as error:
        faults = list(error.diagnostics)
    report(faults, args)
    return found


def read(file: str, net: str | None, args: argparse.Namespace) -> Net:
    from netdsl.net import checked_net, load_with

    if file != "-":
        return load_with(file, inputs(args.input), net, settings(args.set))
    from netdsl.diagnostic import SpecError
    from netdsl.files import FileReader, Unreadable, decoded

    try:
        source = decoded(sys.stdin.buffer.read(), "<stdin>")
    except Unreadable as error:
        raise SpecError([error.diagnostic]) from None
    reader = FileReader(Path("stdin.net"))
    return checked_net(source, reader, inputs(args.input), net, settings(args.set))


def file_and_net(spec: str, net: str | None) -> tuple[str, str | None]:
    """`b.net:small` is the net `small` of b.net, unless a file has that name."""
    file, colon, name = spec.rpartition(":")
    if colon and file and name.isidentifier() and not Path(spec).is_file():
        return file, name
    return spec, net


def painted(text: str) -> str:
    """What was added in green, and what was removed in red, on a terminal."""
    from netdsl.render import use_colour

    if not use_colour(sys.stdout.isatty()):
        return text
    colours = {"+ ": "\x1b[32m", "- ": "\x1b[31m", "~ ": "\x1b[33m"}
    lines = [f"{colours[line[:2]]}{line}\x1b[0m" if line[:2] in colours else line for line in text.split("\n")]
    return "\n".join(lines)
