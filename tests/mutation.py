"""How many mutants do the tests kill?  Runs mutmut on all of them or on a sample, and prints the score of each file.

    python tests/mutation.py                           every mutant (hours)
    python tests/mutation.py --sample 500 --seed 1     500 of them, drawn at random; the same seed draws the same
    python tests/mutation.py --only 'netdsl.size.*'    those whose names match
    python tests/mutation.py --again                   those that survived so far, after the tests were changed
    python tests/mutation.py --report                  what the last runs found

A mutant whose tests failed once is not tried again, unless its function changes.

What is mutated, and which tests may kill it, stands in `pyproject.toml`; docs/testing.md explains it. A mutant that the
tests reach but do not kill has survived; one that they do not even reach counts as survived, too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "mutants"
KILLED = {1: "killed", 3: "killed", 24: "timeout", -24: "timeout", 36: "timeout", 152: "timeout", 255: "timeout"}
SURVIVED = {0: "survived", 5: "unreached", 33: "unreached"}


def mutmut(*names: str) -> int:
    for path in (ROOT / "netdsl").rglob("*"):  # mutmut itself copies these but once
        if MUTANTS.exists() and path.suffix in (".net", ".lark"):
            shutil.copy2(path, MUTANTS / path.relative_to(ROOT))
    environment = os.environ | {"HYPOTHESIS_PROFILE": "mutation", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)  # it would put the originals before the mutants
    command = [str(Path(sys.executable).parent / "mutmut"), "run", "--max-children", "1", *names]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def results() -> dict[str, dict[str, int | None]]:
    """The exit code of each mutant's tests by file, None where it was not tried."""
    metas = sorted((MUTANTS / "netdsl").rglob("*.py.meta"))
    found = {
        str(meta.relative_to(MUTANTS))[: -len(".meta")]: json.loads(meta.read_text())["exit_code_by_key"]
        for meta in metas
    }
    return {file: codes for file, codes in found.items() if codes}


def report(wanted: list[str] | None = None) -> None:
    """The score of each file, then what survived."""
    total: list[str] = []
    survivors: list[tuple[str, str]] = []
    print(f"\n{'file':32} {'mutants':>7} {'tried':>6} {'killed':>6} {'timeout':>7} {'score':>6}")
    for file, codes in results().items():
        tried = {name: code for name, code in codes.items() if code is not None and (wanted is None or name in wanted)}
        verdicts = [KILLED.get(code) or SURVIVED.get(code, "broken") for code in tried.values()]
        survivors += [(verdict, name) for verdict, name in zip(verdicts, tried) if verdict not in KILLED.values()]
        total += verdicts
        print(f"{file:32} {len(codes):7}", line(verdicts))
    print(f"{'together':32} {sum(map(len, results().values())):7}", line(total))
    for verdict, name in survivors:
        print(verdict, name)


def line(verdicts: list[str]) -> str:
    dead = sum(verdict in ("killed", "timeout") for verdict in verdicts)
    score = f"{100 * dead / len(verdicts):5.1f}%" if verdicts else ""
    return f"{len(verdicts):6} {verdicts.count('killed'):6} {verdicts.count('timeout'):7} {score:>6}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="try only N mutants")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="try only mutants of such names")
    parser.add_argument("--again", action="store_true", help="try those that survived")
    parser.add_argument("--report", action="store_true", help="try none, print what is known")
    args = parser.parse_args()
    if not args.report and not MUTANTS.exists() and mutmut("netdsl.types.*"):  # a small file: mutants are drawn below
        return 1
    known = {name: code for codes in results().values() for name, code in codes.items()}
    names = [name for name in known if not args.only or any(fnmatchcase(name, glob) for glob in args.only)]
    if args.sample:
        names = sorted(random.Random(args.seed).sample(names, min(args.sample, len(names))))
    if args.again:
        names = [name for name in names if known[name] in SURVIVED]
    left = [name for name in names if known[name] is None or args.again]
    code = mutmut(*left) if left and not args.report else 0
    report(names)
    return code


if __name__ == "__main__":
    sys.exit(main())
