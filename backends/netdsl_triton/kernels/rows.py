"""How is a matrix of pixels x channels cut into blocks, for kernels that only move memory?

A block has all channels, or 128 of them, so that a warp reads whole lines of memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from netdsl_triton.kernels.base import Config
from netdsl_triton.kernels.common import power_of_two, unit
from netdsl_triton.task import View

BLOCK_CHANNELS = 128
BLOCKS = (2048, 4096, 1024)
"""Values of a block, the best guess first."""


def row_configs(channels: int, most_rows: int = 1 << 30, blocks: Sequence[int] = BLOCKS) -> list[Config]:
    """Blocks of several sizes: `rows` and `channels` of one; eight values for each thread."""
    width = min(power_of_two(channels), BLOCK_CHANNELS)
    found: list[Config] = []
    for values in blocks:
        rows = max(1, min(values // width, power_of_two(most_rows)))
        config = {"rows": rows, "channels": width, "num_warps": max(1, min(8, rows * width // 256))}
        if config not in found:
            found.append(config)
    return found


def row_grid(view: View, config: Config) -> tuple[int, int]:
    """Blocks along the pixels, and along the channels."""
    return (-(-view.pixels // int(config["rows"])), -(-view.channels // int(config["channels"])))


def row_blocks(config: Config, views: Iterable[View]) -> dict[str, int]:
    """The constants: sizes of the block, and what divides all pitches, offsets and numbers of channels."""
    found = list(views)
    by = math.gcd(unit(found), *[view.channels for view in found])
    return {"UNIT": by, "BLOCK_ROWS": int(config["rows"]), "BLOCK_CHANNELS": int(config["channels"])}
