"""Small cells stay unsaid: a figure about fewer than ten people could be a figure about one of them.

Where just one cell of a table is small, whoever knows the total could work it out; then the smallest of the others
stays unsaid too (complementary suppression).
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

SMALLEST_CELL = 10
UNSTABLE_AT_MOST = 20  # events: the relative standard error of their share is 22 % or more (Klein et al. 2002)
DIGITS = 3  # of a mean risk that is told: with more, two means could tell what one person added
Name = TypeVar("Name", bound=Hashable)


def is_small(readings: int, people: int) -> bool:
    """Whether a group is too small to tell of; an empty one is not."""
    return readings > 0 and people < SMALLEST_CELL


def hidden(cells: Mapping[Name, tuple[int, int]]) -> set[Name]:
    """Which cells of a table, given as readings and people, stay unsaid."""
    small = {name for name, cell in cells.items() if is_small(*cell)}
    others = {name: cell for name, cell in cells.items() if name not in small and cell[0]}
    if len(small) == 1 and others:
        small.add(min(others, key=lambda name: others[name]))
    return small
