"""`netdsl list`: the shipped networks."""

from __future__ import annotations

import argparse

from netdsl.files import shipped
from netdsl.net import load
from netdsl.table import align, number


def run(args: argparse.Namespace) -> int:
    rows: list[tuple[str, ...]] = [("name", "parameters", "MACs", "source")]
    for name, path in shipped().items():
        net = load(path)
        first = net.source.text.splitlines()[0]
        rows.append((name, number(net.params), number(net.macs), first.lstrip("# ") if first.startswith("#") else ""))
    print("\n".join(align(rows, right=(1, 2))))
    return 0
