"""What is made of a text: each body with its numbers, where each element comes from, and the classes that are emitted.

The texts in `golden/elaborate` use together every form that the elaboration knows. `pytest --update-golden` accepts
what is made of them now.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from golden import GOLDEN, check_golden

import netdsl
from netdsl.graph import bodies, show_graph

TEXTS = sorted((GOLDEN / "elaborate").glob("*.net"))


def provenance(net: netdsl.Net) -> str:
    """The elements of each body with what the text says there, from the inside out, and what is fixed in it."""
    lines = []
    for body in bodies(net.graph):
        numbers = ", ".join(f"{given.name}={given.value}" for given in body.arguments)
        title = f"{body.kind} {body.title or body.name}({numbers})"
        lines.append(title + (f", fixed: {', '.join(sorted(body.pinned))}" if body.pinned else ""))
        for node in body.nodes:
            spans = " < ".join(
                f"{span.source.line_column(span.start)[0]}:{' '.join(span.text.split())}" for span in node.origin
            )
            words = [f"of {node.group}"] if node.group else []
            words += ["frozen"] * node.frozen + ["shortcut"] * node.shortcut
            lines.append("  " + ", ".join([f"{node.name}: {spans}", *words]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_what_is_made_of_a_text(path: Path, update_golden: bool) -> None:
    net = netdsl.loads(path.read_text(encoding="utf-8"), name=path.name)
    assert net.constraints.keys() == set() or path.stem in ("open", "derived")
    needs = "".join(f"{text}\n" for text in net.constraints.values())
    classes = net.emit().partition("\nclass ")  # what comes before them is the backend's matter
    made = "\n".join([show_graph(net.graph), provenance(net), needs, "".join(classes[1:])])
    check_golden(path.with_suffix(".txt"), made, update_golden)
