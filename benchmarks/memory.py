"""Is the memory that netdsl says what PyTorch takes?  `python benchmarks/memory.py [SPEC …] [--batch N]`, on a CPU.

For each network, all that are shipped unless some are named, with open sizes of 224 (those that take more than `--most`
GB are left out): what autograd keeps for the backward pass (all storages that its hook for saved tensors sees, but for
parameters and buffers), and the most that is there at the same time, in inference and in training (storages, as a
dispatch mode sees them come and go). Each as it was measured, and what netdsl says as a share of it.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path
from typing import Any

import torch

import netdsl
from netdsl.analysis.memory import memory
from netdsl.files import shipped
from netdsl.table import bytes_text, open_sizes, sizes_example

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from storages import kept_by_autograd, most_at_a_time

HEADS = ("network", "inference", "said", "kept", "said", "training", "said")


def measured(name: str, batch: int, most: float) -> tuple[str, ...]:
    """The cells of one network; none where it takes more than `most` GB."""
    net = netdsl.load(name)
    if open_sizes(net):
        net = netdsl.load(
            name, input={part.split("=")[0]: part.split("=")[1] for part in sizes_example(net).split()[1::2]}
        )
    said = memory(net, batch, on_cpu=True)
    if said.training > most * 1e9:
        return ()
    inputs: list[Any] = [torch.rand(batch, *shape) for shape in net.inputs.values()]
    module = net.compile()
    row = [name]
    for ours, theirs in (
        (said.activations, most_at_a_time(module, inputs)),
        (said.kept, kept_by_autograd(module, inputs)),
        (said.backward, most_at_a_time(module, inputs, train=True)),
    ):
        row += [bytes_text(theirs), f"{ours / theirs:.3f}"]
    return tuple(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("specs", nargs="*", default=list(shipped()))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--most", type=float, default=10, help="GB")
    args = parser.parse_args()
    print(f"PyTorch {torch.__version__} on {platform.machine()}, batch {args.batch}\n")
    print("| " + " | ".join(HEADS) + " |", "|---|" + "--:|" * 6, sep="\n")
    for name in args.specs:
        if cells := measured(name, args.batch, args.most):
            print(f"| `{cells[0]}` | {' | '.join(cells[1:])} |", flush=True)


if __name__ == "__main__":
    main()
