"""`netdsl draw`: the network as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from netdsl.cli.asked import asked_net
from netdsl.draw.formats import Asked, draw, is_drawing, known_suffix
from netdsl.writing import may_write, write_atomically


def run(args: argparse.Namespace) -> int:
    suffix = known_suffix(Path(args.output).suffix) if args.output is not None else ".svg"
    net = asked_net(args.spec, args)
    if net is None:
        return 1
    target = Path(args.output) if args.output is not None else Path(f"{net.name}{suffix}")
    may_write(target, is_drawing, args.force)
    write_atomically(target, draw(net, suffix, Asked(args.depth, args.theme, args.page, args.width)))
    print(f"wrote {target}")
    return 0
