"""A coverage-guided fuzzer over parse, elaborate, check, format and emit.

    python tests/fuzz/run.py --minutes 30 [--corpus FOLDER] [--finds FOLDER]
    python tests/fuzz/run.py --replay FILE …

It needs atheris (`pip install -e '.[fuzz]'`). Seeds are the shipped networks, the prelude, the examples of errors and of
the language page; half of the mutations are by tokens of the language, the others libFuzzer's own, with the
language's words as dictionary. A broken promise is kept in the folder of finds, once for each place where it breaks,
and the search goes on; the exit code says whether there were any.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "backends"), str(ROOT / "tests")]

SECONDS = 20
"""CPU time for one text. Instrumented code takes several times as long as plain code."""
MEMORY = 4 << 30
LONGEST = 4000
"""Bytes of a text: what is slow by length alone is for the benchmark."""


class TooSlow(Exception):
    """A text took too long."""


def too_slow(_: int, __: FrameType | None) -> None:
    raise TooSlow(f"more than {SECONDS} s of CPU time")


def seeds() -> list[str]:
    """Texts that are worth changing."""
    files = [*ROOT.glob("specs/*.net"), *ROOT.glob("netdsl/prelude/*.net"), *ROOT.glob("tests/**/*.net")]
    texts = [path.read_bytes().decode("utf-8", "replace") for path in sorted(files)]
    manual = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```net[^\n]*\n(.*?)^```", manual, re.MULTILINE | re.DOTALL):
        texts.append(block if re.search(r"^\s*input\b", block, re.MULTILINE) else f"input 3 x 32 x 32\n{block}")
    return [text for text in texts if len(text) <= LONGEST]


class Mutator:
    """Changes a text by its tokens: removes, doubles, exchanges, replaces, inserts, or takes some from a seed."""

    def __init__(self, texts: list[str]) -> None:
        from strategies import VOCABULARY, pieces_of

        self.words, self.cut = VOCABULARY, pieces_of
        self.kinds: dict[str, list[str]] = {}
        for word in VOCABULARY:
            self.kinds.setdefault(kind_of(word), []).append(word)
        self.seeds = [pieces for text in texts if (pieces := pieces_of(text))]

    def __call__(self, data: bytes, limit: int, seed: int) -> bytes:
        import atheris

        dice = random.Random(seed)
        if dice.random() < 0.2:
            changed: bytes = atheris.Mutate(data, limit)
            return changed
        pieces = self.cut(data.decode("utf-8", "surrogateescape")) or ["\n"]
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            self.change(pieces, dice)
        return "".join(pieces).encode("utf-8", "surrogateescape")[:limit]

    def change(self, pieces: list[str], dice: random.Random) -> None:
        at, other, span = dice.randrange(len(pieces) + 1), dice.randrange(len(pieces) + 1), dice.choice((1, 3, 10, 30))
        kind = dice.randrange(-7, 7)
        if kind < 0:  # a word takes the place of one of its kind: such a text is more often a network
            words = [i for i, piece in enumerate(pieces) if not piece.isspace()]
            if words:
                at = dice.choice(words)
                pieces[at] = dice.choice(self.kinds.get(kind_of(pieces[at]), self.words))
        elif kind == 0:
            del pieces[at : at + span]
        elif kind == 1:
            pieces[at:at] = pieces[other : other + span]
        elif kind == 2:
            pieces[at : at + span] = pieces[other : other + span]
        elif kind == 3:
            pieces[at : at + 1] = [dice.choice(self.words)]
        elif kind == 4:
            pieces[at:at] = [dice.choice(self.words)]
        elif kind == 5:
            donor = dice.choice(self.seeds)
            start = dice.randrange(len(donor))
            pieces[at:at] = donor[start : start + span]
        else:  # a line of a seed, which is a statement
            lines = "".join(dice.choice(self.seeds)).split("\n")
            pieces[at:at] = ["\n", dice.choice(lines), "\n"]


def kind_of(word: str) -> str:
    """What a word looks like: a number, a size, a primitive, a name, or else itself."""
    if word[:1].isdigit():
        return "size" if "x" in word else "number"
    return "primitive" if word.isupper() else "name" if word.isidentifier() else "sign"


class Search:
    """What libFuzzer calls, and what it found. Mutable: it counts."""

    def __init__(self, finds: Path, minutes: float) -> None:
        from fuzz.target import examine

        self.examine, self.finds, self.minutes = examine, finds, minutes
        self.start = time.monotonic()
        self.tried = self.accepted = 0
        self.slowest = 0.0
        self.known: set[str] = set()

    def __call__(self, data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        self.tried += 1
        start = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            self.accepted += self.examine(text) is not None
        except Exception as error:
            self.keep(data, error)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        self.slowest = max(self.slowest, time.process_time() - start)
        if time.monotonic() - self.start > 60 * self.minutes:
            self.end()

    def end(self) -> None:
        """The last line of a search. libFuzzer would leave without a word to Python, too."""
        print(
            f"{self.tried:,} texts in {self.minutes} min, {self.accepted:,} of them networks, "
            f"the slowest {self.slowest:.1f} s, {len(self.known)} finds",
            flush=True,
        )
        os._exit(1 if self.known else 0)

    def keep(self, data: bytes, error: Exception) -> None:
        place = signature(error.__traceback__)
        what = f"{type(error).__name__} {place}" + (f" {str(error)[:20]}" if isinstance(error, AssertionError) else "")
        if what in self.known:
            return
        self.known.add(what)
        self.finds.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(data).hexdigest()[:12]
        (self.finds / f"{name}.net").write_bytes(data)
        (self.finds / f"{name}.txt").write_text("".join(traceback.format_exception(error)[-30:]), errors="replace")
        print(f"FIND {name}: {what}: {str(error)[:200]!r}", file=sys.stderr, flush=True)


def signature(trace: TracebackType | None) -> str:
    """The innermost two places of netdsl's own code, by which finds are told apart."""
    frames = [f for f in traceback.extract_tb(trace) if f"{os.sep}netdsl" in f.filename or "fuzz" in f.filename]
    return " < ".join(f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in frames[:-3:-1])


