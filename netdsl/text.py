"""How does a text show itself?  In lines, also at a prompt of Python and in a notebook."""

from __future__ import annotations


class Text(str):
    """A str whose repr is the text as it stands."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
