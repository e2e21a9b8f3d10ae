"""The command line: the only place that reads arguments and prints.

Exit codes: 0 all is well, 1 a spec has faults, 2 wrong usage (unknown options, missing files, a target that cannot be
written), 70 a fault of netdsl itself.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from netdsl.diagnostic import Diagnostic
    from netdsl.net import Net


class Wrong(Exception):
    """Wrong usage: a sentence for the user, exit code 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    from netdsl.garbage import collection_paused

    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show a character shows `?`
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with collection_paused():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    from netdsl.options import UsageError

    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except (Wrong, UsageError, FileNotFoundError) as error:
        print(f"netdsl: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("netdsl: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"netdsl: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except Exception as error:
        if os.environ.get("NETDSL_DEBUG"):
            raise
        print(f"netdsl: internal error, please report it: {type(error).__name__}: {error}", file=sys.stderr)
        print("        (NETDSL_DEBUG=1 shows the traceback)", file=sys.stderr)
        return 70


def build_parser() -> argparse.ArgumentParser:
    from netdsl import __version__

    parser = argparse.ArgumentParser(
        prog="netdsl", description="A language and a compiler for neural-network architectures."
    )
    parser.add_argument("--version", action="version", version=f"netdsl {__version__}")
    # prog: else argparse lays out a help page to find it, and imports shutil and the compressors for that
    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog="netdsl")

    check = commands.add_parser(
        "check",
        help="prove that every shape fits",
        description="Proves that every shape fits. Prints nothing when all is well but what open sizes must be.",
    )
    check.add_argument("specs", nargs="+", metavar="SPEC", help="a .net file, or the name of a shipped network")
    check.set_defaults(run=run_check)

    show = commands.add_parser("show", help="the network as a table", description="The network as a table, or as JSON.")
    show.add_argument("spec", metavar="SPEC", help="a .net file, or the name of a shipped network")
    show.add_argument(
        "--json", action="store_true", help="as JSON, for programs: every primitive in order of execution"
    )
    show.add_argument("--depth", type=positive, default=1, metavar="N", help="how many levels of blocks to open (1)")
    show.set_defaults(run=run_show)

    compile_ = commands.add_parser(
        "compile",
        help="write the network as code",
        description="Checks the network, prints its table and writes it as code: readable PyTorch.",
    )
    compile_.add_argument("spec", metavar="SPEC", help="a .net file, or the name of a shipped network")
    compile_.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the file to write; its suffix picks the backend (NAME.py in this folder)",
    )
    compile_.add_argument("--backend", metavar="NAME", help="the backend, where the suffix does not say it")
    compile_.add_argument(
        "--force", action="store_true", help="replace a file that netdsl did not write, or that was changed since"
    )
    compile_.set_defaults(run=run_compile)

    for command in (check, show, compile_):
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=NUMBER",
            help="a value for a parameter of the net: --set classes=10",
        )
        command.add_argument(
            "--input",
            action="append",
            default=[],
            metavar="[NAME=]SIZES",
            help="other sizes for the input: --input 3x64x64",
        )
        command.add_argument("--net", metavar="NAME", help="which network, where the file has several (the last one)")

    list_ = commands.add_parser(
        "list", help="the shipped networks", description="The shipped networks: name, parameters, MACs, source."
    )
    list_.set_defaults(run=run_list)
    return parser


def positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 1000 is needed, not {text!r}")
    return int(text)


# --- commands --------------------------------------------------------------------------------------------------


def run_check(args: argparse.Namespace) -> int:
    code = 0
    for spec in args.specs:
        net, faults = read_net(spec, args)
        report(faults)
        if net is None:
            code = 1
        elif net.constraints:
            print_limits(spec, net)
    return code


def print_limits(spec: str, net: Net) -> None:
    from netdsl.table import limits

    first, *rest = limits(net)
    print("\n".join([f"{spec}: {first}", *(f"{spec}: {line}" for line in rest)]))


def run_show(args: argparse.Namespace) -> int:
    from netdsl.diagnostic import SpecError

    net, faults = read_net(args.spec, args)
    report(faults)
    if net is None:
        return 1
    if args.json:
        try:
            print(to_json(net))
        except SpecError as error:  # too long to be listed
            report(error.diagnostics)
            return 1
    else:
        from netdsl.table import network_table

        print(network_table(net, args.depth))
    return 0


def to_json(net: Net) -> str:
    """The interface of `show --json`: one line for each field and for each layer."""
    import json

    fields = net.to_dict()
    rows = ",\n".join(f"    {json.dumps(layer)}" for layer in fields.pop("layers"))
    head = "".join(f"  {json.dumps(name)}: {json.dumps(value)},\n" for name, value in fields.items())
    return f'{{\n{head}  "layers": [\n{rows}\n  ]\n}}'


def run_compile(args: argparse.Namespace) -> int:
    from netdsl.backend import backend_for, load_backend, written_by
    from netdsl.writing import may_write, write_atomically

    net, faults = read_net(args.spec, args)
    report(faults)
    if net is None:
        return 1
    if args.output is not None:
        target = Path(args.output)
        backend = load_backend(args.backend) if args.backend else backend_for(target.suffix)
        if target.suffix not in written_by(backend):
            suffix = target.suffix or "a file without a suffix"
            raise Wrong(f"the {backend.name} backend writes {', '.join(written_by(backend))}, not {suffix}")
    else:
        backend = load_backend(args.backend or "torch")
        target = Path(f"{net.name}{written_by(backend)[0]}")
    may_write(target, backend.is_generated, args.force)
    text = backend.emit(net)
    write_atomically(target, text)
    from netdsl.table import network_table

    print(network_table(net))
    print(f"\nwrote {target}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    from netdsl.files import shipped
    from netdsl.net import load
    from netdsl.table import align, number

    rows: list[tuple[str, ...]] = [("name", "parameters", "MACs", "source")]
    for name, path in shipped().items():
        net = load(path)
        first = net.source.text.splitlines()[0]
        rows.append((name, number(net.params), number(net.macs), first.lstrip("# ") if first.startswith("#") else ""))
    print("\n".join(align(rows, right=(1, 2))))
    return 0


# --- reading and writing ---------------------------------------------------------------------------------------


def read_net(spec: str, args: argparse.Namespace) -> tuple[Net | None, list[Diagnostic]]:
    """The network, or None and why not."""
    from netdsl.diagnostic import SpecError
    from netdsl.net import load_with

    try:
        net = load_with(spec, inputs(args.input), args.net, settings(args.set))
    except SpecError as error:
        return None, list(error.diagnostics)
    return net, list(net.warnings)


def settings(pairs: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier() or not value:
            raise Wrong(f"--set takes NAME=NUMBER, not {pair!r}")
        if name in ("input", "net"):
            raise Wrong(f"--set {name}: give it with --{name}")
        values[name] = value
    return values


def inputs(pairs: list[str]) -> dict[str, str] | None:
    sizes = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        sizes[name if equals else "input"] = value if equals else pair
    return sizes or None


def report(faults: Sequence[Diagnostic]) -> None:
    """Faults go to the error stream, an empty line between them."""
    from netdsl.diagnostic import render, use_colour

    colour = use_colour(sys.stderr.isatty())
    for fault in faults:
        print(render(fault, colour) + "\n", file=sys.stderr)
    errors = sum(fault.severity == "error" for fault in faults)
    if errors > 1:
        print(f"{errors} errors", file=sys.stderr)


def run() -> NoReturn:
    """`python -m netdsl`."""
    sys.exit(main())
