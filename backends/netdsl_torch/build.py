"""source → a module that runs. What people read is what runs: the source is executed, and nothing else is added.

The text is kept in `linecache`, so a traceback shows the generated line, and beside it, in its comment, the line of the
spec. A call that fails says, moreover, which input or element does not fit (`misfit.py`). Pickles and copies carry the
source with them, so another process can load them.
"""

from __future__ import annotations

import copyreg
import hashlib
import linecache
import sys
import types
from typing import Any

import torch
from torch import nn

from netdsl_torch.expected import Expected

PACKAGE = "netdsl_torch.generated"


def build(source: str, name: str, expected: Expected | None = None) -> nn.Module:
    """The network that a source defines: an instance of its last class, with fresh parameters.

    `expected` is what calls that fail are held against.
    """
    made: nn.Module = network_class(load(source, name, expected))()
    return made


def network_class(module: types.ModuleType) -> type[nn.Module]:
    """The last class of a generated module."""
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
    ]
    return classes[-1]


def load(source: str, name: str, expected: Expected | None = None) -> types.ModuleType:
    """The source as an imported module; equal sources give one module."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    full = f"{PACKAGE}.{name}_{digest}"
    module = sys.modules.get(full) or executed(source, full, f"<netdsl {name} {digest}>")
    if expected is not None:
        cls = network_class(module)
        known = _expected.get(cls)
        if known is None or known.graph is None:
            _expected[cls] = expected
    return module


def executed(source: str, full: str, filename: str) -> types.ModuleType:
    """The source as a new module of the name `full`."""
    module = types.ModuleType(full)
    module.__file__ = filename
    module.__dict__["__source__"] = source
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    sys.modules[full] = module
    try:
        exec(compile(source, filename, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[full]
        raise
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == full:
            copyreg.pickle(value, _reduce_tuple if issubclass(value, tuple) else _reduce)
    setattr(network_class(module), "__call__", _call)  # noqa: B010
    return module


# --- calls that fail -------------------------------------------------------------------------------------------------

_expected: dict[type, Expected] = {}
"""By the class of a network: what it expects of those who call it."""


def _call(self: nn.Module, *inputs: Any, **named: Any) -> Any:
    """A call as of any module. Where it fails, the error says what the text declares, and what came."""
    if torch.compiler.is_compiling():
        return nn.Module.__call__(self, *inputs, **named)
    try:
        return nn.Module.__call__(self, *inputs, **named)
    except Exception as error:
        expected = expected_by(type(self))
        if expected is None:
            raise
        from netdsl_torch.misfit import explained

        better = explained(error, self, inputs, named, expected)
        if better is None:
            raise
        raise better from error


def expected_by(cls: type) -> Expected | None:
    """What the network of a class expects; that of a subclass is that of its base."""
    return next((_expected[base] for base in cls.__mro__ if base in _expected), None)


# --- pickles ---------------------------------------------------------------------------------------------------------


def _reduce(instance: nn.Module) -> tuple[Any, ...]:
    """How a module is pickled and copied: its class by source, its state as it is."""
    module = sys.modules[type(instance).__module__]
    state = instance.__getstate__()  # type: ignore[no-untyped-call]
    given = module.__dict__["__source__"], _name(module), type(instance).__qualname__
    expected = _expected.get(type(instance))
    return _empty, (given if expected is None else (*given, expected)), state


def _reduce_tuple(instance: tuple[Any, ...]) -> tuple[Any, ...]:
    module = sys.modules[type(instance).__module__]
    return _full, (module.__dict__["__source__"], _name(module), type(instance).__qualname__, tuple(instance))


def _name(module: types.ModuleType) -> str:
    return module.__name__.removeprefix(f"{PACKAGE}.").rpartition("_")[0]


def _empty(source: str, name: str, qualname: str, expected: Expected | None = None) -> nn.Module:
    cls = getattr(load(source, name, expected), qualname)
    made: nn.Module = cls.__new__(cls)
    return made


def _full(source: str, name: str, qualname: str, values: tuple[Any, ...]) -> Any:
    return getattr(load(source, name), qualname)(*values)
