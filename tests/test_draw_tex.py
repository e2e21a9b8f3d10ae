"""Is the table that of the paper, and can LaTeX read what is written?"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import netdsl
from netdsl import Net, UsageError
from netdsl.cli import main
from netdsl.draw.sheet import picture
from netdsl.draw.stages import Matrix, beside, spatial, stages
from netdsl.draw.structure import structure
from netdsl.draw.tex import tex
from netdsl.draw.textable import tex_table
from netdsl.draw.textext import escaped

ROOT = Path(__file__).resolve().parent.parent
SPECS = sorted(path.stem for path in (ROOT / "specs").glob("*.net"))
PDFLATEX = shutil.which("pdflatex")
DOCUMENT = r"""\documentclass{article}
\usepackage{textcomp,amsmath,booktabs,graphicx,xcolor,tikz}
\begin{document}
%s
\end{document}
"""


def block(*layers: str, times: int) -> tuple[Matrix, ...]:
    return (Matrix((layers,), times, True),)


@pytest.mark.parametrize(
    ("name", "counts", "widths"),
    [
        ("resnet18", (2, 2, 2, 2), None),
        ("resnet34", (3, 4, 6, 3), None),
        ("resnet50", (3, 4, 6, 3), 4),
        ("resnet101", (3, 4, 23, 3), 4),
        ("resnet152", (3, 8, 36, 3), 4),
    ],
)
def test_the_rows_of_he_et_al_2015_table_1(name: str, counts: tuple[int, ...], widths: int | None) -> None:
    rows = {row.name: row for row in stages(structure(netdsl.load(name)))}
    assert rows["conv1"].terms == ("7×7, 64, stride 2",)
    assert rows["pool1"].terms == ("3×3 max pool, stride 2",)
    for i, count in enumerate(counts):
        c, size = 64 * 2**i, str(56 // 2**i)
        row = rows[f"conv{i + 2}"]
        layers = (f"1×1, {c}", f"3×3, {c}", f"1×1, {4 * c}") if widths else (f"3×3, {c}", f"3×3, {c}")
        assert row.terms == block(*layers, times=count)
        assert row.size == (size, size)
    assert rows["gap1"].terms == ("global average pool", "1000-d fc")
    assert rows["gap1"].size == ()


def test_the_rows_of_huang_et_al_2016_table_1() -> None:
    rows = stages(structure(netdsl.load("densenet121")))
    blocks = [term for row in rows for term in row.terms if isinstance(term, Matrix)]
    assert blocks == [Matrix((("1×1, 128", "3×3, 32"),), n, True) for n in (6, 12, 24, 16)]
    transitions = [row.terms for row in rows if "2×2 average pool, stride 2" in row.terms]
    assert transitions == [(f"1×1, {c}", "2×2 average pool, stride 2") for c in (128, 256, 512)]


def test_branches_stand_side_by_side() -> None:
    """Szegedy et al. 2014, table 1, inception (3a)."""
    rows = {row.name: row for row in stages(structure(netdsl.load("googlenet")))}
    columns = (("1×1, 64",), ("1×1, 96", "3×3, 128"), ("1×1, 16", "5×5, 32"), ("3×3 max pool", "1×1, 32"))
    assert rows["a3"].terms == (Matrix(columns),)
    assert rows["aux1"].training


def test_layers_that_only_lose_their_border_stay_together() -> None:
    """Ronneberger et al. 2015, fig. 1."""
    rows = {row.name: row for row in stages(structure(netdsl.load("unet")))}
    assert rows["down1"].terms == (Matrix((("3×3, 64",),), 2),)
    assert rows["down1"].size == ("568", "568")
    assert rows["down2"].terms == ("2×2 max pool, stride 2", Matrix((("3×3, 128",),), 2))


def test_networks_of_a_family_share_their_rows() -> None:
    lines = beside([stages(structure(netdsl.load(name))) for name in ("resnet18", "resnet50", "resnet152")])
    assert [line.name for line in lines] == ["conv1", "pool1", "conv2", "conv3", "conv4", "conv5", "gap1"]
    assert all(stage is not None for line in lines for stage in line.cells)


def test_networks_of_two_families_keep_the_order_of_each() -> None:
    tables = [stages(structure(netdsl.load(name))) for name in ("vgg16", "resnet18")]
    lines = beside(tables)
    for i, table in enumerate(tables):
        assert [line.cells[i] for line in lines if line.cells[i]] == list(table)


@pytest.mark.parametrize("name", SPECS)
def test_every_table_is_balanced(name: str) -> None:
    balanced(tex_table([netdsl.load(name)]))


def balanced(text: str) -> None:
    """Environments, braces and mathematics are closed in their order; each row has as many cells as there are columns."""
    open_: list[str] = []
    for kind, environment in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            open_.append(environment)
        else:
            assert open_.pop() == environment
    assert open_ == []
    bare = re.sub(r"\\[{}$&#%_]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    columns = re.search(r"\\begin\{tabular\}\{(l+c+)\}", text)
    if columns:
        inner, innermost = (
            text,
            r"\\begin\{(bmatrix\}|tabular\}\{@\{\}c@\{\}\})((?!\\begin).)*?\\end\{(bmatrix|tabular)\}",
        )
        while re.search(innermost, inner):
            inner = re.sub(innermost, "", inner)
        for row in re.findall(r"^    ([^\\\n].*?) \\\\$", inner, re.M):
            spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
            assert row.count(" & ") + spanned + 1 == len(columns[1]), row


def test_the_last_rows_are_the_costs() -> None:
    text = tex_table([netdsl.load("resnet18"), netdsl.load("resnet50")])
    assert r"parameters &  & $11.7\times10^{6}$ & $25.6\times10^{6}$ \\" in text
    assert r"MACs &  & $1.81\times10^{9}$ & $4.09\times10^{9}$ \\" in text
    assert text.count(r"\multicolumn{2}{c}{7$\times$7, 64, stride 2}") == 1


def test_sizes_of_a_shape() -> None:
    assert spatial("64 x 112 x 112") == ("112", "112")
    assert spatial("1000") == ()
    assert spatial("64 x (floor(H/2) + 1) x W") == ("(floor(H/2) + 1)", "W")


def test_texts_are_escaped() -> None:
    assert escaped(r"a_b&c%d$e#f{g}h^i~j\k<l>m|n") == (
        r"a\_b\&c\%d\$e\#f\{g\}h\textasciicircum{}i\textasciitilde{}j\textbackslash{}k\textless{}l\textgreater{}m\textbar{}n"
    )
    assert escaped("größe λ 层 \x07") == r"größe $\lambda$ \texttt{U+5C42} \texttt{U+0007}"


def hostile(tmp_path: Path) -> Net:
    """Underscores, other alphabets, comparison signs, and sizes that are open."""
    spec = tmp_path / "x.net"
    text = "net größe_λ层\ninput 3 x H x W\nrow_1 = CONV 8 3x3 /2 -> RELU\n(if 1 < 2 then CONV 8 else RELU) * 300\nGAP -> FC 3\n"
    spec.write_text(text, encoding="utf-8")
    return netdsl.load(spec)


def test_open_sizes_and_names_of_any_alphabet(tmp_path: Path) -> None:
    net = hostile(tmp_path)
    text = tex([net], [picture(structure(net))])
    balanced(text)
    assert "层" not in text
    assert r"row\_1" in text
    assert r"floor(H/2)" in text or r"ceil(H/2)" in text or "H/2" in text


def test_what_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "long.net"
    lines = "".join(f"l{i} = CONV {8 + i % 7}\n" for i in range(600))
    spec.write_text(f"net long\ninput 3 x 8 x 8\n{lines}")
    with pytest.raises(UsageError, match="at most 400 rows are written"):
        tex_table([netdsl.load(spec)])
    monkeypatch.setattr("netdsl.draw.tex.MAX_SHAPES", 5)
    with pytest.raises(UsageError, match="a smaller --depth shows fewer"):
        tex([], [picture(structure(netdsl.load("resnet18")))])


# --- the command -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["html", "dot", "mmd", "tex"])
def test_a_file_is_written_and_replaced(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / f"net.{suffix}"
    for _ in range(2):
        assert main(["draw", "resnet18", "-o", str(target)]) == 0
    assert capsys.readouterr().out == f"wrote {target}\n" * 2
    text = target.read_text(encoding="utf-8")
    target.write_text("mine")
    assert main(["draw", "resnet18", "-o", str(target)]) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert main(["draw", "resnet18", "-o", str(target), "--force"]) == 0
    assert target.read_text(encoding="utf-8") == text
    assert sorted(path.name for path in tmp_path.iterdir()) == [target.name]


def test_several_networks_are_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "table.tex"
    assert main(["draw", "resnet18", "resnet34", "-o", str(target)]) == 0
    assert "tikzpicture" not in target.read_text()
    assert main(["draw", "resnet18", "resnet34", "--tex", "figure", "-o", str(target)]) == 0
    text = target.read_text()
    assert (text.count(r"\begin{tikzpicture}"), text.count("tabular")) == (2, 0)
    capsys.readouterr()
    assert main(["draw", "resnet18", "resnet34", "-o", str(tmp_path / "x.html")]) == 2
    assert "-o NAME.tex" in capsys.readouterr().err
    assert main(["draw", "resnet18", "--tex", "table", "-o", str(tmp_path / "x.svg")]) == 2
    assert "tex has no meaning for .svg; it goes with .tex" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()


# --- with LaTeX ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed")
def test_pdflatex_reads_it(tmp_path: Path) -> None:
    assert PDFLATEX is not None
    nets = [netdsl.load(name) for name in ("googlenet", "unet")] + [hostile(tmp_path)]
    parts = [tex([netdsl.load(name) for name in ("resnet18", "resnet50", "resnet152")])]
    parts += [tex([net], [picture(structure(net))]) for net in nets]
    (tmp_path / "page.tex").write_text(DOCUMENT % "\n\\clearpage\n".join(parts), encoding="utf-8")
    command = [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    output = done.stdout.decode(errors="replace")
    assert done.returncode == 0, output[-2000:]
    assert not re.search(r"^!|Overfull \\[hv]box \((?!\d\.)", output, re.M), output[-2000:]
    assert (tmp_path / "page.pdf").stat().st_size > 10_000
