"""What does a fault mean, and how is an element computed?  What `netdsl explain` shows, as data.

| file         | the question it answers                                                         |
|--------------|---------------------------------------------------------------------------------|
| `code.py`    | what does a code mean: in words, by a wrong and a right example, with its source |
| `codes/`     | the words and the examples, a page for each code                                |
| `find.py`    | which elements are meant by a line, a label, a path                             |
| `element.py` | how is an element computed, what feeds it, who uses it, what does it see        |
| `text.py`    | how is that shown                                                               |

None of these prints, and none reads a spec: they take a network, and give records.
"""
