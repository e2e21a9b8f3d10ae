"""What may a caller ask for beyond the text?  Numbers for a net's parameters, sizes for its inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from netdsl.record import Record

Sizes = str | Sequence[int | str] | Mapping[str, str | Sequence[int | str]]
Number = float | Fraction | str

MAX_EXPONENT = 30
"""Of a parameter that the caller sets: `1e999999999` would fill the memory."""


class Options(Record):
    """What the caller asks for beyond the text: numbers for the net's parameters, sizes for its inputs.

    A size is a number, or a name for one that is to be open.
    """

    params: Mapping[str, int | Fraction] = {}
    inputs: Mapping[str, tuple[int | str, ...]] = {}


class UsageError(ValueError):
    """The caller asked for something that the network does not have; the text is not at fault."""


FEW = 6
"""So many names are all named where another one was given; of more, the nearest."""


def need_known(what: str, name: str, known: Iterable[str], use: str = "") -> None:
    """Raises UsageError where a name is none of those that are known, with these or the nearest."""
    names = list(known)
    if name in names:
        return
    from netdsl.diagnostic import nearest

    close = nearest(str(name), names) if len(names) > FEW else None
    help_ = f"did you mean {close}?" if close else f"known are {', '.join(names)}"
    raise UsageError(f"there is no {what} {name!r}{use}: {help_}")


def options_of(input: Sizes | None, params: Mapping[str, Number]) -> Options:
    return Options({name: exact(name, value) for name, value in params.items()}, input_sizes(input))


def exact(name: str, value: Any) -> int | Fraction:
    """A parameter as the exact number that it shows: 0.1 is 1/10."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction | str):
        raise UsageError(f"{name} is a number, not {value!r}")
    try:
        text = str(value)
        exponent = text.lower().partition("e")[2] or "0"
        if len(text) > 50 or len(exponent) > 4 or abs(int(exponent)) > MAX_EXPONENT:
            raise UsageError(f"{name} is too large or too fine: {text[:40]}")
        number = Fraction(text)
    except UsageError:
        raise
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{name} is a number, not {value!r}") from None
    return int(number) if number.denominator == 1 else number


def input_sizes(input: Sizes | None) -> dict[str, tuple[int | str, ...]]:
    """{name: sizes}; the one input that has no name of its own is called `input`. A name stands for an open size."""
    if input is None:
        return {}
    given = input if isinstance(input, Mapping) else {"input": input}
    sizes: dict[str, tuple[int | str, ...]] = {}
    for name, value in given.items():
        parts = re.split("[xX×]", value.replace(" ", "")) if isinstance(value, str) else list(value)
        if not parts or not all(is_size(part) or is_open_size(part) for part in parts):
            shown = value if isinstance(value, str) and len(value) <= 60 else f"{str(value)[:60]}…"
            raise UsageError(f"the sizes of an input are written 3x224x224, or 3xHxW if they are open, not {shown!r}")
        sizes[name] = tuple(str(part) if is_open_size(part) else int(part) for part in parts)
    return sizes


def is_open_size(part: object) -> bool:
    """Whether `part` is a name for a size: without an x, which stands between sizes."""
    return isinstance(part, str) and re.fullmatch(r"(?![xX])[A-Za-z_](?:(?![xX])[A-Za-z_0-9])*", part) is not None


def is_size(part: object) -> bool:
    """Whether `part` is a whole number that a size can be: ASCII digits, and few enough of them."""
    text = str(part)
    return text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= 10**9
