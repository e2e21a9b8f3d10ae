"""source → a module that runs. What people read is what runs: the source is executed, and nothing else is added.

The text is kept in `linecache`, so a traceback shows the generated line, and beside it, in its comment, the line of the
spec. Pickles and copies carry the source with them, so another process can load them.
"""

from __future__ import annotations

import copyreg
import hashlib
import linecache
import sys
import types
from typing import Any

from torch import nn

PACKAGE = "netdsl_torch.generated"


def build(source: str, name: str) -> nn.Module:
    """The network that a source defines: an instance of its last class, with fresh parameters."""
    module = load(source, name)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
    ]
    made: nn.Module = classes[-1]()
    return made


def load(source: str, name: str) -> types.ModuleType:
    """The source as an imported module; equal sources give one module."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    full = f"{PACKAGE}.{name}_{digest}"
    if full in sys.modules:
        return sys.modules[full]
    filename = f"<netdsl {name} {digest}>"
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
    return module


def _reduce(instance: nn.Module) -> tuple[Any, ...]:
    """How a module is pickled and copied: its class by source, its state as it is."""
    module = sys.modules[type(instance).__module__]
    state = instance.__getstate__()  # type: ignore[no-untyped-call]
    return _empty, (module.__dict__["__source__"], _name(module), type(instance).__qualname__), state


def _reduce_tuple(instance: tuple[Any, ...]) -> tuple[Any, ...]:
    module = sys.modules[type(instance).__module__]
    return _full, (module.__dict__["__source__"], _name(module), type(instance).__qualname__, tuple(instance))


def _name(module: types.ModuleType) -> str:
    return module.__name__.removeprefix(f"{PACKAGE}.").rpartition("_")[0]


def _empty(source: str, name: str, qualname: str) -> nn.Module:
    cls = getattr(load(source, name), qualname)
    made: nn.Module = cls.__new__(cls)
    return made


def _full(source: str, name: str, qualname: str, values: tuple[Any, ...]) -> Any:
    return getattr(load(source, name), qualname)(*values)
