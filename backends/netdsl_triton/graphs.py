"""How do hundreds of launches become one?  They are recorded as a CUDA graph, and replayed without Python.

A launch costs the host a few microseconds, which below batch 8 is more than most kernels take. A recording has fixed
addresses; that is why everything a program touches lies in its arena.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

WARM_UP = 2
"""Runs before the recording: they compile what is not compiled, and let libraries allocate what they keep."""


class Recording:
    """A CUDA graph that does what `run` did."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def replay(self) -> None:
        self.graph.replay()


class Recorder:
    """Records on one device, and keeps calls from several streams apart. `cuda` is `torch.cuda`; tests give a double.

    What happens in a `turn` works on the program's memory: the next turn, on another stream, waits for it.
    """

    def __init__(self, device: torch.device, cuda: Any = torch.cuda) -> None:
        self.device, self.cuda = device, cuda
        self.last: Any = None
        self.done: Any = None

    def record(self, run: Callable[[], None]) -> tuple[Recording | None, str]:
        """The recording of `run`. Where it runs but cannot be recorded, None and why. Raises what `run` raises."""
        with self.cuda.device(self.device):
            stream = self.cuda.Stream(self.device)
            stream.wait_stream(self.cuda.current_stream(self.device))
            with self.cuda.stream(stream):
                for _ in range(WARM_UP):
                    run()
            stream.synchronize()
            graph = self.cuda.CUDAGraph()
            try:
                with self.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    run()
            except RuntimeError as error:
                self.cuda.synchronize(self.device)
                return None, f"without a CUDA graph: {(str(error).splitlines() or [''])[0]}"
            self.cuda.current_stream(self.device).wait_stream(stream)
        return Recording(graph), ""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The current stream waits for the last turn, where that was on another one."""
        with self.cuda.device(self.device):
            stream = self.cuda.current_stream(self.device)
            if self.done is None:
                self.done = self.cuda.Event()
            elif stream != self.last:
                stream.wait_event(self.done)
            try:
                yield
            finally:
                self.last = stream
                self.done.record(stream)
