"""Who described a network, and how accurate was it measured to be?  Facts of `specs/published.toml`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from netdsl.files import read_source, shipped, shipped_folder
from netdsl.record import Record

if TYPE_CHECKING:
    from netdsl.net import Net


class Paper(Record):
    """`year` is that of the first version."""

    year: int
    title: str
    authors: str
    venue: str = ""
    arxiv: str = ""

    @property
    def citation(self) -> str:
        """`He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385`."""
        where = [part for part in (self.venue, f"arXiv:{self.arxiv}" if self.arxiv else str(self.year)) if part]
        return f'{self.authors}, "{self.title}", {", ".join(where)}'


class Accuracy(Record):
    """A figure that was published, in per cent.

    on             the data set and the part of it: `ILSVRC-2012 validation`
    source         where the figure stands
    size, crops    of the images measured, for ImageNet: 1 crop is the centre, 10 are that, the corners, and mirrors
    weights        torchvision's name of the weights that it is of
    variant        how the network that was measured differs from the shipped one
    """

    on: str
    source: str
    top1: float | None = None
    top5: float | None = None
    size: int = 0
    crops: int = 0
    weights: str = ""
    variant: str = ""

    @property
    def said(self) -> str:
        """`ILSVRC-2012 validation, 1 crop of 224; torchvision, VGG16_Weights.IMAGENET1K_V1`."""
        crops = f", {self.crops} crop{'s' * (self.crops > 1)} of {self.size}" if self.crops else ""
        source = ", ".join(filter(None, (self.source, self.weights)))
        return f"{self.on}{crops}; {source}" + (f" ({self.variant})" if self.variant else "")


class Published(Record):
    """What is published of a shipped network. The first accuracy is the one to compare."""

    paper: Paper
    family: str
    accuracy: tuple[Accuracy, ...] = ()


@cache
def published() -> dict[str, Published]:
    """By the name of the shipped network."""
    import tomllib

    with (shipped_folder() / "published.toml").open("rb") as file:
        data = tomllib.load(file)
    papers = {key: Paper(**fields) for key, fields in data["papers"].items()}
    return {name: _published(papers, **fields) for name, fields in data["networks"].items()}


def _published(papers: dict[str, Paper], paper: str, family: str, accuracy: Any = ()) -> Published:
    return Published(papers[paper], family, tuple(Accuracy(**figure) for figure in accuracy))


def published_of(net: Net) -> Published | None:
    """What is published of this network; None where it is not, letter for letter, a shipped one as it stands.

    A network with another number, another input, or a changed line has another accuracy.
    """
    known = published().get(net.name)
    if known is None or net.options.params or net.options.inputs:
        return None
    return known if all(source.text in _texts() for source in net.sources) else None


@cache
def _texts() -> frozenset[str]:
    """The texts of the shipped networks."""
    return frozenset(read_source(path).text for path in shipped().values())
