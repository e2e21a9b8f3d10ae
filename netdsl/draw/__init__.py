"""Pictures of a network's structure, as papers draw it.

| file            | the question it answers                                                        |
|-----------------|--------------------------------------------------------------------------------|
| `structure.py`  | what is there to draw: boxes in series and in parallel, what leaves the trunk   |
| `elements.py`   | which elements of a body share a box                                            |
| `series.py`     | what follows what, what stands side by side, what skips                         |
| `collapse.py`   | what looks the same, and is drawn once                                          |
| `words.py`      | what does a box say, and of what kind is it                                     |
| `theme.py`      | colours and fonts, of all formats                                               |
| `formats.py`    | which formats are there, and what can be asked of them                          |
| `layout.py`     | where does everything stand; `pieces.py`: how do parts stand to one another     |
| `lanes.py`      | what runs beside a series                                                       |
| `sheet.py`      | how does a network fill a page: columns, and how many blocks are opened         |
| `ushape.py`     | is it a U, and how is that drawn                                                |
| `picture.py`    | what stands on the page, before any format                                      |
| `metrics.py`    | how wide is a text                                                              |
| `svg.py`, `png.py` | how is a picture written                                                     |
| `html.py`, `page/` | what does the page say that unfolds; what does a browser do with it          |
| `facts.py`, `shares.py` | what is there to say of a box; where do a network's costs go            |
| `arrows.py`     | which arrow leads from which box to which, for `dot.py` and `mermaid.py`        |
| `stages.py`     | which rows has the table of a paper; `textable.py`: how does LaTeX set it       |
| `tex.py`, `textext.py` | what does a paper get; how is a text written in LaTeX                    |
"""

from __future__ import annotations