def replay(files: list[str]) -> int:
    from fuzz.target import examine

    for file in files:
        start = time.process_time()
        net = examine(Path(file).read_bytes().decode("utf-8", "surrogateescape"))
        print(f"{file}: {'accepted' if net else 'explained'} in {time.process_time() - start:.2f} s")
    return 0


def fuzz(args: argparse.Namespace) -> NoReturn:
    import atheris

    os.environ["NETDSL_CACHE"] = os.devnull  # else every text that can be read would be kept
    with atheris.instrument_imports(include=["netdsl", "netdsl_torch"]):
        import netdsl.cli
        import netdsl.passes
        import netdsl.table  # noqa: F401
        import netdsl_torch  # noqa: F401
    from strategies import VOCABULARY

    texts = seeds()
    corpus, finds = Path(args.corpus or tempfile.mkdtemp()), Path(args.finds)
    corpus.mkdir(parents=True, exist_ok=True)
    for text in texts:
        data = text.encode("utf-8", "replace")
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    words = corpus.with_name(corpus.name + ".dict")
    words.write_text("".join(f'"{quoted(word)}"\n' for word in dict.fromkeys(VOCABULARY)), encoding="ascii")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGVTALRM, too_slow)
    finds.mkdir(parents=True, exist_ok=True)
    flags = [
        f"-max_len={LONGEST}",
        "-timeout=120",
        "-rss_limit_mb=4096",
        f"-dict={words}",
        f"-artifact_prefix={finds}/",
    ]
    search = Search(finds, args.minutes)
    atheris.Setup([sys.argv[0], *flags, str(corpus)], search, custom_mutator=Mutator(texts))
    atheris.Fuzz()
    raise AssertionError("libFuzzer does not return")


def quoted(word: str) -> str:
    """A word as libFuzzer's dictionaries write it."""
    return "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else f"\\x{b:02x}" for b in word.encode("utf-8", "replace")
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, metavar="N", help="how long to search (30)")
    parser.add_argument("--corpus", metavar="FOLDER", help="keeps the texts that reached new code, for the next time")
    parser.add_argument("--finds", default="fuzz-finds", metavar="FOLDER", help="where finds are written (fuzz-finds)")
    parser.add_argument("--replay", nargs="+", metavar="FILE", help="tries these files alone; needs no atheris")
    args = parser.parse_args()
    if args.replay:
        return replay(args.replay)
    fuzz(args)


if __name__ == "__main__":
    sys.exit(main())
