"""graph → the source of the PyTorch backend, and after it the flat graph and a function that fuses the two."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netdsl import serial
from netdsl.graph import size_unrolled
from netdsl.net import MAX_LISTED
from netdsl.options import UsageError
from netdsl_torch.emit import MARK as PLAIN_MARK
from netdsl_torch.emit import checksum, class_name_of
from netdsl_torch.emit import emit as emit_plain
from netdsl_torch.emit import is_generated as is_unchanged
from netdsl_torch.paths import flat

if TYPE_CHECKING:
    from netdsl.net import Net

MARK = re.compile(r"Written by netdsl for Triton from (?P<spec>[^\n]*), checksum (?P<sum>[0-9a-f]{12}|0{12})\.")

FUSED = '''
def fused(**options) -> nn.Module:
    """The network with fresh parameters, fused for inference; the plain class where netdsl is not installed.

    It runs its fused kernels under `torch.inference_mode()` after `.eval()`, and else as the class above. The options
    are those of `net.compile(backend="triton")`.
    """
    plain = {name}()
    try:
        from netdsl_triton.build import fuse
    except ModuleNotFoundError:
        return plain
    return fuse(plain, GRAPH, **options)


GRAPH = r"""
{graph}
"""
'''


def emit(net: Net) -> str:
    """The source of a module. It depends on PyTorch, and `fused` in it on netdsl.

    Raises UsageError for a network that is too long to be listed element by element.
    """
    if size_unrolled(net.graph) > MAX_LISTED:
        raise UsageError(f"{net.name} unrolls to more than {MAX_LISTED:,} elements: the torch backend writes it")
    source = emit_plain(net)
    found = PLAIN_MARK.search(source)
    assert found is not None
    mark = f"Written by netdsl for Triton from {found['spec']}, checksum {'0' * 12}."
    head = f"`fused()` is the network for inference with fused kernels: it needs netdsl.\n{mark}"
    tail = FUSED.replace("{name}", class_name_of(net)).replace("{graph}", serial.dumps(flat(net.graph)))
    text = f"{source[: found.start()]}{head}{source[found.end() :]}\n{tail}"
    return text.replace("checksum " + "0" * 12, f"checksum {checksum(text, MARK)}", 1)


def is_generated(text: str) -> bool:
    """Whether a text came from `emit` and was not changed since."""
    return is_unchanged(text, MARK)
