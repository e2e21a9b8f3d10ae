"""What does `netdsl check --fix` do, and what does it leave alone?"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from commands import Run

from netdsl.driver import check_source
from netdsl.files import no_files, shipped
from netdsl.fixing import fix_file
from netdsl.options import UsageError
from netdsl.repair.fix import MAX_ROUNDS, fixed
from netdsl.source import Source

FAULTY = """# stays
net small(classes=10)
input 3 x 32 x 32
CONVV 16 relu => POOL   # stays, too
GAP -> FC clases
"""
MENDED = FAULTY.replace("CONVV", "CONV").replace("=>", "->").replace("clases", "classes")
TWO_READINGS = "net n\ninput 3 x 8 x 8\nCONV 8 * 2\nGAP -> FC 10\n"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.net"
    path.write_text(FAULTY, encoding="utf-8")
    return path


def test_what_is_obvious_is_repaired_round_by_round(spec: Path, run: Run) -> None:
    """The arrow hides the names: they are repaired in a second round."""
    done = run("check", "--fix", "a.net")
    assert done.code == 0
    assert not done.err
    assert spec.read_text() == MENDED
    assert "-CONVV 16 relu => POOL   # stays, too\n" in done.out
    assert "+CONV 16 relu -> POOL   # stays, too\n" in done.out
    assert done.out.endswith("a.net: 3 faults repaired, none left\n")
    assert run("check", "--fix", "a.net") == (0, "", "")


def test_a_dry_run_shows_and_writes_nothing(spec: Path, run: Run) -> None:
    done = run("check", "--fix", "--dry-run", "a.net")
    assert done.code == 1, "the file still has its faults"
    assert spec.read_text() == FAULTY
    assert "+GAP -> FC classes" in done.out
    assert "would be repaired" in done.out


def test_sizes_are_not_repaired_for_an_input_that_is_turned(spec: Path, run: Run) -> None:
    """`224 x 224 x 3` has 3 columns: what would fit them is not meant."""
    spec.write_text("net n\ninput 224 x 224 x 3\nCONV 8 /4 relu\nMAXPOOL 3x3 /2\ndropout(0.5)\nFC 10\n")
    done = run("check", "--fix", "a.net")
    assert "MAXPOOL 3x3 /2\nDROPOUT 0.5\n" in spec.read_text()
    assert "W0505" in done.err and done.code == 1


def test_two_readings_are_never_decided(spec: Path, run: Run) -> None:
    spec.write_text(TWO_READINGS)
    done = run("check", "--fix", "a.net")
    assert done.code == 1
    assert spec.read_text() == TWO_READINGS
    assert "(CONV 8) * 2" in done.err
    assert "CONV (8*2)" in done.err
    assert done.out == "a.net: no fault has one obvious repair\n"


@pytest.mark.parametrize("line", ["CONV 96 groups=5", "CONV 8 : 9 x 32 x 32"])
def test_of_two_numbers_none_is_chosen_and_assertions_stay(line: str, spec: Path, run: Run) -> None:
    text = f"net n\ninput 64 x 32 x 32\n{line}\nrequire params < 10M\n"
    spec.write_text(text)
    assert run("check", "--fix", "a.net").code == 1
    assert spec.read_text() == text


def test_what_is_left_is_said(spec: Path, run: Run) -> None:
    spec.write_text(TWO_READINGS.replace("GAP", "GPA"))
    done = run("check", "--fix", "a.net")
    assert done.code == 1
    assert "several repairs to choose from" in done.out


def test_warnings_are_left_alone(spec: Path, run: Run) -> None:
    text = "net n\ninput 3 x 8 x 8\nCONV 8 relu\nlost = CONV 4 relu\nlet b = lost -> CONV 8\nGAP -> FC 10\n"
    text = "net n\ninput left = 3 x 8 x 8\ninput right = 3 x 8 x 8\nleft -> CONV 8 relu -> GAP -> FC 10\n"
    spec.write_text(text)
    done = run("check", "--fix", "a.net")
    assert done.code == 0
    assert "W0501" in done.err
    assert spec.read_text() == text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_ends_of_lines_and_byte_order_marks_stay(end: str, mark: str, spec: Path, run: Run) -> None:
    body = mark + "block b(c):\n    CONV c relu\n    CONV c relu\nnet n\ninput 3 x 8 x 8\nb(8)\nGAP -> FC 10\n"
    spec.write_bytes(body.replace("\n", end).encode())
    done = run("check", "--fix", "a.net")
    assert done.code == 0, done.err
    wanted = body.replace("b(c):", "b(c) = (").replace("CONV c relu\nnet", "CONV c relu\n)\nnet")
    assert spec.read_bytes() == wanted.replace("\n", end).encode()


def test_permissions_stay_and_links_stay_links(spec: Path, run: Run) -> None:
    spec.chmod(0o640)
    link = spec.with_name("link.net")
    link.symlink_to(spec)
    assert run("check", "--fix", "link.net").code == 0
    assert link.is_symlink()
    assert spec.read_text() == MENDED
    assert stat.S_IMODE(spec.stat().st_mode) == 0o640


def test_shipped_networks_are_not_touched(run: Run) -> None:
    before = shipped()["vgg16"].read_bytes()
    done = run("check", "--fix", "vgg16")
    assert done.code == 2
    assert "shipped network" in done.err
    assert shipped()["vgg16"].read_bytes() == before


def test_the_prelude_is_not_touched(run: Run) -> None:
    import netdsl

    inside = Path(netdsl.__file__).parent / "prelude" / "residual.net"
    assert "a file of netdsl itself" in run("check", "--fix", inside).err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_file_is_refused(spec: Path, run: Run) -> None:
    spec.chmod(0o444)
    assert run("check", "--fix", "a.net").code == 2
    assert spec.read_text() == FAULTY


def test_a_file_that_was_changed_meanwhile_stays(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import netdsl.fixing

    def slow(*arguments: object) -> object:
        done = fixed(*arguments)  # type: ignore[arg-type]
        spec.write_text("net other\n")
        return done

    monkeypatch.setattr(netdsl.fixing, "fixed", slow)
    with pytest.raises(UsageError, match="changed meanwhile"):
        fix_file("a.net", None, None, {})
    assert spec.read_text() == "net other\n"


def test_a_dry_run_needs_fix(spec: Path, run: Run) -> None:
    assert "--dry-run goes with --fix" in run("check", "--dry-run", "a.net").err


def test_standard_output_is_json_alone(spec: Path, run: Run) -> None:
    done = run("check", "--fix", "a.net", "--format", "json")
    assert done.out == '{\n  "diagnostics": []\n}\n'
    assert "3 faults repaired" in done.err


def test_a_file_that_is_not_text_is_said_once(spec: Path, run: Run) -> None:
    spec.write_bytes(b"net n\xff\n")
    done = run("check", "--fix", "a.net")
    assert done.code == 1
    assert done.err.count("E0105") == 1


@pytest.mark.parametrize("text", [FAULTY, TWO_READINGS, MENDED, "CONVV", "", "((((", "net n = m with\n"])
def test_a_second_run_finds_nothing_to_do(text: str) -> None:
    first = fixed(Source("a.net", text), no_files)
    second = fixed(first.source, no_files)
    assert not second.made
    assert second.source.text == first.source.text
    assert (check_source(first.source, no_files)[0] is not None) == first.well


def test_more_faults_of_syntax_than_are_shown_at_once_are_repaired() -> None:
    """Behind so many, a text is not read: a repair brings the next ones to light."""
    lines = "".join(f"CONV {8 + i} => RELU\n" for i in range(25))
    done = fixed(Source("a.net", f"net n\ninput 3 x 8 x 8\n{lines}GAP -> FC 10\n"), no_files)
    assert done.well
    assert len(done.made) == 25


def test_many_faults_are_repaired_in_bounded_rounds() -> None:
    lines = "".join(f"CONVV {8 + i} relu\n" for i in range(40))
    done = fixed(Source("a.net", f"net n\ninput 3 x 8 x 8\n{lines}GAP -> FC 10\n"), no_files)
    assert len(done.made) <= 10 * MAX_ROUNDS
    assert done.made
