"""What does the plan of each shipped network cost?  Held against a stored table; fewer is an update, more is a fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import netdsl
from netdsl.devices import DEVICES
from netdsl.files import shipped
from netdsl.graph import Graph
from netdsl.passes import Context, optimise, retype
from netdsl_torch.paths import flat
from netdsl_triton.choose import chooser
from netdsl_triton.plan import Plan, plan

TABLE = Path(__file__).parent / "facts" / "plans.json"
H200 = DEVICES["h200"]
BATCHES = (32, 256)
SLACK = 1.15
"""What an arena may be larger than the most that is needed at one step."""
TOLERANCE = 0.02
OPEN = {"unet_padded": "1x64x64"}


def fused(graph: Graph[Any], batch: int) -> Graph[Any]:
    concrete = retype(graph, [input.type.shape for input in graph.inputs])
    return optimise(concrete, Context(batch, "bf16", H200))


def plans() -> Iterator[tuple[str, Plan]]:
    choose = chooser()
    for name in shipped():
        graph = flat(netdsl.load(name, input=OPEN.get(name)).graph)
        for batch in BATCHES:
            yield f"{name} {batch}", plan(fused(graph, batch), batch, "bf16", H200, choose)


@cache
def measured() -> dict[str, dict[str, float]]:
    return {
        key: {
            "kernels": found.kernels,
            "moved": round(found.bytes / 1e6, 3),
            "memory": round(found.arena / 1e6, 3),
            "ratio": round(found.arena / found.bound, 3),
        }
        for key, found in plans()
    }


def test_plans_of_shipped_networks_are_as_good_as_they_were(update_golden: bool) -> None:
    """On an H200 in bf16: kernels, megabytes moved, megabytes of memory. Fewer are an update, more are a fault."""
    now = measured()
    if update_golden:
        rows = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in now.items()]
        TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
        return
    stored = json.loads(TABLE.read_text(encoding="utf-8"))
    assert now.keys() == stored.keys(), "networks came or went: pytest --update-golden"
    for kind in ("kernels", "moved", "memory"):
        worse = {k: (stored[k][kind], v[kind]) for k, v in now.items() if v[kind] > stored[k][kind] * (1 + TOLERANCE)}
        assert not worse, f"{kind}: more than stored"
        better = {k: (stored[k][kind], v[kind]) for k, v in now.items() if v[kind] < stored[k][kind] * (1 - TOLERANCE)}
        assert not better, f"{kind}: fewer than stored, pytest --update-golden keeps them"


def test_memory_is_close_to_what_is_needed_at_once() -> None:
    assert {key: value["ratio"] for key, value in measured().items() if value["ratio"] > SLACK} == {}
