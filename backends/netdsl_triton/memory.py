"""Where in one arena does each buffer lie?  Offline allocation: sizes and lifetimes are known before anything runs.

Two buffers may share bytes where no step needs both. The smallest arena is a strip-packing problem (NP-hard); greedy
placement into the tightest gap, tried in a few orders, comes within a few percent of the lower bound `peak`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from netdsl.record import Record

ALIGNMENT = 256
"""Bytes: what CUDA's allocator aligns to, and more than any vector load or descriptor asks for."""
ATTEMPTS = 24
"""How often an order is mended, where the first ones leave gaps."""


class Lifetime(Record):
    """So many bytes from step `start` to step `end`, both included. Step -1 is before the first."""

    bytes: int
    start: int
    end: int


class Layout(Record):
    """The offset of each buffer, in bytes, and the size of the arena that holds them."""

    offsets: tuple[int, ...]
    bytes: int


def aligned(bytes: int) -> int:
    return -(-bytes // ALIGNMENT) * ALIGNMENT


def peak(buffers: Sequence[Lifetime]) -> int:
    """The most bytes that are needed at one step: no arena is smaller."""
    change: dict[int, int] = {}
    for buffer in buffers:
        change[buffer.start] = change.get(buffer.start, 0) + aligned(buffer.bytes)
        change[buffer.end + 1] = change.get(buffer.end + 1, 0) - aligned(buffer.bytes)
    most = now = 0
    for step in sorted(change):
        now += change[step]
        most = max(most, now)
    return most


def arrange(buffers: Sequence[Lifetime]) -> Layout:
    """The best of several greedy placements; equal input gives equal output."""
    bound = peak(buffers)
    best: Layout | None = None
    for order in orders(buffers):
        found = placed(buffers, order)
        if best is None or found.bytes < best.bytes:
            best = found
        if best.bytes == bound:
            break
    assert best is not None
    return best


def orders(buffers: Sequence[Lifetime]) -> Iterator[list[int]]:
    """In which order buffers are placed: by size, by area, by start, by end; then those on top moved to the front."""
    keys: tuple[Callable[[Lifetime], tuple[int, ...]], ...] = (
        lambda b: (-b.bytes, b.start),
        lambda b: (-b.bytes * (b.end - b.start + 1), b.start),
        lambda b: (b.start, -b.bytes),
        lambda b: (-b.end, -b.bytes),
    )
    every = range(len(buffers))
    for key in keys:
        yield sorted(every, key=lambda i: key(buffers[i]))
    order = sorted(every, key=lambda i: keys[0](buffers[i]))
    for _ in range(ATTEMPTS if len(buffers) < 1000 else 0):
        layout = placed(buffers, order)
        top = [i for i in order if layout.offsets[i] + aligned(buffers[i].bytes) == layout.bytes]
        moved = [*top, *(i for i in order if i not in top)]
        if moved == order:
            return
        order = moved
        yield order


def placed(buffers: Sequence[Lifetime], order: Sequence[int]) -> Layout:
    """Each buffer in turn into the smallest gap that holds it, among those that live at the same time."""
    offsets = [0] * len(buffers)
    live: dict[int, list[int]] = {}
    total = 0
    for i in order:
        buffer = buffers[i]
        size = aligned(buffer.bytes)
        steps = range(buffer.start, buffer.end + 1)
        neighbours = {j for step in steps for j in live.get(step, ())}
        taken = sorted((offsets[j], offsets[j] + aligned(buffers[j].bytes)) for j in neighbours)
        offsets[i] = tightest_gap(taken, size)
        total = max(total, offsets[i] + size)
        for step in steps:
            live.setdefault(step, []).append(i)
    return Layout(tuple(offsets), total)


def tightest_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    """The start of the smallest hole between `taken` ranges that has `size` bytes; else the end of the last."""
    best, room, end = -1, -1, 0
    for start, stop in taken:
        if start - end >= size and (best < 0 or start - end < room):
            best, room = end, start - end
        end = max(end, stop)
    return best if best >= 0 else end
