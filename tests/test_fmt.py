"""What does `netdsl fmt` do to files?  Exit codes, streams, and what becomes of the files."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from netdsl import formatting
from netdsl.cli import main

UGLY = "net a\ninput 3×8×8\nconv 4 relu->POOL:4 x 4 x 4 #c\n"
NEAT = "net a\ninput 3 x 8 x 8\nCONV 4 relu -> POOL                                      : 4 x 4 x 4    # c\n"
FAULTY = "net a\ninput 3 x 8 x 8\nCONV 64 ->\n"


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    def run_fmt(*arguments: str) -> Done:
        code = main(["fmt", *arguments])
        out, err = capsysbinary.readouterr()
        assert b"Traceback" not in err and b"internal error" not in err
        return Done(code, out.decode(), err.decode())

    return run_fmt


def written(name: str, text: str = UGLY) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def test_a_file_is_rewritten_once(run: Run) -> None:
    path = written("a.net")
    assert run("a.net") == (0, "formatted a.net\n", "")
    assert path.read_bytes().decode() == NEAT
    before = path.stat()
    assert run("a.net") == (0, "", "")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_check_names_what_would_change(run: Run) -> None:
    written("a.net"), written("b.net", NEAT), written("c.net")
    assert run("--check", "a.net", "b.net", "c.net") == (1, "a.net\nc.net\n", "")
    assert Path("a.net").read_text(encoding="utf-8") == UGLY
    assert run("--check", "b.net") == (0, "", "")


def test_diff_shows_what_would_change(run: Run) -> None:
    written("a.net"), written("b.net", NEAT)
    done = run("--diff", "a.net", "b.net")
    assert done == (0, done.out, "")
    rows = done.out.splitlines()
    assert rows[:3] == ["--- a.net", "+++ a.net", "@@ -1,3 +1,3 @@"]
    assert rows[3:] == [
        " net a",
        "-input 3×8×8",
        "-conv 4 relu->POOL:4 x 4 x 4 #c",
        *(f"+{line}" for line in NEAT.splitlines()[1:]),
    ]
    assert run("--diff", "--check", "a.net") == (1, done.out, "")
    assert Path("a.net").read_text(encoding="utf-8") == UGLY


def test_a_diff_can_be_applied(run: Run) -> None:
    """Also where the last line has no end, and where lines ended in CRLF."""
    for text in (UGLY, UGLY.rstrip("\n"), UGLY.replace("\n", "\r\n")):
        written("a.net", text)
        diff = run("--diff", "a.net").out
        subprocess.run(["patch", "-s", "--binary", "a.net"], input=diff.encode(), check=True)
        assert Path("a.net").read_bytes().decode() == NEAT


def test_colours_are_for_terminals(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    written("a.net")
    assert "\x1b" not in run("--diff", "a.net").out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m-input 3×8×8\x1b[0m\n\x1b[31m-conv" in run("--diff", "a.net").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("--diff", "a.net").out


def test_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def typed(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    typed(UGLY)
    assert run("-") == (0, NEAT, "")
    typed(NEAT)
    assert run("-") == (0, NEAT, "")
    typed(UGLY)
    assert run("-", "--check") == (1, "<stdin>\n", "")
    typed(UGLY)
    assert run("-", "--diff").out.startswith("--- <stdin>\n+++ <stdin>\n")
    typed(FAULTY)
    done = run("-")
    assert (done.code, done.out) == (1, "")
    assert "--> <stdin>:3:10" in done.err


def test_standard_input_of_a_process() -> None:
    words = [sys.executable, "-m", "netdsl", "fmt", "-"]
    variables = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, input="# ×\n".encode(), capture_output=True, env=variables, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "# ×\n".encode(), b"")


def test_a_faulty_file_is_left_alone(run: Run) -> None:
    path = written("a.net", FAULTY)
    done = run("a.net")
    assert (done.code, done.out) == (1, "")
    assert "error[E0101]" in done.err and "--> a.net:3:10" in done.err
    assert path.read_text(encoding="utf-8") == FAULTY


@pytest.mark.parametrize("data", [b"net a\n# \xff\n", b"net a\0\n"])
def test_what_is_no_text_is_left_alone(data: bytes, run: Run) -> None:
    Path("a.net").write_bytes(data)
    done = run("a.net")
    assert (done.code, done.out) == (1, "")
    assert "E0105" in done.err
    assert Path("a.net").read_bytes() == data


def test_warnings_do_not_matter(run: Run) -> None:
    written("a.net", "input 3 x 8 x 8\nCONV 8 | CONV 16\n    -> CONV 32\n")
    assert run("a.net").code == 0


def test_every_file_is_looked_at_and_the_worst_code_wins(run: Run) -> None:
    written("a.net", FAULTY), written("b.net"), written("c.net")
    done = run("b.net", "a.net", "missing.net", "c.net")
    assert (done.code, done.out) == (2, "formatted b.net\nformatted c.net\n")
    assert "netdsl: missing.net: No such file or directory" in done.err and "E0101" in done.err
    assert run("a.net", "b.net").code == 1


def test_a_folder_means_its_files(run: Run) -> None:
    written("nets/b.net"), written("nets/deep/a.net"), written("nets/.hidden/c.net"), written("nets/notes.txt")
    assert run("nets").out.splitlines() == ["formatted nets/b.net", "formatted nets/deep/a.net"]
    assert Path("nets/notes.txt").read_text(encoding="utf-8") == UGLY
    Path("empty").mkdir()
    assert run("empty", "nets") == (2, "", "netdsl: there is no .net file in empty\n")


@pytest.mark.parametrize("text", ["\ufeff" + UGLY, UGLY.replace("\n", "\r\n"), UGLY.replace("\n", "\r"), UGLY.rstrip()])
def test_marks_and_ends_of_lines_become_ours(text: str, run: Run) -> None:
    written("a.net", text)
    assert run("a.net").code == 0
    assert Path("a.net").read_bytes().decode() == NEAT


@pytest.mark.parametrize(("text", "neat"), [("", ""), ("\n\n", ""), ("# only", "# only\n"), ("\ufeff", "")])
def test_files_without_a_statement(text: str, neat: str, run: Run) -> None:
    written("a.net", text)
    assert run("a.net").code == 0
    assert Path("a.net").read_bytes().decode() == neat


def test_a_file_keeps_its_permissions_and_a_link_stays_a_link(run: Run) -> None:
    path = written("real/a.net")
    path.chmod(0o640)
    Path("a.net").symlink_to(path)
    assert run("a.net").code == 0
    assert Path("a.net").is_symlink() and path.read_bytes().decode() == NEAT
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_read_only_file_stays(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written("a.net")
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda place, mode: mode != os.W_OK)  # root may write all files
    assert run("a.net") == (2, "", "netdsl: a.net cannot be written: it is read-only\n")
    assert path.read_text(encoding="utf-8") == UGLY
    assert run("--check", "a.net").code == 1


def test_a_folder_that_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, os.strerror(28))

    written("a.net"), written("b.net")
    monkeypatch.setattr(os, "replace", full)
    done = run("a.net", "b.net")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("cannot be written: No space left on device") == 2
    assert {path.name for path in Path.cwd().iterdir()} == {"a.net", "b.net"}
    assert Path("a.net").read_text(encoding="utf-8") == UGLY


def test_what_cannot_be_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, os.strerror(13), str(path))

    written("a.net")
    monkeypatch.setattr(formatting, "read_source", refused)
    assert run("a.net") == (2, "", "netdsl: a.net: Permission denied\n")


def test_shipped_files_are_formatted(run: Run) -> None:
    root = Path(__file__).resolve().parent.parent
    assert run("--check", str(root / "specs"), str(root / "netdsl" / "prelude")) == (0, "", "")
