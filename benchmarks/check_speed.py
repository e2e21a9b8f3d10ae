"""How long does a check take?  A table, with the machine's name on it.

    python benchmarks/check_speed.py [--rounds N] [--json FILE]

1. Processes: `netdsl check specs/googlenet.net` against bare `python -c pass`, alternating, medians. Three cases: the
   file is as it was at the last check, it was edited since, and nothing is cached at all.
2. In process, per network: each stage, against building the same network on PyTorch's meta device and running it there
   once, which is how one finds shape errors without netdsl (torch's import is not counted; skipped without torch).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from netdsl.driver import check_source
from netdsl.files import FileReader, read_source, shipped
from netdsl.net import Net, load
from netdsl.network import elaborate
from netdsl.options import Options
from netdsl.parse import parse
from netdsl.program import Loader
from netdsl.size import evaluate
from netdsl.source import Source
from netdsl.table import align
from netdsl.writing import write_atomically

ROOT = Path(__file__).resolve().parent.parent


def timed(action: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def alternating(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median of each action, taken in turns so that a slow moment of the machine falls on all of them."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(rounds):
        for name, action in actions.items():
            times[name].append(timed(action))
    return {name: statistics.median(values) for name, values in times.items()}


def processes(rounds: int) -> dict[str, float]:
    """Wall time of whole processes, in milliseconds."""
    spec = (ROOT / "specs" / "googlenet.net").read_text(encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        environment["NETDSL_CACHE"] = str(Path(folder) / "cache")
        file, count = Path(folder) / "googlenet.net", iter(range(10**9))

        def run(*args: str) -> None:
            subprocess.run([sys.executable, *args], check=True, env=environment, cwd=folder)

        def check() -> None:
            run("-m", "netdsl", "check", "googlenet.net")

        def edited() -> None:
            file.write_text(f"{spec}# {next(count)}\n", encoding="utf-8")
            check()

        def nothing_cached() -> None:
            environment["NETDSL_CACHE"] = str(Path(folder) / f"cache{next(count)}")
            check()
            environment["NETDSL_CACHE"] = str(Path(folder) / "cache")

        def unchanged() -> None:
            check()

        file.write_text(spec, encoding="utf-8")
        cases = {"python -c pass": lambda: run("-c", "pass"), "check, unchanged file": unchanged}
        found = alternating(cases, rounds)
        again = alternating({"python -c pass": cases["python -c pass"], "check, edited file": edited}, rounds)
        return {
            **found,
            "check, edited file": again["check, edited file"],
            "check, nothing cached": alternating({"": nothing_cached}, 3)[""],
        }


def stages(path: Path, rounds: int) -> dict[str, float]:
    """The stages of one network, in milliseconds. Trees come from the cache in none of them."""
    source = read_source(path)
    os.environ["NETDSL_CACHE"] = os.devnull
    reader = FileReader(path)
    reader.paths[source.name] = path
    program = Loader(reader).load(source)
    net = load(path)

    def whole() -> None:
        check_source(Source(source.name, source.text), reader)

    actions: dict[str, Callable[[], object]] = {
        "parse": lambda: parse(Source(source.name, source.text)),
        "elaborate": lambda: elaborate(program, program.own_nets[-1], Options()),
        "check in all": whole,
        "emit": lambda: net.emit(),
    }
    meta = on_meta(net)
    if meta is not None:
        actions["torch meta"] = meta
    return alternating(actions, rounds)


def on_meta(net: Net) -> Callable[[], object] | None:
    """Builds the network on the meta device and runs it once; None without torch."""
    try:
        import torch
    except ImportError:
        return None
    from netdsl_torch.build import load as load_module

    module = load_module(net.emit(), net.name)
    classes = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]

    # An open size becomes the first from 64 on that the network admits.
    sizes = {name: next(n for n in range(64, 10_000) if domain.admits(n)) for name, domain in net.domains.items()}
    shapes = [[int(evaluate(size, sizes)) for size in shape] for shape in net.inputs.values()]

    def action() -> None:
        with torch.device("meta"), torch.no_grad():
            inputs = [torch.empty(2, *shape) for shape in shapes]
            classes[-1]().eval()(*inputs)

    return action


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NETWORK", help="shipped networks (all of them)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="repetitions of each measurement (15)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in shipped()]
    if unknown:
        parser.error(f"no shipped network is called {unknown[0]!r}")
    processor = platform.processor() or platform.machine()
    machine = f"{platform.node()}, {processor}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"machine: {machine}\n")
    whole = processes(args.rounds)
    bare = whole["python -c pass"]
    rows = [
        ("process", "ms", "x bare Python"),
        *((name, f"{ms:.1f}", f"{ms / bare:.1f}") for name, ms in whole.items()),
    ]
    print("\n".join(align(rows, right=(1, 2))) + "\n")
    networks = {name: stages(shipped()[name], args.rounds) for name in args.names or shipped()}
    columns = list(next(iter(networks.values())))
    table = [("in process, ms", *columns, *(["meta / check"] if "torch meta" in columns else []))]
    for name, found in networks.items():
        ratio = [f"{found['torch meta'] / found['check in all']:.1f}"] if "torch meta" in found else []
        table.append((name, *(f"{found[c]:.2f}" for c in columns), *ratio))
    print("\n".join(align(table, right=tuple(range(1, len(table[0]))))))
    if args.json:
        text = json.dumps({"machine": machine, "processes_ms": whole, "networks_ms": networks}, indent=1)
        write_atomically(Path(args.json), text + "\n")


if __name__ == "__main__":
    main()
