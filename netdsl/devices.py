"""What can a device do?  Peak rates, for floors: max(arithmetic / rate, bytes / bandwidth)."""

from __future__ import annotations

from netdsl.options import UsageError, need_known
from netdsl.record import Record

BYTES = {"fp64": 8, "fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int64": 8}
"""Of one value in memory."""
DTYPES = ("fp32", "tf32", "fp16", "bf16")
"""Types to compute in; tf32 is fp32 in memory, whose products are rounded."""


class Device(Record):
    """Rates of one device.

    flops        operations per second (a multiply-accumulate is two) by type of number
    bandwidth    bytes per second of its memory
    launch       seconds that a kernel takes at least, in a graph of kernels
    units        multiprocessors, or cores
    arch         as the Triton compiler calls it: ("cuda", 90), ("hip", "gfx942"), ("cpu", 0)
    """

    name: str
    flops: dict[str, float]
    bandwidth: float
    launch: float
    units: int
    arch: tuple[str, int | str]
    doc: str = ""
    slices: bool = True
    """Whether kernels read and write ranges of channels in place: then concatenations and views cost nothing."""
    prologues: bool = True
    """Whether convolutions and pools compute steps on what they read."""

    def busy(self, macs: float, moved: float, dtype: str, steps: float = 0.0) -> float:
        """The seconds in which it can do `macs` and other operations (`steps`), and move so many bytes."""
        return max(2 * macs / self.flops[dtype] + steps / self.flops["fp32"], moved / self.bandwidth)

    def seconds(self, macs: float, moved: float, dtype: str) -> float:
        """The floor of one kernel that does `macs` and moves so many bytes."""
        return max(self.busy(macs, moved, dtype), self.launch)


DEVICES = {
    "h200": Device(
        "h200",
        {"fp64": 33e12, "fp32": 55e12, "tf32": 395e12, "fp16": 790e12, "bf16": 790e12},
        4.3e12,
        2e-6,
        132,
        ("cuda", 90),
        "NVIDIA H200: matrix rate and copy bandwidth as measured, not those of the data sheet",
    ),
    "a100": Device(
        "a100",
        {"fp64": 9.7e12, "fp32": 19.5e12, "tf32": 156e12, "fp16": 312e12, "bf16": 312e12},
        1.6e12,
        2.5e-6,
        108,
        ("cuda", 80),
        "NVIDIA A100 40 GB (data sheet, NVIDIA 2020)",
    ),
    "b200": Device(
        "b200",
        {"fp64": 37e12, "fp32": 75e12, "tf32": 1100e12, "fp16": 2250e12, "bf16": 2250e12},
        8.0e12,
        2e-6,
        148,
        ("cuda", 100),
        "NVIDIA B200 (data sheet, NVIDIA 2024)",
    ),
    "mi300x": Device(
        "mi300x",
        {"fp64": 81e12, "fp32": 163e12, "tf32": 653e12, "fp16": 1307e12, "bf16": 1307e12},
        5.3e12,
        4e-6,
        304,
        ("hip", "gfx942"),
        "AMD MI300X (data sheet, AMD 2023)",
    ),
    "cpu": Device(
        "cpu",
        {"fp64": 4e10, "fp32": 8e10, "tf32": 8e10, "fp16": 8e10, "bf16": 8e10},
        2e10,
        5e-6,
        1,
        ("cpu", 0),
        "one core with 256-bit or 512-bit vectors; a rough figure",
        slices=False,
        prologues=False,
    ),
}


def device(name: str) -> Device:
    """The device called `name`. Raises UsageError with the names there are."""
    try:
        return DEVICES[name.lower()]
    except KeyError:
        raise UsageError(f"there is no device {name!r}: known are {', '.join(DEVICES)}") from None


def dtype(name: str) -> str:
    """The type to compute in of that name. Raises UsageError with the names there are."""
    need_known("type", name, DTYPES, " to compute in")
    return name
