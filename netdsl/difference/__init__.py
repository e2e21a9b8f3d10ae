"""What changed between two networks?  Structure, shapes, costs, inputs and outputs; and do the weights still fit?"""

from netdsl.difference.changes import Change, Difference, Fact, Side, Total, difference

__all__ = ["Change", "Difference", "Fact", "Side", "Total", "difference"]
