"""What does a flat graph compute?  A formula for each element with all of its steps, for people who read it."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.graph import Graph
from netdsl.ops import Op
from netdsl.ops.window import Window
from netdsl.passes.fused import Absorbing, Channels, FusedConv, FusedMean, FusedPool, Head, Steps
from netdsl.passes.recipe import Plus
from netdsl.types import TensorType


def show_formulas(graph: Graph[TensorType]) -> str:
    """A line for each element of a flat graph, and for each output: `conv1 = relu(conv 3x3(x; weight, bias))`."""
    names = [input.name for input in graph.inputs]
    lines = [f"input {input.name}  : {input.type}" for input in graph.inputs]
    for node in graph.nodes:
        assert isinstance(node.op, Op), "show_formulas wants a flat graph"
        lines.append(f"{node.name} = {formula(node.op, [names[v] for v in node.inputs])}  : {node.type}")
        names.append(node.name)
    lines += [f"output {out.name} = {names[out.value]}" for out in graph.outputs]
    return "\n".join(lines) + "\n"


def formula(op: Op, inputs: Sequence[str]) -> str:
    """What an op does to inputs of these names."""
    if isinstance(op, Channels):
        return f"{inputs[0]}[{op.start}:{op.start + op.count}]"
    if not isinstance(op, Absorbing):
        return f"{op.name}{f' {op.describe()}' if op.describe() else ''}({', '.join(inputs)})"
    x = stepped(inputs[0], getattr(op, "prologue", ()), inputs)
    weights = [str(weight) for weight in (getattr(op, "weight", None), getattr(op, "bias", None)) if weight is not None]
    if word := named(op):
        x = f"{word}({'; '.join([x, ', '.join(weights)] if weights else [x])})"
    return stepped(x, getattr(op, "epilogue", ()), inputs)


def named(op: Absorbing) -> str:
    """The word for what it computes between its steps; nothing for one that has steps alone."""
    if isinstance(op, FusedConv):
        return f"conv {window(op)}" if op.kernel else "linear"
    if isinstance(op, FusedPool):
        return f"{op.kind}pool {window(op)}"
    if isinstance(op, FusedMean):
        return "mean" if op.kind == "avg" else "max"
    return "head" if isinstance(op, Head) else ""


def window(op: Window) -> str:
    said = "x".join(map(str, op.kernel))
    if any(n > 1 for n in op.stride):
        said += f" /{'x'.join(map(str, dict.fromkeys(op.stride)))}"
    if any(map(any, op.padding)):
        said += " pad " + "x".join(dict.fromkeys(str(a) if a == b else f"{a}+{b}" for a, b in op.padding))
    return said


def stepped(x: str, steps: Steps, inputs: Sequence[str]) -> str:
    for step in steps:
        if step.kind == "affine":
            scale, shift = (f"({weight})" if isinstance(weight, Plus) else str(weight) for weight in step.weights)
            x = f"({scale}·{x} + {shift})"
        elif step.kind == "scale":
            x = f"{step.value:g}·{x}"
        elif step.kind == "add":
            x = f"({x} + {inputs[step.input]})"
        elif step.kind in ("mul", "gate"):
            x = f"{x}·{inputs[step.input]}"
        else:
            inside = x[1:-1] if x.startswith("(") and closes(x) else x
            extra = [f"{step.value:g}"] if step.value else [str(weight) for weight in step.weights]
            x = f"{step.kind}({', '.join([inside, *extra])})"
    return x


def closes(text: str) -> bool:
    """Whether the first parenthesis is closed by the last one."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return i == len(text) - 1
    return False
