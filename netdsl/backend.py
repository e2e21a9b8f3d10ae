"""What can be made from a network?  The protocol of backends; they are found by entry point, and loaded late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Protocol, cast

from netdsl.diagnostic import nearest
from netdsl.options import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from netdsl.net import Net

GROUP = "netdsl.backends"


class Backend(Protocol):
    """Turns a checked network into something else. An object of this form is what the entry point names.

    `emit` must not need the framework it writes for; `build` may.
    """

    name: str
    """As in `--backend name`."""
    suffixes: tuple[str, ...]
    """The suffixes of the files it writes: `(".py",)`. They pick the backend."""

    def emit(self, net: Net) -> str:
        """The text of the file. Equal networks give equal texts."""

    def build(self, net: Net, **options: Any) -> Any:
        """The object that runs: for PyTorch, an nn.Module. Raises UsageError for an option that it does not have."""

    def load_weights(self, module: Any, weights: Any, fresh: Iterable[str] = ()) -> None:
        """Gives what `build` made the weights of another implementation, but for the lines labelled as in `fresh`.

        Raises UsageError where they do not fit, and then changes nothing.
        """

    def is_generated(self, text: str) -> bool:
        """Whether a file's text came from this backend and was not changed since, so that it may be replaced."""


class Fusing(Backend, Protocol):
    """A backend that makes few kernels of many elements, and can say and measure what came of it.

    All three raise UsageError for what cannot be, and where what they need is not installed.
    """

    def explain(self, net: Net, batch: int, dtype: str, device: str | None = None) -> Any:
        """What becomes of each element: `str` of it is for people, its `to_dict()` for programs. Nothing runs."""

    def tune(self, net: Net, batches: Sequence[int], dtype: str, budget: float | None = None) -> Any:
        """Times kernels on this machine, for as many seconds: `reports`, one for each batch, and what was `tuned`."""

    def bench(self, nets: Sequence[tuple[Net, tuple[Any, ...]]], target: Path | None, **options: Any) -> int:
        """Compares backends, and gives the exit code.

        With each network come the arguments of `netdsl.net.load_with` that give it, for other processes. Results are
        printed, and written to `target`. The options are those of `netdsl bench`.
        """


def written_by(backend: Backend) -> tuple[str, ...]:
    """The suffixes of all files that a backend writes.

    Where several backends write Python, a suffix picks one of them alone; the others say it in `shared_suffixes`, and
    have to be named.
    """
    shared: tuple[str, ...] = getattr(backend, "shared_suffixes", ())
    return (*backend.suffixes, *shared)


def installed() -> dict[str, EntryPoint]:
    """The installed backends by name, not loaded."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def load_backend(name: str) -> Backend:
    """The backend called `name`. Raises UsageError with the names there are."""
    found = installed()
    if name not in found:
        close = nearest(name, found)
        raise UsageError(
            f"there is no backend {name!r}: "
            + (f"did you mean {close!r}?" if close else f"installed are {', '.join(found) or 'none'}")
        )
    return cast(Backend, found[name].load())


def fusing(name: str = "triton") -> Fusing:
    """The backend called `name`. Raises UsageError where there is none, or where it does not fuse."""
    backend = load_backend(name)
    if not all(hasattr(backend, method) for method in ("explain", "tune", "bench")):
        raise UsageError(f"the {name} backend fuses nothing that could be explained: --backend triton does")
    return cast(Fusing, backend)


def backends() -> Iterator[Backend]:
    """Every installed backend, loaded."""
    for name in installed():
        yield load_backend(name)


def is_generated(text: str) -> bool:
    """Whether one of the backends wrote this file, and nobody changed it since: any of them may replace it."""
    return any(backend.is_generated(text) for backend in backends())


def backend_for(suffix: str) -> Backend:
    """The backend that writes files with this suffix. Raises UsageError with the suffixes there are."""
    known: list[str] = []
    for backend in backends():
        if suffix in backend.suffixes:
            return backend
        known.extend(backend.suffixes)
    raise UsageError(
        f"no backend writes {suffix or 'a file without a suffix'}: the suffixes are {', '.join(known) or 'none'}"
    )
