r"""How is a text written in LaTeX?  What TeX would read as a command or as mathematics is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.size import Size

CODES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "…": r"\dots{}",
    "\n": " ",
}


def escaped(text: str) -> str:
    """The text as LaTeX shows it. Letters that pdfLaTeX has no glyph for are written as their code point."""
    return "".join(CODES.get(c) or (c if c.isascii() and c.isprintable() else _code(c)) for c in text)


def breakable(name: str) -> str:
    """A name that a line may end in."""
    return escaped(name).replace(r"\_", r"\_\allowbreak{}")


def _code(c: str) -> str:
    """Letters of Western Europe are in every font; Greek is mathematics."""
    if c in GREEK:
        return rf"$\{GREEK[c]}$"
    if "\u00c0" <= c <= "\u00ff" and c not in "×÷":
        return c
    return rf"\texttt{{U+{ord(c):04X}}}"


GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma",
    "τ": "tau", "υ": "upsilon", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta",
    "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}  # fmt: skip


def size_text(sizes: Iterable[Size | str]) -> str:
    r"""`$112\times112$`; `$1\times1$` where nothing is left."""
    parts = [str(size) for size in sizes]
    if all(part.isdigit() for part in parts):
        return "$" + r"\times".join(parts or ["1", "1"]) + "$"
    return r"$\times$".join(map(escaped, parts))
