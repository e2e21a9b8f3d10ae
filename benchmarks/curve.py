"""How do time and memory of a check grow with the network?  A table, with the machine's name on it.

    python benchmarks/curve.py [--largest N] [--seconds S]

Two networks of n elements on 8 x 32 x 32: `(CONV 8 relu) * n`, where all are equal, and n lines with labels and widths
of their own. Beside the check, what one does without netdsl: the same network built on PyTorch's `meta` device, and run
there once; and `n-orca verify` of the same chain, where it is installed. Each figure is a process of its own: seconds
of CPU time after the imports, and by how many MB its peak memory grew. A column that took longer than S seconds is not
tried with more elements.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise

from netdsl.table import align

WIDTHS = 97


def widths(kind: str, n: int) -> list[int]:
    """The channels of the element, one after the other."""
    return [8] * n if kind == "equal" else [i % WIDTHS + 8 for i in range(n)]


def netdsl_text(kind: str, n: int) -> str:
    if kind == "equal":
        return f"input 8 x 32 x 32\n(CONV 8 relu) * {n}\n"
    lines = [f"layer{i} = CONV {width} relu\n" for i, width in enumerate(widths(kind, n))]
    return "input 8 x 32 x 32\n" + "".join(lines)


def with_netdsl(kind: str, n: int) -> Callable[[], object]:
    import netdsl

    os.environ["NETDSL_CACHE"] = os.environ.get("NETDSL_CACHE") or os.devnull
    text = netdsl_text(kind, n)
    netdsl.loads("input 8 x 32 x 32\nCONV 8 relu\n")
    return lambda: netdsl.loads(text)


def with_torch(kind: str, n: int) -> Callable[[], object]:
    """The modules of the chain, and its shapes, by running it on tensors without data."""
    import torch
    from torch import nn

    def action() -> object:
        with torch.device("meta"), torch.no_grad():
            before, modules = 8, list[nn.Module]()
            for width in widths(kind, n):
                modules += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            return nn.Sequential(*modules)(torch.empty(1, 8, 32, 32)).shape

    with torch.device("meta"):  # what is loaded at first use does not count
        nn.Conv2d(8, 8, 3)(torch.empty(1, 8, 32, 32))
    return action


def with_n_orca(kind: str, n: int) -> Callable[[], object]:
    from n_orca.parser import parse
    from n_orca.verifier import verify

    every = widths(kind, n)
    shapes = f"| x | (B, 8, 32, 32) | float32 |\n| y | (B, {every[-1]}, 32, 32) | float32 |\n"
    layers, names = ["## layer x [input]"], ["x"]
    for i, (before, width) in enumerate(zip([8, *every], every)):
        layers += [f"## layer c{i}\n- op: Conv2d({before}, {width}, 3, 1, 1)\n## layer r{i}\n- op: ReLU"]
        names += [f"c{i}", f"r{i}"]
    names.append("y")
    flow = "".join(f"| {a} | {b} | t{i} |\n" for i, (a, b) in enumerate(pairwise(names)))
    head = f"# architecture Chain\n\n## tensors\n\n| Name | Shape | Dtype |\n|---|---|---|\n{shapes}\n"
    table = f"## flow\n\n| Source | Target | Tensor |\n|---|---|---|\n{flow}"
    text = head + "\n".join(layers) + f"\n## layer y [output]\n\n{table}"

    def action() -> object:
        (architecture,) = parse(text)
        report = verify(architecture)
        assert report.valid, report
        return report

    return action


WAYS = {"netdsl": with_netdsl, "torch meta": with_torch, "n-orca": with_n_orca}
MODULES = {"netdsl": "netdsl", "torch meta": "torch", "n-orca": "n_orca"}


def measure(way: str, kind: str, n: int) -> None:
    """In a process of its own: prints seconds and MB."""
    action = WAYS[way](kind, n)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    action()
    seconds = time.process_time() - start
    print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def figures(way: str, kind: str, n: int, most: float) -> tuple[float, float] | None:
    """Seconds and MB; None where it did not end well, or took many times too long."""
    command = [sys.executable, __file__, "--measure", way, kind, str(n)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20 * most)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        return None
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=10**6, metavar="N", help="the most elements (1,000,000)")
    parser.add_argument("--seconds", type=float, default=10, metavar="S", help="when a column gives up (10)")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        way, kind, n = args.measure
        measure(way, kind, int(n))
        return
    processor = platform.processor() or platform.machine()
    print(f"machine: {platform.node()}, {processor}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    ways = [way for way in WAYS if find_spec(MODULES[way])]
    for kind, title in (("equal", "equal elements"), ("distinct", "distinct lines")):
        rows: list[tuple[str, ...]] = [(title, *(head for way in ways for head in (f"{way}, s", "MB")))]
        trying = set(ways)
        for n in (10**k for k in range(2, 7)):
            if n > args.largest or (kind == "distinct" and n > 10**5):
                break
            row = [f"{n:,}"]
            for way in ways:
                found = figures(way, kind, n, args.seconds) if way in trying else None
                row += [f"{found[0]:.3f}", f"{found[1]:.0f}"] if found else ["-", "-"]
                if found is None or found[0] > args.seconds:
                    trying.discard(way)
            rows.append(tuple(row))
        print("\n".join(align(rows, right=tuple(range(len(rows[0]))))) + "\n")


if __name__ == "__main__":
    main()
