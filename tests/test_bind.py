"""Bare arguments: which one is which, and what is said of one that is none."""

from __future__ import annotations

import pytest

import netdsl
from netdsl import SpecError


def fault(line: str, start: str) -> tuple[str, str, tuple[str, ...]]:
    with pytest.raises(SpecError) as caught:
        netdsl.loads(f"net t(n=3)\ninput {start}\n{line}\n")
    one = caught.value.diagnostics[0]
    return one.code, one.message, one.helps


@pytest.mark.parametrize(
    ("line", "code", "message", "help"),
    [
        # words
        ("CONV 8 NOBIAS", "E0204", "CONV does not take `NOBIAS`", "words are in lower case: `nobias`"),
        ("CONV 8 Same", "E0204", "CONV does not take `Same`", "words are in lower case: `same`"),
        ("CONV 8 kxk", "E0204", "CONV does not take `kxk`", "a size of two names has spaces: `k x k`"),
        ("CONV 8 activation", "E0204", "CONV does not take `activation`", "a norm or an activation is a word alone"),
        ("CONV 8 norm", "E0204", "CONV does not take `norm`", "a norm or an activation is a word alone"),
        ("CONV 8 act=relu", "E0204", "CONV has no argument `act`", "a norm or an activation is a word alone"),
        ("POOL relu", "E0204", "`relu` cannot follow POOL", "as an element of its own: `POOL … -> RELU`"),
        ("CONV 8 floor ceil", "E0204", "CONV does not take `ceil`", "CONV is written `CONV out_channels"),
        ("CONV 8 foo=3", "E0204", "CONV has no argument `foo`", "CONV is written `CONV out_channels"),
        ("CONV 8 kernl=3", "E0204", "CONV has no argument `kernl`", "did you mean `kernel`?"),
        ("CONV 8 valid=1", "E0204", "CONV has no argument `valid`", "`valid` is a word alone: it takes no value"),
        ("CONV 8 padding=zero", "E0202", "`padding` of CONV is `same` or `valid`", "zeros are counted with `pad 1`"),
        ("CONV 8 padding=2", "E0202", "`padding` of CONV is `same` or `valid`", "zeros are counted with `pad 2`"),
        ("SLICE 0 2 axis=Z", "E0202", "an axis is `C`, `D`, `H` or `W`, not `Z`", ""),
        # said twice, or against one another
        ("CONV 8 same valid", "E0204", "`valid` after `same`: CONV has one padding", "leave out `valid`"),
        ("CONV 8 3x3 5x5", "E0204", "`5x5` after `3x3`: CONV has one kernel", "leave out `5x5`"),
        ("CONV 8 k=3 5x5", "E0204", "`5x5` after `k=3`: CONV has one kernel", "leave out `k=3`, and keep `5x5`"),
        ("CONV 8 /2 stride=2", "E0204", "`stride=2` after `/2`: CONV has one stride", "leave out `/2`"),
        ("CONV 8 depthwise groups=2", "E0204", "`depthwise` and `groups=2` contradict each other", "leave out `groups=2`"),
        ("CONV 8 bn linear relu", "E0204", "`relu` after `linear`: one activation only", "further elements with `->`"),
        ("CONV 8 relu relu", "E0204", "`relu` after `relu`: one activation only", "further elements with `->`"),
        ("CONV 8 bn gn", "E0204", "`gn` after `bn`: one norm only", "further elements with `->`"),
        # too many, too few
        ("CONV 8 9", "E0203", "CONV takes 1 number, and `9` is one more", "a kernel is written `9x9`, a stride `/9`"),
        ("RELU 3", "E0203", "RELU takes no number, and `3` is one more", "RELU is written `RELU`"),
        ("CONV", "E0203", "CONV needs the number of filters", "CONV is written `CONV out_channels"),
        ("FC", "E0203", "FC needs the number of outputs", "FC is written `FC out_features"),
        ("CONV 8 pad", "E0203", "`pad` needs a value", "`pad 2`"),
        # numbers
        ("CONV 0", "E0202", "out channels of CONV must be at least 1, not 0", ""),
        ("CONV 8.5", "E0202", "out channels of CONV must be whole, and `8.5` is 8.5", "write `floor(8.5)` write `ceil(8.5)`"),
        ("CONV (n/2)", "E0202", "must be whole, and `(n/2)` is 1.5", "write `floor(n/2)` write `ceil(n/2)`"),
        ("CONV 8 stride=0", "E0202", "stride of CONV must be at least 1, not 0", ""),
        ("CONV 8 pad=-1", "E0202", "pad of CONV must be at least 0, not -1", ""),
        ("CONV 8 groups=2x2", "E0202", "groups of CONV is one number, not `2x2`", ""),
        ("CONV 8 stride same", "E0202", "stride of CONV is a number, not a word", ""),
        ("CONV 8 bias_init=relu", "E0202", "bias_init of CONV is a number, not a layer", ""),
        ("CONV 8 init=(0-1)", "E0202", "`init` is one of `he`, ", ""),
        ("CONV 8 (CONV 3)", "E0202", "CONV takes numbers and words here, not a block", "CONV is written `CONV out_channels"),
        ("CONV 1000000001", "E0102", "out channels of CONV is more than 1,000,000,000", ""),
        ("CONV 8 1000000001x3", "E0102", "kernel of CONV is more than 1,000,000,000", ""),
        # a name that is none is told once, and nothing else of what holds it
        *((f"CONV {form}", "E0201", "unknown name `foo`", "") for form in ("(foo)", "8 k=(foo)", "8 init=foo", "8 foo")),
    ],
)  # fmt: skip
def test_what_is_no_argument(line: str, code: str, message: str, help: str) -> None:
    found, said, helps = fault(line, "6 x 9 x 12")
    assert found == code
    assert message in said
    assert help in " ".join(helps)
    assert help or code == "E0201" or not helps


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CONV 8 k=(H)", "kernel of CONV must be known, and `(H)` is H"),
        ("CONV H", "out channels of CONV must be known, and `H` is H"),
        ("CONV 8 groups=H", "groups of CONV must be known, and `H` is H"),
        ("DROPOUT H", "p of DROPOUT must be known, and `H` is H"),
    ],
)
def test_an_open_size_is_no_number(line: str, message: str) -> None:
    code, said, _ = fault(line, "6 x H x 12")
    assert (code, said) == ("E0308", message)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CONV 8 5x5 /2 floor pad 1", "CONV 8 floor pad=1 stride=2 k=5"),
        ("CONV 8 kernel=5", "CONV 8 5x5"),
        ("CONV (n*2)", "CONV out_channels=6"),
        ("CONV 8 padding=valid", "CONV 8 valid"),
        ("CONV 8 bias=nobias", "CONV 8 nobias"),
        ("CONV 8 k=H valid", "CONV 8 9x9 valid"),
        ("CONV 8 init=0.5", "CONV 8 init (1/2)"),
        ("CONV 8 k = 3", "CONV 8"),
        ("CONV 8 relu bn", "CONV 8 bn relu"),
        ("DROPOUT p=0.5", "DROPOUT"),
        ("CONV (if n == 4 then 5 else 7)", "CONV 7"),
        ("CONV (if n == 3 then 5 else 7)", "CONV 5"),
    ],
)
def test_two_ways_to_say_it(one: str, other: str) -> None:
    first, second = (netdsl.loads(f"net t(n=3)\ninput 6 x 9 x 12\n{line}\n") for line in (one, other))
    assert [layer.op for layer in first.layers] == [layer.op for layer in second.layers]
