"""`netdsl draw`: the network as a picture; several as a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from netdsl.cli.asked import asked_net
from netdsl.draw.formats import Asked, draw, is_drawing, known_suffix
from netdsl.writing import may_write, write_atomically


def run(args: argparse.Namespace) -> int:
    suffix = known_suffix(Path(args.output).suffix) if args.output is not None else ".svg"
    nets = [asked_net(spec, args) for spec in args.specs]
    found = [net for net in nets if net is not None]
    if len(found) < len(nets):
        return 1
    target = Path(args.output) if args.output is not None else Path(f"{found[0].name}{suffix}")
    may_write(target, is_drawing, args.force)
    asked = Asked(args.depth, args.theme, args.page, args.width, args.tex)
    write_atomically(target, draw(found, suffix, asked))
    print(f"wrote {target}")
    return 0
