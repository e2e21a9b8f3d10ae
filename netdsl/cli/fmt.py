"""`netdsl fmt`: lays files out in the one canonical way."""

from __future__ import annotations

import argparse
import sys

from netdsl.cli.asked import report
from netdsl.formatting import format_files
from netdsl.render import use_colour


def run(args: argparse.Namespace) -> int:
    return format_files(args.files, args.check, args.diff, use_colour(sys.stdout.isatty()), report)
