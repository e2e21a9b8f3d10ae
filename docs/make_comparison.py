"""Draws the pictures of compare.md: `python docs/make_comparison.py`. tests/test_chart.py holds them to it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "backends")]

from netdsl.comparison.chart import Chart, chart_of  # noqa: E402
from netdsl.comparison.entries import compare  # noqa: E402
from netdsl.comparison.plot import drawn  # noqa: E402
from netdsl.files import shipped  # noqa: E402
from netdsl.net import load  # noqa: E402

FOLDER = Path(__file__).resolve().parent


def picture() -> Chart:
    """What the pictures show: everything that ships."""
    return chart_of(compare([(str(path), load(path)) for path in shipped().values()]))


if __name__ == "__main__":
    chart = picture()
    (FOLDER / "comparison.svg").write_bytes(drawn(chart, "svg"))
    (FOLDER / "comparison-dark.svg").write_bytes(drawn(chart, "svg", "dark"))
