"""`netdsl show`: the network as a table, or as JSON."""

from __future__ import annotations

import argparse

from netdsl.cli.asked import asked_net, report
from netdsl.cli.output import to_json
from netdsl.diagnostic import SpecError


def run(args: argparse.Namespace) -> int:
    net = asked_net(args.spec, args)
    if net is None:
        return 1
    if args.json:
        try:
            print(to_json(net.to_dict()))
        except SpecError as error:  # too long to be listed
            report(error.diagnostics, args)
            return 1
    else:
        from netdsl.table import network_table

        print(network_table(net, args.depth))
    return 0
