"""`netdsl explain`: what a code means, what a primitive computes, and how an element of a network is computed."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.cli.output import to_json
from netdsl.options import UsageError

if TYPE_CHECKING:
    from netdsl.explain.element import Explanation
    from netdsl.net import Net


def run(args: argparse.Namespace) -> int:
    if args.what is None:
        from netdsl.explain.text import code_list

        print(code_list())
        return 0
    if args.label is None and is_code(args.what):
        return explain_code(args)
    if args.label is None and is_primitive(args.what):
        return explain_primitive(args)
    return explain_element(args)


def is_code(what: str) -> bool:
    """Whether it is written as a code is: a letter and digits, and no file."""
    return re.fullmatch(r"[EWew]?[0-9]{1,6}", what) is not None and not Path(what).is_file()


def explain_code(args: argparse.Namespace) -> int:
    from netdsl.explain.code import meaning, said
    from netdsl.explain.json import meaning_fields
    from netdsl.explain.text import meaning_text
    from netdsl.render import use_colour

    found = meaning(args.what)
    faults = said(found.wrong)
    if args.json:
        print(to_json(meaning_fields(found, faults)))
    else:
        print(meaning_text(found, faults, use_colour(sys.stdout.isatty())))
    return 0


def is_primitive(what: str) -> bool:
    """Whether it is the name of one, in any case, and no file."""
    from netdsl.ops import BY_SPELLING

    return what.upper() in BY_SPELLING and not Path(what).is_file()


def explain_primitive(args: argparse.Namespace) -> int:
    from netdsl.explain.primitive import primitive_fields, primitive_text
    from netdsl.ops import BY_SPELLING

    op = BY_SPELLING[args.what.upper()]
    print(to_json(primitive_fields(op)) if args.json else primitive_text(op))
    return 0


def explain_element(args: argparse.Namespace) -> int:
    """A line of a spec, or a label. Exit code 1 where the spec has faults: then they are what there is to say."""
    from netdsl.cli.asked import asked_net
    from netdsl.explain.json import explanation_fields
    from netdsl.explain.text import explanation_text
    from netdsl.render import use_colour

    spec, line, column = place(args.what)
    if line is not None and args.label is not None:
        raise UsageError("a line and a label: give one of them")
    net = asked_net(spec, args)
    if net is None:
        return 1
    found = explanation(net, spec, args.label, line, column)
    if args.json:
        print(to_json(explanation_fields(found)))
    else:
        print(explanation_text(found, use_colour(sys.stdout.isatty())))
    return 0


def place(what: str) -> tuple[str, int | None, int | None]:
    """`alexnet.net:7:9` as a spec, a line and a column; a file that is called so wins."""
    found = re.fullmatch(r"(.+?):([0-9]{1,9})(?::([0-9]{1,9}))?:?", what, re.S)
    if found is None or Path(what).is_file():
        return what, None, None
    if found[3] and Path(longer := f"{found[1]}:{found[2]}").is_file():
        return longer, int(found[3]), None
    return found[1], int(found[2]), int(found[3]) if found[3] else None


def explanation(net: Net, spec: str, label: str | None, line: int | None, column: int | None) -> Explanation:
    from netdsl.explain.element import explain_label, explain_line

    if label is not None:
        return explain_label(net, label)
    if line is None:
        labels = dict.fromkeys(node.group for node in net.graph.nodes if node.group)
        example = next(iter(labels), net.graph.nodes[0].name if net.graph.nodes else "input")
        command = f"netdsl explain {spec}"
        spans = [span for node in net.graph.nodes for span in node.origin if span.source is net.source]
        of_line = f"a line, `{command}:{net.source.line_column(spans[0].start)[0]}`, or " if spans else ""
        raise UsageError(f"which element? Name {of_line}a label, `{command} {example}`")
    return explain_line(net, line, column)
