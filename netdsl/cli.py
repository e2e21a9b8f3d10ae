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
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from netdsl.backend import Backend
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
    compile_.add_argument(
        "--explain-fusion",
        action="store_true",
        help="say what the triton backend makes of each element, and which kernel does it; writes a file with -o alone",
    )
    compile_.add_argument("--json", action="store_true", help="with --explain-fusion: as JSON, for programs")
    compile_.add_argument("--batch", type=samples, metavar="N", help="with --explain-fusion: samples (32)")
    compile_.add_argument("--dtype", metavar="TYPE", help="with --explain-fusion: fp32, tf32, fp16 or bf16 (bf16)")
    compile_.add_argument(
        "--device", metavar="NAME", help="with --explain-fusion: for which device (the GPU of this machine, else h200)"
    )
    compile_.set_defaults(run=run_compile)

    tune = commands.add_parser(
        "tune",
        help="time kernels on this machine's GPU",
        description="Times the kernels that the triton backend can choose from, on the GPU of this machine, and "
        "remembers the fastest of each layer: whatever is compiled from then on has them.",
    )
    tune.add_argument("spec", metavar="SPEC", help="a .net file, or the name of a shipped network")
    tune.add_argument("--batch", type=several_samples, default=(32,), metavar="N,N…", help="sizes of batches (32)")
    tune.add_argument("--dtype", default="bf16", metavar="TYPE", help="fp32, tf32, fp16 or bf16 (bf16)")
    tune.add_argument("--budget", type=seconds, metavar="SECONDS", help="stop after so long, what matters most first")
    tune.set_defaults(run=run_tune)

    bench = commands.add_parser(
        "bench",
        help="compare the speed of backends",
        description="Compares backends on this machine: first their numbers, then their times, taken in turns.",
    )
    bench.add_argument("specs", nargs="+", metavar="SPEC", help="a .net file, or the name of a shipped network")
    bench.add_argument(
        "--backend", default="torch,eager,compile,triton", metavar="NAMES", help="of torch,eager,folded,compile,triton"
    )
    bench.add_argument("--batch", type=several_samples, default=(1,), metavar="N,N…", help="sizes of batches (1)")
    bench.add_argument("--dtype", choices=("fp32", "tf32", "fp16", "bf16"), help="bf16 on CUDA, fp32 on a CPU")
    bench.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    bench.add_argument("--seconds", type=seconds, default=5.0, metavar="S", help="of timing for each table (5)")
    bench.add_argument("--repeats", type=positive, metavar="N", help="samples for each row, instead of --seconds")
    bench.add_argument("--no-tune", action="store_true", help="kernels as predicted or remembered")
    bench.add_argument("--compile-mode", choices=("max-autotune", "reduce-overhead", "default"), default="max-autotune")
    bench.add_argument(
        "--prepare-limit", type=seconds, default=600.0, metavar="S", help="after so long a backend is given up (600)"
    )
    bench.add_argument("--latency", action="store_true", help="compile times, too: cold and cached, in new processes")
    bench.add_argument("--json", metavar="FILE", help="also write the results to this file (docs/benchmarks/json.md)")
    bench.set_defaults(run=run_bench)

    for command in (check, show, compile_, tune, bench):
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

    fmt = commands.add_parser(
        "fmt",
        help="lay files out in the one canonical way",
        description="Lays files out in the one canonical way. Rewrites those that this changes, and names them.",
    )
    fmt.add_argument("files", nargs="+", metavar="FILE", help="a .net file, a folder of them, or - for standard input")
    fmt.add_argument("--check", action="store_true", help="write nothing; name what would change, and exit with 1")
    fmt.add_argument("--diff", action="store_true", help="write nothing; show what would change")
    fmt.set_defaults(run=run_fmt)

    list_ = commands.add_parser(
        "list", help="the shipped networks", description="The shipped networks: name, parameters, MACs, source."
    )
    list_.set_defaults(run=run_list)
    return parser


def positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 1000 is needed, not {text!r}")
    return int(text)


def samples(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"a batch is a whole number from 1 to 100000, not {text!r}")
    return int(text)


def several_samples(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys([samples(part.strip()) for part in text.split(",")]))


