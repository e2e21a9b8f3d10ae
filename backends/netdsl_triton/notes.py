"""What does a user hear of?  Each way in which a network runs slower than it could, once, with what to do about it."""

from __future__ import annotations

import sys
import warnings

INSIDE = ("netdsl_triton.", "torch.nn.modules.")
"""Modules whose lines tell a user nothing."""


class SlowPath(UserWarning):
    """A network runs as the PyTorch backend has it. The numbers are the same."""


class Notes:
    """The notes that one module has given: each kind is said once. `said` keeps them, for reports."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def say(self, kind: str, text: str) -> None:
        if kind not in self.said:
            self.said[kind] = text
            warnings.warn(f"netdsl: {text}", SlowPath, stacklevel=depth_of_caller())


def depth_of_caller() -> int:
    """How many calls lie between `warnings.warn` in `Notes.say` and the user's line that called the module."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(INSIDE):
        depth, frame = depth + 1, frame.f_back
    return depth


def fault(error: Exception) -> str:
    """An exception in a line."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return said if len(said) <= 160 else f"{said[:159]}…"
