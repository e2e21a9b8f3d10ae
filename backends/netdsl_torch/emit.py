"""graph → PyTorch source that a person would be glad to own: a class for each block, loops where the text had them."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePath
from textwrap import wrap
from typing import TYPE_CHECKING

from netdsl.analysis.cost import Measure
from netdsl.graph import Graph, Node, Output, bodies, live
from netdsl.ops import Op
from netdsl.source import Span
from netdsl.types import TensorType
from netdsl_torch.classes import Class, Plan
from netdsl_torch.forward import Comment, Forward
from netdsl_torch.layout import WIDTH, laid_out
from netdsl_torch.names import class_name, fields, free_class_name
from netdsl_torch.rules import brought_along, rule_of

if TYPE_CHECKING:
    from netdsl.net import Net

MARK = re.compile(r"Written by netdsl from (?P<spec>[^\n]*), checksum (?P<sum>[0-9a-f]{12}|0{12})\.")


def emit(net: Net) -> str:
    """The source of a module, ready to be written to a file. It depends on PyTorch alone."""
    return Module(net).text()


def is_generated(text: str, mark: re.Pattern[str] = MARK) -> bool:
    """Whether a text came from `emit` and was not changed since. Other backends that write Python have another mark."""
    found = mark.search(text)
    return found is not None and found["sum"] == checksum(text, mark)


def checksum(text: str, mark: re.Pattern[str] = MARK) -> str:
    """Over the text with its own checksum left out."""
    found = mark.search(text)
    rest = text[: found.start("sum")] + text[found.end("sum") :] if found else text
    return hashlib.sha256(rest.encode()).hexdigest()[:12]


class Module:
    """Writes one file. Mutable: parts are gathered, then joined."""

    def __init__(self, net: Net) -> None:
        self.net, self.graph = net, net.graph
        self.plan = plan_of(net)
        self.spec = PurePath(net.source.name).name

    def text(self) -> str:
        blocks = [self.block(cls) for cls in self.plan.classes if cls.body is not self.graph]
        main = self.main()
        body = "\n\n\n".join([*self.tuples(), *self.helpers("\n".join([*blocks, main])), *blocks, main])
        imports = self.imports(body)
        text = f"{self.header()}\n\n{imports}\n\n\n{body}\n"
        return text.replace("checksum " + "0" * 12, f"checksum {checksum(text)}", 1)

    # --- the top ------------------------------------------------------------------------------------------------

    def header(self) -> str:
        title = self.net.source.text.split("\n", 1)[0].strip()
        what = title.lstrip("# ").rstrip(".") if title.startswith("#") else f"The network {self.net.name}"
        from netdsl.amounts import number

        lines = [*wrap(f'"""{_docstring(what)}.', 100), ""]
        for name, shape in self.net.inputs.items():
            lines.append(f"    {name:<12} N x {TensorType(shape)}")
        for name, shape in self.net.outputs.items():
            lines.append(f"    {name:<12} N x {TensorType(shape)}")
        for name, shape in self.net.training_outputs.items():
            lines.append(f"    {name:<12} N x {TensorType(shape)}, in training only")
        if self.net.constraints:
            lines.append(f"    sizes        {', '.join(self.net.constraints.values())}")
        cost = f"{number(self.net.params)} parameters"
        if self.net.params_inference != self.net.params:
            cost += f" ({number(self.net.params_inference)} in inference)"
        lines += ["", *wrap(f"{cost}, {number(self.net.macs)} multiply-accumulates for one sample.", 100)]
        lines.append(f"Written by netdsl from {_docstring(self.spec)}, checksum {'0' * 12}.")
        return "\n".join([*lines, '"""'])

    def imports(self, body: str) -> str:
        lines = ["from __future__ import annotations", ""]
        if "NamedTuple" in body:
            lines += ["from typing import NamedTuple", ""]
        if re.search(r"\btorch\.", body):
            lines.append("import torch")
        if re.search(r"\bF\.", body):
            lines.append("import torch.nn.functional as F")
        tensor = ["Tensor"] if re.search(r"\bTensor\b", body) else []
        lines.append(f"from torch import {', '.join([*tensor, 'nn'])}")
        return "\n".join(lines)

    def helpers(self, body: str) -> list[str]:
        return [text.rstrip() for text in [*brought_along(body), *self.plan.initial.helpers()]]

    # --- outputs ------------------------------------------------------------------------------------------------

    @property
    def output_class(self) -> str:
        return f"{self.plan.title}Output"

    def tuples(self) -> list[str]:
        """The named tuples that the network returns where it returns several tensors."""
        finals = [out for out in self.graph.outputs if not out.training]
        heads = [out for out in self.graph.outputs if out.training]
        texts = []
        if len(finals) > 1:
            texts.append(self.tuple_class(self.output_class, "What the network returns", finals))
        if heads:
            name = self.training_class
            texts.append(self.tuple_class(name, "What the network returns in training", [*finals, *heads]))
        return texts

    @property
    def training_class(self) -> str:
        several = sum(not out.training for out in self.graph.outputs) > 1
        return f"{self.plan.title}TrainingOutput" if several else self.output_class

    def tuple_class(self, name: str, what: str, outs: list[Output]) -> str:
        lines = [f"class {name}(NamedTuple):", f'    """{what}."""', ""]
        called = fields(out.name for out in outs)
        for out in outs:
            lines.append(f"    {called[out.name]}: Tensor  # N x {self.net.shape_text(self.graph.type_of(out.value))}")
        return "\n".join(lines)

    # --- classes ------------------------------------------------------------------------------------------------

    def block(self, cls: Class) -> str:
        """The class of a block."""
        body = cls.body
        doc = self.block_docstring(cls)
        order = list(range(len(body.nodes)))
        forward = Forward(body, self.comment(shapes=False), self.plan.attributes(body), order, frozenset())
        lines = returning(forward.lines(order), forward.text[body.outputs[0].value])
        return self.class_text(cls, doc, forward.inputs, lines, [], "Tensor")

    def block_docstring(self, cls: Class) -> list[str]:
        title = " ".join((cls.body.title or cls.body.name).split())
        shapes = list(dict.fromkeys(self.from_to(body) for body in cls.bodies))
        what = f"`{title}`" if cls.body.kind == "block" else f"A step of `{title}`"
        shown = shapes[:6] + ([f"… and {len(shapes) - 6} more"] if len(shapes) > 6 else [])
        line = f'"""{what}: {shown[0]}."""'
        if len(shown) == 1 and len(line) <= WIDTH:
            return [line]
        lines = [part for shape in shown for part in _in_width(shape)]
        return [f'"""{what}:', "", *(f"    {line}" for line in lines), '"""']

    def from_to(self, body: Graph[TensorType]) -> str:
        before, after = body.inputs[0].type, body.type_of(body.outputs[0].value)
        return f"{self.net.shape_text(before)} -> {self.net.shape_text(after)}"

    def main(self) -> str:
        """The class of the network."""
        graph = self.graph
        cls = self.plan.class_of[id(graph)]
        inference, training = live(graph), live(graph, training=True)
        first, extra = sorted(inference), sorted(training - inference)
        comment, called = self.comment(shapes=True), self.plan.attributes(graph)
        forward = Forward(graph, comment, called, [*first, *extra], self.plan.net_names)
        lines = [*self.starts(), *forward.lines(first)]
        finals = [(out.name, forward.text[out.value]) for out in graph.outputs if not out.training]
        heads = [out for out in graph.outputs if out.training]
        if heads:
            inner = forward.lines(extra)
            results = ", ".join([text for _, text in finals] + [forward.text[out.value] for out in heads])
            lines += [
                "if self.training:",
                *(f"    {line}" for line in inner),
                f"    return {self.training_class}({results})",
            ]
        if len(finals) > 1:
            lines.append(f"return {self.output_class}({', '.join(text for _, text in finals)})")
        else:
            lines = [*lines, f"return {finals[0][1]}"] if heads else returning(lines, finals[0][1])
        kinds = ["Tensor" if len(finals) == 1 else self.output_class, *([self.training_class] if heads else [])]
        ins = ", ".join(f"N x {self.net.shape_text(input.type)}" for input in graph.inputs)
        outs = ", ".join(
            f"N x {self.net.shape_text(graph.type_of(out.value))}" for out in graph.outputs if not out.training
        )
        doc = [
            f'"""{ins} -> {outs}.'
            + (" In training a named tuple, with the auxiliary outputs." if heads else "")
            + '"""'
        ]
        after = [*self.plan.initial.loop(), *self.freezes()]
        return self.class_text(cls, doc, forward.inputs, lines, after, " | ".join(dict.fromkeys(kinds)))

    def starts(self) -> list[str]:
        """What the network does first in training: what its ops draw together."""
        ops = (node.op for body in bodies(self.graph) for node in body.nodes)
        found = sorted({rule_of(op).start for op in ops if isinstance(op, Op)} - {""})
        return ["if self.training:", *(f"    {line}" for line in found)] if found else []

    def freezes(self) -> list[str]:
        cls = self.plan.class_of[id(self.graph)]
        has_module = {i for i, _ in cls.constructors()}
        nodes = [node for i, node in enumerate(self.graph.nodes) if node.frozen and i in has_module]
        if not nodes:
            return []
        measure = Measure(self.graph)
        frozen = [node for node in nodes if measure.params(self.graph, node)]
        return [f"self.{self.plan.attributes(self.graph)[node.name]}.requires_grad_(False)" for node in frozen]

    def class_text(
        self, cls: Class, doc: list[str], inputs: list[str], forward: list[str], after: list[str], returns: str
    ) -> str:
        out = [f"class {cls.name}(nn.Module):", *(f"    {line}".rstrip() for line in doc), ""]
        params = [
            f"{p.name}: {p.kind} = {p.values[0]}" if cls.body is self.graph else f"{p.name}: {p.kind}"
            for p in cls.params
        ]
        modules, called = cls.constructors(), self.plan.attributes(cls.body)
        if modules or after:
            out += laid_out(f"def __init__({', '.join(['self', *params])}) -> None:", 4)
            out.append("        super().__init__()")
            for i, code in modules:
                out += laid_out(f"self.{called[cls.body.nodes[i].name]} = {code}", 8)
            out += [f"        {line}" for line in after]
            out.append("")
        out += laid_out(f"def forward({', '.join(['self', *(f'{name}: Tensor' for name in inputs)])}) -> {returns}:", 4)
        for line in forward:
            stripped = line.lstrip(" ")
            out += laid_out(stripped, 8 + len(line) - len(stripped))
        return "\n".join(out)

    # --- comments -----------------------------------------------------------------------------------------------

    def comment(self, shapes: bool) -> Comment:
        """What stands beside a line: the shape in the network, and the line of the spec that it comes from."""

        def text(node: Node[TensorType]) -> str:
            where = _line(node.origin[0]) if node.origin else ""
            said = ", ".join(filter(None, [self.net.shape_text(node.type) if shapes else "", where]))
            return f"  # {said}" if said else ""

        return text


