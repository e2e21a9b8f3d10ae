"""Are the pictures that other programs lay out well formed, and do they say what the structure says?"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import netdsl
from netdsl import Net, UsageError
from netdsl.draw.arrows import Cluster, Flow, Vertex, flow
from netdsl.draw.dot import dot
from netdsl.draw.dot import quoted as dot_quoted
from netdsl.draw.mermaid import mermaid
from netdsl.draw.mermaid import quoted as mermaid_quoted
from netdsl.draw.structure import structure

ROOT = Path(__file__).resolve().parent.parent
SPECS = sorted(path.stem for path in (ROOT / "specs").glob("*.net"))
NETS = ["alexnet", "googlenet", "resnet50", "unet", "fractalnet", "inception_v4", "lstm_digits", "vit_b_16"]
DOT = shutil.which("dot")


def vertices(contents: tuple[Vertex | Cluster, ...]) -> list[Vertex]:
    return [v for item in contents for v in ([item] if isinstance(item, Vertex) else vertices(item.contents))]


def clusters(contents: tuple[Vertex | Cluster, ...]) -> list[int]:
    found = [item for item in contents if isinstance(item, Cluster)]
    return [n for item in found for n in (item.number, *clusters(item.contents))]


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("name", SPECS)
def test_every_arrow_joins_two_boxes_and_every_box_is_reached(name: str, depth: int) -> None:
    drawn: Flow = flow(structure(netdsl.load(name)), depth)
    found = vertices(drawn.contents)
    numbers = {vertex.number for vertex in found}
    frames = set(clusters(drawn.contents))
    assert len(numbers) == len(found)
    assert not numbers & frames
    for arrow in drawn.arrows:
        assert {arrow.source, arrow.target} <= numbers
        assert arrow.into in {-1, *frames}
        assert arrow.source != arrow.target
    ends = {arrow.target for arrow in drawn.arrows}
    without = [v for v in found if v.number not in ends and v.box.kind not in ("input", "embedding")]
    assert without == []


def test_an_opened_residual_block_has_its_skip() -> None:
    """He et al. 2015, fig. 2: the value before the block comes in twice, at its first layer and at the sum."""
    drawn = flow(structure(netdsl.load("resnet18")), 3)
    skips = [arrow for arrow in drawn.arrows if arrow.kind in ("skip", "projection")]
    assert len(skips) >= 4
    joins = {vertex.number for vertex in vertices(drawn.contents) if vertex.box.kind == "join"}
    assert all(any(arrow.target == join for arrow in drawn.arrows if arrow.kind == "series") for join in joins)
    identity = next(arrow for arrow in skips if arrow.kind == "skip")
    assert identity.target in joins
    assert any(arrow.source == identity.source and arrow.kind == "series" for arrow in drawn.arrows)


def test_heads_of_training_end_in_outputs_of_their_own() -> None:
    drawn = flow(structure(netdsl.load("googlenet")), 0)
    outputs = [vertex for vertex in vertices(drawn.contents) if vertex.box.kind == "output"]
    assert [vertex.box.title for vertex in outputs] == ["aux1", "aux2"]
    assert all(arrow.training for arrow in drawn.arrows if arrow.target in {v.number for v in outputs})


@pytest.mark.parametrize("name", NETS)
def test_a_digraph_is_balanced_and_the_same_each_time(name: str) -> None:
    text = dot(netdsl.load(name), 1)
    assert text == dot(netdsl.load(name), 1)
    bare = re.sub(r'"(\\.|[^"\\])*"', "", text)
    assert '"' not in bare
    assert bare.count("{") == bare.count("}")
    assert bare.count("[") == bare.count("]")


@pytest.mark.skipif(DOT is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("name", ["googlenet", "unet", "resnet50"])
def test_graphviz_reads_it_without_a_word(name: str) -> None:
    assert DOT is not None
    done = subprocess.run([DOT, "-Tsvg"], input=dot(netdsl.load(name), 1), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count('class="node"') == len(vertices(flow(structure(netdsl.load(name)), 1).contents))


@pytest.mark.parametrize("name", NETS)
def test_a_flowchart_has_a_line_for_each_box_and_arrow(name: str) -> None:
    drawn, text = flow(structure(netdsl.load(name)), 1), mermaid(netdsl.load(name), 1)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[1] == "flowchart TB"
    assert sum(bool(re.fullmatch(r'n\d+\["[^"]*"\]:::\w+', line)) for line in lines) == len(vertices(drawn.contents))
    arrow = r'n\d+ (-->|==>|-\.->)(\|"[^"]*"\|)? [nc]\d+'
    assert sum(bool(re.fullmatch(arrow, line)) for line in lines) == len(drawn.arrows)
    assert sum(line.startswith("subgraph ") for line in lines) == lines.count("end") == len(clusters(drawn.contents))


def test_quotes_and_their_like_are_written_as_codes() -> None:
    assert dot_quoted('a"b\\n\nc') == '"a\\"b\\\\n\\nc"'
    assert mermaid_quoted('a"b`c`<d>\n#e;[f]') == '"a#34;b#96;c#96;#60;d#62;<br/>#35;e;#91;f#93;"'


def hostile(tmp_path: Path) -> Net:
    spec = tmp_path / "x.net"
    spec.write_text(
        "net größe_λ\ninput 3 x H x W\n(if 1 < 2 then CONV 8 else RELU) * 300\nend = CONV 9\n", encoding="utf-8"
    )
    return netdsl.load(spec)


def test_texts_of_the_author_are_quoted(tmp_path: Path) -> None:
    assert "<" not in mermaid(hostile(tmp_path)).replace("<br/>", "")
    if DOT is not None:
        done = subprocess.run([DOT, "-Tsvg"], input=dot(hostile(tmp_path)), capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def long(tmp_path: Path, n: int) -> Net:
    spec = tmp_path / "long.net"
    spec.write_text("net long\ninput 3 x 8 x 8\n" + "".join(f"CONV {8 + i % 7}\n" for i in range(n)))
    return netdsl.load(spec)


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at most 500 arrows and 50,000 characters, long has 600"):
        mermaid(long(tmp_path, 600))
    with pytest.raises(UsageError, match="more than 2,000 boxes"):
        dot(long(tmp_path, 2500))
