"""What is an immutable value here?  A `Record`: typed fields, equality by value, no setters.

The standard dataclass costs 0.4 ms *per class* at import, because it writes and compiles source. The core
has some hundred and fifty, and `netdsl check` should answer in a tenth of a second, so this base class does
the same by a loop; only a class of which there are `MANY` gets a constructor of its own, four times as fast. Type
checkers see an ordinary frozen dataclass (`dataclass_transform`, PEP 681).
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, dataclass_transform

MANY = 500
"""So many records of one class are made before its constructor is compiled: a text of many lines makes millions."""
_made: dict[type, int] = {}


@dataclass_transform(frozen_default=True, eq_default=True)
class Record:
    """A frozen value. Fields are the annotated names of the class and its bases, in order."""

    __slots__ = ()
    fields: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        annotations = vars(cls).get("__annotations__", {})  # inspect.get_annotations costs an import of inspect
        own = [name for name, kind in annotations.items() if not str(kind).startswith("ClassVar")]
        cls.fields = tuple(dict.fromkeys((*cls.fields, *own)))
        slots = vars(cls).get("__slots__", ())
        cls.optional = {name: getattr(cls, name) for name in cls.fields if name not in slots and hasattr(cls, name)}
        if "__init__" not in vars(cls):
            cls.__init__ = Record.__init__  # type: ignore[method-assign]

    def __init__(self, *values: Any, **named: Any) -> None:
        state = self.__dict__
        if self.optional:
            state.update(self.optional)
        state.update(zip(self.fields, values))
        state.update(named)
        if len(state) != len(self.fields) or len(values) > len(self.fields):
            self._complain(values, named)
        cls = type(self)
        _made[cls] = made = _made.get(cls, 0) + 1
        if made == MANY:
            cls.__init__ = _constructor(cls)  # type: ignore[method-assign]

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
        return type(self)(**{**dict(zip(self.fields, self._values())), **changes})

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in zip(self.fields, self._values()))
        return f"{type(self).__name__}({inside})"


def _constructor(cls: type[Record]) -> Any:
    """`__init__` of one class, with its fields as parameters."""
    given = [f"{name}=_optional[{name!r}]" if name in cls.optional else name for name in cls.fields]
    first_optional = next((i for i, name in enumerate(cls.fields) if name in cls.optional), len(given))
    if any(name not in cls.optional for name in cls.fields[first_optional:]):
        return Record.__init__  # Python has no such order of parameters
    lines = [f"def __init__(self, {', '.join(given)}):", " _state = self.__dict__"]
    lines += [f" _state[{name!r}] = {name}" for name in cls.fields]
    made: dict[str, Any] = {"_optional": cls.optional}
    exec("\n".join(lines), made)
    return made["__init__"]
