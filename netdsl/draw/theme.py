"""In which colours and letters are networks drawn?  The one place, for all formats.

The hues are those of Okabe & Ito (2008), which people who see fewer colours tell apart, lightened until dark letters
have a contrast of 7:1 on them (WCAG 2.2, AAA). On dark ground the same hues are deep and the letters light. No fact is
shown by a colour alone: each box says what it is.
"""

from __future__ import annotations

from netdsl.record import Record


class Paint(Record):
    """The colours of one kind of box, as `#rrggbb`."""

    fill: str
    line: str


class Palette(Record):
    """One ground: light or dark."""

    ground: str
    """Behind everything."""
    text: str
    quiet: str
    """Labels, shapes, notes."""
    wire: str
    skip: str
    """Skips and other links."""
    frame: str
    frame_line: str
    """An opened block."""
    kinds: dict[str, Paint]


KINDS: dict[str, str] = {
    "input": "input",
    "conv": "convolution",
    "pool": "pooling",
    "fc": "fully connected",
    "norm": "normalisation",
    "activation": "activation",
    "join": "join",
    "regularisation": "dropout, drop-path",
    "attention": "attention",
    "recurrent": "recurrent",
    "embedding": "tokens, positions",
    "reshape": "reshape, resize",
    "block": "block",
    "output": "output",
}
"""The kinds of boxes, and what a legend calls them."""

LIGHT = Palette(
    "#ffffff",
    "#1a1a1a",
    "#5a6068",
    "#6b7178",
    "#0072b2",
    "#f6f7f9",
    "#c3c9d0",
    {
        "input": Paint("#ffffff", "#6b7178"),
        "conv": Paint("#cfe4f5", "#2f7fb5"),
        "pool": Paint("#f7c9b3", "#c8561a"),
        "fc": Paint("#f3e9a6", "#9c8b08"),
        "norm": Paint("#dcefe8", "#3d9a7c"),
        "activation": Paint("#e8f3d6", "#6f8f30"),
        "join": Paint("#ffffff", "#3c4248"),
        "regularisation": Paint("#ececec", "#8a8f95"),
        "attention": Paint("#e9cbdf", "#b05a8c"),
        "recurrent": Paint("#bfe6d8", "#00855f"),
        "embedding": Paint("#f9dfae", "#c08400"),
        "reshape": Paint("#e3e5ea", "#757d88"),
        "block": Paint("#dcdff3", "#5b66b0"),
        "output": Paint("#ffffff", "#6b7178"),
    },
)
DARK = Palette(
    "#14171c",
    "#eef0f3",
    "#a3abb5",
    "#8b939d",
    "#66b8ea",
    "#1c2027",
    "#434b56",
    {
        "input": Paint("#14171c", "#8b939d"),
        "conv": Paint("#16405e", "#5aa9dc"),
        "pool": Paint("#6a2c10", "#e58a57"),
        "fc": Paint("#524a0a", "#cdbb3c"),
        "norm": Paint("#1d4437", "#66bfa2"),
        "activation": Paint("#36451c", "#a5c466"),
        "join": Paint("#14171c", "#c8ced5"),
        "regularisation": Paint("#34383e", "#9aa1a9"),
        "attention": Paint("#57294a", "#d98abb"),
        "recurrent": Paint("#0f4a39", "#35b78f"),
        "embedding": Paint("#573e05", "#e0a93a"),
        "reshape": Paint("#2d323b", "#9aa3af"),
        "block": Paint("#2b305a", "#8f99dd"),
        "output": Paint("#14171c", "#8b939d"),
    },
)
THEMES = {"light": LIGHT, "dark": DARK}

FONTS = ("DejaVu Sans", "Verdana", "Bitstream Vera Sans", "Geneva", "sans-serif")
"""What letters are measured as comes first; the others are not wider."""


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 to 1 (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Contrast of two colours, 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
