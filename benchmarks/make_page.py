"""Writes docs/benchmarks/gpu.md: what was measured (docs/benchmarks/<device>-<date>.json), and what is predicted.

python benchmarks/make_page.py [--folder docs/benchmarks] [--page FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from netdsl.devices import DEVICES
from netdsl.net import load
from netdsl.roofline import floor_of
from netdsl.writing import write_atomically
from netdsl_triton.bench.goals import GOALS, goal

ROOT = Path(__file__).resolve().parent.parent
BATCHES = (1, 32, 256)
HEAD = """# Inference on GPUs

Written by `python benchmarks/make_page.py` from the JSON files of this folder ([what stands in them](json.md)).
Measured and predicted are apart: no number of the second part was measured.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "benchmarks", help="of the JSON files")
    parser.add_argument("--page", type=Path, help="the page (gpu.md in that folder)")
    args = parser.parse_args()
    parts = [HEAD, "## Measured\n"]
    for file in sorted(args.folder.glob("*.json")):
        try:
            parts.append(measured(json.loads(file.read_text(encoding="utf-8")), file.name))
        except (ValueError, KeyError, TypeError) as error:
            print(f"make_page: {file} is no result of a benchmark: {type(error).__name__}: {error}", file=sys.stderr)
            return 2
    if len(parts) == 2:
        parts.append("Nothing yet. On a machine with a GPU: `benchmarks/on_gpu.sh FOLDER`, or `make bench-gpu`.\n")
    parts.append(predicted())
    write_atomically(args.page or args.folder / "gpu.md", "\n".join(parts))
    return 0


def measured(found: dict[str, Any], name: str) -> str:
    """The table of one file, and what was lost."""
    from netdsl_triton.bench.machine import title

    rows = [
        ["network", "batch", "triton, ms", "best rival", "ms", "ratio", "goal", "of floor", "error"],
        ["---", *["---:"] * 2, "---", *["---:"] * 5],
    ]
    notes = []
    for case in found["cases"]:
        by = {row["backend"]: row for row in case["results"]}
        ours, rival = by.get("triton", {"status": "failed", "reason": "not asked for"}), by.get(case.get("best_rival"))
        rows.append([case["network"], str(case["batch"]), *figures(ours, rival, goal(case["network"], case["batch"]))])
        what = f"{case['network']}, batch {case['batch']}"
        notes += [f"- {what}, {row['backend']}: {row['reason']}" for row in by.values() if row["status"] != "timed"]
        notes += [f"- {what}, {row['backend']}: {row['note']}" for row in by.values() if "note" in row]
        if "compile" not in by:
            notes.append(f"- {what}: without torch.compile")
        if ours["status"] == "timed" and (ours["against_best_rival"] or 1) < 1:
            notes.append(f"- {what}: slower than {case['best_rival']}")
    lines = [f"### {name}", "", f"{title(found['machine'])}; {found.get('dtype') or ''}".rstrip("; "), ""]
    return "\n".join([*lines, *map(row_text, rows), "", *notes, ""])


def figures(ours: dict[str, Any], rival: dict[str, Any] | None, wanted: float) -> list[str]:
    other = [rival["backend"], f"{rival['median_ms']:.3f}"] if rival else ["-", "-"]
    if ours["status"] != "timed":
        return [ours["status"], *other, "-", f"{wanted:.2f}", "-", "-"]
    ratio = ours["against_best_rival"]
    reached = "" if ratio is None else " ✓" if ratio >= wanted else " ✗"
    return [
        f"{ours['median_ms']:.3f}",
        *other,
        "-" if ratio is None else f"{ratio:.2f}",
        f"{wanted:.2f}{reached}",
        f"{ours['share_of_floor']:.0%}",
        f"{ours['error']['rms']:.1e}",
    ]


def row_text(row: list[str]) -> str:
    return f"| {' | '.join(row)} |"


def predicted() -> str:
    """Floors from rates alone."""
    device = DEVICES["h200"]
    rows = [
        ["network", *(f"fused, {batch}" for batch in BATCHES), *(f"quotient, {batch}" for batch in BATCHES), "goal"],
        ["---", *["---:"] * 7],
    ]
    for network in GOALS:
        net = load(network)
        pairs = [[floor_of(net, kind, device, "bf16", n).seconds for kind in ("fused", "library")] for n in BATCHES]
        rows.append(
            [
                network,
                *(f"{fused * 1e3:.3f}" for fused, _ in pairs),
                *(f"{library / fused:.2f}" for fused, library in pairs),
                f"{GOALS[network]:.2f}",
            ]
        )
    out_of_reach = [row[0] for row in rows[2:] if float(row[6]) < float(row[7])]
    text = f"""## Predicted

Floors from the rates of `{device.name}` ({device.flops["bf16"] / 1e12:g} TFLOP/s, {device.bandwidth / 1e12:g} TB/s),
bf16, as `netdsl/roofline.py` defines them; `python benchmarks/floors.py` prints more of them. *fused*: the floor in ms
where all pointwise work is fused, for three sizes of batches. *quotient*: the floor of a library with one pointwise
kernel after each convolution, over it: more is not to be had by fusing alone. Launches are not in it: below batch 8
they are what counts.
"""
    if out_of_reach:
        text += (
            f"\nA goal above the quotient asks for faster convolutions than the library's: {', '.join(out_of_reach)}.\n"
        )
    return "\n".join([text, *map(row_text, rows), ""])


if __name__ == "__main__":
    sys.exit(main())
