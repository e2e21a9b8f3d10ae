"""From what do weights start?  The rules by name, with their sources, and the arguments that choose among them."""

from __future__ import annotations

from netdsl.ops.base import Argument
from netdsl.prove import ShapeFault
from netdsl.size import Size
from netdsl.types import TensorType

SOURCES = {
    "he": 'He et al. 2015, "Delving deep into rectifiers", eq. 10',
    "xavier": "Glorot & Bengio 2010, eq. 16",
    "lecun": 'LeCun et al. 1998, "Efficient backprop", eq. 16',
    "torch": "as PyTorch has it",
    "bilinear": 'Long et al. 2015, "Fully convolutional networks", §3.3',
}
"""The rules. A number in their place is the standard deviation of a normal."""
FOR_ALL = ("he", "xavier", "lecun", "torch")
"""Those for every kind of layer."""

INIT = Argument(
    "init", "keyword", "init", None, FOR_ALL, doc="he, xavier, lecun, torch, or the standard deviation of a normal"
)
INIT_ON_MAPS = INIT.replace(
    words=(*FOR_ALL, "bilinear"), doc="he, xavier, lecun, torch, bilinear, or the standard deviation of a normal"
)
BIAS_INIT = Argument("bias_init", "keyword", "number", None, doc="the value biases start from, 0 by default")


def check_bilinear(init: str | None, x: TensorType, out_channels: Size) -> None:
    """Interpolation takes each channel of a C x H x W to the same channel."""
    if init != "bilinear":
        return
    if len(x.spatial) != 2:
        message = f"`init=bilinear` interpolates over H and W, the input is {x}"
        raise ShapeFault("E0202", message, f"input is {x}", helps=("`UPSAMPLE 2 bilinear` works on any axes",))
    if x.channels != out_channels:
        raise ShapeFault(
            "E0202",
            "`init=bilinear` takes each channel to itself, so as many come out as come in",
            f"{x.channels} in, {out_channels} out",
            helps=(f"write {x.channels} filters",),
        )