def seconds(text: str) -> float:
    import math

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a time is a number of seconds above 0, not {text!r}")
    return value


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
            print(to_json(net.to_dict()))
        except SpecError as error:  # too long to be listed
            report(error.diagnostics)
            return 1
    else:
        from netdsl.table import network_table

        print(network_table(net, args.depth))
    return 0


def to_json(fields: dict[str, Any]) -> str:
    """The interface of `--json`: one line for each field, and for each row of a list of objects."""
    import json

    def shown(value: Any) -> str:
        if not isinstance(value, list) or not value or not isinstance(value[0], dict):
            return json.dumps(value)
        rows = ",\n".join(f"    {json.dumps(row)}" for row in value)
        return f"[\n{rows}\n  ]"

    lines = ",\n".join(f"  {json.dumps(name)}: {shown(value)}" for name, value in fields.items())
    return f"{{\n{lines}\n}}"


def run_compile(args: argparse.Namespace) -> int:
    from netdsl.backend import backend_for, load_backend

    if args.explain_fusion:
        return run_explain(args)
    for name in ("json", "batch", "dtype", "device"):
        if getattr(args, name):
            raise Wrong(f"--{name} goes with --explain-fusion")
    net, faults = read_net(args.spec, args)
    report(faults)
    if net is None:
        return 1
    if args.output is not None:
        backend = load_backend(args.backend) if args.backend else backend_for(Path(args.output).suffix)
    else:
        backend = load_backend(args.backend or "torch")
    target = write_code(net, backend, args)
    from netdsl.table import network_table

    print(network_table(net))
    print(f"\nwrote {target}")
    return 0


def write_code(net: Net, backend: Backend, args: argparse.Namespace) -> Path:
    """Writes the network with a backend: to `-o`, else to a file of its name in this folder."""
    from netdsl.backend import written_by
    from netdsl.writing import may_write, write_atomically

    target = Path(args.output) if args.output is not None else Path(f"{net.name}{written_by(backend)[0]}")
    if target.suffix not in written_by(backend):
        suffix = target.suffix or "a file without a suffix"
        raise Wrong(f"the {backend.name} backend writes {', '.join(written_by(backend))}, not {suffix}")
    may_write(target, backend.is_generated, args.force)
    write_atomically(target, backend.emit(net))
    return target


def run_explain(args: argparse.Namespace) -> int:
    """`compile --explain-fusion`: what becomes of each element."""
    from netdsl.backend import load_backend

    backend = load_backend(args.backend or "triton")
    explain = getattr(backend, "explain", None)
    if explain is None:
        raise Wrong(f"the {backend.name} backend fuses nothing that could be explained: --backend triton does")
    net, faults = read_net(args.spec, args)
    report(faults)
    if net is None:
        return 1
    found = explain(net, args.batch or 32, args.dtype or "bf16", args.device)
    if args.output is not None:
        write_code(net, backend, args)
    print(to_json(found.to_dict()) if args.json else found)
    return 0


def run_tune(args: argparse.Namespace) -> int:
    from netdsl.backend import load_backend

    net, faults = read_net(args.spec, args)
    report(faults)
    if net is None:
        return 1
    done = load_backend("triton").tune(net, args.batch, args.dtype, args.budget)  # type: ignore[attr-defined]
    print("\n\n".join(map(str, (*done.reports, done.tuned))))
    return 0


def run_fmt(args: argparse.Namespace) -> int:
    from netdsl.diagnostic import use_colour
    from netdsl.formatting import format_files

    return format_files(args.files, args.check, args.diff, use_colour(sys.stdout.isatty()), report)


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


def run_bench(args: argparse.Namespace) -> int:
    from netdsl_triton.bench import command, question

    device = question.device(args.device)
    asked = question.Question(
        backends=question.backends(args.backend),
        batches=args.batch,
        dtype=question.dtype(args.dtype, device),
        device=device,
        seconds=args.seconds,
        repeats=args.repeats,
        tune=not args.no_tune,
        compile_mode=args.compile_mode,
        prepare_limit=args.prepare_limit,
        latency=args.latency,
    )
    nets = []
    for spec in args.specs:
        net, faults = read_net(spec, args)
        report(faults)
        if net is None:
            return 1
        nets.append(command.Asked(net, spec, inputs(args.input), args.net, settings(args.set)))
    return command.bench(nets, asked, Path(args.json) if args.json else None)


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
