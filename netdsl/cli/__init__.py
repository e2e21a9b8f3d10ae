"""The command line: the only place that reads arguments and prints. A file for each command, loaded when it is called.

Exit codes: 0 all is well, 1 a spec has faults, 2 wrong usage (unknown options, missing files, a target that cannot be
written), 70 a fault of netdsl itself.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    from netdsl.garbage import collection_paused
    from netdsl.terminal import encode_plainly

    codecs.register_error("netdsl", encode_plainly)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - None where the caller has closed it
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="netdsl")
    with collection_paused():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    from importlib import import_module

    from netdsl.cli.arguments import build_parser
    from netdsl.options import UsageError

    parser = build_parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        return 2
    args = parser.parse_args(argv)
    try:
        code: int = import_module(f"netdsl.cli.{args.command}").run(args)
        sys.stdout.flush()
        return code
    except (UsageError, FileNotFoundError) as error:
        print(f"netdsl: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("netdsl: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"netdsl: {error.filename or 'the output'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except Exception as error:
        if os.environ.get("NETDSL_DEBUG"):
            raise
        print(f"netdsl: internal error, please report it: {type(error).__name__}: {error}", file=sys.stderr)
        print("        (NETDSL_DEBUG=1 shows the traceback)", file=sys.stderr)
        return 70


def run() -> NoReturn:
    """`python -m netdsl`."""
    sys.exit(main())
