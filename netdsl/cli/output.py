"""How does a command print what programs read?"""

from __future__ import annotations

import json
from typing import Any


def to_json(fields: dict[str, Any]) -> str:
    """The interface of `--json`: one line for each field, and for each row of a list of objects."""

    def shown(value: Any) -> str:
        if not isinstance(value, list) or not value or not isinstance(value[0], dict):
            return json.dumps(value)
        rows = ",\n".join(f"    {json.dumps(row)}" for row in value)
        return f"[\n{rows}\n  ]"

    lines = ",\n".join(f"  {json.dumps(name)}: {shown(value)}" for name, value in fields.items())
    return f"{{\n{lines}\n}}"
