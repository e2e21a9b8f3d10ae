"""Is the core light?  `import netdsl` and the command line import nothing that takes long, and this would notice.

Every heavy package is replaced by an empty one that can always be imported, so that an import inside `try` counts,
too, and it does not matter which of them are installed.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "triton", "numpy", "rich", "matplotlib")
GOOGLENET = ROOT / "specs" / "googlenet.net"


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """A folder of empty packages with heavy names."""
    folder = tmp_path / "stubs"
    for name in HEAVY:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
    return folder


def imported(code: str, stubs: Path, cache: Path | None = None) -> set[str]:
    """The top-level packages that a fresh interpreter has imported after `code`."""
    report = (
        "\nimport json as _json, sys as _sys\nprint(_json.dumps(sorted({m.partition('.')[0] for m in _sys.modules})))"
    )
    found = variables(stubs)
    if cache is not None:
        found["NETDSL_CACHE"] = str(cache)
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, env=found, cwd=stubs)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def variables(*folders: Path) -> dict[str, str]:
    """The environment of a process that imports from these folders first, and then from this checkout."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*folders, ROOT, ROOT / "backends"]))}


def command(*arguments: object) -> str:
    """Code that runs the command line in its own interpreter, and fails if the command does."""
    return f"from netdsl.cli import main\nassert main({[str(argument) for argument in arguments]!r}) == 0"


def test_importing_netdsl_imports_neither_heavy_packages_nor_the_parser(stubs: Path) -> None:
    modules = imported("import netdsl", stubs)
    assert "netdsl" in modules
    assert not modules & {*HEAVY, "lark"}


def test_every_public_name_is_light(stubs: Path) -> None:
    modules = imported("import netdsl\nfor name in netdsl.__all__: getattr(netdsl, name)", stubs)
    assert not modules & {*HEAVY, "lark"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", GOOGLENET),
        ("show", GOOGLENET),
        ("show", GOOGLENET, "--json"),
        ("compare", GOOGLENET, "vgg16"),
        ("compile", GOOGLENET, "-o", "googlenet_compiled.py"),
        ("list",),
        ("fmt", "--check", GOOGLENET),
        ("draw", GOOGLENET, "-o", "googlenet.html"),
        ("draw", GOOGLENET, "-o", "googlenet.tex"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:1] + arguments[2:])),
)
def test_the_command_line_is_light(arguments: tuple[object, ...], stubs: Path) -> None:
    modules = imported(command(*arguments), stubs)
    assert "netdsl" in modules
    assert not modules & set(HEAVY)


def test_checking_imports_nothing_of_other_commands(tmp_path: Path) -> None:
    code = command("check", GOOGLENET) + "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=variables())
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert {"netdsl.cli.arguments", "netdsl.cli.check", "netdsl.net"} <= modules
    others = {f"netdsl.cli.{path.stem}" for path in (ROOT / "netdsl" / "cli").glob("[a-z]*.py")}
    others -= {f"netdsl.cli.{name}" for name in ("arguments", "asked", "check", "parser")}
    rooms = {"netdsl.render", "netdsl.fixing", "netdsl.syntaxerror", "netdsl.syntaxhelp", "netdsl.repair.propose"}
    rooms |= {"netdsl.argumenthelp", "netdsl.edits"}  # what to do about a fault
    rooms |= {"netdsl.backend", "netdsl.devices", "netdsl.layout", "netdsl.passes", "netdsl.table", "netdsl.writing"}
    assert not modules & {*others, *rooms, "netdsl_torch", "netdsl_triton"}


def test_checking_is_light_when_nothing_is_cached(stubs: Path, tmp_path: Path) -> None:
    cold = imported(command("check", GOOGLENET), stubs, cache=tmp_path / "cache")
    warm = imported(command("check", GOOGLENET), stubs, cache=tmp_path / "cache")
    assert "lark" in cold
    assert not (cold | warm) & set(HEAVY)


@pytest.mark.parametrize("name", [*HEAVY, "lark"])
@pytest.mark.parametrize(
    "code",
    ["import {}", "try:\n    import {}\nexcept ImportError:\n    pass", "def late():\n    import {}\nlate()"],
    ids=["plain", "guarded", "late"],
)
def test_this_test_can_fail(code: str, name: str, stubs: Path) -> None:
    """The meta-test: the same probe sees each of them where something imports it."""
    assert name in imported("import netdsl\n" + code.format(name), stubs)


def test_this_test_sees_what_a_module_of_netdsl_imports(stubs: Path) -> None:
    """The meta-test for the probe of commands: a netdsl module that imports torch when it is loaded."""
    (stubs / "netdsl_heavy.py").write_text("import torch\n", encoding="utf-8")
    code = "import netdsl.cli, netdsl_heavy\n" + command("check", GOOGLENET)
    assert imported(code, stubs) & set(HEAVY) == {"torch"}


# --- who may import whom ----------------------------------------------------------------------------------------------


def mentioned(text: str, late: bool) -> set[str]:
    """The top-level packages that a file imports when it is loaded; with `late`, wherever it imports them."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif late or not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)
    return found


def test_the_core_imports_no_backend() -> None:
    for path in (ROOT / "netdsl").rglob("*.py"):
        assert not {name for name in mentioned(path.read_text(encoding="utf-8"), late=True) if "netdsl_" in name}, path


PLANNING = ("__init__", "choose", "memory", "plan", "progress", "report", "report_text", "store", "task", "kernels/*")
"""Files of the Triton backend that are answered from shapes."""


@pytest.mark.parametrize("pattern", PLANNING)
def test_planning_imports_neither_torch_nor_triton(pattern: str) -> None:
    paths = list((ROOT / "backends" / "netdsl_triton").glob(f"{pattern}.py"))
    assert paths
    for path in paths:
        assert not mentioned(path.read_text(encoding="utf-8"), late=False) & set(HEAVY), path


def test_these_tests_see_imports() -> None:
    text = """
import netdsl_one.part
from torch import nn
if TYPE_CHECKING:
    import numpy
def late():
    from netdsl_two import x
"""
    assert mentioned(text, late=False) == {"netdsl_one", "torch"}
    assert mentioned(text, late=True) == {"netdsl_one", "netdsl_two", "torch"}
