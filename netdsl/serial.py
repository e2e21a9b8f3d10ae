"""A flat graph as text, and back: JSON, one element to a line, ops by name with their fields.

Types are not trusted: reading infers them anew, and compares with what was written.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

from netdsl.graph import Graph, Input, Node, Output
from netdsl.ops import OPS, Op
from netdsl.options import UsageError
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Floor, Formula, Size, Sym, floor_div, symbol
from netdsl.types import TensorType

FORMAT = 1
BY_NAME = {op.name: op for op in OPS}


def dumps(graph: Graph[TensorType]) -> str:
    """The text of a flat graph of primitives. Equal graphs give equal texts; where elements came from is left out."""
    ops: dict[Op, int] = {}
    nodes = []
    for node in graph.nodes:
        assert isinstance(node.op, Op), "only flat graphs are written"
        row = [node.name, ops.setdefault(node.op, len(ops)), list(node.inputs), str(node.type)]
        nodes.append(row)
    head = {
        "format": FORMAT,
        "name": graph.name,
        "inputs": [[input.name, [written(size) for size in input.type.plain().shape]] for input in graph.inputs],
        "outputs": [[out.name, out.value, out.training] for out in graph.outputs],
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    for key, rows in (("ops", [to_fields(op) for op in ops]), ("nodes", nodes)):
        lines += [f'  "{key}": [', *(f"    {json.dumps(row)}," for row in rows), "  ],"]
        lines[-2] = lines[-2].removesuffix(",")
    lines[-1] = lines[-1].removesuffix(",")
    return "\n".join(["{", *lines, "}"])


def loads(text: str) -> Graph[TensorType]:
    """The graph of a text. Raises UsageError where it is none, or one that this version does not know."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise UsageError("it was written by another version of netdsl: compile the .net file again")
        graph = read(data)
    except UsageError as error:
        raise UsageError(f"the graph cannot be read: {error}") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, RecursionError) as error:
        raise UsageError(f"the graph cannot be read: {type(error).__name__}: {error}") from None
    return graph


def read(data: dict[str, Any]) -> Graph[TensorType]:
    prove = Prover()
    inputs = tuple([Input(text_of(name), TensorType(sizes_of(sizes))) for name, sizes in data["inputs"]])
    for name in sorted(frozenset[str]().union(*(input.type.symbols for input in inputs))):
        prove.declare(name)
    ops = [from_fields(fields) for fields in data["ops"]]
    types = [input.type for input in inputs]
    nodes: list[Node[TensorType]] = []
    for name, at, reads, shown in data["nodes"]:
        if not all(is_index(v, len(types)) for v in reads) or not is_index(at, len(ops)):
            raise UsageError(f"{name} reads what is not there")
        try:
            type = ops[at].infer(tuple([types[v] for v in reads]), prove).plain()
        except ShapeFault as fault:
            raise UsageError(f"{name}: {fault}") from None
        if str(type) != shown:
            raise UsageError(f"{name} is {type}, and {shown} is written")
        nodes.append(Node(text_of(name), ops[at], tuple(reads), type))
        types.append(type)
    if len({node.name for node in nodes}) != len(nodes):
        raise UsageError("two elements have one name")
    outputs = tuple([Output(text_of(name), value, bool(training)) for name, value, training in data["outputs"]])
    if not outputs or not all(is_index(out.value, len(types)) for out in outputs):
        raise UsageError("an output is not there")
    return Graph(text_of(data["name"]), "net", inputs, tuple(nodes), outputs)


def to_fields(op: Op) -> dict[str, Any]:
    """The name of an op and its fields, those that are as by default left out."""
    given = {name: getattr(op, name) for name in op.fields}
    return {"op": op.name, **{k: written(v) for k, v in given.items() if k not in op.optional or v != op.optional[k]}}


def from_fields(fields: dict[str, Any]) -> Op:
    name = fields["op"]
    if name not in BY_NAME:
        raise UsageError(f"there is no op {name!r} in this version of netdsl")
    cls = BY_NAME[name]
    given = {key: value_of(value) for key, value in fields.items() if key != "op"}
    unknown = next((key for key in given if key not in cls.fields), None)
    if unknown is not None:
        raise UsageError(f"{name} has no {unknown!r} in this version of netdsl")
    return cls(**given)


def written(value: object) -> Any:
    """A field as JSON: formulas as their terms, fractions as text, tuples as lists."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, tuple):
        return [written(part) for part in value]
    if isinstance(value, Fraction):
        return {"fraction": str(value)}
    if isinstance(value, Formula):
        return {"sum": [[str(factor), *map(atom, monomial)] for monomial, factor in value.terms]}
    raise TypeError(f"{type(value).__name__} cannot be written")


def atom(one: Sym | Floor) -> Any:
    return one.name if isinstance(one, Sym) else {"floor": written(one.inner), "by": one.divisor}


def value_of(value: Any) -> Any:
    """What `written` wrote."""
    if isinstance(value, list):
        return tuple([value_of(part) for part in value])
    if not isinstance(value, dict):
        return value
    if "fraction" in value:
        return Fraction(value["fraction"])
    found: Size = 0
    for factor, *atoms in value["sum"]:
        term: Any = Fraction(factor)
        for one in atoms:
            term = term * (symbol(one) if isinstance(one, str) else floor_div(value_of(one["floor"]), one["by"]))
        found = found + term
    return found


def sizes_of(sizes: Any) -> tuple[Size, ...]:
    found = tuple([value_of(size) for size in sizes])
    if not found or not all(isinstance(n, Formula) or (is_index(n, 10**10) and n) for n in found):
        raise UsageError(f"{sizes} are no sizes")
    return found


def text_of(value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{value!r} is no name")
    return value


def is_index(value: Any, count: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count
