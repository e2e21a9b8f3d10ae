"""How is each op written in PyTorch?  One rule for each op of the core.

A rule gives the constructor of a module, and for ops without numbers or state also a function, which reads better
in a `forward`. The numbers in a constructor are holes (see `code.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netdsl.ops import OPS, Op
from netdsl.record import Record
from netdsl.types import TensorType
from netdsl_torch.code import Code, Hole, hole, joined, rate

Types = tuple[TensorType, ...]


class Rule(Record):
    """`module(op, inputs)` is the constructor; `function(op, inputs, args)` an expression, where there is one."""

    module: Callable[[Any, Types], Code] | None = None
    function: Callable[[Any, Types, Sequence[str]], str] | None = None


RULES: dict[str, Rule] = {}


def rule_of(op: Op) -> Rule:
    return RULES[op.name]


def extent(values: tuple[int, ...], hint: str, prefix: str = "", default: int | None = None) -> Code:
    """One number where all axes agree, else a tuple."""
    if len(set(values)) == 1:
        return (hole(values[0], hint, prefix, default),)
    return (f"{prefix}(", *joined([(hole(v, hint),) for v in values]), ")")


def symmetric(padding: tuple[tuple[int, int], ...]) -> bool:
    return all(before == after for before, after in padding)


def sides(padding: tuple[tuple[int, int], ...]) -> str:
    """As `F.pad` takes it: the last axis first."""
    return "(" + ", ".join(f"{before}, {after}" for before, after in reversed(padding)) + ")"


def dims(x: TensorType) -> str:
    return f"{len(x.spatial)}d"


# --- ops with weights ------------------------------------------------------------------------------------------


def conv(op: Any, inputs: Types) -> Code:
    x = inputs[0]
    even = symmetric(op.padding)
    code: list[str | Hole] = [f"nn.Conv{dims(x)}(" if even else f"UnevenConv{dims(x)}("]
    code += joined(
        [(hole(x.channels, "in_channels"),), (hole(op.out_channels, "out_channels"),), extent(op.kernel, "kernel_size")]
    )
    code += extent(op.stride, "stride", ", stride=", 1)
    if even:
        code += extent(tuple(before for before, _ in op.padding), "padding", ", padding=", 0)
    code += extent(op.dilation, "dilation", ", dilation=", 1)
    code.append(hole(op.groups, "groups", ", groups=", 1))
    code.append("" if op.bias else ", bias=False")
    code.append(")" if even else f", sides={sides(op.padding)})")
    return tuple(code)


def conv_transpose(op: Any, inputs: Types) -> Code:
    x = inputs[0]
    code: list[str | Hole] = [f"nn.ConvTranspose{dims(x)}("]
    code += joined(
        [(hole(x.channels, "in_channels"),), (hole(op.out_channels, "out_channels"),), extent(op.kernel, "kernel_size")]
    )
    code += extent(op.stride, "stride", ", stride=", 1)
    code += extent(op.padding, "padding", ", padding=", 0)
    code.append(hole(op.groups, "groups", ", groups=", 1))
    code.append(")" if op.bias else ", bias=False)")
    return tuple(code)


def linear(op: Any, inputs: Types) -> Code:
    return (
        "nn.Linear(",
        hole(inputs[0].channels, "in_features"),
        ", ",
        hole(op.out_features, "out_features"),
        ")" if op.bias else ", bias=False)",
    )


def batchnorm(op: Any, inputs: Types) -> Code:
    rank = {1: "1d", 2: "1d", 3: "2d", 4: "3d"}[inputs[0].rank]
    return (
        f"nn.BatchNorm{rank}(",
        hole(inputs[0].channels, "num_features"),
        rate(op.eps, "eps", ", eps=", 1e-5),
        rate(op.momentum, "momentum", ", momentum=", 0.1),
        ")",
    )


# --- ops without -----------------------------------------------------------------------------------------------


def pool(kind: str) -> Callable[[Any, Types], Code]:
    def rule(op: Any, inputs: Types) -> Code:
        even = symmetric(op.padding) and not _refuses_padding(kind, op, inputs[0])
        code: list[str | Hole] = [f"nn.{kind}Pool{dims(inputs[0])}(" if even else f"Uneven{kind}Pool{dims(inputs[0])}("]
        code += extent(op.kernel, "kernel_size")
        code += extent(op.stride, "stride", ", stride=")
        if even:
            code += extent(tuple(before for before, _ in op.padding), "padding", ", padding=", 0)
        code.append(", ceil_mode=True" if op.rounding == "ceil" else "")
        if kind == "Avg" and not op.count_pad:
            code.append(", count_include_pad=False")
        code.append(")" if even else f", sides={sides(op.padding)})")
        return tuple(code)

    return rule


def _refuses_padding(kind: str, op: Any, x: TensorType) -> bool:
    """PyTorch's 3-d average pooling wants the input alone, without its padding, to be as large as the window."""
    padded = any(before for before, _ in op.padding)
    return kind == "Avg" and len(x.spatial) == 3 and padded and op.rounding != "ceil"


