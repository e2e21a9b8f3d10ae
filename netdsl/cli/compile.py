"""`netdsl compile`: writes the network as code, or says what becomes of each element."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.backend import backend_for, fusing, is_generated, load_backend, written_by
from netdsl.cli.asked import asked_net
from netdsl.options import UsageError
from netdsl.writing import may_write, write_atomically

if TYPE_CHECKING:
    from netdsl.backend import Backend
    from netdsl.net import Net

EXPLAINING = ("json", "batch", "dtype", "device")
"""Options of `--explain-fusion` alone."""


def run(args: argparse.Namespace) -> int:
    if args.explain_fusion:
        return explain(args)
    for name in EXPLAINING:
        if getattr(args, name):
            raise UsageError(f"--{name} goes with --explain-fusion")
    net = asked_net(args.spec, args)
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


def explain(args: argparse.Namespace) -> int:
    """What becomes of each element; with `-o`, the code is written, too."""
    backend = fusing(args.backend or "triton")
    net = asked_net(args.spec, args)
    if net is None:
        return 1
    found = backend.explain(net, args.batch or 32, args.dtype or "bf16", args.device)
    if args.output is not None:
        write_code(net, backend, args)
    if args.json:
        from netdsl.cli.output import to_json

        print(to_json(found.to_dict()))
    else:
        print(found)
    return 0


def write_code(net: Net, backend: Backend, args: argparse.Namespace) -> Path:
    """Writes the network with a backend: to `-o`, else to a file of its name in this folder."""
    target = Path(args.output) if args.output is not None else Path(f"{net.name}{written_by(backend)[0]}")
    if target.suffix not in written_by(backend):
        suffix = target.suffix or "a file without a suffix"
        raise UsageError(f"the {backend.name} backend writes {', '.join(written_by(backend))}, not {suffix}")
    may_write(target, is_generated, args.force)
    write_atomically(target, backend.emit(net))
    return target
