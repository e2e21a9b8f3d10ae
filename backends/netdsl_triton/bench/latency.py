"""How long until the first result?  Cold, with empty caches, and again with those that this filled: new processes.

Counted is the time from the module, with its weights on the device, to its first output: folding, compilation, capture.
Not counted: imports, and making the module.

    python -m netdsl_triton.bench.latency       (what to do, as JSON, is read from the standard input)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl_triton.bench.question import OURS, Question

if TYPE_CHECKING:
    from netdsl_triton.bench.command import Asked

CACHES = ("NETDSL_CACHE", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
COMPILED = ("compile", "triton")


def add(case: dict[str, Any], asked: Asked, question: Question, batch: int) -> None:
    """Adds `compile` to the rows of the backends that compile."""
    for row in case["results"]:
        if row["backend"] in COMPILED and row["status"] == "timed":
            row["compile"] = cold_and_warm(asked, question.replace(backends=(row["backend"],)), batch)


def cold_and_warm(asked: Asked, question: Question, batch: int) -> dict[str, float]:
    """Seconds. Candidates are not timed: the cost model chooses kernels."""
    task = {
        "spec": asked.spec,
        "input": asked.input,
        "net": asked.name,
        "params": asked.params,
        "question": {name: getattr(question, name) for name in Question.fields},
        "batch": batch,
    }
    with tempfile.TemporaryDirectory() as folder:
        own = {name: str(Path(folder) / name.lower()) for name in CACHES}
        cold, warm = (first_result(task, {**os.environ, **own}) for _ in range(2))
    return {"cold_s": cold, "warm_s": warm}


def first_result(task: dict[str, Any], environment: dict[str, str]) -> float:
    command = [sys.executable, "-m", "netdsl_triton.bench.latency"]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, env=environment, check=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    task = json.load(sys.stdin)
    import torch

    from netdsl.net import load_with
    from netdsl_triton.bench.contestants import MAKERS, Scene, fused_module, warmed

    given = task["question"]
    question = Question(**given | {"backends": tuple(given["backends"]), "batches": (), "tune": False})
    scene = Scene(load_with(task["spec"], task["input"], task["net"], task["params"]), question, task["batch"])
    with torch.inference_mode():
        warmed(scene.fresh(), scene)  # the libraries start
        (name,) = question.backends
        module = fused_module(scene) if name == OURS else None
        start = time.perf_counter()
        if module is not None:
            warmed(module, scene)
        else:
            MAKERS[name](scene)
        print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
