"""`netdsl compare`: networks beside each other, as a table and as a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from netdsl.cli.asked import read_net, report
from netdsl.comparison.columns import column_of, columns_of
from netdsl.comparison.entries import Comparison, compare
from netdsl.comparison.table import comparison_csv, comparison_fields, comparison_table, sorted_by
from netdsl.diagnostic import Diagnostic
from netdsl.net import Net
from netdsl.options import UsageError
from netdsl.writing import may_write, write_atomically


def run(args: argparse.Namespace) -> int:
    column_of(args.sort)
    columns = columns_of([name.strip() for name in args.columns.split(",")]) if args.columns else ()
    target = picture(args) if args.output else None
    nets, faulty = read_nets(args)
    if not nets:
        return 1
    comparison = sorted_by(compare(nets), args.sort, args.reverse)
    if target:
        draw(comparison, target, args)
    if args.json:
        from netdsl.cli.output import to_json

        print(to_json(comparison_fields(comparison, columns)))
    elif args.csv:
        print(comparison_csv(comparison, columns))
    elif not target:
        print(comparison_table(comparison, columns))
    return 1 if faulty else 0


def picture(args: argparse.Namespace) -> Path:
    """The file to draw, before anything is read. Raises UsageError."""
    from netdsl.comparison.plot import FORMATS
    from netdsl.diagnostic import nearest
    from netdsl.draw.formats import is_drawing

    for axis in (args.x, args.y):
        column_of(axis, "axis")
    target = Path(args.output)
    if target.suffix.lower()[1:] not in FORMATS:
        close = nearest(target.suffix[1:], FORMATS)
        help_ = f"did you mean {target.with_suffix('.' + close)}?" if close else f"there are .{', .'.join(FORMATS)}"
        raise UsageError(f"a picture is not written as {target.suffix or repr(args.output)}: {help_}")
    may_write(target, is_drawing, args.force)
    return target


def draw(comparison: Comparison, target: Path, args: argparse.Namespace) -> None:
    from netdsl.comparison.chart import chart_of, counted
    from netdsl.comparison.plot import drawn

    chart = chart_of(comparison, args.x, args.y)
    write_atomically(target, drawn(chart, target.suffix.lower()[1:], args.theme, args.width))
    out = sys.stderr if args.json or args.csv else sys.stdout
    print(f"{target}: {counted(len(chart.points))} of {chart.group.title}", file=out)
    for why in chart.left_out:
        print(f"left out: {why}", file=out)


def read_nets(args: argparse.Namespace) -> tuple[list[tuple[str, Net]], list[str]]:
    """The networks, each with what it is called on the command line, and the specs with faults, which are reported."""
    nets: list[tuple[str, Net]] = []
    faulty, faults = [], list[Diagnostic]()
    for spec in specs(args.specs):
        net, found = read_net(spec, args)
        faults += [fault for fault in found if fault.severity == "error"]
        if net is None:
            faulty.append(spec)
        else:
            nets.append((spec, net))
    report(faults, args)
    if faulty and nets:
        print(f"left out, because of their faults: {', '.join(faulty)}", file=sys.stderr)
    return nets, faulty


def specs(given: list[str]) -> list[str]:
    """Files and names as they are given, of folders what is in them; each file once. Raises UsageError."""
    from netdsl.files import find

    found: dict[Path, str] = {}
    for spec in given:
        if spec and Path(spec).is_dir():
            inside = [path for path in sorted(Path(spec).glob("*.net")) if path.is_file()]
            if not inside:
                raise UsageError(f"there are no .net files in the folder {spec}")
            for path in inside:
                found.setdefault(path.resolve(), str(path))
        else:
            found.setdefault(find(spec).resolve(), spec)
    return list(found.values())