def returning(lines: list[str], result: str) -> list[str]:
    """The statements with the result returned; an assignment just before is returned as it is."""
    if lines and lines[-1].startswith(f"{result} = "):
        return [*lines[:-1], f"return {lines[-1][len(result) + 3 :]}"]
    return [*lines, f"return {result}"]


def plan_of(net: Net) -> Plan:
    """The classes of a network. Its own class takes those numbers that change nothing else in the source.

    Whether one does is tried: the network is built with another number, and has to give the same source.
    """
    title = class_name_of(net)
    plan = Plan(net.graph, title)
    offered = [(param.root, param.values[0]) for param in plan.class_of[id(net.graph)].params]
    withheld = set()
    for name, value in offered:
        other = net.varied(name, 2 * int(value)) if name in net.parameters else None
        if other is None or Plan(other.graph, title).essence != plan.essence:
            withheld.add(name)
    return Plan(net.graph, title, frozenset(withheld)) if withheld else plan


def class_name_of(net: Net) -> str:
    """The name of the network as its title writes it (ResNet-50 → ResNet50), else its own in CamelCase."""
    title = net.source.text.split("\n", 1)[0].partition("(")[0]
    words = re.split(r"[^0-9A-Za-z]+", title) if title.startswith("#") else []
    wanted = net.name.replace("_", "").lower()
    for first in range(len(words)):
        for last in range(first + 1, len(words) + 1):
            joined = "".join(words[first:last])
            if joined.lower() == wanted and joined[0].isupper():
                return free_class_name(joined)
    return class_name(net.name)


def _line(span: Span) -> str:
    """`googlenet.net:7`."""
    name = span.source.name if not span.source.own else PurePath(span.source.name).name
    return f"{name}:{span.source.line_column(span.start)[0]}" if name and name.isprintable() else ""


def _in_width(shapes: str) -> list[str]:
    """`a -> b`, where it is too long for a line, on two: formulas of open sizes can be."""
    if len(shapes) <= WIDTH - 4:
        return [shapes]
    before, after = shapes.split(" -> ")
    return [before, f"    -> {after}"]


def _docstring(text: str) -> str:
    """Text that can stand in a docstring."""
    return "".join(c for c in text.replace("\\", "/").replace('"""', "'''") if c.isprintable()).rstrip('"')
