"""`netdsl check`: proves that every shape fits.

What people read of faults goes to the error stream. What programs read is the result, and goes to standard output: one
text for all specs, also where they have no faults.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TextIO

from netdsl.cli.asked import inputs, read_net, report, settings
from netdsl.options import UsageError

if TYPE_CHECKING:
    from netdsl.net import Net


def run(args: argparse.Namespace) -> int:
    for_programs = args.faults_as in ("json", "github", "sarif")
    code, every = 0, []
    if args.dry_run and not args.fix:
        raise UsageError("--dry-run goes with --fix")
    for spec in args.specs:
        if args.fix:
            fix(spec, args, sys.stderr if for_programs else sys.stdout)
        net, faults = read_net(spec, args)
        every += faults
        if not for_programs:
            report(faults, args)
        if net is None:
            code = 1
        elif net.constraints and not for_programs:
            print_limits(spec, net)
    if for_programs:
        from netdsl.render import rendered

        print(rendered(every, args.faults_as), end="\n" if every or args.faults_as != "github" else "")
    return code


def fix(spec: str, args: argparse.Namespace, out: TextIO) -> None:
    """Repairs what is obvious; the file is then checked as any other."""
    from netdsl.fixing import fix_file
    from netdsl.render import use_colour

    colour = use_colour(out.isatty(), args.color)
    fix_file(spec, inputs(args.input), args.net, settings(args.set), args.dry_run, colour, out)


def print_limits(spec: str, net: Net) -> None:
    from netdsl.table import limits

    first, *rest = limits(net)
    print("\n".join([f"{spec}: {first}", *(f"{spec}: {line}" for line in rest)]))
