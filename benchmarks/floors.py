"""How fast can the networks be at all?  Their floors on a device, predicted from rates alone: no device is needed.

    python benchmarks/floors.py [NETWORK...] [--device h200] [--dtype bf16] [--batch 256] [--elements]

Two floors for each network, as netdsl/roofline.py defines them; how many kernels they have; and how much of the fused
floor is bound by memory rather than by arithmetic.
"""

from __future__ import annotations

import argparse

from netdsl.devices import DEVICES, DTYPES
from netdsl.files import shipped
from netdsl.net import load
from netdsl.roofline import Floor, floor_of
from netdsl.table import align
from netdsl_triton.bench.goals import NETWORKS


def bound_by_memory(floor: Floor) -> float:
    """The share of the floor's time in elements that wait for memory."""
    rate = floor.device.flops[floor.dtype]
    waiting = sum(element.seconds for element in floor.elements if element.seconds > 2 * element.macs / rate)
    return waiting / floor.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NETWORK", help="shipped networks (those of the benchmarks)")
    parser.add_argument("--device", default="h200", choices=DEVICES)
    parser.add_argument("--dtype", default="bf16", choices=DTYPES)
    parser.add_argument("--batch", type=int, default=256, metavar="N")
    parser.add_argument("--elements", action="store_true", help="every element of the fused floor")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in shipped()]
    if unknown:
        parser.error(f"no shipped network is called {unknown[0]!r}")
    device = DEVICES[args.device]
    print(
        f"{device.name}, {args.dtype}, batch {args.batch}: {device.flops[args.dtype] / 1e12:g} TFLOP/s, "
        f"{device.bandwidth / 1e12:g} TB/s\n"
    )
    head = ("network", "library ms", "fused ms", "quotient", "kernels", "GMAC", "GB", "memory-bound")
    rows: list[tuple[str, ...]] = [head]
    listed = []
    for name in args.names or NETWORKS:
        library, fused = (floor_of(load(name), kind, device, args.dtype, args.batch) for kind in ("library", "fused"))
        rows.append(
            (
                name,
                f"{library.seconds * 1e3:.2f}",
                f"{fused.seconds * 1e3:.2f}",
                f"{library.seconds / fused.seconds:.2f}",
                f"{library.kernels} → {fused.kernels}",
                f"{fused.macs / 1e9:.0f}",
                f"{fused.moved / 1e9:.2f}",
                f"{bound_by_memory(fused):.0%}",
            )
        )
        listed.append((name, fused))
    print("\n".join(align(rows, right=(1, 2, 3, 4, 5, 6, 7))))
    if args.elements:
        for name, fused in listed:
            print(f"\n{name}")
            each = [(e.name, e.op, f"{e.seconds * 1e6:.1f} µs", f"{e.moved / 1e6:.1f} MB") for e in fused.elements]
            print("\n".join(align(each, right=(2, 3))))


if __name__ == "__main__":
    main()
