"""`netdsl explain`: what a code means."""

from __future__ import annotations

import argparse
import sys

from netdsl.cli.output import to_json


def run(args: argparse.Namespace) -> int:
    if args.what is None:
        from netdsl.explain.text import code_list

        print(code_list())
        return 0
    return explain_code(args)


def explain_code(args: argparse.Namespace) -> int:
    from netdsl.explain.code import meaning, said
    from netdsl.explain.text import meaning_fields, meaning_text
    from netdsl.render import use_colour

    found = meaning(args.what)
    faults = said(found.wrong)
    if args.json:
        print(to_json(meaning_fields(found, faults)))
    else:
        print(meaning_text(found, faults, use_colour(sys.stdout.isatty())))
    return 0
