"""`netdsl show`: the network as a table, or as JSON."""

from __future__ import annotations

import argparse

from netdsl.cli.asked import asked_net, report
from netdsl.cli.output import to_json
from netdsl.diagnostic import SpecError
from netdsl.options import UsageError, need_known


def run(args: argparse.Namespace) -> int:
    from netdsl.analysis.memory import OPTIMISERS, setting_of

    if args.roofline is not None:
        return roofline(args)
    setting_of(1, args.dtype or "fp32")
    need_known("optimiser", args.optimiser or "sgd", OPTIMISERS)
    net = asked_net(args.spec, args)
    if net is None:
        return 1
    if args.json:
        try:
            print(to_json(net.to_dict(args.batch or 1, args.dtype or "fp32", args.optimiser or "sgd")))
        except SpecError as error:  # too long to be listed
            report(error.diagnostics)
            return 1
        return 0
    from netdsl.table import cost_table
    from netdsl.terminal import width

    print(
        cost_table(net, args.depth, width(), args.batch, args.dtype or "fp32", args.optimiser or "sgd", args.training)
    )
    return 0


def roofline(args: argparse.Namespace) -> int:
    """The floor of the network on a device."""
    from netdsl.devices import dtype
    from netdsl.floor_table import device_of, floor_dict, floor_table

    if args.training or args.optimiser:
        raise UsageError(
            f"--{'training' if args.training else 'optimiser'} does not go with --roofline, which is of inference"
        )
    device, type, batch = device_of(args.roofline), dtype(args.dtype or "bf16"), args.batch or 1
    net = asked_net(args.spec, args)
    if net is None:
        return 1
    try:
        if args.json:
            print(to_json(floor_dict(net, device, type, batch)))
        else:
            print(floor_table(net, device, type, batch, args.depth))
    except SpecError as error:  # too long to be listed
        report(error.diagnostics)
        return 1
    return 0
