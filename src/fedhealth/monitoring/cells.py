"""Small cells stay unsaid: a figure about fewer than ten people, or readings, could be a figure about one of them."""

SMALLEST_CELL = 10


def is_small(readings: int, people: int) -> bool:
    """Whether a group is too small to tell of; an empty one is not, nor one of unnamed readings that is large."""
    return 0 < readings < SMALLEST_CELL or 0 < people < SMALLEST_CELL
