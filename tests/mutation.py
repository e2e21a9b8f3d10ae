"""How many mutants do the tests kill?  Small changes of the checker and the ops, each tried against the tests.

    python tests/mutation.py                           every mutant
    python tests/mutation.py --sample 500 --seed 1     500 of them, drawn at random; the same seed draws the same
    python tests/mutation.py --minutes 20              as many of them as that, in an order that the seed draws
    python tests/mutation.py size ops/window           those of some files
    python tests/mutation.py --fresh                   also those that were killed before

The mutants are mutmut's (`create_mutations`): a number plus one, another operator, an argument left out, a text in
capitals, and so on, in every function that has no decorator. mutmut's own runner is not used: it starts pytest for each
mutant, and the checker is slow behind its trampolines. Here pytest collects the tests once; then each mutant is a fork of
that process in which one function has other code, and those tests run that call this function, the fast ones first,
until one fails. Verdicts are kept in `.mutation.json`; a mutant that was killed is not tried again.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import importlib
import json
import os
import pickle
import random
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from types import FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".mutation.json"

FILES = [
    *("size", "domain", "prove", "repair/*", "types", "ops/*", "bind", "build", "evaluate", "apply", "joins"),
    *("repeat", "elaborate", "plan", "network", "check", "driver", "analysis"),
]
"""The checker and the ops."""

TESTS = [
    *("test_size", "test_prove", "test_ops", "test_bind", "test_language", "test_errors", "test_specs"),
    *("test_elaborate", "test_golden_source", "test_tiny", "test_docs", "test_laws"),
]
WITHOUT = [
    *("test_adding", "test_trap_deep", "test_trap_many", "test_trap_the_cache", "test_the_examples_use"),
    *("test_tables", "test_a_stale", "test_every", "test_errors.py::test_the", "test_errors.py::test_each"),
    *("test_faults", "test_messages", "test_excerpts", "test_colour", "test_errors_", "test_an_example"),
]
"""What tells little of the checker for its time: the drawing of errors, rules of the grammar, whole files."""
SLOW = 2.0
"""Seconds from which a test is left out, too: most of the laws."""


@dataclass
class Mutant:
    name: str
    """`netdsl.size.Formula.__add__#3`"""
    function: str
    module: str
    place: range
    """The lines of what is changed."""
    within: range
    """The lines of the function."""
    old: str
    make: Callable[[], str]
    new: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        """Its name, and the function in which it is, so that a verdict is forgotten when that changes."""
        return f"{self.name} {hashlib.sha256(self.old.encode()).hexdigest()[:12]}"

    def change(self) -> str:
        rows = difflib.unified_diff(self.old.splitlines(), self.new.splitlines(), lineterm="", n=0)
        return "\n".join(f"    {row}" for row in rows if not row.startswith(("---", "+++", "@@")))


def mutants(of: list[str]) -> Iterator[Mutant]:
    """Every mutant of the files, in order."""
    import libcst
    from libcst.metadata import MetadataWrapper, PositionProvider
    from mutmut.mutation.file_mutation import create_mutations

    for path in files(of):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree, mutations, _, _ = create_mutations(str(path), path.read_text(encoding="utf-8"))
        where = MetadataWrapper(tree, unsafe_skip_copy=True).resolve(PositionProvider)
        owners: dict[int, str] = {}
        for node in tree.body:
            if isinstance(node, libcst.FunctionDef):
                owners[id(node)] = node.name.value
            elif isinstance(node, libcst.ClassDef):
                for inner in node.body.body:
                    if isinstance(inner, libcst.FunctionDef):
                        owners[id(inner)] = f"{node.name.value}.{inner.name.value}"
        count: dict[str, int] = defaultdict(int)
        for mutation in mutations:
            function = mutation.contained_by_top_level_function
            if function is None or id(function) not in owners:
                continue  # at the level of the module
            name = owners[id(function)]
            count[name] += 1
            old = libcst.Module([function]).code

            def make(mutation: Any = mutation, function: Any = function) -> str:
                return libcst.Module([function.deep_replace(mutation.original_node, mutation.mutated_node)]).code

            place, within = (
                range(where[node].start.line, where[node].end.line + 1) for node in (mutation.original_node, function)
            )
            yield Mutant(f"{module}.{name}#{count[name]}", f"{module}.{name}", module, place, within, old, make)


def files(of: list[str]) -> list[Path]:
    found = [path for name in of for path in sorted((ROOT / "netdsl").glob(f"{name}.py"))]
    return [path for path in found if path.stem != "__init__"]


def function_of(name: str, module: str) -> FunctionType:
    """The function behind a name, without what makes it a class method."""
    found: Any = importlib.import_module(module)
    for part in name[len(module) + 1 :].split("."):
        found = vars(found)[part]
    found = getattr(found, "__func__", found)
    assert isinstance(found, FunctionType)
    return found


def apply(mutant: Mutant) -> None:
    """Gives the function the mutant's code; whoever holds the function runs that."""
    import __future__

    text, (*owner, name) = mutant.new, mutant.function[len(mutant.module) + 1 :].split(".")
    if owner:
        text = f"class {owner[0]}:\n" + indent(text, "    ")
    scope = dict(vars(importlib.import_module(mutant.module)))
    exec(compile(text, mutant.name, "exec", __future__.annotations.compiler_flag), scope)
    changed = vars(scope[owner[0]])[name] if owner else scope[name]
    changed = getattr(changed, "__func__", changed)
    original = function_of(mutant.function, mutant.module)
    original.__defaults__, original.__kwdefaults__ = changed.__defaults__, changed.__kwdefaults__
    original.__code__ = changed.__code__


