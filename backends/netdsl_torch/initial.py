"""How do weights start?  As the papers have it: He's rule in networks with rectifiers, Glorot's elsewhere.

Where all layers of a kind start alike, one loop in the network does it. Where they differ (AlexNet's biases), each
constructor is wrapped: `normal(nn.Conv2d(…), std=0.01, bias=1)`.
"""

from __future__ import annotations

from netdsl.graph import Graph, bodies
from netdsl.ops import Op
from netdsl.ops.activation import Activation
from netdsl.ops.initial import SOURCES
from netdsl.types import TensorType
from netdsl_torch.code import Code
from netdsl_torch.rules import rule_of

RULES = {
    "torch": "",
    "he": 'nn.init.kaiming_normal_({m}.weight, nonlinearity="relu")',
    "xavier": "nn.init.xavier_uniform_({m}.weight)",
    "lecun": 'nn.init.kaiming_normal_({m}.weight, nonlinearity="linear")',
    "bilinear": "interpolate_({m}.weight)",
    "normal": "nn.init.normal_({m}.weight, std={std})",
}
NORMAL = "a normal distribution"
INTERPOLATE = f'''\
def interpolate_(weight):
    """Bilinear interpolation of each channel by itself: {SOURCES["bilinear"]}."""
    rows, columns = (1 - (torch.arange(k) - (k - 1) / 2).abs() / ((k + 1) // 2) for k in weight.shape[2:])
    with torch.no_grad():
        weight.zero_()
        for i in range(len(weight)):
            weight[i, i % weight.shape[1]] = torch.outer(rows, columns)
'''
Start = tuple[str, float | None]
"""The rule for weights, and the value of biases; None leaves both to PyTorch."""


class Initial:
    """What starts how, over the whole network."""

    def __init__(self, net: Graph[TensorType]) -> None:
        ops = [node.op for body in bodies(net) for node in body.nodes if isinstance(node.op, Op)]
        rectifies = any(isinstance(op, Activation) and op.rectifier for op in ops)
        self.rule = "he" if rectifies else "xavier"
        self.apart = {name for op in ops for name in rule_of(op).starts_itself}
        self.starts: dict[str, set[Start]] = {}
        self.classes: dict[str, set[str]] = {}
        for body in bodies(net):
            for node in body.nodes:
                if isinstance(node.op, Op) and starts(node.op):
                    self.starts.setdefault(node.op.name, set()).add(self.start(node.op))
                    rank = len(body.type_of(node.inputs[0]).spatial)
                    self.classes.setdefault(node.op.name, set()).add(torch_class(node.op, rank))

    def start(self, op: Op) -> Start:
        rule, bias = getattr(op, "init", None) or self.rule, getattr(op, "bias_init", None)
        if bias is None:
            bias = None if rule == "torch" else 0.0
        return rule, bias

    def wrap(self, op: Op, code: Code) -> Code:
        """The constructor, wrapped where layers of its kind do not all start alike."""
        if not starts(op) or len(self.starts[op.name]) == 1:
            return code
        rule, bias = self.start(op)
        if rule == "torch" and bias is None:
            return code
        std = "" if rule in RULES else f", std={float(rule)!r}"
        return (f"{helper_name(rule)}(", *code, f"{std}{f', bias={bias!r}' if bias else ''})")

    def loop(self) -> list[str]:
        """The lines of the network's constructor that start what starts alike."""
        groups: dict[Start, list[str]] = {}
        for name, starts in self.starts.items():
            if len(starts) == 1 and (start := next(iter(starts))) != ("torch", None):
                groups.setdefault(start, []).extend(sorted(self.classes[name]))
        if not groups:
            return []
        lines = ["for module in self.modules():"]
        for i, ((rule, bias), classes) in enumerate(groups.items()):
            lines.append(f"    {'elif' if i else 'if'} {self.test(classes)}:")
            if rule != "torch":
                lines.append(f"        # {SOURCES.get(rule, NORMAL)}")
                lines.append(f"        {RULES.get(rule, RULES['normal']).format(m='module', std=rule)}")
            lines.append("        if module.bias is not None:")
            lines.append(
                f"            nn.init.{f'constant_(module.bias, {bias!r})' if bias else 'zeros_(module.bias)'}"
            )
        return lines

    def test(self, classes: list[str]) -> str:
        """Whether a module is one of the classes; where a subclass has started by itself, that class alone."""
        of_class = [name for name in classes if name not in self.apart]
        names = of_class[0] if len(of_class) == 1 else f"({', '.join(of_class)})"
        tests = [f"isinstance(module, {names})"] if of_class else []
        return " or ".join([*tests, *(f"type(module) is {name}" for name in classes if name in self.apart)])

    def helpers(self) -> list[str]:
        """The functions that wrapped constructors call."""
        mixed = [start for starts in self.starts.values() if len(starts) > 1 for start in starts]
        rules = {rule if rule in RULES else "normal" for rule, bias in mixed if (rule, bias) != ("torch", None)}
        out = []
        if any(rule == "bilinear" for starts in self.starts.values() for rule, _ in starts):
            out.append(INTERPOLATE)
        for rule in sorted(rules):
            std = ", std" if rule == "normal" else ""
            weight = RULES[rule].format(m="layer", std="std")
            about = f"the weights of a layer: {SOURCES.get(rule, NORMAL)}" if weight else "the biases of a layer"
            out.append(
                f"def {helper_name(rule)}(layer{std}, bias=0.0):\n"
                f'    """Starts {about}."""\n'
                + (f"    {weight}\n" if weight else "")
                + "    if layer.bias is not None:\n        nn.init.constant_(layer.bias, bias)\n    return layer\n"
            )
        return out


def starts(op: Op) -> bool:
    """Whether a rule says from what the weights of the op start."""
    return "init" in op.fields


def torch_class(op: Op, rank: int) -> str:
    return {"linear": "nn.Linear", "conv": f"nn.Conv{rank}d", "conv_transpose": f"nn.ConvTranspose{rank}d"}[op.name]


def helper_name(rule: str) -> str:
    """The function of the source that starts a layer by a rule."""
    return {"torch": "biased"}.get(rule, rule if rule in RULES else "normal")
