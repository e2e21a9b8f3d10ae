"""What may stand on the command line?  Commands, their options, and what each takes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from netdsl.cli.parser import Parser, pixels, positive, samples, seconds, several_samples, whole

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[Parser]
    Add: TypeAlias = Callable[[Commands], None]

THEMES = ("auto", "light", "dark")


def build_parser() -> argparse.ArgumentParser:
    """`command` of what it gives names the module of this package whose `run` does it."""
    from netdsl import __version__

    tour = "\n\n".join(
        "\n".join([title, *(f"  {name_of(add):9}{about}" for add, about in commands.items())])
        for title, commands in TOUR.items()
    )
    parser = Parser(
        prog="netdsl",
        usage="netdsl [-h] [--version] COMMAND ...",
        description=f"A language and a compiler for neural-network architectures.\n\n{tour}",
        epilog="A network is a .net file, or the name of a shipped one. `netdsl COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"netdsl {__version__}")
    # prog: else argparse lays out a help page to find it, and imports shutil and the compressors for that
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, prog="netdsl", help=argparse.SUPPRESS
    )
    for add in [add for group in TOUR.values() for add in group]:
        add(commands)
    return parser


def name_of(add: Add) -> str:
    """The command that a function below adds."""
    return add.__name__.rstrip("_")


def about_nets(command: argparse.ArgumentParser) -> None:
    """The options of every command that reads a network: which one, and with which numbers."""
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
        help="other sizes for the input: --input 3x64x64; a name leaves one open: --input 3xHxW",
    )
    command.add_argument("--net", metavar="NAME", help="which network, where the file has several (the last one)")


def a_spec(command: argparse.ArgumentParser, several: bool = False) -> None:
    """The argument that all of these have first."""
    help_ = "a .net file, or the name of a shipped network"
    if several:
        command.add_argument("specs", nargs="+", metavar="SPEC", help=help_)
    else:
        command.add_argument("spec", metavar="SPEC", help=help_)


def about_faults(command: argparse.ArgumentParser) -> None:
    """How faults are shown. The destinations are names of their own: a command may have a format of its own."""
    command.add_argument(
        "--format",
        dest="faults_as",
        choices=("full", "concise", "json", "github", "sarif"),
        default="full",
        help="how faults are shown: in full, in a line each, as JSON (docs/diagnostics-json.md), for GitHub, as SARIF",
    )
    command.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto", help="of faults (on a terminal)"
    )


def check(commands: Commands) -> None:
    command = commands.add_parser(
        "check",
        description="Proves that every shape fits. Prints nothing when all is well but what open sizes must be.",
    )
    a_spec(command, several=True)
    command.add_argument(
        "--fix", action="store_true", help="repair the faults that have one obvious repair, and show what changed"
    )
    command.add_argument("--dry-run", action="store_true", help="with --fix: only show, write nothing")
    about_nets(command)
    about_faults(command)


def show(commands: Commands) -> None:
    command = commands.add_parser("show", description="The network as a table, or as JSON.")
    a_spec(command)
    command.add_argument(
        "--json", action="store_true", help="as JSON, for programs: every primitive in order of execution"
    )
    command.add_argument("--depth", type=positive, default=1, metavar="N", help="how many levels of blocks to open (1)")
    command.add_argument("--batch", type=samples, metavar="N", help="samples, for memory and times (1, 32 and 256; 1)")
    command.add_argument(
        "--dtype", metavar="TYPE", help="of tensors: fp32, fp16, bf16 or fp64 (fp32); with --roofline also tf32 (bf16)"
    )
    command.add_argument("--training", action="store_true", help="what the memory of training consists of")
    command.add_argument("--optimiser", metavar="NAME", help="what training keeps beside: sgd, adam or none (sgd)")
    command.add_argument(
        "--roofline",
        metavar="DEVICE",
        help="how fast it can be at all: h200, a100, b200, mi300x, cpu, or FLOPS,BYTES a second (19.5T,1.6T)",
    )
    about_nets(command)
    about_faults(command)


def compare(commands: Commands) -> None:
    command = commands.add_parser(
        "compare",
        description="Networks beside each other: what they cost and how accurate they were published to be, as a table "
        "and, with -o, as a picture.",
    )
    command.add_argument(
        "specs", nargs="+", metavar="SPEC", help="a .net file, a folder of them, or the name of a shipped network"
    )
    command.add_argument("--sort", default="year", metavar="COLUMN", help="by which one (year); accuracies downwards")
    command.add_argument("--reverse", action="store_true", help="the other way round")
    command.add_argument(
        "--columns",
        metavar="NAMES",
        help="of name, year, family, input, params, macs, activations, memory, depth, field, top1, top5, density, file",
    )
    command.add_argument(
        "-o", "--output", metavar="FILE", help="draw the picture: .svg, .png, .pdf, or .html with the table"
    )
    command.add_argument("--x", default="macs", metavar="COLUMN", help="what is to the right in the picture (macs)")
    command.add_argument("--y", default="top1", metavar="COLUMN", help="what is upwards in the picture (top1)")
    command.add_argument("--theme", choices=THEMES, default="auto", help="colours (of a page the reader's, else light)")
    command.add_argument("--width", type=pixels, metavar="PIXELS", help="of the picture, for .svg and .png")
    command.add_argument("--force", action="store_true", help="replace a file that netdsl did not draw")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON, with the sources of what is published")
    form.add_argument("--csv", action="store_true", help="as CSV, for spreadsheets")
    about_nets(command)
    about_faults(command)


def diff(commands: Commands) -> None:
    command = commands.add_parser(
        "diff",
        description="What changed between two networks: structure, shapes, parameters, MACs, and whether the weights "
        "still fit. Says nothing and exits with 0 where only the text differs, with 1 where the networks do, with 2 "
        "where one of them cannot be read.",
    )
    help_ = "a .net file, `-`, or the name of a shipped network; FILE:NET picks one of several in a file"
    command.add_argument("old", metavar="A", help=help_)
    command.add_argument("new", metavar="B", help="likewise")
    command.add_argument("--depth", type=positive, metavar="N", help="how many levels of blocks to open (all)")
    command.add_argument("--json", action="store_true", help="as JSON, for programs")
    about_nets(command)
    about_faults(command)


def explain(commands: Commands) -> None:
    command = commands.add_parser(
        "explain",
        description="What a code means (E0301), what a primitive computes (CONV), or how an element of a network is "
        "computed: its formulas with their numbers, what it sees of the image, what feeds it. Without an argument, "
        "the codes.",
    )
    command.add_argument(
        "what", nargs="?", metavar="WHAT", help="a code, a primitive, SPEC:LINE, SPEC:LINE:COLUMN, or a spec"
    )
    command.add_argument(
        "label", nargs="?", metavar="LABEL", help="with a spec: a label, or a path as in the state dict"
    )
    command.add_argument("--json", action="store_true", help="as JSON, for programs")
    about_nets(command)
    about_faults(command)


def draw(commands: Commands) -> None:
    command = commands.add_parser(
        "draw",
        description="Draws the structure of the network as papers do: blocks, repeats, branches, skips, shapes.",
    )
    a_spec(command, several=True)
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the file to write; .svg, .png, .html, .dot, .mmd and .tex pick the format (NAME.svg)",
    )
    command.add_argument(
        "--depth", type=whole, metavar="N", help="how many levels of blocks to open (as many as one page can show)"
    )
    command.add_argument("--theme", choices=THEMES, default="auto", help="colours (as the reader's system has them)")
    command.add_argument(
        "--page",
        choices=("portrait", "wide", "column"),
        default="portrait",
        help="A4, a slide of 16:9, or one column of any height (portrait)",
    )
    command.add_argument("--width", type=pixels, metavar="PIXELS", help="of the picture, for .svg and .png")
    command.add_argument(
        "--tex",
        choices=("table", "figure", "both"),
        help="what a .tex file has: the table of the architecture, the picture (both; of several networks the table)",
    )
    command.add_argument("--force", action="store_true", help="replace a file that netdsl did not draw")
    about_nets(command)
    about_faults(command)


def compile_(commands: Commands) -> None:
    command = commands.add_parser(
        "compile",
        description="Checks the network, prints its table and writes it as code: readable PyTorch.",
    )
    a_spec(command)
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the file to write; its suffix picks the backend (NAME.py in this folder)",
    )
    command.add_argument("--backend", metavar="NAME", help="the backend, where the suffix does not say it")
    command.add_argument(
        "--force", action="store_true", help="replace a file that netdsl did not write, or that was changed since"
    )
    command.add_argument(
        "--explain-fusion",
        action="store_true",
        help="say what the triton backend makes of each element, and which kernel does it; writes a file with -o alone",
    )
    command.add_argument("--json", action="store_true", help="with --explain-fusion: as JSON, for programs")
    command.add_argument("--batch", type=samples, metavar="N", help="with --explain-fusion: samples (32)")
    command.add_argument("--dtype", metavar="TYPE", help="with --explain-fusion: fp32, tf32, fp16 or bf16 (bf16)")
    command.add_argument(
        "--device", metavar="NAME", help="with --explain-fusion: for which device (the GPU of this machine, else h200)"
    )
    about_nets(command)
    about_faults(command)


def fmt(commands: Commands) -> None:
    command = commands.add_parser(
        "fmt",
        description="Lays files out in the one canonical way. Rewrites those that this changes, and names them.",
    )
    command.add_argument(
        "files", nargs="+", metavar="FILE", help="a .net file, a folder of them, or - for standard input"
    )
    command.add_argument("--check", action="store_true", help="write nothing; name what would change, and exit with 1")
    command.add_argument("--diff", action="store_true", help="write nothing; show what would change")


def tune(commands: Commands) -> None:
    command = commands.add_parser(
        "tune",
        description="Times the kernels that the triton backend can choose from, on the GPU of this machine, and "
        "remembers the fastest of each layer: whatever is compiled from then on has them.",
    )
    a_spec(command)
    command.add_argument("--batch", type=several_samples, default=(32,), metavar="N,N…", help="sizes of batches (32)")
    command.add_argument("--dtype", default="bf16", metavar="TYPE", help="fp32, tf32, fp16 or bf16 (bf16)")
    command.add_argument(
        "--budget", type=seconds, metavar="SECONDS", help="stop after so long, what matters most first"
    )
    about_nets(command)
    about_faults(command)


def bench(commands: Commands) -> None:
    command = commands.add_parser(
        "bench",
        description="Compares backends on this machine: first their numbers, then their times, taken in turns.",
    )
    a_spec(command, several=True)
    command.add_argument(
        "--backend", default="torch,eager,compile,triton", metavar="NAMES", help="of torch,eager,folded,compile,triton"
    )
    command.add_argument("--batch", type=several_samples, default=(1,), metavar="N,N…", help="sizes of batches (1)")
    command.add_argument("--dtype", metavar="TYPE", help="fp32, tf32, fp16 or bf16 (bf16 on CUDA, fp32 on a CPU)")
    command.add_argument("--device", default="auto", metavar="NAME", help="auto, cuda or cpu (auto)")
    command.add_argument("--seconds", type=seconds, default=5.0, metavar="S", help="of timing for each table (5)")
    command.add_argument("--repeats", type=positive, metavar="N", help="samples for each row, instead of --seconds")
    command.add_argument("--no-tune", action="store_true", help="kernels as predicted or remembered")
    command.add_argument(
        "--compile-mode",
        default="max-autotune",
        metavar="MODE",
        help="of torch.compile: max-autotune, reduce-overhead or default",
    )
    command.add_argument(
        "--prepare-limit", type=seconds, default=600.0, metavar="S", help="after so long a backend is given up (600)"
    )
    command.add_argument("--latency", action="store_true", help="compile times, too: cold and cached, in new processes")
    command.add_argument("--json", metavar="FILE", help="also write the results to this file (docs/benchmarks/json.md)")
    about_nets(command)
    about_faults(command)


def list_(commands: Commands) -> None:
    commands.add_parser("list", description="The shipped networks: name, parameters, MACs, source.")


TOUR: dict[str, dict[Add, str]] = {
    "write a network": {
        check: "prove that every shape fits, and repair what does not",
        fmt: "lay files out in the one canonical way",
        list_: "the shipped networks",
    },
    "understand it": {
        show: "what it is made of, what it costs, how fast it can be",
        explain: "how an element is computed, what an error means",
        draw: "the network as a picture, as papers have it",
    },
    "put networks side by side": {
        diff: "what changed between two networks",
        compare: "cost against published accuracy, as a table and a picture",
    },
    "run it": {
        compile_: "write the network as code, readable PyTorch",
        bench: "compare the speed of backends",
        tune: "time kernels on this machine's GPU",
    },
}
"""The commands, in the order in which one meets them."""
