"""Prints the page of the fault table: `python -m missions.decision.render > docs/faults.md`."""

from __future__ import annotations

import sys

from missions.decision.faults import as_markdown

HEAD = """# The fault table

Made from `missions/decision/faults.py`; do not edit it here. To make it anew after a change of the table:

    python -m missions.decision.render > docs/faults.md

The conditions are looked at with each decision, with the numbers of the policy (here its defaults). Of the rows that
are active the strongest action wins: continue, hold, return, divert and land, land now. What cannot be carried out
falls through to the next that can. Rows that ask for `continue` and open the comparison let the engine weigh what is
best for the dose; see [architecture](architecture.md).

"""


def page() -> str:
    """The whole page as Markdown."""
    return HEAD + as_markdown()


if __name__ == "__main__":
    sys.stdout.write(page())
