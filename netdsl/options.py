"""What may a caller ask for beyond the text?  Numbers for a net's parameters, sizes for its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from netdsl.record import Record


class Options(Record):
    """What the caller asks for beyond the text: numbers for the net's parameters, sizes for its inputs.

    A size is a number, or a name for one that is to be open.
    """

    params: Mapping[str, int | Fraction] = {}
    inputs: Mapping[str, tuple[int | str, ...]] = {}


class UsageError(ValueError):
    """The caller asked for something that the network does not have; the text is not at fault."""
