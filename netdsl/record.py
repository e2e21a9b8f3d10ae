"""What is an immutable value here?  A `Record`: typed fields, equality by value, no setters.

The standard dataclass costs 0.4 ms *per class* at import, because it writes and compiles source. The core
has some seventy such classes, and `netdsl check` should answer in a tenth of a second, so this base class does
the same by a loop. Type checkers see an ordinary frozen dataclass (`dataclass_transform`, PEP 681).
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, dataclass_transform


@dataclass_transform(frozen_default=True, eq_default=True)
class Record:
    """A frozen value. Fields are the annotated names of the class and its bases, in order."""

    fields: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        annotations = vars(cls).get("__annotations__", {})  # inspect.get_annotations costs an import of inspect
        own = [name for name, kind in annotations.items() if not str(kind).startswith("ClassVar")]
        cls.fields = tuple(dict.fromkeys((*cls.fields, *own)))
        cls.optional = {name: getattr(cls, name) for name in cls.fields if hasattr(cls, name)}

    def __init__(self, *values: Any, **named: Any) -> None:
        state = self.__dict__
        if self.optional:
            state.update(self.optional)
        state.update(zip(self.fields, values))
        state.update(named)
        if len(state) != len(self.fields) or len(values) > len(self.fields):
            self._complain(values, named)

    def _complain(self, values: tuple[Any, ...], named: dict[str, Any]) -> None:
        missing = [name for name in self.fields if name not in self.__dict__]
        unknown = [name for name in named if name not in self.fields]
        raise TypeError(f"{type(self).__name__}: missing {missing}, unknown {unknown}, {len(values)} positional values")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self._values() == other._values())

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def _values(self) -> tuple[Any, ...]:
        state = self.__dict__
        return tuple([state[name] for name in self.fields])

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{**{name: self.__dict__[name] for name in self.fields}, **changes})

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self.fields)
        return f"{type(self).__name__}({inside})"
