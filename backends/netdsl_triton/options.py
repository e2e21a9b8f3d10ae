"""What can be asked for when a network is compiled?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.options import UsageError
from netdsl.record import Record


class Options(Record):
    """What can be asked for beyond the network.

    tune        whether kernels are chosen by timing them on the device, once; else the cost model chooses
    graphs      whether launches are recorded as a CUDA graph
    programs    how many signatures are kept; the one that was not used for longest makes room
    batches     the sizes of batches that programs are made for; others are padded up to the next. Empty: each size
                has a program of its own at first, and from the fifth on they are padded to powers of two
    fuel        how many rewrites of the graph may happen: halving it finds one that is wrong
    """

    tune: bool = False
    graphs: bool = True
    programs: int = 8
    batches: tuple[int, ...] = ()
    fuel: int | None = None


def options_of(given: dict[str, Any]) -> Options:
    """Raises UsageError for what is no option, or no value of one."""
    unknown = next((name for name in given if name not in Options.fields), None)
    if unknown is not None:
        raise UsageError(f"the triton backend has no option {unknown!r}: there are {', '.join(Options.fields)}")
    options = Options(**given)
    batches: Any = options.batches
    if not isinstance(batches, Sequence) or not all(is_count(n) for n in batches):
        raise UsageError(f"batches are whole numbers from 1 on, not {batches!r}")
    for name in ("tune", "graphs"):
        if not isinstance(getattr(options, name), bool):
            raise UsageError(f"{name} is True or False, not {getattr(options, name)!r}")
    if not is_count(options.programs):
        raise UsageError(f"programs is a whole number from 1 on, not {options.programs!r}")
    if options.fuel is not None and not (options.fuel == 0 or is_count(options.fuel)):
        raise UsageError(f"fuel is a whole number from 0 on, or None, not {options.fuel!r}")
    return options.replace(batches=tuple(sorted(set(batches))))


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
