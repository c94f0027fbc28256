"""How long to wait between looks for a message: a look costs the SuperLink much, on a small machine as much as work."""

from collections.abc import Iterator

SHORTEST, LONGEST, GROWTH = 0.03, 0.5, 1.5  # seconds, seconds, factor


def pauses() -> Iterator[float]:
    """Seconds to wait before each further look: short at first, longer the longer nothing comes."""
    seconds = SHORTEST
    while True:
        yield seconds
        seconds = min(seconds * GROWTH, LONGEST)
