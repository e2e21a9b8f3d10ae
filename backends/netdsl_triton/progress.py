"""How far is a long computation?  One line on a terminal, written over and over; silent where nobody watches."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

BAR = 24
EVERY = 0.1
"""Seconds between two lines at least."""


class Progress:
    """Mutable: when the work began, and what is on the line now. Used as a context, it leaves a clean line behind."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Writes to `stream` (sys.stderr) where that is a terminal."""
        self.stream = sys.stderr if stream is None else stream
        self.shown = self.stream is not None and self.stream.isatty()
        self.clock = clock
        self.began = clock()
        self.drawn = -EVERY
        self.width = 0

    def show(self, done: float, of: int, name: str) -> None:
        """`done` of so many parts; the part at work is called `name`."""
        now = self.clock()
        if not self.shown or now - self.drawn < EVERY:
            return
        self.drawn = now
        self.say(line(done, of, name, now - self.began))

    def say(self, text: str) -> None:
        """What is at work, where nobody knows how far it is."""
        if self.shown:
            self._write(text[: shutil.get_terminal_size().columns - 1])

    def clear(self) -> None:
        """Leaves an empty line."""
        if self.shown and self.width:
            self._write("")
            self.stream.write("\r")
            self.stream.flush()

    def _write(self, text: str) -> None:
        self.stream.write("\r" + text.ljust(self.width))
        self.stream.flush()
        self.width = len(text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()


def line(done: float, of: int, name: str, passed: float) -> str:
    """`[######            ] 12/54  1:23 left  conv3.2.conv1`."""
    share = done / of if of else 1.0
    bar = "#" * int(share * BAR)
    left = f"{_minutes(passed / share - passed)} left" if share > 0 else "just begun"
    return f"[{bar.ljust(BAR)}] {int(done)}/{of}  {left}  {name}"


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"
