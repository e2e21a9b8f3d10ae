"""`netdsl tune`: times kernels on this machine's GPU, and remembers the fastest."""

from __future__ import annotations

import argparse

from netdsl.backend import fusing
from netdsl.cli.asked import asked_net


def run(args: argparse.Namespace) -> int:
    net = asked_net(args.spec, args)
    if net is None:
        return 1
    done = fusing().tune(net, args.batch, args.dtype, args.budget)
    print("\n\n".join(map(str, (*done.reports, done.tuned))))
    return 0