class Session:
    """A pytest plugin whose loop runs mutants instead of tests. Mutable: it learns the tests, then the verdicts."""

    def __init__(self, chosen: list[Mutant], known: dict[str, str], minutes: float) -> None:
        self.chosen, self.known, self.minutes = chosen, known, minutes
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, dict[int, list[str]]] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if not any(name in item.nodeid for name in WITHOUT)]

    def pytest_runtestloop(self, session: Any) -> bool:
        if not session.items:
            raise SystemExit("no tests")
        self.learn(session.items)
        start = time.monotonic()
        for i, mutant in enumerate(self.chosen, 1):
            if self.minutes and time.monotonic() - start > 60 * self.minutes:
                break
            if mutant.key not in self.known:
                self.known[mutant.key] = self.verdict(mutant, session.items)
                print(
                    f"\r{i}/{len(self.chosen)} {time.monotonic() - start:.0f} s",
                    end="",
                    file=sys.__stderr__,
                    flush=True,
                )
        return True

    def learn(self, items: list[Any]) -> None:
        """Which lines each test reaches, and how long it takes; in a process of its own, for tests memoise."""
        read, write = os.pipe()
        if not (child := os.fork()):
            os.close(read)
            with os.fdopen(write, "wb") as pipe:
                pickle.dump(record(items), pipe)
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            self.seconds, self.lines, failed = pickle.load(pipe)
        os.waitpid(child, 0)
        if failed:
            raise SystemExit(f"these fail without a mutant: {failed}")

    def tests_of(self, mutant: Mutant) -> set[str]:
        """The tests that reach what is changed; where that has no line of its own, those that reach the function."""
        lines = self.lines.get(mutant.module, {})
        found = {test for line in mutant.place for test in lines.get(line, ())}
        return found or {test for line in mutant.within[1:] for test in lines.get(line, ())}

    def verdict(self, mutant: Mutant, items: list[Any]) -> str:
        tests = self.tests_of(mutant)
        chosen = [item for item in items if item.nodeid in tests and self.seconds[item.nodeid] < SLOW]
        if not chosen:
            return "unreached"
        mutant.new = mutant.make()
        if not (child := os.fork()):
            apply(mutant)
            resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
            signal.signal(signal.SIGPROF, lambda *_: os._exit(2))
            run(sorted(chosen, key=lambda item: self.seconds[item.nodeid]), self.limit, lambda _: os._exit(1))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        return {0: "survived", 2: "timeout"}.get(os.waitstatus_to_exitcode(status), "killed")

    def limit(self, item: Any) -> float:
        """Seconds of computing after which a test loops for ever, however busy the machine is."""
        return 1 + 3 * self.seconds[item.nodeid]


