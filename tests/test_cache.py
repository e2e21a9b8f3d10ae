"""What stays in the cache?  What is used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netdsl import cache


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "KEEP", 8)
    return tmp_path


def store(place: Path, name: str, age: int) -> None:
    """An entry that was last used `age` seconds ago."""
    cache.keep(name, lambda file: file.write(name.encode()))
    os.utime(place / name, (10**9 - age, 10**9 - age))


def test_what_was_not_used_for_longest_goes(place: Path) -> None:
    for i in range(8):
        store(place, f"tree{i}", age=100 - i)
    assert cache.fetch("tree0", lambda file: file.read()) == b"tree0"
    cache.keep("tree8", lambda file: file.write(b"tree8"))
    assert sorted(path.name for path in place.iterdir()) == ["tree0", "tree4", "tree5", "tree6", "tree7", "tree8"]


def test_a_cache_that_cannot_be_written_still_serves(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise OSError(30, "Read-only file system")

    store(place, "tree", age=1)
    monkeypatch.setattr(os, "utime", refused)
    assert cache.fetch("tree", lambda file: file.read()) == b"tree"


def test_what_cannot_be_read_is_not_there(place: Path) -> None:
    assert cache.fetch("tree", lambda file: file.read()) is None
    store(place, "torn", age=1)

    def torn(file: object) -> None:
        raise EOFError

    assert cache.fetch("torn", torn) is None


def test_who_clears_up_does_not_mind_who_was_faster(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(8):
        store(place, f"tree{i}", age=100 - i)
    unlink = os.unlink

    def twice(path: str) -> None:
        unlink(path)
        unlink(path)

    monkeypatch.setattr(os, "unlink", twice)
    assert cache.keep("tree8", lambda file: file.write(b"tree8"))
    assert cache.fetch("tree8", lambda file: file.read()) == b"tree8"


def test_a_name_can_begin_with_a_folder_that_has_a_limit_of_its_own(place: Path) -> None:
    for i in range(6):
        assert cache.keep(f"inside/{i}", lambda file: file.write(b"x"), 4)
        os.utime(place / "inside" / str(i), (10**9 + i, 10**9 + i))
    assert 3 <= len(list((place / "inside").iterdir())) <= 4
    assert cache.fetch("inside/5", lambda file: file.read()) == b"x"
    assert not cache.keep("inside/5/deeper", lambda file: file.write(b"x"))
