"""What is a rule?  How one op is written in PyTorch, and what rules are made with.

A rule gives the constructor of a module, and for ops without numbers or state also a function, which reads better
in a `forward`. The numbers in a constructor are holes (see `code.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netdsl.record import Record
from netdsl.types import TensorType
from netdsl_torch.code import Code, hole, joined

Types = tuple[TensorType, ...]


class Rule(Record):
    """`module(op, inputs)` is the constructor; `function(op, inputs, args)` an expression, where there is one."""

    module: Callable[[Any, Types], Code] | None = None
    function: Callable[[Any, Types, Sequence[str]], str] | None = None
    starts_itself: tuple[str, ...] = ()
    """The classes of PyTorch in its module that have started already: the network's rule for weights is not theirs."""
    start: str = ""
    """A statement with which the forward of the whole network starts in training."""


def plain(constructor: str, function: str = "") -> Rule:
    """An op without numbers: `nn.ReLU()`, and `F.relu(x)`."""
    call = (lambda op, inputs, args: f"{function}({args[0]})") if function else None
    return Rule(lambda op, inputs: (constructor,), call)


def extent(values: tuple[int, ...], hint: str, prefix: str = "", default: int | None = None) -> Code:
    """One number where all axes agree, else a tuple."""
    if len(set(values)) == 1:
        return (hole(values[0], hint, prefix, default),)
    return (f"{prefix}(", *joined([(hole(v, hint),) for v in values]), ")")


def symmetric(padding: tuple[tuple[int, int], ...]) -> bool:
    return all(before == after for before, after in padding)


def sides(padding: tuple[tuple[int, int], ...]) -> str:
    """As `F.pad` takes it: the last axis first."""
    return "(" + ", ".join(f"{before}, {after}" for before, after in reversed(padding)) + ")"


def dims(x: TensorType) -> str:
    return f"{len(x.spatial)}d"
