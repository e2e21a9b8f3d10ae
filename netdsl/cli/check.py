"""`netdsl check`: proves that every shape fits."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from netdsl.cli.asked import asked_net

if TYPE_CHECKING:
    from netdsl.net import Net


def run(args: argparse.Namespace) -> int:
    code = 0
    for spec in args.specs:
        net = asked_net(spec, args)
        if net is None:
            code = 1
        elif net.constraints:
            print_limits(spec, net)
    return code


def print_limits(spec: str, net: Net) -> None:
    from netdsl.table import limits

    first, *rest = limits(net)
    print("\n".join([f"{spec}: {first}", *(f"{spec}: {line}" for line in rest)]))
