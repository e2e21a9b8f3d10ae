"""How are the results shown?  A table for each network and batch."""

from __future__ import annotations

from typing import Any

from netdsl.table import align

HEAD = ("backend", "ms", "p10", "p90", "alone", "per second", "x rival", "of floor", "peak MB", "ready s", "error")


def heading(case: dict[str, Any]) -> str:
    """`resnet50, batch 32, bf16: floor 0.53 ms …`."""
    floor = case["floor"]
    return (
        f"{case['network']}, batch {case['batch']}, {case['dtype']}: "
        f"floor {figure(floor['fused_ms'])} ms fused, {figure(floor['library_ms'])} ms with a library "
        f"({floor['device']}: {floor['flops'] / 1e12:.3g} TFLOP/s, {floor['bandwidth'] / 1e12:.3g} TB/s)"
    )


def case_table(case: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [HEAD]
    notes = []
    for row in case["results"]:
        rows.append(cells(row))
        if row["status"] != "timed":
            notes.append(f"{row['backend']}: {row['status']}: {row['reason']}")
        if "note" in row:
            notes.append(f"{row['backend']}: {row['note']}")
        if "compile" in row:
            times = row["compile"]
            notes.append(
                f"{row['backend']}: first result after {times['cold_s']:.2f} s, {times['warm_s']:.2f} s cached"
            )
    return "\n".join([heading(case), *align(rows, right=tuple(range(1, len(HEAD)))), *notes])


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    error = row.get("error", {}).get("rms")
    shared = (
        f"{row['peak_bytes'] / 1e6:.0f}" if row.get("peak_bytes") is not None else "-",
        f"{row['prepare_s']:.2f}" if "prepare_s" in row else "-",
        f"{error:.1e}" if error is not None else "-",
    )
    if row["status"] != "timed":
        return (row["backend"], row["status"], "", "", "", "", "", "", *shared)
    ratio = row["against_best_rival"]
    return (
        row["backend"],
        *(figure(row[name]) for name in ("median_ms", "p10_ms", "p90_ms", "latency_ms")),
        f"{row['per_second']:,.0f}",
        f"{ratio:.2f}" if ratio is not None else "-",
        f"{row['share_of_floor']:.0%}",
        *shared,
    )


def figure(ms: float) -> str:
    """Three digits that count."""
    return f"{ms:.3f}" if ms < 10 else f"{ms:.2f}" if ms < 100 else f"{ms:.1f}"
