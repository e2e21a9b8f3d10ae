"""`netdsl bench`: compares the speed of backends."""

from __future__ import annotations

import argparse
from pathlib import Path

from netdsl.backend import fusing
from netdsl.cli.asked import asked_net, inputs, settings


def run(args: argparse.Namespace) -> int:
    nets = []
    for spec in args.specs:
        net = asked_net(spec, args)
        if net is None:
            return 1
        nets.append((net, (spec, inputs(args.input), args.net, settings(args.set))))
    return fusing().bench(
        nets,
        Path(args.json) if args.json else None,
        backends=args.backend,
        batches=args.batch,
        dtype=args.dtype,
        device=args.device,
        seconds=args.seconds,
        repeats=args.repeats,
        tune=not args.no_tune,
        compile_mode=args.compile_mode,
        prepare_limit=args.prepare_limit,
        latency=args.latency,
    )
