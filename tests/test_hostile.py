"""Hostile and huge texts: each ends in a diagnostic with a place, soon, and within bounded memory."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import FILES, TEXTS, Case, FileCase

import netdsl
from netdsl.diagnostic import MAX_SAID, SpecError
from netdsl.evaluate import MAX_FAULTS

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 30
"""CPU time for one of them: a guard against what never ends. They take a second at most where nothing else runs."""
MEMORY = 2 << 30
"""Address space for one of them."""
LOUD = 300_000
"""Characters of output: fifty errors, and each of them has a bounded length."""


SHORT = [case for case in TEXTS if len(case.make()) < 50_000]


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def run(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`netdsl` in a process of its own, with limits that the system keeps."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'backends'}", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "netdsl", *(arguments or ("check",)), str(file)]
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", env=environment, cwd=file.parent, preexec_fn=limit
    )


def ends_well(done: subprocess.CompletedProcess[str], code: str) -> None:
    """Exit code 1 and errors with places, the first with this code; or exit code 0."""
    assert done.returncode == (1 if code else 0), (done.returncode, done.stderr[:2000])
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    assert len(done.stderr) < LOUD
    errors = re.findall(r"^error\[(E\d{4})\]:.*\n(?:.*\n)*?\s*--> (.+):(\d+):(\d+)$", done.stderr, re.MULTILINE)
    assert [error[0] for error in errors[:1]] == [code][: bool(code)], done.stderr[:2000]
    assert not code or errors[0][1].endswith(".net")


@pytest.mark.parametrize("case", TEXTS, ids=lambda case: case.name)
def test_a_hostile_file_ends_in_a_diagnostic(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "hostile.net"
    file.write_bytes(case.make().encode())
    ends_well(run(file), case.code)


@pytest.fixture
def patient() -> Iterator[None]:
    """Nothing that runs in this process may run for minutes."""
    import signal

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {2 * SECONDS} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, 2 * SECONDS)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
def test_a_hostile_text_raises_a_spec_error(case: Case) -> None:
    """The same from Python: SpecError alone, every diagnostic with a place in the text."""
    text = case.make()
    try:
        netdsl.loads(text)
    except SpecError as error:
        diagnostics = error.diagnostics
        assert next(d.code for d in diagnostics if d.severity == "error") == case.code
        assert len(diagnostics) <= 2 * MAX_FAULTS + 4
        for diagnostic in diagnostics:
            span = diagnostic.label.span
            assert 0 <= span.start <= span.end <= max(1, len(span.source.text))
            assert all(len(said) <= MAX_SAID for said in (diagnostic.message, *diagnostic.notes, *diagnostic.helps))
    else:
        assert not case.code


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.name)
def test_hostile_files(case: FileCase, tmp_path: Path) -> None:
    """Files and folders: what is not text, what lies outside, what leads back to itself."""
    folder = tmp_path / "inside"
    case.make(folder)
    ends_well(run(folder / "main.net"), case.code)


def test_the_limits_of_these_tests_are_kept(tmp_path: Path) -> None:
    """The meta-test: a process that takes too much memory does not end well."""
    code = "x = bytearray(3 << 30)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit)
    assert "MemoryError" in done.stderr
    with pytest.raises(AssertionError):
        ends_well(done, "")


# --- huge, and welcome ------------------------------------------------------------------------------------------------

MILLION = "input 8 x 32 x 32\n(CONV 8 relu) * 1000000\n"
RESNET_1202 = """
net resnet1202(classes=10)
input 3 x 32 x 32
default CONV bn relu
CONV 16
conv2 = residual(basic(16)) * 200                            : 16 x 32 x 32
conv3 = stage(basic(32), 200)                                : 32 x 16 x 16
conv4 = stage(basic(64), 200)                                : 64 x 8 x 8
GAP -> FC classes
"""
PREACT_1001 = """
net preact_resnet1001(classes=10)
input 3 x 32 x 32
default CONV nobias
CONV 16                                                      : 16 x 32 x 32
conv2 = preact(16) * 111                                     : 64 x 32 x 32
conv3 = preact(32, stride=2) -> preact(32) * 110             : 128 x 16 x 16
conv4 = preact(64, stride=2) -> preact(64) * 110             : 256 x 8 x 8
BN -> RELU -> GAP -> FC classes
"""


@pytest.mark.parametrize("command", ["check", "show", "compile"])
def test_a_million_equal_elements_are_counted(command: str, tmp_path: Path) -> None:
    file = tmp_path / "million.net"
    file.write_text(MILLION)
    arguments = (command, "-o", str(tmp_path / "million.py")) if command == "compile" else (command,)
    done = run(file, *arguments)
    ends_well(done, "")
    assert command == "check" or "584,000,000" in done.stdout


@pytest.mark.parametrize("spec", [MILLION, "input 3 x 8 x 8\nfractal(22, 8) -> RELU\n"], ids=["repeat", "fractal"])
def test_what_is_too_long_to_be_listed_says_so(spec: str, tmp_path: Path) -> None:
    """The table counts what repeats; a list of every element would not end."""
    with pytest.raises(SpecError, match=r"unrolls to [\d,]{9,} elements, and at most "):
        _ = netdsl.loads(spec).layers
    file = tmp_path / "long.net"
    file.write_text(spec)
    ends_well(run(file, "show", "--json"), "E0403")


@pytest.mark.parametrize(
    ("spec", "params", "depth"), [(RESNET_1202, 19_421_274, 1202), (PREACT_1001, 10_327_706, 1001)]
)
def test_a_thousand_layers_are_checked_built_and_run(spec: str, params: int, depth: int) -> None:
    """ResNet-1202 (He et al. 2016, table 6: 19.4M) and pre-activated ResNet-1001 (He et al. 2016b, table 4: 10.3M).

    The weighted layers on the longest path give them their names; shortcuts are not counted.
    """
    import torch

    net = netdsl.loads(spec)
    weighted = [layer for layer in net.layers if layer.op.name in ("conv", "linear")]
    assert depth <= len(weighted) <= depth + 3  # up to three projections are no part of the name
    module = net.compile().eval()
    assert sum(p.numel() for p in module.parameters()) == net.params
    assert abs(net.params - params) / params < 0.01
    with torch.no_grad():
        assert module(torch.rand(1, 3, 32, 32)).shape == (1, 10)
    loss = module.train()(torch.rand(2, 3, 32, 32)).sum()
    loss.backward()
    assert all(p.grad is not None for p in module.parameters())


def test_a_hundred_thousand_lines_are_read(tmp_path: Path) -> None:
    """Distinct ones: nothing in them can be counted instead of read."""
    file = tmp_path / "long.net"
    file.write_text("input 8 x 8 x 8\n" + "".join(f"a{i} = CONV {i % 97 + 1} 1x1 relu\n" for i in range(100_000)))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "netdsl", "check", str(file)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- what the fuzzer found --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted((ROOT / "tests" / "fuzz" / "finds").glob("*.net")), ids=lambda path: path.stem)
def test_what_the_fuzzer_found_keeps_every_promise(file: Path) -> None:
    from fuzz.target import examine

    examine(file.read_bytes().decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("case", [case for case in SHORT if len(case.make()) < 4000], ids=lambda case: case.name)
def test_hostile_texts_keep_every_promise(case: Case) -> None:
    from fuzz.target import examine

    assert (examine(case.make()) is None) == bool(case.code)
