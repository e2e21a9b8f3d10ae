"""Which element of one network is which of the other?  The alignment of two sequences that keeps the most.

What is equal at both ends is left aside; of the rest, the pairs with the largest sum of likenesses in the same order
are chosen (Needleman & Wunsch 1970). Where that is too much work, elements with the same unique key divide the
sequences first (as in patience diff), and what stays too long between two of them is said to be replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")
Pair = tuple[int | None, int | None]
MAX_CELLS = 100_000
"""Pairs that are looked at one by one."""


def align(
    a: Sequence[T], b: Sequence[T], likeness: Callable[[T, T], float], key: Callable[[T], Hashable]
) -> list[Pair]:
    """Pairs of indices in order; None beside what has no partner. Equal keys are surely the same element."""
    first = 0
    left, right = [key(x) for x in a], [key(x) for x in b]
    while first < min(len(a), len(b)) and left[first] == right[first]:
        first += 1
    last = 0
    while last < min(len(a), len(b)) - first and left[-1 - last] == right[-1 - last]:
        last += 1
    end_a, end_b = len(a) - last, len(b) - last
    pairs: list[Pair] = [(i, i) for i in range(first)]
    pairs += _between(a, b, left, right, (first, end_a), (first, end_b), likeness)
    return pairs + [(end_a + i, end_b + i) for i in range(last)]


def _between(
    a: Sequence[T],
    b: Sequence[T],
    left: list[Hashable],
    right: list[Hashable],
    of_a: tuple[int, int],
    of_b: tuple[int, int],
    likeness: Callable[[T, T], float],
) -> list[Pair]:
    rows, columns = range(*of_a), range(*of_b)
    if len(rows) * len(columns) <= MAX_CELLS:
        return _best(a, b, rows, columns, likeness)
    pairs: list[Pair] = []
    i, j = rows.start, columns.start
    for p, q in [*_anchors(left, right, rows, columns), (rows.stop, columns.stop)]:
        if (p - i) * (q - j) <= MAX_CELLS:
            pairs += _best(a, b, range(i, p), range(j, q), likeness)
        else:
            pairs += [(k, None) for k in range(i, p)] + [(None, k) for k in range(j, q)]
        if p < rows.stop:
            pairs.append((p, q))
        i, j = p + 1, q + 1
    return pairs


def _anchors(left: list[Hashable], right: list[Hashable], rows: range, columns: range) -> list[tuple[int, int]]:
    """Elements whose key occurs once on each side, as many as stand in the same order: a longest rising sequence."""
    from bisect import bisect_left

    ones_a, ones_b = Counter(left[i] for i in rows), Counter(right[j] for j in columns)
    where = {right[j]: j for j in columns if ones_b[right[j]] == 1}
    found = [(i, where[left[i]]) for i in rows if ones_a[left[i]] == 1 and left[i] in where]
    tails: list[int] = []
    before: list[int] = []
    at: list[int] = []
    for k, (_, j) in enumerate(found):
        place = bisect_left(tails, j)
        tails[place : place + 1] = [j]
        at[place : place + 1] = [k]
        before.append(at[place - 1] if place else -1)
    chain, k = [], at[-1] if at else -1
    while k >= 0:
        chain.append(found[k])
        k = before[k]
    return chain[::-1]


def _best(a: Sequence[T], b: Sequence[T], rows: range, columns: range, likeness: Callable[[T, T], float]) -> list[Pair]:
    """The pairs with the largest sum of likenesses; what has none (0) is never paired."""
    like = [[likeness(a[i], b[j]) for j in columns] for i in rows]
    best = [[0.0] * (len(columns) + 1) for _ in range(len(rows) + 1)]
    for i in range(len(rows) - 1, -1, -1):
        here, below, likes = best[i], best[i + 1], like[i]
        for j in range(len(columns) - 1, -1, -1):
            paired = likes[j] + below[j + 1] if likes[j] > 0 else 0.0
            here[j] = max(paired, below[j], here[j + 1])
    pairs: list[Pair] = []
    i = j = 0
    while i < len(rows) and j < len(columns):
        if like[i][j] > 0 and best[i][j] == like[i][j] + best[i + 1][j + 1]:
            pairs.append((rows[i], columns[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((rows[i], None))
            i += 1
        else:
            pairs.append((None, columns[j]))
            j += 1
    return pairs + [(rows[k], None) for k in range(i, len(rows))] + [(None, columns[k]) for k in range(j, len(columns))]
