"""What does a user hear of?  Each way in which a network runs slower than it could, once, with what to do about it."""

from __future__ import annotations

import warnings


class SlowPath(UserWarning):
    """A network runs as the PyTorch backend has it. The numbers are the same."""


class Notes:
    """The notes that one module has given: each kind is said once. `said` keeps them, for reports."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def say(self, kind: str, text: str) -> None:
        if kind not in self.said:
            self.said[kind] = text
            warnings.warn(f"netdsl: {text}", SlowPath, stacklevel=2)
