"""Pictures of a network's structure, as papers draw it.

| file            | the question it answers                                                        |
|-----------------|--------------------------------------------------------------------------------|
| `structure.py`  | what is there to draw: boxes in series and in parallel, what leaves the trunk   |
| `elements.py`   | which elements of a body share a box                                            |
| `series.py`     | what follows what, what stands side by side, what skips                         |
| `words.py`      | what does a box say, and of what kind is it                                     |
| `theme.py`      | colours and fonts, of all formats                                               |
| `formats.py`    | which formats are there, and what can be asked of them                          |
| `layout.py`     | where does everything stand; `pieces.py`: how do parts stand to one another     |
| `sheet.py`      | how does a network fill a page: columns, and how many blocks are opened         |
| `picture.py`    | what stands on the page, before any format                                      |
| `metrics.py`    | how wide is a text                                                              |
| `svg.py`, `png.py` | how is a picture written                                                     |
"""

from __future__ import annotations
