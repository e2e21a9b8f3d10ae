"""`netdsl list`: the shipped networks."""

from __future__ import annotations

import argparse
import sys

from netdsl.amounts import compact
from netdsl.files import shipped
from netdsl.net import load
from netdsl.render.text import fitted
from netdsl.table import align
from netdsl.terminal import width


def run(args: argparse.Namespace) -> int:
    rows: list[tuple[str, ...]] = [("name", "params", "MACs", "source")]
    for name, path in shipped().items():
        net = load(path)
        first = net.source.text.splitlines()[0]
        rows.append((name, compact(net.params), compact(net.macs), first.lstrip("# ") if first.startswith("#") else ""))
    for line in align(rows, right=(1, 2)):
        print(line if not sys.stdout.isatty() or len(line) <= width() else f"{fitted(line, width() - 1)}…")
    return 0