def global_pool(kind: str) -> Callable[[Any, Types], Code]:
    def rule(op: Any, inputs: Types) -> Code:
        return (f"nn.Sequential(nn.Adaptive{kind}Pool{dims(inputs[0])}(1), nn.Flatten(1))",)

    return rule


def reduce_over_space(method: str) -> Callable[[Any, Types, Sequence[str]], str]:
    def rule(op: Any, inputs: Types, args: Sequence[str]) -> str:
        axes = tuple(range(2, 1 + inputs[0].rank))
        return f"{args[0]}.{method}({axes[0] if len(axes) == 1 else axes})"

    return rule


def lrn(op: Any, inputs: Types) -> Code:
    # PyTorch divides alpha by n, the paper does not.
    alpha, beta, k = rate(op.alpha * op.n, "alpha"), rate(op.beta, "beta"), rate(op.k, "k")
    return ("nn.LocalResponseNorm(", hole(op.n, "size"), ", alpha=", alpha, ", beta=", beta, ", k=", k, ")")


def plain(constructor: str, function: str = "") -> Rule:
    """An op without numbers: `nn.ReLU()`, and `F.relu(x)`."""
    call = (lambda op, inputs, args: f"{function}({args[0]})") if function else None
    return Rule(lambda op, inputs: (constructor,), call)


def mean_of(op: Any, inputs: Types, args: Sequence[str]) -> str:
    return f"({' + '.join(args)}) / {len(args)}"


RULES.update(
    {
        "conv": Rule(conv),
        "conv_transpose": Rule(conv_transpose),
        "linear": Rule(linear),
        "batchnorm": Rule(batchnorm),
        "maxpool": Rule(pool("Max")),
        "avgpool": Rule(pool("Avg")),
        "globalavgpool": Rule(global_pool("Avg"), reduce_over_space("mean")),
        "globalmaxpool": Rule(global_pool("Max"), reduce_over_space("amax")),
        "flatten": plain("nn.Flatten()", "torch.flatten").replace(
            function=lambda op, inputs, args: f"torch.flatten({args[0]}, 1)"
        ),
        "lrn": Rule(lrn),
        "relu": plain("nn.ReLU()", "F.relu"),
        "relu6": plain("nn.ReLU6()", "F.relu6"),
        "leaky_relu": Rule(lambda op, inputs: ("nn.LeakyReLU(", rate(op.slope, "negative_slope"), ")")),
        "elu": plain("nn.ELU()", "F.elu"),
        "gelu": plain("nn.GELU()", "F.gelu"),
        "silu": plain("nn.SiLU()", "F.silu"),
        "sigmoid": plain("nn.Sigmoid()", "torch.sigmoid"),
        "tanh": plain("nn.Tanh()", "torch.tanh"),
        "softmax": Rule(lambda op, inputs: ("nn.Softmax(1)",), lambda op, inputs, args: f"F.softmax({args[0]}, 1)"),
        "dropout": Rule(lambda op, inputs: ("nn.Dropout(", rate(op.p, "p"), ")")),
        "upsample": Rule(lambda op, inputs: ("nn.Upsample(scale_factor=", hole(op.factor, "scale_factor"), ")")),
        "add": Rule(None, lambda op, inputs, args: " + ".join(args)),
        "mean": Rule(None, mean_of),
        "concat": Rule(None, lambda op, inputs, args: f"torch.cat([{', '.join(args)}], 1)"),
    }
)

missing = {op.name for op in OPS} - set(RULES)
assert not missing, f"ops without a rule in netdsl_torch: {sorted(missing)}"

UNEVEN = '''\
class Uneven{kind}(nn.{kind}):
    """{what} with a padding of its own for each side: (left, right, top, bottom)."""

    def __init__(self, *args, sides, **options):
        super().__init__(*args, **options)
        self.sides = sides

    def forward(self, x):
        return {forward}

    def extra_repr(self):
        return f"{{super().extra_repr()}}, sides={{self.sides}}"
'''


def helper(name: str) -> str:
    """The class behind `UnevenConv2d` and its like: PyTorch pads both sides alike."""
    kind = name.removeprefix("Uneven")
    if kind.startswith("Conv"):
        return UNEVEN.format(kind=kind, what="A convolution", forward="super().forward(F.pad(x, self.sides))")
    if kind.startswith("Max"):
        return UNEVEN.format(
            kind=kind, what="Maximum pooling", forward='super().forward(F.pad(x, self.sides, value=float("-inf")))'
        )
    text = UNEVEN.format(kind=kind, what="Average pooling", forward="mean")
    body = (
        "        mean = super().forward(F.pad(x, self.sides))\n"
        "        if not self.count_include_pad:  # the share of each window that lies inside the input\n"
        "            mean = mean / super().forward(F.pad(torch.ones_like(x), self.sides))\n"
    )
    return text.replace("        return mean", body + "        return mean")
