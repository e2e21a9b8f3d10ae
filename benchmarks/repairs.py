"""How often is the right repair among those that are offered?

    python benchmarks/repairs.py                    300 breakages of the shipped specs, drawn with seed 1
    python benchmarks/repairs.py --all              every breakage (some minutes)
    python benchmarks/repairs.py --missed           also those whose original text was not offered
    python benchmarks/repairs.py googlenet vgg16    those of some specs

A shipped spec is broken by one change of a number: a kernel, a padding, a stride, a number of channels, an argument of
a block, a size of the input. Where that gives a fault in a shape, the repairs of the first fault are applied: the right
one gives the text back as it was. A number that changes no shape that anything else speaks of is no breakage.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from netdsl import tree as t
from netdsl.diagnostic import Edit
from netdsl.driver import check_source
from netdsl.files import no_files
from netdsl.parse import parse
from netdsl.repair import applied, repaired
from netdsl.repair.choose import SHAPE_CODES
from netdsl.source import Source, Span

SPECS = Path(__file__).resolve().parent.parent / "specs"
KINDS = ("kernel", "stride", "pad", "channels", "argument", "input")


class Breakage(NamedTuple):
    """One number of a spec, and what stands there instead."""

    spec: str
    kind: str
    source: Source
    edits: tuple[Edit, ...]

    @property
    def broken(self) -> Source:
        return applied(self.source, self.edits).replace(tried=True)

    def __str__(self) -> str:
        line = self.broken.line(self.source.line_column(self.edits[0].span.start)[0])
        return f"{self.spec}: {self.kind} {self.edits[0].span.text} -> {self.edits[0].text}: {' '.join(line.split())}"


def breakages(name: str) -> Iterator[Breakage]:
    """Every change of one number of a spec, whether or not it breaks anything."""
    source = Source(f"{name}.net", (SPECS / f"{name}.net").read_text(encoding="utf-8"))
    file, _ = parse(source)
    stack: list[tuple[t.Tree, str]] = [(statement, "") for statement in reversed(file.statements)]
    while stack:
        tree, kind = stack.pop()
        for spans, value in numbers(tree):
            for other in others(value, kind_of(tree, kind)):
                edits = tuple(Edit(span, str(other)) for span in spans)
                yield Breakage(name, kind_of(tree, kind), source, edits)
        stack += [(child, kind_of(tree, kind)) for child in reversed(inside(tree))]


def kind_of(tree: t.Tree, around: str) -> str:
    """What a number in this piece of syntax says."""
    if isinstance(tree, t.Input):
        return "input"
    if isinstance(tree, t.Extent):
        return "kernel"
    if isinstance(tree, t.Stride):
        return "stride"
    if isinstance(tree, t.Keyword):
        return {"k": "kernel", "kernel": "kernel", "stride": "stride", "pad": "pad"}.get(tree.name, "argument")
    if isinstance(tree, t.Call):
        return "argument"
    return "channels" if isinstance(tree, t.App) else around


def numbers(tree: t.Tree) -> list[tuple[tuple[Span, ...], int]]:
    """The numbers that stand directly in a piece of syntax; the two of `3x3` are one."""
    if isinstance(tree, t.Extent | t.Input):
        sizes = tree.sizes if isinstance(tree, t.Extent) else tree.shape.sizes[1:]
        whole = [size for size in sizes if isinstance(size, t.Number)]
        alike = len(whole) == len(sizes) and len({size.value for size in whole}) == 1
        return [(tuple(size.span for size in whole), int(whole[0].value))] if alike else []
    if isinstance(tree, t.App | t.Call | t.Stride | t.Keyword):
        found = t.children(tree)
        return [((n.span,), n.value) for n in found if isinstance(n, t.Number) and isinstance(n.value, int)]
    return []


def others(value: int, kind: str) -> list[int]:
    """What could stand there by mistake."""
    if kind == "kernel":
        return [n for n in (value - 2, value + 2) if n > 0]
    if kind in ("stride", "pad"):
        return [n for n in (value - 1, value + 1) if n >= (kind == "stride")]
    if kind == "input":
        return [value - 1, value + 1]
    return [n for n in (value + 1, value // 2, value * 2) if 0 < n != value]


def inside(tree: t.Tree) -> list[t.Tree]:
    """The pieces of syntax in which numbers are looked for: not what is asserted, nor what a net is called with."""
    if isinstance(tree, t.Net | t.NetFrom | t.Import | t.Extent | t.Input | t.Shape):
        return []
    return [child for child in t.children(tree) if not isinstance(child, t.Shape | t.Param)]


def tried(breakage: Breakage) -> tuple[bool, int] | None:
    """Whether the original is among the repairs of the first fault, and their number; None where nothing broke."""
    broken = breakage.broken
    _, faults = check_source(broken, no_files)
    shapes = [fault for fault in faults if fault.code in SHAPE_CODES]
    if not shapes or shapes[0] is not faults[0]:
        return None
    repairs = repaired(faults, broken, no_files)[0].repairs
    texts = [applied(broken, repair.edits).text for repair in repairs]
    return breakage.source.text in texts, len(texts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specs", nargs="*", help="by default all that are shipped")
    parser.add_argument("--all", action="store_true", help="every breakage")
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="so many breakages (300)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which sample")
    parser.add_argument("--missed", action="store_true", help="show those whose original text was not offered")
    args = parser.parse_args()
    names = args.specs or sorted(path.stem for path in SPECS.glob("*.net"))
    every = [breakage for name in names for breakage in breakages(name)]
    random.Random(args.seed).shuffle(every)
    right: Counter[str] = Counter()
    some: Counter[str] = Counter()
    total: Counter[str] = Counter()
    start = time.process_time()
    for breakage in every:
        if sum(total.values()) >= args.sample and not args.all:
            break
        found = tried(breakage)
        if found is None:
            continue
        total[breakage.kind] += 1
        right[breakage.kind] += found[0]
        some[breakage.kind] += found[1] > 0
        if args.missed and not found[0]:
            print(f"missed, {found[1]} others: {breakage}")
    print(f"{'broken':10} {'faults':>7} {'original':>9} {'any':>7}")
    for kind in (*KINDS, ""):
        of = [total[kind], right[kind], some[kind]] if kind else [sum(c.values()) for c in (total, right, some)]
        if of[0]:
            print(f"{kind or 'all':10} {of[0]:7} {of[1] / of[0]:9.1%} {of[2] / of[0]:7.1%}")
    print(f"{time.process_time() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
