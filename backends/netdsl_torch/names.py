"""What may things be called in Python?  Attributes that nn.Module does not have, classes in CamelCase."""

from __future__ import annotations

import keyword
import re

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
NAMESPACE = frozenset(
    {"self", "torch", "nn", "F", "x", "NamedTuple", "Tensor", "super", "range", "float", "isinstance", "i"}
)


def attribute(name: str) -> str:
    """The name of a submodule: that of the element, with an underscore where Python or PyTorch has it already."""
    return f"{name}_" if keyword.iskeyword(name) or name in MODULE_ATTRIBUTES else name


def variable(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) or name in NAMESPACE else name


def field(name: str) -> str:
    """A field of a NamedTuple."""
    name = name.lstrip("_") or "output"
    return f"{name}_" if keyword.iskeyword(name) or name in ("count", "index") else name


def class_name(text: str) -> str:
    """`residual(bottleneck)` → ResidualBottleneck, `resnet50` → Resnet50. Capitals stay."""
    words = [word for word in re.split(r"[^0-9A-Za-z]+", text) if word]
    name = "".join(word[:1].upper() + word[1:] for word in words) or "Block"
    return f"Net{name}" if name[0].isdigit() or keyword.iskeyword(name) else name
