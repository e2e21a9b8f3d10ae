"""Where do specs come from?  Files, and the networks that ship with netdsl: the only reading of specs from disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from netdsl.diagnostic import Diagnostic, diagnose, nearest
from netdsl.parse import MAX_LENGTH
from netdsl.program import NotFound
from netdsl.source import Source, Span


class Unreadable(Exception):
    """A file cannot be read as text; carries the diagnostic."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def shipped_folder() -> Path:
    """The folder of the shipped specs: inside the package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent
    inside = here / "specs"
    return inside if inside.is_dir() else here.parent / "specs"


def shipped() -> dict[str, Path]:
    """The shipped networks by name."""
    return {path.stem: path for path in sorted(shipped_folder().glob("*.net"))}


def find(spec: str) -> Path:
    """The file that `spec` means: a path wins, else a shipped name. Raises FileNotFoundError with a sentence."""
    path = Path(spec)
    if path.is_file():
        return path
    known = shipped()
    if spec in known:
        return known[spec]
    if path.is_dir():
        raise FileNotFoundError(f"{spec} is a folder; give a .net file in it")
    if re.fullmatch(r"\w+", spec):
        close = f"{spec}.net" if path.with_suffix(".net").is_file() else nearest(spec, known)
        help_ = f"did you mean {close}?" if close else "`netdsl list` names the shipped networks"
        raise FileNotFoundError(f"there is no file and no shipped network called {spec}: {help_}")
    name = spec.removesuffix(".net")
    raise FileNotFoundError(f"there is no file {spec}" + (f"; the shipped network is {name}" if name in known else ""))


def read_source(path: Path, name: str | None = None) -> Source:
    """The text of a file, under the name that people typed. Raises OSError, Unreadable."""
    with path.open("rb") as file:
        return decoded(file.read(4 * MAX_LENGTH + 1), name or shown_name(path))


def decoded(data: bytes, shown: str) -> Source:
    """The text in some bytes, of which more than four for each character that a file may have are too many."""
    if len(data) > 4 * MAX_LENGTH:  # and no character has more than four bytes
        span = Span(Source(shown, ""), 0, 0)
        raise Unreadable(diagnose("E0403", f"the file has more than {MAX_LENGTH:,} characters", (span,)))
    try:
        return Source(shown, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        head = data[: error.start].decode("utf-8")
        source = Source(shown, head + "\ufffd" + data[error.start + 1 :].decode("utf-8", "replace"))
        span = Span(source, len(head), len(head) + 1)
        what = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        raise Unreadable(diagnose("E0105", f"not a text file: {what}", (span,), helps=("save it as UTF-8",))) from None


def shown_name(path: Path) -> str:
    """The path as short as it can be: relative where it lies below the current folder."""
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return str(path)


class FileReader:
    """Reads imports: a path relative to the importing file and inside the root's folder, or a shipped name."""

    def __init__(self, root: Path) -> None:
        self.root, self.root_name = root.resolve().parent, root.name
        self.paths: dict[str, Path] = {}

    def __call__(self, written: str, importer: Source) -> Source:
        try:
            return self.found(written, importer)
        except (OSError, RuntimeError) as error:  # a name that is too long, a ring of links
            reason = error.strerror if isinstance(error, OSError) else "the links lead to one another"
            raise NotFound("E0405", f'"{written}" cannot be read: {reason}') from None

    def found(self, written: str, importer: Source) -> Source:
        """The file that an import means. Raises NotFound, OSError, RuntimeError."""
        if re.fullmatch(r"\w+", written):
            beside = self.folder(importer) / f"{written}.net"
            if self.is_file(beside):
                return self.read(beside)
            known = shipped()
            if written not in known:
                close = nearest(written, known)
                raise NotFound(
                    "E0405",
                    f"there is no shipped network `{written}`",
                    f"did you mean `{close}`?" if close else 'a file is imported by its path: `import "blocks.net"`',
                    instead=close or "",
                )
            return self.read(known[written], shipped_folder())
        path = Path(written)
        if path.is_absolute() or re.match(r"[A-Za-z]:|~|\\\\", written):
            raise NotFound(
                "E0406",
                f'"{written}" is not a relative path',
                "a spec imports files beside it or below, and shipped networks by name",
            )
        target = self.folder(importer) / path
        inside = target.resolve()
        base = self.base_of(importer)
        if not inside.is_relative_to(base):
            raise NotFound(
                "E0406",
                f'"{written}" lies outside the folder of the spec',
                f"move it into the folder of {self.root_name}",
            )
        if not self.is_file(inside):
            close = nearest(path.name, self.names(inside.parent))
            other = (path.parent / close).as_posix() if close else ""
            helps = [f'did you mean "{other}"?'] if other else []
            raise NotFound("E0405", f'there is no file "{written}"', *helps, instead=other)
        return self.read(target, base)

    def is_file(self, path: Path) -> bool:
        return path.is_file()

    def names(self, folder: Path) -> list[str]:
        """The specs in a folder."""
        return [path.name for path in folder.glob("*.net")] if folder.is_dir() else []

    def folder(self, importer: Source) -> Path:
        return self.paths[importer.name].parent if importer.name in self.paths else self.root

    def base_of(self, importer: Source) -> Path:
        """The folder that an import may not leave: that of the root spec, or of the shipped ones for a shipped one."""
        own = self.folder(importer).resolve()
        return (
            shipped_folder().resolve()
            if own.is_relative_to(shipped_folder().resolve()) and not own.is_relative_to(self.root)
            else self.root
        )

    def read(self, path: Path, base: Path | None = None) -> Source:
        name = shown_name(path.resolve())
        try:
            source = read_source(path, name)
        except OSError as error:
            raise NotFound("E0405", f"{name} cannot be read: {error.strerror}") from None
        except Unreadable as error:
            raise NotFound("E0105", error.diagnostic.message + f" in {name}") from None
        self.paths[source.name] = path
        return source


class TextReader(FileReader):
    """Reads imports among texts, {name: text}, as if they lay beside a spec that is called `root`; no file is read."""

    def __init__(self, root: str, files: Mapping[str, str]) -> None:
        super().__init__(Path(root))
        self.texts = {self.root / name: text for name, text in files.items()}

    def is_file(self, path: Path) -> bool:
        return path in self.texts

    def names(self, folder: Path) -> list[str]:
        return [path.name for path in self.texts if path.parent == folder]

    def read(self, path: Path, base: Path | None = None) -> Source:
        if path not in self.texts:
            return super().read(path, base)  # a shipped network
        source = Source(path.relative_to(self.root).as_posix(), self.texts[path])
        self.paths[source.name] = path
        return source


def no_files(written: str, importer: Source) -> Source:
    """The reader for a text that came from nowhere: it can import shipped networks only."""
    if re.fullmatch(r"\w+", written) and written in shipped():
        return read_source(shipped()[written], f"{written}.net")
    raise NotFound(
        "E0405",
        f'"{written}" cannot be imported from here',
        "a text without a file can import shipped networks by name",
    )