def run(items: list[Any], limit: Callable[[Any], float], failed: Callable[[Any], None]) -> None:
    from _pytest.runner import runtestprotocol

    for item, following in zip(items, [*items[1:], None]):
        signal.setitimer(signal.ITIMER_PROF, limit(item))
        reports = runtestprotocol(item, log=False, nextitem=following)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if any(report.failed for report in reports):
            failed(item)


def record(items: list[Any]) -> tuple[dict[str, float], dict[str, dict[int, list[str]]], list[str]]:
    """The seconds of each test, the tests that reach each line of each module, and those that fail."""
    import coverage
    from _pytest.runner import runtestprotocol

    seconds, failed = {}, []
    tracer = coverage.Coverage(data_file=None, config_file=False, source=[str(ROOT / "netdsl")], messages=False)
    tracer.start()
    for item, following in zip(items, [*items[1:], None]):
        tracer.switch_context(item.nodeid)
        start = time.process_time()
        reports = runtestprotocol(item, log=False, nextitem=following)
        seconds[item.nodeid] = time.process_time() - start
        if any(report.failed for report in reports):
            failed.append(item.nodeid)
    tracer.stop()
    data = tracer.get_data()
    module = {path: ".".join(Path(path).relative_to(ROOT).with_suffix("").parts) for path in data.measured_files()}
    return seconds, {module[path]: data.contexts_by_lineno(path) for path in data.measured_files()}, failed


def report(tried: list[Mutant], known: dict[str, str], every: list[Mutant]) -> None:
    """What lives, with its change, and the score of each file."""
    for mutant in tried:
        if known[mutant.key] in ("survived", "unreached"):
            mutant.new = mutant.make()
            print(f"{known[mutant.key]} {mutant.name}\n{mutant.change()}")
    print(
        f"\n{'module':26} {'mutants':>7} {'tried':>6} {'killed':>6} {'timeout':>7} {'survived':>8} {'unreached':>9} {'score':>6}"
    )
    for module in (*dict.fromkeys(mutant.module for mutant in every), ""):
        of = [mutant for mutant in every if module in ("", mutant.module)]
        verdicts = [known[mutant.key] for mutant in tried if module in ("", mutant.module)]
        counts = [verdicts.count(verdict) for verdict in ("killed", "timeout", "survived", "unreached")]
        score = f"{100 * sum(counts[:2]) / len(verdicts):.1f}%" if verdicts else ""
        print(
            f"{module or 'together':26} {len(of):7} {len(verdicts):6} {counts[0]:6} {counts[1]:7} {counts[2]:8} {counts[3]:9} {score:>6}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="try only N mutants")
    parser.add_argument("--minutes", type=float, default=0, metavar="N", help="stop after N minutes")
    parser.add_argument("--seed", type=int, default=0, help="which sample")
    parser.add_argument("files", nargs="*", default=FILES, help="in netdsl/, without `.py`; by default the checker")
    parser.add_argument("--fresh", action="store_true", help="try those, too, that were killed before")
    args = parser.parse_args()

    # Every mutant has a process of its own: what asks for PyTorch is skipped.
    sys.modules["torch"] = None  # type: ignore[assignment]
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / "backends")]
    import pytest
    from hypothesis import HealthCheck, settings

    from netdsl.program import prelude

    few = {"max_examples": 20, "deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
    settings.register_profile("mutation", **few)  # type: ignore[arg-type]
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    for block in prelude().own():  # read once, before the processes part
        prelude().get(block)

    every = list(mutants(args.files))
    tried = every
    if args.sample or args.minutes:
        tried = random.Random(args.seed).sample(every, min(args.sample or len(every), len(every)))
    known: dict[str, str] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    kept = {} if args.fresh else {key: verdict for key, verdict in known.items() if verdict in ("killed", "timeout")}
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # what was found so far is kept and shown
    session = Session(tried, kept, args.minutes)
    arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    try:
        code = pytest.main([*arguments, *(f"tests/{name}.py" for name in TESTS)], plugins=[session])
    finally:
        KEPT.write_text(json.dumps(known | session.known, indent=0), encoding="utf-8")
    names = {mutant.name for mutant in tried}
    report([m for m in every if m.name in names and m.key in session.known], session.known, every)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
