"""What may things be called in Python?  Attributes that nn.Module does not have, classes in CamelCase."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Container, Iterable

from netdsl_torch.rules.helpers import HELPERS

MODULE_ATTRIBUTES = frozenset(
    [
        "T_destination",
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    ]
)
"""What `self.name` already means in an nn.Module; a test holds this list against PyTorch's own."""
MODULE_NAMES = frozenset({"self", "torch", "nn", "F", "NamedTuple", "Tensor", "annotations"})
"""What the generated file itself calls by these names."""
AMBIGUOUS = frozenset({"l", "O", "I"})
"""Names that look like digits: linters refuse them (pycodestyle E741)."""
LOCALS = frozenset({"x", "step"}) | AMBIGUOUS
"""Variables that a `forward` uses for its own ends."""
IN_CONSTRUCTOR = frozenset({"super", "range", "isinstance", "module", "layer", "std", "bias", "i"}) | AMBIGUOUS
FUNCTIONS = frozenset({"he", "xavier", "lecun", "bilinear", "normal", "biased", "interpolate_"})


def unique(name: str, taken: Container[str]) -> str:
    """A Python identifier close to `name` that is not taken: `type_` for `type`, nothing that starts with `__`."""
    name = unicodedata.normalize("NFKC", name)  # as Python reads it
    if name.startswith("_"):  # nn.Module's own, or changed by Python inside a class
        name = name.strip("_") or "element"
    while keyword.iskeyword(name) or name in taken or not name.isidentifier():
        name = f"{name}_" if name.isidentifier() else f"n{name}"
    return name


def allotted(names: Iterable[str], reserved: frozenset[str]) -> dict[str, str]:
    """An identifier for each name, no two alike."""
    found: dict[str, str] = {}
    taken = set(reserved)
    for name in names:
        found[name] = unique(name, taken)
        taken.add(found[name])
    return found


def attributes(names: Iterable[str]) -> dict[str, str]:
    """What submodules are called: as their elements, but for what Python or PyTorch has already."""
    return allotted(names, MODULE_ATTRIBUTES)


def fields(names: Iterable[str]) -> dict[str, str]:
    """The fields of a NamedTuple, which may not start with an underscore."""
    wanted = {name: name.strip("_") or "output" for name in names}
    found: dict[str, str] = {}
    taken = {"count", "index"}
    for name, plain in wanted.items():
        found[name] = unique(plain, taken)
        taken.add(found[name])
    return found


def class_name(text: str) -> str:
    """`residual(bottleneck)` → ResidualBottleneck, `resnet50` → Resnet50. Capitals stay."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", text) if word]
    name = "".join(word[:1].upper() + word[1:] for word in words) or "Block"
    return free_class_name(f"Net{name}" if name[0].isdigit() else name)


def free_class_name(name: str) -> str:
    """A class must not hide what the file or Python itself calls by that name."""
    hidden = keyword.iskeyword(name) or hasattr(builtins, name) or name in MODULE_NAMES | FUNCTIONS | HELPERS.keys()
    return f"The{name}" if hidden else name
