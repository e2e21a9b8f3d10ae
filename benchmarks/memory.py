"""Is the memory that netdsl says what PyTorch takes?  `python benchmarks/memory.py [SPEC …] [--batch N]`, on a CPU.

For each network: what autograd keeps for the backward pass (all storages that its hook for saved tensors sees, but for
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
from netdsl.table import align, bytes_text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from storages import kept_by_autograd, most_at_a_time

USUAL = ["alexnet", "vgg16", "googlenet", "resnet50", "densenet121", "mobilenet_v2", "vit_b_16", "unet"]


def measured(name: str, batch: int) -> tuple[str, ...]:
    net = netdsl.load(name)
    said = memory(net, batch, on_cpu=True)
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
    parser.add_argument("specs", nargs="*", default=USUAL)
    parser.add_argument("--batch", type=int, default=2)
    args = parser.parse_args()
    rows = [("network", "inference", "said", "kept", "said", "training", "said")]
    rows += [measured(name, args.batch) for name in args.specs]
    print(f"PyTorch {torch.__version__} on {platform.machine()}, batch {args.batch}\n")
    print("\n".join(align(rows, range(1, 7))))


if __name__ == "__main__":
    main()
