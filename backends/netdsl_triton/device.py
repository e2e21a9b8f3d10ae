"""Which device is this, and can it run Triton kernels?"""

from __future__ import annotations

import importlib.metadata
import os
import re
from functools import cache

import torch

from netdsl.devices import DEVICES, Device

OLDEST = (3, 6)
"""The first version of Triton that the kernels are tested with."""
INTERPRET = "NETDSL_TRITON_INTERPRET"
"""With `TRITON_INTERPRET=1`, runs CPU tensors through the kernels, in Triton's interpreter: for tests."""


@cache
def triton_missing() -> str:
    """Why Triton cannot be used here; empty where it can."""
    try:
        version = importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        return "Triton is not installed: `pip install triton`"
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < OLDEST:
        return f"Triton {version} is too old: {'.'.join(map(str, OLDEST))} or newer is needed"
    return ""


def interpreted() -> bool:
    """Whether CPU tensors go through the kernels."""
    return os.environ.get(INTERPRET) == "1" and os.environ.get("TRITON_INTERPRET") == "1"


def rates_of(device: torch.device) -> Device | str:
    """The rates of the device that is most like this one, with its architecture; else why it has none."""
    if device.type == "cpu":
        return DEVICES["cpu"]
    if device.type != "cuda":
        return f"there are no kernels for {device.type} devices"
    properties = torch.cuda.get_device_properties(device)
    if torch.version.hip is not None:
        arch = str(properties.gcnArchName).partition(":")[0]
        return DEVICES["mi300x"].replace(arch=("hip", arch)) if arch.startswith("gfx9") else f"{arch} is not supported"
    major, minor = properties.major, properties.minor
    if major < 8:
        return f"{properties.name} is of compute capability {major}.{minor}, and 8.0 is needed"
    like = {8: "a100", 9: "h200"}.get(major, "b200")
    return DEVICES[like].replace(arch=("cuda", 10 * major + minor), units=properties.multi_processor_count)
