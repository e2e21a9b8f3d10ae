"""Pictures of a network's structure, as papers draw it.

| file            | the question it answers                                                        |
|-----------------|--------------------------------------------------------------------------------|
| `structure.py`  | what is there to draw: boxes in series and in parallel, what leaves the trunk   |
| `elements.py`   | which elements of a body share a box                                            |
| `series.py`     | what follows what, what stands side by side, what skips                         |
| `words.py`      | what does a box say, and of what kind is it                                     |
| `theme.py`      | colours and fonts, of all formats                                               |
"""

from __future__ import annotations
