"""How is a floor shown?  What each element takes at least, and which limit holds it: `netdsl show --roofline`.

arithmetic    its multiply-accumulates at the device's rate take longest
bandwidth     its bytes at the memory's rate do
launch        both take less than the start of a kernel
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from netdsl.amounts import bytes_text, compact, percent, scaled, time_text
from netdsl.devices import DEVICES, DTYPES, Device, device, dtype
from netdsl.options import UsageError
from netdsl.outline import Outline
from netdsl.record import Record
from netdsl.roofline import Element, Floor, floor_of
from netdsl.table import align

if TYPE_CHECKING:
    from netdsl.net import Net

SCALES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}


def device_of(text: str) -> Device:
    """A device by its name, or by its rates: `19.5T,1.6T` does 19.5e12 operations and moves 1.6e12 bytes a second.

    Raises UsageError. A device that is known by its rates starts kernels in no time, and has one rate for all types.
    """
    if "," not in text:
        if text.lower() in DEVICES:
            return device(text)
        raise UsageError(
            f"there is no device {text!r}: known are {', '.join(DEVICES)}, or its operations and bytes a second, "
            "as in --roofline 19.5T,1.6T"
        )
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2:
        raise UsageError(f"--roofline takes two rates, FLOPS,BYTES, not {len(parts)}: {text!r}")
    flops, bandwidth = (rate(part) for part in parts)
    name = f"{scaled(flops, (' ', ' K', ' M', ' G', ' T', ' P'))}FLOPS, {bytes_text(round(bandwidth))}/s"
    return Device(name, dict.fromkeys(("fp64", *DTYPES), flops), bandwidth, 0.0, 1, ("none", 0))


def rate(text: str) -> float:
    """`19.5T`, `1.6e12`."""
    scale = SCALES.get(text[-1:].upper()) if text[-1:].isalpha() else 1.0
    digits = text[:-1] if text[-1:].isalpha() else text
    try:
        value = float(digits) * (scale or math.nan)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(f"--roofline: {text!r} is no rate; write 19.5e12, or 19.5T (K, M, G, T, P)")
    return value


class Line(Record):
    """One kernel, or those of one line of the net. `seconds` as in `roofline.Floor`, without launches.

    held    which limit holds it: of several kernels, that which holds most of the time
    """

    name: str
    kernels: int
    macs: int
    moved: int
    seconds: float
    launched: float
    held: str

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return 2 * self.macs / self.moved if self.moved else 0.0


def limit(element: Element, floor: Floor) -> str:
    """Which term holds an element."""
    if element.seconds < floor.device.launch:
        return "launch"
    arithmetic = 2 * element.macs / floor.device.flops[floor.dtype]
    return "arithmetic" if arithmetic >= element.moved / floor.device.bandwidth else "bandwidth"


def line_of(name: str, elements: Sequence[Element], floor: Floor) -> Line:
    held: dict[str, float] = {}
    for element in elements:
        kind = limit(element, floor)
        held[kind] = held.get(kind, 0.0) + max(element.seconds, floor.device.launch)
    return Line(
        name,
        len(elements),
        sum(element.macs for element in elements),
        sum(element.moved for element in elements),
        sum(element.seconds for element in elements),
        sum(max(element.seconds, floor.device.launch) for element in elements),
        max(held, key=lambda kind: held[kind]),
    )


def lines_of(net: Net, floor: Floor, depth: int = 1) -> list[Line]:
    """The kernels of each line of the net; with a depth above 1, each kernel by itself."""
    if depth > 1:
        return [line_of(element.name, [element], floor) for element in floor.elements]
    groups: dict[str, list[Element]] = {}
    paths = {row.path for row in Outline(net).rows}
    for element in floor.elements:
        parts = element.name.split(".")
        own = next((path for n in range(len(parts), 0, -1) if (path := ".".join(parts[:n])) in paths), element.name)
        groups.setdefault(own, []).append(element)
    return [line_of(name, elements, floor) for name, elements in groups.items()]


def floor_table(net: Net, device: Device, type: str, batch: int, depth: int = 1) -> str:
    """The floor of a network as a table.

    Raises UsageError where sizes are open or there is no such type, SpecError where the network is too long.
    """
    net.need_listed()
    floor = floor_of(net, "fused", device, dtype(type), batch)
    library = floor_of(net, "library", device, type, batch)
    total = line_of("total", floor.elements, floor)
    lines = lines_of(net, floor, depth)
    rows = [("element", "kernels", "MACs", "bytes", "FLOP/byte", "at least", "%", "held by")]
    for line in [*lines, total]:
        share = "" if line is total else share_of(line.seconds, floor.seconds)
        rows.append(
            (
                line.name,
                str(line.kernels),
                compact(line.macs) if line.macs else "",
                bytes_text(line.moved),
                f"{line.intensity:.3g}" if line.macs else "",
                time_text(line.seconds),
                share,
                line.held,
            )
        )
    balance = device.flops[type] / device.bandwidth
    samples = f"batch {batch:,}"
    text = [f"{net.name} on {device.name}, {type}, {samples}: at least {time_text(floor.seconds)}", ""]
    text += align(rows, (1, 2, 3, 4, 5, 6))
    text += ["", f"balance    {balance:.3g} FLOP/byte: what does fewer operations for a byte waits for the memory"]
    if device.launch:
        starts = f"{floor.kernels} kernels that start in {time_text(device.launch)} at least"
        text.append(f"launches   {time_text(total.launched)} with {starts}")
    text.append(
        f"libraries  {time_text(library.seconds)} where norms, sums and activations run as {library.kernels} kernels"
    )
    return "\n".join(text)


def share_of(part: float, whole: float) -> str:
    return percent(round(1e12 * part), round(1e12 * whole)) if whole else ""


def floor_dict(net: Net, device: Device, type: str, batch: int) -> dict[str, Any]:
    """The same for programs: see docs/show-json.md."""
    net.need_listed()
    floor = floor_of(net, "fused", device, dtype(type), batch)
    return {
        "name": net.name,
        "device": device.name,
        "dtype": type,
        "batch": batch,
        "seconds": floor.seconds,
        "seconds_with_launches": sum(max(element.seconds, device.launch) for element in floor.elements),
        "seconds_of_libraries": floor_of(net, "library", device, type, batch).seconds,
        "flops_per_second": device.flops[type],
        "bytes_per_second": device.bandwidth,
        "balance": device.flops[type] / device.bandwidth,
        "elements": [
            {
                "name": element.name,
                "op": element.op,
                "macs": element.macs,
                "bytes": element.moved,
                "seconds": element.seconds,
                "held_by": limit(element, floor),
            }
            for element in floor.elements
        ],
    }
