"""`netdsl check`: proves that every shape fits.

What people read of faults goes to the error stream. What programs read is the result, and goes to standard output: one
text for all specs, also where they have no faults.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from netdsl.cli.asked import read_net, report

if TYPE_CHECKING:
    from netdsl.net import Net


def run(args: argparse.Namespace) -> int:
    for_programs = args.faults_as in ("json", "github", "sarif")
    code, every = 0, []
    for spec in args.specs:
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


def print_limits(spec: str, net: Net) -> None:
    from netdsl.table import limits

    first, *rest = limits(net)
    print("\n".join([f"{spec}: {first}", *(f"{spec}: {line}" for line in rest)]))
