"""Primitives become the wide ops of `fused.py`, as inference computes them: dropout is nothing, a mean is a sum.

What has no rule here stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable

from netdsl.ops import activation, convolution, geometry, join, linear, normalisation, pooling, regularisation, scaling
from netdsl.ops.base import Op
from netdsl.passes.fused import UNARY, Channels, FusedConv, FusedMean, FusedPool, Pointwise, Step, concrete
from netdsl.passes.recipe import Constant, NormScale, NormShift, Parameter, Recipe, Shaped
from netdsl.passes.rewrite import Context, Value, Work


def lower(work: Work, context: Context) -> None:
    for value in work.live():
        assert value.op is not None
        if (rule := RULES.get(type(value.op))) is not None:
            rule(work, context, value)


def _parameter(value: Value, name: str) -> Parameter:
    assert value.op is not None
    types = tuple([x.type for x in value.inputs])
    weight = next(weight for weight in value.op.weights(types) if weight.name == name)
    return Parameter(f"{value.name}.{name}", tuple(map(int, weight.shape)))


def _bias(value: Value, op: convolution.Conv | linear.Linear) -> Recipe | None:
    return _parameter(value, "bias") if op.bias else None


def _conv(work: Work, context: Context, value: Value) -> None:
    op = value.op
    assert isinstance(op, convolution.Conv)
    fused = FusedConv(
        kernel=op.kernel,
        stride=op.stride,
        padding=op.padding,
        dilation=op.dilation,
        rounding=op.rounding,
        out_channels=int(op.out_channels),
        groups=int(op.groups),
        weight=_parameter(value, "weight"),
        bias=_bias(value, op),
    )
    work.change(value, fused, value.inputs)


def _linear(work: Work, context: Context, value: Value) -> None:
    """On a flattened map it is a convolution as large as the map: its weight has the channels outermost too."""
    op = value.op
    assert isinstance(op, linear.Linear)
    (x,) = value.inputs
    kernel: tuple[int, ...] = ()
    flattened = x.op
    if isinstance(flattened, linear.Flatten) and flattened.axes == "all" and x.inputs[0].type.rank > 1:
        source = x.inputs[0]
        if context.may("lower", x.name, value.name, "the classifier reads the map itself"):
            kernel = tuple([concrete(size) for size in source.type.spatial])
            x = source
    weight: Recipe = _parameter(value, "weight")
    if kernel:
        weight = Shaped(weight, (int(op.out_features), concrete(x.type.channels), *kernel))
    ones = (1,) * len(kernel)
    fused = FusedConv(
        kernel=kernel,
        stride=ones,
        padding=((0, 0),) * len(kernel),
        dilation=ones,
        rounding="exact",
        out_channels=int(op.out_features),
        groups=1,
        weight=weight,
        bias=_bias(value, op),
        flat=bool(kernel),
    )
    old = value.inputs[0]
    work.change(value, fused, [x])
    work.forget(old)


def _pool(work: Work, context: Context, value: Value) -> None:
    op = value.op
    assert isinstance(op, pooling.Pool)
    fused = FusedPool(
        kernel=op.kernel,
        stride=op.stride,
        padding=op.padding,
        dilation=op.dilation,
        rounding=op.rounding,
        kind="avg" if isinstance(op, pooling.AvgPool) else "max",
        count_pad=op.count_pad if isinstance(op, pooling.AvgPool) else True,
    )
    work.change(value, fused, value.inputs)


def _global_pool(work: Work, context: Context, value: Value) -> None:
    work.change(value, FusedMean(kind="avg" if isinstance(value.op, pooling.GlobalAvgPool) else "max"), value.inputs)


def _norm(work: Work, context: Context, value: Value) -> None:
    op = value.op
    assert isinstance(op, normalisation.BatchNorm)
    channels = concrete(value.type.channels)
    weights = (NormScale(value.name, op.eps, channels), NormShift(value.name, op.eps, channels))
    work.change(value, Pointwise(epilogue=(Step("affine", weights=weights),)), value.inputs)


def _unary(work: Work, context: Context, value: Value) -> None:
    op = value.op
    assert op is not None
    slope = op.slope if isinstance(op, activation.LeakyReLU) else 0.0
    work.change(value, Pointwise(epilogue=(Step(op.name, slope),)), value.inputs)


def _prelu(work: Work, context: Context, value: Value) -> None:
    step = Step("prelu", weights=(_parameter(value, "weight"),))
    work.change(value, Pointwise(epilogue=(step,)), value.inputs)


def _layer_scale(work: Work, context: Context, value: Value) -> None:
    weights = (_parameter(value, "weight"), Constant(0.0, concrete(value.type.channels)))
    work.change(value, Pointwise(epilogue=(Step("affine", weights=weights),)), value.inputs)


def _scale(work: Work, context: Context, value: Value) -> None:
    op = value.op
    factor = 1 - op.p if isinstance(op, regularisation.StochasticDepth) else getattr(op, "factor", 1.0)
    work.change(value, Pointwise(epilogue=(Step("scale", float(factor)),)), value.inputs)


def _adaptive(work: Work, context: Context, value: Value) -> None:
    """Where the size divides that of the input, all windows are of one size, and each value is in one."""
    op, x = value.op, value.inputs[0].type
    assert isinstance(op, pooling.AdaptivePool)
    pairs = [(concrete(size), concrete(n)) for size, n in zip(x.spatial, op.sizes(x))]
    if any(size % n for size, n in pairs):
        context.left("lower", value.name, "its windows are of different sizes")
        return
    kernel = tuple([size // n for size, n in pairs])
    fused = FusedPool(
        kernel=kernel,
        stride=kernel,
        padding=((0, 0),) * len(kernel),
        dilation=(1,) * len(kernel),
        rounding="exact",
        kind="avg" if isinstance(op, pooling.AdaptiveAvgPool) else "max",
    )
    work.change(value, fused, value.inputs)


def _cut(work: Work, context: Context, value: Value) -> None:
    """Where there is nothing to cut off, nor to resize, it is the first input."""
    x = value.inputs[0]
    if value.type == x.type and not (work.is_output(value) and x.op is None):
        if context.may("lower", value.name, x.name, "the sizes are equal"):
            work.replace(value, x)


def _slice(work: Work, context: Context, value: Value) -> None:
    """A range of channels is a view."""
    op = value.op
    assert isinstance(op, geometry.Slice)
    if op.axis == "C":
        work.change(value, Channels(int(op.start), concrete(value.type.channels)), value.inputs)


def _dropout(work: Work, context: Context, value: Value) -> None:
    _identity(work, context, value, "does nothing in inference")


def _identity(work: Work, context: Context, value: Value, reason: str) -> None:
    (x,) = value.inputs
    if work.is_output(value) and x.op is None:
        return
    if context.may("lower", value.name, x.name, reason):
        work.replace(value, x)


def _sum(work: Work, context: Context, value: Value) -> None:
    if len(value.inputs) == 1:
        _identity(work, context, value, "there is nothing to add")
        return
    steps = [Step("add", input=i) for i in range(1, len(value.inputs))]
    if not isinstance(value.op, join.Add):
        steps.append(Step("scale", 1 / len(value.inputs)))
    work.change(value, Pointwise(epilogue=tuple(steps)), value.inputs)


def _product(work: Work, context: Context, value: Value) -> None:
    if len(value.inputs) == 1:
        _identity(work, context, value, "there is nothing to multiply by")
        return
    steps = tuple([Step("mul", input=i) for i in range(1, len(value.inputs))])
    work.change(value, Pointwise(epilogue=steps), value.inputs)


def _gate(work: Work, context: Context, value: Value) -> None:
    x, factor = value.inputs
    if factor.type.channels == x.type.channels and set(factor.type.spatial) <= {1}:
        work.change(value, Pointwise(epilogue=(Step("gate", input=1),)), value.inputs)
    else:
        context.left("lower", value.name, "the gate is not one factor for each channel")


RULES: dict[type[Op], Callable[[Work, Context, Value], None]] = {
    convolution.Conv: _conv,
    linear.Linear: _linear,
    pooling.MaxPool: _pool,
    pooling.AvgPool: _pool,
    pooling.AdaptiveAvgPool: _adaptive,
    pooling.AdaptiveMaxPool: _adaptive,
    geometry.Slice: _slice,
    geometry.Crop: _cut,
    join.CropTo: _cut,
    join.ResizeTo: _cut,
    pooling.GlobalAvgPool: _global_pool,
    pooling.GlobalMaxPool: _global_pool,
    normalisation.BatchNorm: _norm,
    activation.PReLU: _prelu,
    scaling.Scale: _scale,
    scaling.LayerScale: _layer_scale,
    regularisation.StochasticDepth: _scale,
    regularisation.Dropout: _dropout,
    regularisation.SpatialDropout: _dropout,
    regularisation.DropPath: _dropout,
    join.Add: _sum,
    join.Mean: _sum,
    join.FractalJoin: _sum,
    join.Product: _product,
    join.Gate: _gate,
    **dict.fromkeys(
        (
            activation.ReLU,
            activation.ReLU6,
            activation.LeakyReLU,
            activation.ELU,
            activation.GELU,
            activation.SiLU,
            activation.HardSwish,
            activation.Mish,
            activation.Sigmoid,
            activation.HardSigmoid,
            activation.Tanh,
            activation.Softplus,
        ),
        _unary,
    ),
}
assert {op.name for op, rule in RULES.items() if rule is _unary} == set(UNARY)
