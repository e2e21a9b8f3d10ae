"""What did the author mean by these arguments?  Ideas for what PyTorch, Keras and habit write otherwise."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from netdsl import tree as t
from netdsl.diagnostic import Edit, Help, Repair
from netdsl.edits import without
from netdsl.ops import BY_FLAG, BY_SPELLING, Op
from netdsl.source import Span

INITIAL = {
    **dict.fromkeys(("kaiming", "kaiming_normal", "kaiming_uniform", "he_normal", "he_uniform", "msra"), "he"),
    **dict.fromkeys(("glorot", "glorot_normal", "glorot_uniform", "xavier_normal", "xavier_uniform"), "xavier"),
    **dict.fromkeys(("lecun_normal", "lecun_uniform"), "lecun"),
}
"""What PyTorch and Keras call the initial values."""
FILTERS = ("filters", "out_channels", "channels", "num_filters", "num_output", "units", "out_features", "features")
KERNELS = ("kernel_size", "pool_size", "filter_size", "ksize", "window", "size")
OTHER = {
    **dict.fromkeys(("strides", "s"), "stride"),
    **dict.fromkeys(("padding", "p"), "pad"),
    **dict.fromkeys(("dilation_rate", "dilations"), "dilation"),
    "group": "groups",
}
VALUES = ("rate", "p", "alpha", "negative_slope")
"""What a primitive of one number takes."""
YES, NO = ("True", "true"), ("False", "false")
WORDS = ("activation", "act", "norm", "normalization")
NOT_HERE = {*FILTERS, *KERNELS, *OTHER, *VALUES, "in_channels", "in_features", "use_bias"}
"""Names of other libraries: no name that looks alike is meant."""
MAX_KERNEL, MAX_STRIDE = 11, 8
"""Bare numbers up to these are read as a kernel and a stride."""


def elsewhere(op: type[Op], head: str, args: Sequence[t.Arg]) -> tuple[Help, ...]:
    """`kernel_size=3, padding=1` as netdsl writes it; nothing where a name is of no library either."""
    names = {argument.name for argument in op.arguments} | {a for argument in op.arguments for a in argument.aliases}
    edits, known = [], True
    for arg in args:
        if isinstance(arg, t.Keyword):
            text = _translated(arg, op, args, names)
            known &= text is not None or arg.name in names
            if text is not None:
                edits.append(Edit(arg.span if text else without(arg.span), text))
    if not edits or not known:
        return ()
    words = all(edit.span.text.partition("=")[0].strip() in WORDS for edit in edits)
    said = "a norm or an activation is a word alone:" if words else f"{head} is written"
    return (Repair(f"{said} `{_written(head, args, edits)}`", tuple(edits)),)


def _translated(arg: t.Keyword, op: type[Op], args: Sequence[t.Arg], names: set[str]) -> str | None:
    """An argument by a name of another library, as it is written here; "" where it is not written at all."""
    value = arg.value.span.text
    if arg.name == "padding" and isinstance(arg.value, t.Number | t.Extent) and "pad" in names:
        return f"pad={value}"
    if arg.name in ("use_bias", "bias") and "bias" in names and value in (*YES, *NO):
        return "bias" if value in YES else "nobias"
    if arg.name in names:
        return None
    if arg.name in BY_FLAG and op.takes_flags and value in YES:
        return arg.name
    if arg.name in KERNELS and "kernel" in names:
        return f"{value}x{value}" if isinstance(arg.value, t.Number) else f"kernel={value}"
    if arg.name in ("in_channels", "in_features"):
        return ""
    if arg.name in WORDS and value.strip('"') in BY_FLAG and op.takes_flags:
        return value.strip('"')
    takes = [argument for argument in op.arguments if argument.form == "positional"]
    words = {word for argument in op.arguments for word in argument.words}
    given = [other for other in args if isinstance(other, t.Number | t.Group | t.Name)]
    given = [other for other in given if not (isinstance(other, t.Name) and other.id in {*words, *BY_FLAG})]
    if takes and (arg.name in FILTERS or (arg.name in VALUES and takes[0].kind == "number")):
        if not given:
            return value
        return "" if given[0].span.text == value else None
    return f"{OTHER[arg.name]}={value}" if OTHER.get(arg.name) in names else None


def of_word(word: str, words: Collection[str], span: Span) -> tuple[Help, ...]:
    """`s2`, `p1`, `k3` and `dw`, which papers and configurations write."""
    short = re.fullmatch(r"([spk])(\d+)", word)
    text = {"s": "/{0}", "p": "pad {0}", "k": "{0}x{0}"}[short[1]].format(short[2]) if short else "depthwise"
    if not short and (word != "dw" or text not in words):
        return ()
    return (Repair.of(f"`{word}` is written `{text}`", (span, text)),)


def _written(head: str, args: Sequence[t.Arg], edits: Sequence[Edit]) -> str:
    """An application with its edits made, in a line."""
    new = {edit.span.end: edit.text for edit in edits}
    return " ".join([head, *filter(None, (new.get(arg.span.end, arg.span.text) for arg in args))])


def positional_numbers(extra: t.Expr, args: Sequence[t.Arg], has_kernel: bool) -> tuple[Help, ...]:
    """`CONV 64 3 1`: a kernel, then a stride, then padding, as PyTorch counts them."""
    value = extra.span.text
    title = f"a kernel is written `{value}x{value}`, a stride `/{value}`, padding `pad {value}`"
    rest = [arg for arg in args if isinstance(arg, t.Number) and arg.span.start >= extra.span.start]
    forms = ["{0}x{0}", "/{0}", "pad {0}"][has_kernel:]
    likely = [arg.value <= most for arg, most in zip(rest, [MAX_KERNEL, MAX_STRIDE, MAX_KERNEL][has_kernel:])]
    if not rest or len(rest) > len(forms) or not all(likely):
        return (title,)
    return (Repair.of(title, *((arg.span, form.format(arg.span.text)) for arg, form in zip(rest, forms))),)


def filters_missing(head: str, kernel: Span | None) -> tuple[Help, ...]:
    """`CONV 3x3x64`, and `CONV 1x1` for as many filters as there are channels."""
    sizes = re.findall(r"\d+", kernel.text) if kernel is not None else []
    if kernel is None or len(sizes) not in (2, 3):
        return ()
    if len(sizes) == 2:
        return (f"the number of filters stands first: `{head} 64 {kernel.text}`; `C` is as many as come in",)
    text = f"{sizes[2]} {sizes[0]}x{sizes[1]}"
    return (Repair.of(f"the number of filters stands first: `{head} {text}`", (kernel, text)),)


def elements_and_flags(op: type[Op], where: Span, arg: t.Name, args: Sequence[t.Arg]) -> list[Help]:
    """`CONV 64 BN RELU`: elements of their own, or flags in lower case. Those that follow are written alike."""
    before = where.text[: arg.span.start - where.start].rstrip()
    later = [other for other in args if isinstance(other, t.Name) and other.span.start >= arg.span.start]
    later = [other for other in later if other.id.upper() in BY_SPELLING]
    elements = [(other.span, f"-> {other.id if other is arg else other.id.upper()}") for other in later]
    helps: list[Help] = [Repair.of(f"write `->` between elements: `{before} -> {arg.id}`", *elements)]
    flag = BY_SPELLING[arg.id.upper()].flag
    if flag and op.takes_flags:
        flags = [BY_SPELLING[other.id.upper()].flag or f"-> {other.id}" for other in later]
        case = ", in lower case" if flag == arg.id.lower() else ""
        helps.append(Repair.of(f"use the flag `{flag}`{case}", *zip((other.span for other in later), flags)))
    return helps


def further_elements(op: type[Op] | None, span: Span, earlier: Span) -> list[Help]:
    """A second norm or activation: an element of its own, or one too many."""
    alone = f"-> {op.spellings[0]}" if op else ""
    more: list[Help] = [Repair.of(f"write further elements with `->`: `{alone}`", (span, alone))] if op else []
    return [*more, *(Repair.of(f"leave out `{other.text}`", (without(other), "")) for other in (span, earlier))]
