"""What can be asked of texts and networks from Python?  What is wrong, what changed, how they compare."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from netdsl.diagnostic import Diagnostic, SpecError
from netdsl.files import no_files
from netdsl.net import Net, checked_net, load, load_with
from netdsl.options import Sizes
from netdsl.source import Source

if TYPE_CHECKING:
    from netdsl.comparison.entries import Comparison
    from netdsl.difference import Difference

Spec = Net | str | os.PathLike[str]
"""A network, or what `load` takes for one: a path, a shipped name."""


def check(
    text: str | os.PathLike[str], *, input: Sizes | None = None, net: str | None = None, **params: float
) -> tuple[Diagnostic, ...]:
    """What is wrong with a text, or with the file at a path (`pathlib.Path`), with repairs; () where nothing is.

    Of a text without errors, the warnings. Raises FileNotFoundError, and UsageError as `load` does.
    """
    try:
        if isinstance(text, str):
            return checked_net(Source("<text>", text), no_files, input, net, params).warnings
        return load_with(os.fspath(text), input, net, params).warnings
    except SpecError as error:
        return error.diagnostics


def diff(old: Spec, new: Spec) -> Difference:
    """What changed between two networks, each given as such or as `load` takes it; it prints as a table."""
    from netdsl.difference import difference

    return difference(_loaded(old), _loaded(new))


def compare(nets: Iterable[Spec]) -> Comparison:
    """Networks beside each other, each given as such or as `load` takes it; it prints as a table."""
    from netdsl.comparison.entries import compare

    return compare([(net.source.name, net) for net in map(_loaded, nets)])


def _loaded(spec: Spec) -> Net:
    return spec if isinstance(spec, Net) else load(spec)
